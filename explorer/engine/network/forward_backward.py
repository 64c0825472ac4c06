"""A model's arithmetic on rows: forward pass and gradient for every lane of a stack.

Chains of Linear layers have a backward pass written by hand, held to autograd by a test in float64; any
other module goes through autograd. Lanes are taken one by one, each with plain matrices, or all at once:
chains by batched products, others by `torch.func.vmap`.

What a module keeps beside its parameters, a batch norm's running statistics say, is in its buffers, and every
lane has its own. They stand among the views and change as the network learns.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from explorer.engine.data.random import is_stochastic, isolated_rng, seed_global_rng, seed_of
from explorer.engine.network.layout import Layout
from explorer.engine.network.losses import Loss, predictions

ON_CPU, ON_GPU = 500, 16_000  # images at once, over all rows, where nothing is learned
IMAGES = 4  # dimensions of a batch of images; one more where each lane has its own
Views = dict[str, Tensor]
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class DenseLayer:
    """One Linear layer of a chain and the activation behind it, "" for none."""

    weight: str
    bias: str
    activation: str


ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"}
APPLY: dict[str, Callable[[Tensor], Tensor]] = {
    "": lambda z: z,
    "relu": torch.relu_,
    "sigmoid": torch.sigmoid_,
    "tanh": torch.tanh_,
}
DERIVE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # from the gradient behind and the output itself
    "relu": lambda d, h: torch.ops.aten.threshold_backward(d, h, 0),
    "sigmoid": torch.ops.aten.sigmoid_backward,
    "tanh": torch.ops.aten.tanh_backward,
}


def chain_of(module: nn.Module) -> list[DenseLayer] | None:
    """The links of a Sequential of Flatten, Linear and activations; None for any other module."""
    if type(module) is not nn.Sequential:
        return None
    links: list[DenseLayer] = []
    for name, part in module.named_children():
        if type(part) is nn.Linear and part.bias is not None:
            links.append(DenseLayer(f"{name}.weight", f"{name}.bias", ""))
        elif type(part) in ACTIVATIONS and links and not links[-1].activation:
            links[-1] = DenseLayer(links[-1].weight, links[-1].bias, ACTIVATIONS[type(part)])
        elif type(part) is not nn.Flatten or links:
            return None
    return links or None


class Network:
    """A module's arithmetic; the module itself only lends its structure, never its values."""

    def __init__(self, module: nn.Module, *, by_hand: bool = True) -> None:
        self.module = module.eval()
        self.layout = Layout(module)
        self.chain = chain_of(module) if by_hand else None
        self.stochastic = self.chain is None and is_stochastic(module)
        self._seed: int | None = None  # of the step's own random numbers, while there is one

    def views(self, matrix: Tensor, buffers: Mapping[str, Tensor] | None = None) -> Views:
        """The parameters in rows, and these rows' buffers, [L, *shape]; one row goes without the lane's."""
        kept = buffers or {}
        if len(matrix) == 1:
            kept = {name: buffer[0] for name, buffer in kept.items()}
        return {**self.layout.views(matrix), **kept}

    @contextmanager
    def train_mode(self, device: torch.device, *key: int) -> Iterator[None]:
        """Inside, gradients are taken in train mode; `key` alone decides what they draw by chance."""
        if self.chain is not None:
            yield
            return
        self.module.train()
        try:
            if self.stochastic:
                self._seed = seed_of(*key)
                with isolated_rng(self._seed, device):
                    yield
            else:
                yield
        finally:
            self._seed = None
            self.module.eval()

    def forward(self, views: Views, x: Tensor) -> Tensor:
        """The logits, [..., B, C]."""
        if self.chain is None:
            return self._call(views, x)
        return self._outputs(views, x)[-1]

    def _call(self, views: Views, x: Tensor) -> Tensor:
        """The module itself under these values; several lanes at once where they have their dimension."""

        def alone(values: Views, images: Tensor) -> Tensor:
            logits: Tensor = torch.func.functional_call(self.module, values, (images,))
            return logits

        slot = self.layout.layers[0].weight
        if views[slot.name].dim() == len(slot.shape):
            return alone(views, x)
        every = torch.func.vmap(alone, in_dims=(0, 0 if x.dim() > IMAGES else None), randomness="same")
        lanes: Tensor = every(views, x)
        return lanes

    def gradient(self, views: Views, grads: Views, batch: Batch, loss: Loss) -> Tensor:
        """Writes the gradient of the mean loss over the batch into `grads`; returns the loss, [...]."""
        if self.chain is None:
            return self._by_autograd(views, grads, batch, loss)
        return self._by_hand(views, grads, batch, loss)

    def _outputs(self, views: Views, x: Tensor) -> list[Tensor]:
        assert self.chain is not None
        outputs = [x.flatten(-3) if x.dim() > 3 else x]
        for link in self.chain:
            weight, bias = views[link.weight], views[link.bias]
            if weight.dim() == 2:
                z = torch.addmm(bias, outputs[-1], weight.t())
            else:
                z = torch.matmul(outputs[-1], weight.mT).add_(bias.unsqueeze(-2))
            outputs.append(APPLY[link.activation](z))
        return outputs

    def _by_hand(self, views: Views, grads: Views, batch: Batch, loss: Loss) -> Tensor:
        assert self.chain is not None
        x, labels = batch
        outputs = self._outputs(views, x)
        value, d = loss(outputs[-1], labels)
        for i in range(len(self.chain) - 1, -1, -1):
            link = self.chain[i]
            product, below = (torch.mm if d.dim() == 2 else torch.bmm), outputs[i]
            if below.dim() < d.dim():  # images that all lanes share
                below = below.expand(len(d), -1, -1)
            product(d.mT, below, out=grads[link.weight])
            torch.sum(d, -2, out=grads[link.bias])
            if i:
                d = product(d, views[link.weight])
                if self.chain[i - 1].activation:
                    d = DERIVE[self.chain[i - 1].activation](d, outputs[i])
        return value

    def _by_autograd(self, views: Views, grads: Views, batch: Batch, loss: Loss) -> Tensor:
        x, labels = batch
        if self._seed is not None:  # each lane draws the same: they are to differ by what they compare
            seed_global_rng(self._seed, x.device)
        with torch.enable_grad():
            leaves = {name: views[name].detach().requires_grad_() for name in grads}
            logits = self._call({**views, **leaves}, x)
            value, d = loss(logits.detach(), labels)
            found = torch.autograd.grad(logits, list(leaves.values()), d, allow_unused=True)
        _write(list(grads.values()), found)
        return value


