"""`ex.prune` on torchvision's models at 64 pixels: every way of pruning prunes what it says, on each."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  the field's own name for it

import explorer as ex

LAYERS = (nn.Linear, nn.Conv2d)
SHARE = 0.5

NETWORKS = [
    *("convnext_tiny", "densenet121", "efficientnet_b0"),
    *("googlenet", "inception_v3", "mnasnet0_5", "mnasnet1_0", "mobilenet_v2"),
    *("mobilenet_v3_large", "mobilenet_v3_small", "regnet_x_400mf", "regnet_x_800mf", "regnet_y_400mf"),
    *("regnet_y_800mf", "resnet18", "resnet50", "shufflenet_v2_x0_5"),
    *("shufflenet_v2_x1_0", "squeezenet1_0", "squeezenet1_1", "swin_t"),
]
DICTS = ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"]
OPTIONS = {
    "googlenet": {"init_weights": False},
    "inception_v3": {"init_weights": False},
}
AUXILIARY = ("aux1", "aux2", "AuxLogits")  # heads that only training calls
PIXELS = {"inception_v3": 80}  # it takes no fewer than 75
WAYS = [
    {"criterion": "magnitude"},
    {"criterion": "magnitude", "allocation": "erk"},
    {"criterion": "random"},
    {"criterion": "gradient"},
    {"criterion": "magnitude", "granularity": "neuron", "allocation": "uniform"},
    {"criterion": "magnitude", "granularity": "filter"},
    {"criterion": "magnitude", "granularity": "input"},
    {"criterion": "magnitude", "granularity": "n:m"},
    {"criterion": "activity", "granularity": "filter"},
]


def logits_of(answer):
    """The logits of a network, of a segmentation its pixels'."""
    return answer["out"].mean((2, 3)) if isinstance(answer, dict) else answer


def loss(answer, labels):
    return F.cross_entropy(logits_of(answer), labels)


def layers(net):
    return {f"{n}.weight": p for n, p in net.named_modules() if isinstance(p, LAYERS)}


def check(net, way, batch):
    pruning = ex.Pruning(**way, **({} if way.get("granularity") == "n:m" else {"threshold": SHARE}))
    skip = []
    if pruning.criterion == "activity" and any(
        name.startswith(AUXILIARY) for name, _ in net.named_children()
    ):
        with pytest.raises(
            ValueError, match=r"no activations of (aux1|AuxLogits)\.\S+, .* were seen.* Skip it"
        ):
            ex.prune(net, pruning, batch, loss)
        skip = [n for n, p in net.named_modules() if n.startswith(AUXILIARY) and isinstance(p, LAYERS)]
    masks = ex.prune(net, pruning, batch, loss, skip)
    parts = layers(net)
    granularity = way.get("granularity", "weight")
    for name, mask in masks.items():
        assert not parts[name].weight[~mask].any()
    if granularity == "weight":
        assert masks.keys() == parts.keys()
        assert sum(int((~m).sum()) for m in masks.values()) == round(
            SHARE * sum(map(torch.numel, masks.values()))
        )
    elif granularity == "n:m":
        assert masks.keys() == {n for n, p in parts.items() if p.weight.shape[1] % 4 == 0}
        assert all((m.transpose(0, 1).unflatten(0, (-1, 4)).sum(1) == 2).all() for m in masks.values())
    elif granularity == "filter":
        rows = [m.flatten(1) for m in masks.values()]
        assert all((r.all(1) == r.any(1)).all() for r in rows)
        assert sum(int((~r.any(1)).sum()) for r in rows) == round(SHARE * sum(map(len, rows)))
    with torch.no_grad():
        assert logits_of(net.eval()(batch[0])).isfinite().all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:granularity = 'n.m' leaves", "ignore:not pruned", "ignore:threshold = ")
@pytest.mark.parametrize("name", [*NETWORKS, *DICTS])
def test_every_way_prunes_every_network(name):
    from torchvision import models

    torch.manual_seed(0)
    make = getattr(models.segmentation if name in DICTS else models, name)
    fresh = {"weights": None, "weights_backbone": None} if name in DICTS else {"weights": None}
    net, size = make(**fresh, **OPTIONS.get(name, {})).eval(), PIXELS.get(name, 64)
    batch = torch.randn(2, 3, size, size), torch.tensor([0, 1])
    for way in WAYS:
        check(copy.deepcopy(net), way, batch)
