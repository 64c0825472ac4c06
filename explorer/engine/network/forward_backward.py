"""A model's arithmetic on rows: forward pass and gradient for every lane of a stack.

Chains of Linear layers have a backward pass written by hand, held to autograd by a test in float64; any
other module goes through autograd. Lanes are taken one by one, each with plain matrices, or all at once:
chains by batched products, others by `torch.func.vmap`.

What a module keeps beside its parameters, a batch norm's running statistics say, is in its buffers, and every
lane has its own. They stand among the views and change as the network learns.

Shapes: L lanes, P parameters, B batch, C classes; "..." is [L], or nothing where there is one lane: a single
run does not pay for the general case.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules

from explorer.engine.data.random import is_stochastic, isolated_rng, seed_global_rng, seed_of
from explorer.engine.network.layout import Layout
from explorer.engine.network.losses import Loss, predictions

CPU_IMAGES, GPU_IMAGES = 500, 16_000  # at once, over all rows, in an evaluation
IMAGE_DIMS = 4  # of a batch, [B, 1, 28, 28]; one more where each lane has its own
# what a module has of its own where it does not, or not only, run its class's forward pass
HOOKS = ("forward_hooks", "forward_pre_hooks", "backward_hooks", "backward_pre_hooks")
OVERRIDES = (*(f"_{kind}" for kind in HOOKS), "forward", "__call__", "_call_impl", "_compiled_call_impl")
Views = dict[str, Tensor]
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class DenseLayer:
    """A Linear layer of a chain, by its parameters' names, and the activation behind it, "" for none."""

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
# the gradient before an activation, from the gradient behind it and its output
DERIVE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda d, h: torch.ops.aten.threshold_backward(d, h, 0),
    "sigmoid": torch.ops.aten.sigmoid_backward,
    "tanh": torch.ops.aten.tanh_backward,
}


def chain_of(module: nn.Module) -> list[DenseLayer] | None:
    """Return the layers of a Sequential of Flatten, Linear and activations; None for any other module.

    None as well where it is not certain that they are called once each, in order, as torch has them, or where
    some of their parameters are not to learn: the module itself is called then.
    """
    if type(module) is not nn.Sequential or not _is_plain(module):
        return None
    layers: list[DenseLayer] = []
    for name, part in module._modules.items():  # `named_children` leaves out repeats
        if type(part) is nn.Linear and part.bias is not None:
            layers.append(DenseLayer(f"{name}.weight", f"{name}.bias", ""))
        elif type(part) in ACTIVATIONS and layers and not layers[-1].activation:
            layers[-1] = replace(layers[-1], activation=ACTIVATIONS[type(part)])
        elif type(part) is not nn.Flatten or (part.start_dim, part.end_dim) != (1, -1) or layers:
            return None
    return layers or None


def _is_plain(module: nn.Sequential) -> bool:
    """Return whether a Sequential's parts are distinct, share nothing, learn, and run torch's own code."""
    parts = [module, *module._modules.values()]
    parameters = [parameter for part in parts[1:] for parameter in part._parameters.values()]
    once = all(len(set(map(id, each))) == len(each) for each in (parts, parameters))
    learning = all(p is not None and p.requires_grad and p.numel() for p in parameters)
    changed = any(vars(part).get(name) for part in parts for name in OVERRIDES)
    return (
        once and learning and not changed and not any(getattr(modules, f"_global_{kind}") for kind in HOOKS)
    )


