"""What `ex.prune` cannot do it refuses in words, before it changes any weight."""

import copy

import pytest
import torch
from torch import nn

import explorer as ex


def linear_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 4))


def test_what_is_no_pruning_is_refused_in_words():
    with pytest.raises(TypeError, match=r"pruning = 'magnitude': give an ex\.Pruning"):
        ex.prune(linear_net(), "magnitude")


@pytest.mark.parametrize(("images", "labels"), [(0, 0), (3, 2), (0, 3)])
def test_a_batch_that_is_empty_or_uneven_is_refused_and_prunes_nothing(images, labels):
    net = linear_net()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError, match=f"batch has {images} images and {labels} labels"):
        ex.prune(
            net,
            ex.Pruning(criterion="gradient", threshold=0.5),
            batch=(torch.zeros(images, 8), torch.zeros(labels, dtype=torch.long)),
        )
    assert all(value.equal(before[name]) for name, value in net.state_dict().items())


def made_in_inference_mode():
    with torch.inference_mode():
        return linear_net()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(nn.Linear(8, 4), nn.LazyLinear(3)), r"'1\.weight' has no values yet: call"),
        (lambda: nn.Linear(8, 4, device="meta"), "'weight' is on device 'meta'"),
        (made_in_inference_mode, r"'0\.weight' cannot be changed under torch\.inference_mode"),
    ],
)
def test_weights_that_cannot_be_written_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        ex.prune(make(), ex.Pruning(threshold=0.5))


def test_in_inference_mode_nothing_is_pruned_and_a_copy_can_be_outside():
    net, inside = linear_net(), made_in_inference_mode()
    before = copy.deepcopy(net.state_dict())
    with torch.inference_mode(), pytest.raises(ValueError, match="inference_mode"):
        ex.prune(net, ex.Pruning(threshold=0.5))
    assert all(value.equal(before[name]) for name, value in net.state_dict().items())
    masks = ex.prune(copy.deepcopy(inside), ex.Pruning(threshold=0.5))
    with torch.no_grad():
        again = ex.prune(net, ex.Pruning(threshold=0.5))
    assert all(masks[name].equal(again[name]) for name in masks)


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize("criterion", ["magnitude", "lamp", "fisher", "synflow", "activity", "random"])
def test_a_layer_without_weights_has_an_empty_mask(criterion):
    net = nn.Sequential(nn.Linear(4, 0), nn.Linear(0, 6), nn.ReLU(), nn.Linear(6, 3))
    pruning = ex.Pruning(
        criterion=criterion, threshold=0.5, granularity="neuron" if criterion == "activity" else "weight"
    )
    masks = ex.prune(net, pruning, batch=(torch.rand(9, 4), torch.arange(9) % 3))
    assert masks.keys() == {"0.weight", "1.weight", "3.weight"}
    assert (masks["0.weight"].shape, masks["1.weight"].shape) == ((0, 4), (6, 0))
    assert int(masks["3.weight"].sum()) in (6, 9, 12)  # half of 18 weights, or one or two of three units
    assert ex.prune(nn.Linear(4, 0), pruning)["weight"].shape == (0, 4)


class Answers(nn.Module):
    """Answers with a dictionary, as many libraries' models do."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        return {"logits": self.fc(x)}


@pytest.mark.parametrize("criterion", ["gradient", "fisher", "grasp"])
def test_an_answer_that_the_loss_cannot_take_is_told_with_what_to_look_at(criterion):
    batch = torch.randn(8, 6), torch.arange(8) % 3
    with pytest.raises(ValueError, match=r"for Answers and inputs .* not dict.* Look at model, .* and loss"):
        ex.prune(Answers(), ex.Pruning(criterion=criterion, threshold=0.5), batch)
    loss = lambda out, labels: nn.functional.cross_entropy(out["logits"], labels)  # noqa: E731
    masks = ex.prune(Answers(), ex.Pruning(criterion=criterion, threshold=0.5), batch, loss=loss)
    assert int(masks["fc.weight"].sum()) == 9
