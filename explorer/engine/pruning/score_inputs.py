"""The quantities that criteria may ask for by name, computed over a scoring set of training images.

`weight`          the weights themselves
`initial_weight`  the weights before the first step
`grad`            ∂L/∂w, L the mean loss over the whole scoring set, in eval mode
`class_grads`     [classes, *shape]: the part of `grad` that the images of each class give; they add up to it
`squared_grad`    mean over images of (∂ℓ/∂w)², ℓ the loss of one image
`hessian_grad`    H g: the second derivatives of L times its gradient
`flow`            ∂R/∂|w|, R the summed output for one input of ones, or for indices, under |w|
`movement`        −Σ over the steps so far of w · ∂L/∂w
`activation`      mean |a| of each unit over the set, a what the next layer reads
`silence`         the share of a = 0
`noise`           uniform random numbers in [0, 1), from the run's own generator

Each is a dictionary from a layer's name to a tensor: [*shape] for weights, [units] for the activations.
Of a model of less than 32 bits they are float32. B images at once, C classes.
"""

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from explorer.engine.network.dependencies import trace_dependencies
from explorer.engine.network.layout import prunable_weights

LossValue = Callable[[Tensor, Tensor], Tensor]
ByLayer = dict[str, Tensor]
CHUNK = 500  # images at once
NAMED = 4  # layers that an error names
SAMPLES = 50  # images at once where each has a gradient of its own