class Network:
    """A module's arithmetic; the module itself only lends its structure, never its values.

    Args:
        module: any; put into eval mode.
        by_hand: whether chains of Linear layers have their own backward pass, or autograd's.
    """

    def __init__(self, module: nn.Module, *, by_hand: bool = True) -> None:
        self.module = module.eval()
        self.layout = Layout(module)
        self.chain = chain_of(module) if by_hand else None
        self.stochastic = self.chain is None and is_stochastic(module)
        self._seed: int | None = None  # of the step's own random numbers, inside `train_mode`

    def views(self, matrix: Tensor, buffers: Mapping[str, Tensor] | None = None) -> Views:
        """Return the parameters of rows, [L, P], and their buffers, [L, *shape], by name as [..., *shape]."""
        lanes = buffers or {}
        if len(matrix) == 1:
            lanes = {name: buffer[0] for name, buffer in lanes.items()}
        return {**self.layout.views(matrix), **lanes}

    @contextmanager
    def train_mode(self, device: torch.device, *key: int) -> Iterator[None]:
        """Put the module into train mode inside; `key` alone decides its random numbers there."""
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
        """Return the logits, [..., B, C], of images [B, 1, 28, 28] or, a lane its own, [L, B, 1, 28, 28]."""
        if self.chain is None:
            return self._call(views, x)
        return self._outputs(views, x)[-1]

    def _call(self, views: Views, x: Tensor) -> Tensor:
        """Return the logits of the module itself under these values, of all lanes at once."""

        def call_lane(values: Views, images: Tensor) -> Tensor:
            logits: Tensor = torch.func.functional_call(self.module, values, (images,))
            return logits

        first = next(iter(self.layout.slices.values()))
        if views[first.name].dim() == len(first.shape):
            return call_lane(views, x)
        in_dims = (0, 0 if x.dim() > IMAGE_DIMS else None)
        logits: Tensor = torch.func.vmap(call_lane, in_dims=in_dims, randomness="same")(views, x)
        return logits

    def gradient(self, views: Views, grads: Views, batch: Batch, loss: Loss) -> Tensor:
        """Write the gradient of the mean loss over the batch into `grads`, and return the loss, [...]."""
        if self.chain is None:
            return self._by_autograd(views, grads, batch, loss)
        return self._by_hand(views, grads, batch, loss)

    def _outputs(self, views: Views, x: Tensor) -> list[Tensor]:
        """Return the flat images and the outputs of each layer of the chain, [..., B, units] each."""
        assert self.chain is not None
        outputs = [x.flatten(-3) if x.dim() > 3 else x]
        for layer in self.chain:
            weight, bias = views[layer.weight], views[layer.bias]
            if weight.dim() == 2:
                z = torch.addmm(bias, outputs[-1], weight.t())
            else:
                z = torch.matmul(outputs[-1], weight.mT).add_(bias.unsqueeze(-2))
            outputs.append(APPLY[layer.activation](z))
        return outputs

    def _by_hand(self, views: Views, grads: Views, batch: Batch, loss: Loss) -> Tensor:
        assert self.chain is not None
        x, labels = batch
        outputs = self._outputs(views, x)
        value, d = loss(outputs[-1], labels)
        for i in range(len(self.chain) - 1, -1, -1):
            layer, inputs, product = self.chain[i], outputs[i], torch.mm if d.dim() == 2 else torch.bmm
            if inputs.dim() < d.dim():  # images that all lanes share
                inputs = inputs.expand(len(d), -1, -1)
            product(d.mT, inputs, out=grads[layer.weight])
            torch.sum(d, -2, out=grads[layer.bias])
            if i:
                d = product(d, views[layer.weight])
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
            sources = torch.autograd.grad(logits, list(leaves.values()), d, allow_unused=True)
        _copy(sources, list(grads.values()))
        return value


def _copy(sources: tuple[Tensor | None, ...], grads: list[Tensor]) -> None:
    """Copy gradients to where they belong; zeros where the logits do not depend on a parameter."""
    used = [(to, source) for to, source in zip(grads, sources, strict=True) if source is not None]
    torch._foreach_copy_([to for to, _ in used], [source for _, source in used])
    for to, source in zip(grads, sources, strict=True):
        if source is None:
            to.zero_()


def eval_batch_size(device: torch.device, rows: int = 1) -> int:
    """Return how many images to take at once: on a CPU what its caches hold, on a GPU what keeps it busy."""
    return max(1, (CPU_IMAGES if device.type == "cpu" else GPU_IMAGES) // rows)


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
    """Return mean loss and accuracy of one row, [P], over images as the network takes them, [B, 1, 28, 28].

    `answers`, [B], is filled with the predicted classes.
    """
    lane = {name: buffer.unsqueeze(0) for name, buffer in (buffers or {}).items()}
    into = None if answers is None else answers.unsqueeze(0)
    totals = evaluate_rows(network, row.unsqueeze(0), x, labels, loss, buffers=lane, answers=into)
    value, accuracy = totals[0].tolist()
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
    """Return mean loss and accuracy of rows, [L, P], as double [L, 2]; `answers`, [L, B], is filled.

    The host need not wait for it.
    """
    views = network.views(rows, buffers)
    size = eval_batch_size(rows.device, len(rows))
    totals = torch.zeros(2, len(rows), dtype=torch.double, device=rows.device)
    for start in range(0, len(x), size):
        part, truth = x[start : start + size], labels[start : start + size]
        logits = network.forward(views, part)
        totals[0] += loss(logits, truth)[0] * len(part)
        classes = predictions(logits)
        totals[1] += (classes == truth).sum(-1)
        if answers is not None:
            answers[:, start : start + size] = classes
    return totals.T / len(x)
