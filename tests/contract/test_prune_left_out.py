"""What cannot be pruned is named in a warning, unless the user says that it is meant."""

import warnings
from functools import partial

import pytest
import torch
from torch import nn

import explorer as ex

HALF = ex.Pruning(threshold=0.5)
OTHERS = {
    "embedding": (nn.Embedding(9, 4), r"0\.weight \(Embedding\)"),
    "bilinear": (nn.Bilinear(4, 4, 4), r"0\.weight \(Bilinear\)"),
    "transposed": (nn.ConvTranspose2d(4, 4, 3), r"0\.weight \(ConvTranspose2d\)"),
    "lstm": (nn.LSTM(4, 4), r"0\.weight_ih_l0 \(LSTM\), 0\.weight_hh_l0 \(LSTM\)"),
    "gru": (nn.GRU(4, 4, 3), r"0\.weight_ih_l0 \(GRU\), .* and 2 more;"),
    "attention": (nn.MultiheadAttention(4, 2), r"0\.in_proj_weight \(MultiheadAttention\)"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_left_out_beside_prunable_layers_is_named(name):
    other, message = OTHERS[name]
    net = nn.Sequential(other, nn.Linear(4, 4))
    with pytest.warns(UserWarning, match=f"not pruned: {message}") as caught:
        masks = ex.prune(net, HALF)
    assert "1.weight" in masks
    assert "Name them in skip" in str(caught[0].message)
    assert len(str(caught[0].message)) < 300
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ex.prune(net, HALF, skip=["0"]).keys() == masks.keys()


def test_a_matrix_of_the_modules_own_can_be_skipped_by_its_name():
    net = nn.Linear(4, 4)
    net.places = nn.Parameter(torch.zeros(1, 5, 4))
    with pytest.warns(UserWarning, match=r"not pruned: places \(Linear\)"):
        ex.prune(net, HALF)
    with pytest.warns(UserWarning, match=r"not pruned: 0\.places \(Linear\)"):
        ex.prune(nn.Sequential(net), HALF)
    assert "weight" in ex.prune(net, HALF, skip=["places"])
    assert "0.weight" in ex.prune(nn.Sequential(net), HALF, skip=["0.places"])


@pytest.mark.parametrize(
    "other",
    [nn.LayerNorm((3, 4)), nn.RMSNorm((3, 4)), nn.BatchNorm2d(4), nn.PReLU(4), nn.GroupNorm(2, 4)],
    ids=lambda part: type(part).__name__,
)
def test_normalisation_and_vectors_are_nothing_to_warn_of(other):
    assert "1.weight" in ex.prune(nn.Sequential(other, nn.Linear(4, 4)), HALF)


def test_an_unknown_name_in_skip_is_told_of_all_that_can_be_skipped():
    net = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4))
    with pytest.raises(ValueError, match=r"skip = '7' is not known.* Allowed: 1, 0, 0\.weight"):
        ex.prune(net, HALF, skip=["7"])


class Recurrent(nn.Module):
    """A GRU over the rows of an image, and a Linear layer."""

    def __init__(self):
        super().__init__()
        self.gru, self.answers = nn.GRU(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, images):
        return self.answers(self.gru(images.squeeze(1))[0][:, -1])


def test_a_run_names_what_it_leaves_out(small, scratch_registry):
    scratch_registry.register("model", "recurrent")(lambda: Recurrent())  # noqa: PLW0108  of its own
    with pytest.warns(UserWarning, match=r"not pruned: gru\.weight_ih_l0 \(GRU\), gru\.weight_hh") as caught:
        ex.train(small(model="recurrent", pruning={"threshold": 0.5}), progress=False)
    assert caught[0].filename == __file__
    ex.train(small(model="recurrent", pruning=None), progress=False)
    sweep = partial(ex.sweep, small(model="recurrent", pruning={"threshold": 0.5}), progress=False)
    with pytest.warns(UserWarning, match=r"not pruned: gru\.weight_ih_l0 \(GRU\)") as caught:
        sweep({"pruning.threshold": [0.3, 0.5]}, plan="loop")
    assert len(caught) == 1
    assert caught[0].filename == __file__