@dataclass
class ScoringContext:
    """What quantities are computed from: a module, its parameters by name, images, and a loss."""

    module: nn.Module
    parameters: dict[str, Tensor]
    layers: Sequence[str]
    x: Tensor | None
    labels: Tensor | None
    loss: LossValue
    generator: torch.Generator
    memory: dict[str, ByLayer] = field(default_factory=dict)  # of a run: "initial_weight", "movement"
    buffers: dict[str, Tensor] = field(default_factory=dict)  # what the module keeps beside its parameters
    pruned: Collection[str] | None = None  # the layers whose scores decide; None: all

    def __post_init__(self) -> None:
        """Look up what the weights are called: one that is tied stands under its first name alone."""
        weights = prunable_weights(self.module)
        self.weights = {layer: name for name, layers in weights.items() for layer in layers}

    def weight_name(self, layer: str) -> str:
        """Return the full name of a layer's weight."""
        return self.weights[layer]

    def forward(self, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return the logits, [B, C], for images, [B, 1, H, W], under these parameters."""
        logits: Tensor = torch.func.functional_call(self.module, {**self.buffers, **parameters}, (x,))
        return logits

    def data(self) -> tuple[Tensor, Tensor]:
        """Return the scoring set, images and labels; raise ValueError where there is none."""
        if self.x is None or self.labels is None:
            raise ValueError("this criterion scores by data: give batch=(images, labels)")
        return self.x, self.labels


def weight(context: ScoringContext) -> ByLayer:
    """Return the weights; where pruned ones go on learning unseen, those too."""
    if "shadow" in context.memory:
        return context.memory["shadow"]
    return {layer: _wide(context.parameters[context.weight_name(layer)].detach()) for layer in context.layers}


def _wide(values: Tensor) -> Tensor:
    """Return the values in a type that sums of many do not overflow: float32 at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def from_memory(name: str) -> Callable[[ScoringContext], ByLayer]:
    """Return a quantity that only a run can know, because it was there from the start."""

    def recall(context: ScoringContext) -> ByLayer:
        if name not in context.memory:
            raise ValueError(
                f"{name.replace('_', ' ')} is known only to a run: use ex.train, or another criterion here"
            )
        return context.memory[name]

    return recall


def _leaves(context: ScoringContext) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Return all parameters as leaves of a new graph, and those of them that are scored."""
    leaves = {n: p.detach().requires_grad_() for n, p in context.parameters.items()}
    return leaves, [leaves[context.weight_name(layer)] for layer in context.layers]


Derivative = Callable[[Tensor, list[Tensor]], Sequence[Tensor]]


def _sum_over_chunks(
    context: ScoringContext, x: Tensor, labels: Tensor, count: int, derive: Derivative
) -> list[Tensor]:
    """Derive the mean loss by the scored weights; return the sum over images, divided by `count`."""
    leaves, scored = _leaves(context)
    total = [torch.zeros_like(_wide(leaf)) for leaf in scored]
    with torch.enable_grad():
        for start in range(0, len(x), CHUNK):
            part, truth = x[start : start + CHUNK], labels[start : start + CHUNK]
            value = context.loss(context.forward(leaves, part), truth)
            for sum_, derivative in zip(total, derive(value, scored), strict=True):
                sum_.add_(derivative, alpha=len(part) / count)
    return total


def _mean_gradient(context: ScoringContext, x: Tensor, labels: Tensor, count: int) -> list[Tensor]:
    """Return the gradient of the summed loss over these images, divided by `count`."""
    return _sum_over_chunks(context, x, labels, count, _slopes)


def _slopes(value: Tensor, weights: list[Tensor], *, create_graph: bool = False) -> Sequence[Tensor]:
    """Return a value's derivatives by weights; zeros where it does not depend on them."""
    return torch.autograd.grad(
        value, weights, create_graph=create_graph, allow_unused=True, materialize_grads=True
    )


def grad(context: ScoringContext) -> ByLayer:
    """Return the gradient of the mean loss over the whole set."""
    x, labels = context.data()
    return dict(zip(context.layers, _mean_gradient(context, x, labels, len(x)), strict=True))


def class_grads(context: ScoringContext) -> ByLayer:
    """Return the gradient split by class, each part divided by the size of the whole set."""
    x, labels = context.data()
    parts = [
        _mean_gradient(context, x[labels == c], labels[labels == c], len(x))
        for c in torch.unique(labels).tolist()
    ]
    return dict(zip(context.layers, map(torch.stack, zip(*parts, strict=True)), strict=True))


def squared_grad(context: ScoringContext) -> ByLayer:
    """Return the mean of the squared gradients of single images."""
    x, labels = context.data()
    fixed = {n: p.detach() for n, p in context.parameters.items()}
    scored = {context.weight_name(layer): fixed[context.weight_name(layer)] for layer in context.layers}

    def loss_of(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        return context.loss(context.forward({**fixed, **weights}, image[None]), label[None])

    single = torch.func.vmap(torch.func.grad(loss_of), in_dims=(None, 0, 0))
    total = {name: torch.zeros_like(_wide(w)) for name, w in scored.items()}
    for start in range(0, len(x), SAMPLES):
        each = single(scored, x[start : start + SAMPLES], labels[start : start + SAMPLES])
        for name, gradients in each.items():
            total[name] += _wide(gradients).square().sum(0) / len(x)
    return {layer: total[context.weight_name(layer)] for layer in context.layers}


def hessian_grad(context: ScoringContext) -> ByLayer:
    """Return the Hessian of the mean loss times its gradient, over the scored weights."""
    x, labels = context.data()
    direction = _mean_gradient(context, x, labels, len(x))

    def product(value: Tensor, weights: list[Tensor]) -> Sequence[Tensor]:
        slopes = _slopes(value, weights, create_graph=True)
        along = torch.stack([(s * d).sum() for s, d in zip(slopes, direction, strict=True)]).sum()
        return _slopes(along, weights)

    return dict(zip(context.layers, _sum_over_chunks(context, x, labels, len(x), product), strict=True))


def synaptic_flow(context: ScoringContext) -> ByLayer:
    """Return how much of a flow of ones passes each weight, in float64: products of many layers underflow.

    A batch norm only scales: what it would subtract, the mean of some images, is no part of the flow.
    Indices, which a one would turn into others, pass as they are, those of the first inputs.
    """
    x, _ = context.data()
    leaves = {n: p.detach().abs().double().requires_grad_() for n, p in context.parameters.items()}
    scored = [leaves[context.weight_name(layer)] for layer in context.layers]
    still = {n: b.double() if b.is_floating_point() else b for n, b in context.buffers.items()}
    still |= {n: torch.zeros_like(b) for n, b in still.items() if n.endswith("running_mean")}
    ones = torch.ones(1, *x.shape[1:], dtype=torch.float64, device=x.device)
    with torch.enable_grad():
        inputs = ones if x.is_floating_point() else x[:SAMPLES]
        out = _summed(context.forward({**leaves, **still}, inputs))
        return dict(zip(context.layers, _slopes(out, scored), strict=True))


def _summed(answer: Any) -> Any:
    """Return the sum of all numbers of an answer: a tensor, or several in a dict or a tuple."""
    parts = answer.values() if isinstance(answer, dict) else answer
    return answer.sum() if isinstance(answer, Tensor) else sum(map(_summed, parts))


def activation(context: ScoringContext) -> ByLayer:
    """Return the mean |a| of each unit; what units are worth is seen where the next layer reads them."""
    return _unit_means(context, torch.abs)


def silence(context: ScoringContext) -> ByLayer:
    """Return the share of zeros among each unit's activations."""
    return _unit_means(context, lambda a: (a == 0).to(a.dtype))


def _unit_means(context: ScoringContext, of: Callable[[Tensor], Tensor]) -> ByLayer:
    """Return the mean over images, and over a convolution's positions, of something of each unit's output."""
    x, _ = context.data()
    parts = dict(context.module.named_modules())
    weights = {layer: context.parameters[context.weight_name(layer)].detach() for layer in context.layers}
    sums = {layer: _wide(w.new_zeros(len(w))) for layer, w in weights.items()}
    images = dict.fromkeys(context.layers, 0)  # a layer that is called twice has seen each of them twice

    def add(layer: str, part: nn.Module, a: Tensor) -> None:
        if isinstance(part, nn.Linear) and a.dim() > 2:  # [B, time, features]
            a = a.movedim(-1, 1)
        sums[layer] += _wide(of(a.detach())).reshape(len(a), len(sums[layer]), -1).mean(2).sum(0)
        images[layer] += len(a)

    hooks = []
    for layer, reader in _readers(context).items():
        if reader is None:
            last = parts["" if layer == "weight" else layer]
            hooks.append(last.register_forward_hook(lambda m, _a, out, layer=layer: add(layer, m, out)))
        else:
            hook = functools.partial(_first_input, functools.partial(add, layer))
            hooks.append(parts[reader].register_forward_pre_hook(hook, with_kwargs=True))
    try:
        with torch.no_grad():
            for start in range(0, len(x), CHUNK):
                context.forward(context.parameters, x[start : start + CHUNK])
    finally:
        for hook in hooks:
            hook.remove()
    needed = context.layers if context.pruned is None else context.pruned
    unseen = [layer for layer in needed if not images[layer]]
    if unseen:
        more = f" and {len(unseen) - NAMED} more" if len(unseen) > NAMED else ""
        raise ValueError(
            f"no activations of {', '.join(unseen[:NAMED])}{more} were seen: the model never calls it as a "
            "layer. Skip it, or take a criterion of weights or gradients"
        )
    return {layer: total / max(1, images[layer]) for layer, total in sums.items()}


def _first_input(add: Callable[[nn.Module, Tensor], None], part: nn.Module, args: Any, kwargs: Any) -> None:
    """Hand on what a part is called with, as a hook before its call."""
    add(part, [*args, *kwargs.values()][0])


def _readers(context: ScoringContext) -> dict[str, str | None]:
    """Return for each layer one that reads its units, scored or not; None where none is known to."""
    x, _ = context.data()
    weights = {name: layers[0] for name, layers in prunable_weights(context.module).items()}
    traced = trace_dependencies(context.module, context.parameters, context.buffers, weights, x[:2])
    return {layer: next(iter(traced[layer].readers), None) for layer in context.layers}


def noise(context: ScoringContext) -> ByLayer:
    """Return uniform random numbers, drawn on the CPU so that every device sees the same."""
    numbers = {}
    for layer in context.layers:
        like = context.parameters[context.weight_name(layer)]
        drawn = torch.rand(like.shape, generator=context.generator, dtype=torch.float64)
        numbers[layer] = drawn.to(_wide(like.detach()))
    return numbers


QUANTITIES: dict[str, Callable[[ScoringContext], ByLayer]] = {
    "weight": weight,
    "initial_weight": from_memory("initial_weight"),
    "grad": grad,
    "class_grads": class_grads,
    "squared_grad": squared_grad,
    "hessian_grad": hessian_grad,
    "flow": synaptic_flow,
    "movement": from_memory("movement"),
    "activation": activation,
    "silence": silence,
    "noise": noise,
}
