"""Survivors of a mask, against plain counts worked by hand."""

import pytest
import torch
from torch import nn

from explorer.engine.analysis import mask_stats
from explorer.engine.network.forward_backward import Network
from explorer.engine.network.state import LaneView


def viewed(module):
    network = Network(module)
    return network, LaneView(network.layout.row(module))


def test_an_mlps_first_layer_reads_the_pixels_and_the_next_reads_its_units():
    network, view = viewed(nn.Sequential(nn.Flatten(), nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 2)))
    wired = mask_stats.layer_graph(network, view, torch.zeros(1, 1, 2, 3))
    assert (wired.first.name, wired.window, wired.filters) == ("1", (2, 3), False)
    assert [slot.name for slot in wired.readers(wired.first, network.layout.layers)] == ["3.weight"]


def test_a_convolution_has_filters_and_a_flattened_map_many_readers():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 4, 5))
    network, view = viewed(module)
    wired = mask_stats.layer_graph(network, view, torch.zeros(1, 1, 4, 4))
    assert (wired.first.name, wired.window, wired.filters) == ("0", (3, 3), True)
    reader = torch.zeros(5, 8, dtype=torch.bool)
    reader[0, 1] = reader[2, 3] = reader[4, 4] = True  # inputs 0 to 3 come of the first filter
    assert mask_stats.fan_out(2, [reader]).tolist() == [2, 1]


def test_a_layer_behind_something_else_reads_no_pixels():
    network, view = viewed(nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 3)))
    assert mask_stats.layer_graph(network, view, torch.zeros(1, 1, 4, 4)).first is None


def test_counts_of_pixels_and_units_by_hand():
    alive = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]]).bool()
    assert mask_stats.fan_in(alive).tolist() == [2, 0, 2]
    assert mask_stats.per_input(alive, (2, 2)).tolist() == [[2, 1], [0, 1]]
    reader = torch.tensor([[1, 1, 0], [1, 0, 0]]).bool()
    assert mask_stats.fan_out(3, [reader]).tolist() == [2, 1, 0]
    assert mask_stats.dead(mask_stats.fan_in(alive), mask_stats.fan_out(3, [reader])).tolist() == [
        False,
        True,
        True,
    ]
    assert mask_stats.dead(mask_stats.fan_in(alive), None).tolist() == [False, True, False]


def test_a_1_in_the_place_of_a_pruned_layer_lets_units_through():
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    network, view = viewed(module)
    slot = network.layout.layers[0].weight
    row, mask = torch.zeros_like(view.row), torch.zeros_like(view.row)
    row[slot.start] = 1
    assert mask_stats.keep_mask(LaneView(row, mask), slot).sum() == 0
    assert mask_stats.passes_signal(LaneView(row, mask), slot).tolist() == [[True] + 3 * [False], 4 * [False]]


def test_blocks_are_means_of_what_is_kept():
    alive = torch.tensor([[1, 1, 0, 0, 1], [1, 0, 0, 0, 1]]).bool()
    assert mask_stats.blocks(alive, (2, 5)).equal(alive.float())
    assert mask_stats.blocks(alive, (1, 3)).tolist() == [[0.75, 0, 1]]
    filters = torch.tensor([[[[1, 0], [0, 0]]]]).bool()
    assert mask_stats.blocks(filters, (9, 9)).tolist() == [[0.25]]


def test_shades_keep_pruned_apart_from_zero():
    weights = torch.tensor([-9.0, -1, 0, 0.5, 1, 5])
    alive = torch.tensor([1, 1, 1, 1, 1, 0]).bool()
    assert mask_stats.quantised(weights, alive, 1.0).tolist() == [1, 1, 128, 192, 255, 0]
    end = mask_stats.colour_range(torch.tensor([3.0, -1, 7]), torch.tensor([1, 1, 0]).bool())
    assert end == pytest.approx(2 * 5**0.5)
    assert mask_stats.colour_range(torch.zeros(3), torch.zeros(3).bool()) == 1
