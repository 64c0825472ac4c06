"""Weights that layers share are pruned once, and stay shared."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune as torch_prune

import explorer as ex


class Tied(nn.Module):
    """A language model of the smallest kind: an embedding and an output layer that share their weight."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.middle, self.decoder = nn.Embedding(9, 6), nn.Linear(6, 6), nn.Linear(6, 9)
        self.decoder.weight = self.encoder.weight

    def forward(self, tokens):
        return self.decoder(self.middle(self.encoder(tokens).mean(1)).relu())


def shared_linear():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    net[3].weight = net[1].weight
    return net


def by_recipe(net, masks):
    for name, part in net.named_modules():
        if f"{name}.weight" in masks:
            torch_prune.custom_from_mask(part, "weight", masks[f"{name}.weight"])


@pytest.mark.parametrize("criterion", ["magnitude", "gradient", "grasp"])
def test_an_output_layer_and_its_embedding_are_pruned_once_and_stay_tied(criterion, tmp_path):
    net = Tied()
    batch = torch.randint(9, (20, 4)), torch.arange(20) % 9
    masks = ex.prune(net, ex.Pruning(criterion=criterion, threshold=0.5), batch)
    assert list(masks) == ["middle.weight", "encoder.weight", "decoder.weight"]
    assert net.decoder.weight is net.encoder.weight
    assert masks["decoder.weight"].equal(masks["encoder.weight"])
    assert torch.equal(net.decoder.weight != 0, masks["decoder.weight"])
    fallen = sum(int((~masks[name]).sum()) for name in ("middle.weight", "decoder.weight"))
    assert fallen == round(0.5 * (36 + 54))
    save_file(masks, tmp_path / "masks.safetensors")
    by_recipe(net, masks)
    assert net.decoder.weight_orig is net.encoder.weight_orig
    net(batch[0]).sum().backward()
    assert torch.equal(net.encoder.weight, net.decoder.weight)


def test_layers_that_share_are_pruned_once_and_skipped_together():
    net = shared_linear()
    masks = ex.prune(net, ex.Pruning(threshold=0.5))
    assert list(masks) == ["1.weight", "3.weight", "5.weight"]
    assert sum(int((~masks[name]).sum()) for name in ("1.weight", "5.weight")) == round(0.5 * (64 + 24))
    assert list(ex.prune(shared_linear(), ex.Pruning(threshold=0.5), skip=["3"])) == ["5.weight"]


def test_one_layer_called_twice_has_one_name():
    layer = nn.Linear(4, 4)
    assert list(ex.prune(nn.Sequential(layer, nn.ReLU(), layer), ex.Pruning(threshold=0.5))) == ["0.weight"]


@pytest.mark.parametrize("criterion", ["activity", "apoz"])
def test_units_of_a_shared_layer_are_scored_too(criterion):
    net = shared_linear()
    pruning = ex.Pruning(criterion=criterion, granularity="neuron", threshold=0.5)
    masks = ex.prune(net, pruning, (torch.randn(30, 8), torch.arange(30) % 3))
    assert masks["1.weight"].equal(masks["3.weight"])


@pytest.mark.parametrize("granularity", ["weight", "neuron"])
def test_a_run_of_shared_layers_keeps_them_shared(small, scratch_registry, granularity):
    scratch_registry.register("model", "shared")(shared_linear)
    pruning = {"threshold": 0.5, "granularity": granularity, "begin_epoch": 0}
    run = ex.train(small(model="shared", pruning=pruning), progress=False)
    model = run.model()
    assert run.status == "done"
    assert model[3].weight is model[1].weight
    assert 0.3 < run.summary["sparsity"] < 0.9
    assert torch.equal(model[1].weight != 0, run.masks["1.weight"])
