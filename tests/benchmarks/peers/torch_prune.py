"""PyTorch's own pruning, `torch.nn.utils.prune`, in the resident loop."""

import torch
from torch.nn.utils import prune

from peers.resident import build, loop, read
from peers.work import Peer, Work


def torch_prune(work: Work) -> Peer:
    """The smallest weights of both layers fall; torch keeps the mask up before each forward pass."""
    network = build(work)
    first = {name: value.clone() for name, value in network.state_dict().items()}
    layers = [(network[0], "weight"), (network[2], "weight")]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=work.thresholds[0])

    def prepare() -> None:
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(first[name.removesuffix("_orig")])

    return Peer(prepare, loop(work, network), lambda: read(network, lambda m: m.weight_orig * m.weight_mask))
