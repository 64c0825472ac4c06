"""PyTorch as one writes it who knows it: all images a float tensor on the device, autograd, torch's SGD."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from peers.work import LR, MAX_NORM, Peer, Work


def resident(work: Work) -> Peer:
    """The mask is on the gradient: plain SGD then leaves pruned weights at the zero that they begin with."""
    network = build(work)
    masks = [torch.from_numpy(mask).to(work.device) for mask in work.masks[0].values()]
    masked = list(zip((network[0].weight, network[2].weight), masks, strict=True))

    def prepare() -> None:
        network.load_state_dict(build(work).state_dict())
        with torch.no_grad():
            for weight, mask in masked:
                weight.mul_(mask)

    def mask_gradients() -> None:
        for weight, mask in masked:
            weight.grad.mul_(mask)

    return Peer(prepare, loop(work, network, mask_gradients), lambda: read(network))


def loop(work: Work, network: nn.Module, before_clipping: Callable[[], None] = lambda: None) -> Callable:
    """The training loop over resident tensors."""
    x = torch.from_numpy(work.inputs).to(work.device)
    y = torch.from_numpy(work.labels).to(work.device)
    given = None if work.order is None else torch.as_tensor(work.order, device=work.device)
    parameters = list(network.parameters())
    optimizer = torch.optim.SGD(parameters, lr=LR)

    def train() -> None:
        for _ in range(work.epochs):
            order = torch.randperm(len(x), device=work.device) if given is None else given
            for chosen in order.split(work.batch):
                optimizer.zero_grad()
                F.cross_entropy(network(x[chosen]), y[chosen]).backward()
                before_clipping()
                nn.utils.clip_grad_norm_(parameters, MAX_NORM)
                optimizer.step()
        if work.device == "cuda":
            torch.cuda.synchronize()

    return train


def build(work: Work) -> nn.Sequential:
    """The network with its first weights, on the device."""
    network = nn.Sequential(nn.Linear(784, work.hidden), nn.ReLU(), nn.Linear(work.hidden, 10))
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), work.initial.values(), strict=True):
            parameter.copy_(torch.from_numpy(value))
    return network.to(work.device)


def read(network: Sequence[nn.Module], weight: Callable[[nn.Module], Tensor] = lambda m: m.weight) -> dict:
    """The weights by the explorer's names, as of one variant."""
    found = {}
    for name, layer in (("fc1", network[0]), ("fc2", network[2])):
        for kind, value in (("weight", weight(layer)), ("bias", layer.bias)):
            found[f"{name}.{kind}"] = np.stack([value.detach().cpu().numpy()])
    return found