def _write(grads: list[Tensor], found: tuple[Tensor | None, ...]) -> None:
    """Gradients to where they belong; zero where the answers do not depend on a parameter."""
    used = [(to, gradient) for to, gradient in zip(grads, found, strict=True) if gradient is not None]
    torch._foreach_copy_([to for to, _ in used], [gradient for _, gradient in used])
    for to, gradient in zip(grads, found, strict=True):
        if gradient is None:
            to.zero_()


def eval_batch_size(device: torch.device, rows: int = 1) -> int:
    """How many images to look at together: on a CPU what its caches hold, on a GPU what keeps it busy."""
    return max(1, (ON_CPU if device.type == "cpu" else ON_GPU) // rows)


def evaluate(
    network: Network,
    row: Tensor,
    x: Tensor,
    labels: Tensor,
    loss: Loss,
    *,
    buffers: Mapping[str, Tensor] | None = None,
    answers: Tensor | None = None,
) -> tuple[float, float]:
    """Mean loss and accuracy of one row, [P], over normalised images; `answers`, [n], is filled."""
    lane = {name: buffer.unsqueeze(0) for name, buffer in (buffers or {}).items()}
    into = None if answers is None else answers.unsqueeze(0)
    found = evaluate_rows(network, row.unsqueeze(0), x, labels, loss, buffers=lane, answers=into)
    value, accuracy = found[0].tolist()
    return value, accuracy


@torch.no_grad()
def evaluate_rows(
    network: Network,
    rows: Tensor,
    x: Tensor,
    labels: Tensor,
    loss: Loss,
    *,
    buffers: Mapping[str, Tensor] | None = None,
    answers: Tensor | None = None,
) -> Tensor:
    """The same of several rows at once, [L, P]: double [L, 2], for which the host need not wait."""
    views = network.views(rows, buffers)
    size = eval_batch_size(rows.device, len(rows))
    totals = torch.zeros(2, len(rows), dtype=torch.double, device=rows.device)
    for start in range(0, len(x), size):
        part, truth = x[start : start + size], labels[start : start + size]
        logits = network.forward(views, part)
        totals[0] += loss(logits, truth)[0] * len(part)
        found = predictions(logits)
        totals[1] += (found == truth).sum(-1)
        if answers is not None:
            answers[:, start : start + size] = found
    return totals.T / len(x)
