"""Counting weights by bin and by mask: quick ways against plain ones."""

import pytest
import torch

from explorer.engine.network.layout import Layer, ParameterSlice
from explorer.engine.training import history, metrics


@pytest.fixture
def layer():
    slot = ParameterSlice("fc.weight", torch.Size((20, 50)), 5, 1005)
    return Layer("fc", slot, None)


def plain(row, mask, fallen, edges):
    """Counts of one row, weight by weight."""
    found = torch.zeros(3, history.BINS, dtype=torch.long)
    inner = edges[1:-1].tolist()
    for value, kept, was in zip(row.tolist(), mask.tolist(), fallen.tolist(), strict=True):
        group = (2 if was == was else 0) if kept else 1  # noqa: PLR0124  NaN alone is not itself
        found[group, sum(edge <= (value if kept else was) for edge in inner)] += 1
    return found


def test_bins_are_those_of_a_plain_loop_with_revived_weights_and_whatever_lies_beyond(layer):
    torch.manual_seed(0)
    rows = torch.randn(3, 1010)  # the edges end at 8/√50 = 1.13
    mask = (torch.rand(3, 1010) < 0.5).float()
    fallen = torch.where((mask == 0) | (torch.rand(3, 1010) < 0.2), torch.randn(3, 1010), torch.nan)
    edges = history.weight_edges(layer)
    found = history.weight_counts(rows * mask, mask, fallen, layer, edges)
    cut = slice(5, 1005)
    for i in range(3):
        wanted = plain((rows * mask)[i, cut], mask[i, cut], fallen[i, cut], edges)
        assert found[i].tolist() == wanted.tolist()
        alone = history.weight_counts(
            (rows * mask)[i : i + 1], mask[i : i + 1], fallen[i : i + 1], layer, edges
        )
        assert alone[0].equal(found[i])
    assert found.sum((0, 2)).min() > 0  # each of the three kinds is there


def test_before_anything_is_pruned_all_is_kept(layer):
    row = torch.randn(1, 1010) * 0.1
    found = history.weight_counts(row, None, None, layer, history.weight_edges(layer))
    assert found[0, 0].sum() == 1000
    assert not found[0, 1:].any()


def test_many_lanes_do_not_overflow(layer):
    rows = torch.zeros(400, 1010)
    found = history.weight_counts(rows, None, None, layer, history.weight_edges(layer))
    assert (found.sum((1, 2)) == 1000).all()


@pytest.mark.parametrize("exact", [metrics.EXACT, 10])
def test_a_mask_is_counted_exactly(monkeypatch, exact):
    monkeypatch.setattr(metrics, "EXACT", exact)
    mask = (torch.rand(2, 100_001) < 0.3).float()
    assert metrics.count_kept(mask).tolist() == mask.long().sum(1).tolist()
