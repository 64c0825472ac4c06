"""The quantities that criteria may ask for by name, computed over a scoring set of training images.

`weight`          the weights themselves
`initial_weight`  the weights before the first step
`grad`            ∂L/∂w, L the mean loss over the whole scoring set, in eval mode
`class_grads`     [classes, *shape]: the part of `grad` that the images of each class give; they add up to it
`squared_grad`    mean over images of (∂ℓ/∂w)², ℓ the loss of one image
`hessian_grad`    H g: the second derivatives of L times its gradient
`flow`            ∂R/∂|w|, R the summed output for one input of ones under |w|
`movement`        −Σ over the steps so far of w · ∂L/∂w
`activation`      mean |a| of each unit over the set, a what the next layer reads
`silence`         the share of a = 0
`noise`           uniform random numbers in [0, 1), from the run's own generator

Each is a dictionary from a layer's name to a tensor: [*shape] for weights, [units] for the activations.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from explorer.engine.network.dependencies import trace_dependencies
from explorer.engine.network.layout import PRUNABLE

LossValue = Callable[[Tensor, Tensor], Tensor]
ByLayer = dict[str, Tensor]
CHUNK = 500  # images at once
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
    memory: dict[str, ByLayer] = field(
        default_factory=dict
    )  # what a run remembers: "initial_weight", "movement"
    buffers: dict[str, Tensor] = field(default_factory=dict)  # what the module keeps beside its parameters

    def weight_name(self, layer: str) -> str:
        """The full name of a layer's weight; a bare Linear has only "weight"."""
        name = f"{layer}.weight"
        return name if name in self.parameters else "weight"

    def answers(self, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        """The logits for images, under these parameters."""
        logits: Tensor = torch.func.functional_call(self.module, {**self.buffers, **parameters}, (x,))
        return logits

    def data(self) -> tuple[Tensor, Tensor]:
        """The scoring set; raises ValueError where there is none."""
        if self.x is None or self.labels is None:
            raise ValueError("this criterion scores by data: give batch=(images, labels)")
        return self.x, self.labels


def weight(scene: ScoringContext) -> ByLayer:
    """The weights; where pruned ones go on learning unseen, those too."""
    if "shadow" in scene.memory:
        return scene.memory["shadow"]
    return {layer: scene.parameters[scene.weight_name(layer)].detach() for layer in scene.layers}


def remembered(name: str) -> Callable[[ScoringContext], ByLayer]:
    """A quantity that only a run can know, because it was there from the start."""

    def recall(scene: ScoringContext) -> ByLayer:
        if name not in scene.memory:
            raise ValueError(
                f"{name.replace('_', ' ')} is known only to a run: use ex.train, or another criterion here"
            )
        return scene.memory[name]

    return recall


def _leaves(scene: ScoringContext) -> tuple[dict[str, Tensor], list[Tensor]]:
    """All parameters as leaves of a new graph, and those of them that are scored."""
    leaves = {n: p.detach().requires_grad_() for n, p in scene.parameters.items()}
    return leaves, [leaves[scene.weight_name(layer)] for layer in scene.layers]


Found = Callable[[Tensor, list[Tensor]], Sequence[Tensor]]


def _over_chunks(scene: ScoringContext, x: Tensor, labels: Tensor, count: int, of: Found) -> list[Tensor]:
    """What `of` finds for the mean loss and the scored weights: its sum over images, divided by `count`."""
    leaves, wanted = _leaves(scene)
    total = [torch.zeros_like(leaf) for leaf in wanted]
    with torch.enable_grad():
        for start in range(0, len(x), CHUNK):
            part, truth = x[start : start + CHUNK], labels[start : start + CHUNK]
            value = scene.loss(scene.answers(leaves, part), truth)
            for sum_, found in zip(total, of(value, wanted), strict=True):
                sum_.add_(found, alpha=len(part) / count)
    return total


def _mean_gradient(scene: ScoringContext, x: Tensor, labels: Tensor, count: int) -> list[Tensor]:
    """The gradient of the summed loss over these images, divided by `count`."""
    return _over_chunks(scene, x, labels, count, torch.autograd.grad)


def grad(scene: ScoringContext) -> ByLayer:
    """The gradient of the mean loss over the whole set."""
    x, labels = scene.data()
    return dict(zip(scene.layers, _mean_gradient(scene, x, labels, len(x)), strict=True))


def class_grads(scene: ScoringContext) -> ByLayer:
    """The gradient split by class, each part divided by the size of the whole set."""
    x, labels = scene.data()
    parts = [
        _mean_gradient(scene, x[labels == c], labels[labels == c], len(x))
        for c in torch.unique(labels).tolist()
    ]
    return dict(zip(scene.layers, map(torch.stack, zip(*parts, strict=True)), strict=True))


def squared_grad(scene: ScoringContext) -> ByLayer:
    """The mean of the squared gradients of single images."""
    x, labels = scene.data()
    fixed = {n: p.detach() for n, p in scene.parameters.items()}
    scored = {scene.weight_name(layer): fixed[scene.weight_name(layer)] for layer in scene.layers}

    def loss_of(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        return scene.loss(scene.answers({**fixed, **weights}, image[None]), label[None])

    single = torch.func.vmap(torch.func.grad(loss_of), in_dims=(None, 0, 0))
    total = {name: torch.zeros_like(w) for name, w in scored.items()}
    for start in range(0, len(x), SAMPLES):
        found = single(scored, x[start : start + SAMPLES], labels[start : start + SAMPLES])
        for name, gradients in found.items():
            total[name] += gradients.square_().sum(0) / len(x)
    return {layer: total[scene.weight_name(layer)] for layer in scene.layers}


def hessian_grad(scene: ScoringContext) -> ByLayer:
    """The Hessian of the mean loss times its gradient, over the scored weights."""
    x, labels = scene.data()
    direction = _mean_gradient(scene, x, labels, len(x))

    def product(value: Tensor, wanted: list[Tensor]) -> Sequence[Tensor]:
        slopes = torch.autograd.grad(value, wanted, create_graph=True)
        along = torch.stack([(s * d).sum() for s, d in zip(slopes, direction, strict=True)]).sum()
        return torch.autograd.grad(along, wanted)

    return dict(zip(scene.layers, _over_chunks(scene, x, labels, len(x), product), strict=True))


def flow(scene: ScoringContext) -> ByLayer:
    """How much of the flow of ones passes each weight, in float64: products of many layers underflow.

    A batch norm only scales: what it would subtract, the mean of some images, is no part of the flow.
    """
    x, _ = scene.data()
    leaves = {n: p.detach().abs().double().requires_grad_() for n, p in scene.parameters.items()}
    wanted = [leaves[scene.weight_name(layer)] for layer in scene.layers]
    still = {n: b.double() if b.is_floating_point() else b for n, b in scene.buffers.items()}
    still |= {n: torch.zeros_like(b) for n, b in still.items() if n.endswith("running_mean")}
    ones = torch.ones(1, *x.shape[1:], dtype=torch.float64, device=x.device)
    with torch.enable_grad():
        out = scene.answers({**leaves, **still}, ones).sum()
        return dict(zip(scene.layers, torch.autograd.grad(out, wanted), strict=True))


def activation(scene: ScoringContext) -> ByLayer:
    """Mean |a| of each unit; what a layer's units are worth is seen where the next layer reads them."""
    return _unit_means(scene, torch.abs)


def silence(scene: ScoringContext) -> ByLayer:
    """The share of zeros among each unit's activations."""
    return _unit_means(scene, lambda a: (a == 0).to(a.dtype))


def _unit_means(scene: ScoringContext, of: Callable[[Tensor], Tensor]) -> ByLayer:
    """The mean over images, and over the positions of a convolution, of something of each unit's output."""
    x, _ = scene.data()
    parts = dict(scene.module.named_modules())
    units = {layer: scene.parameters[scene.weight_name(layer)].shape[0] for layer in scene.layers}
    sums = {layer: torch.zeros(units[layer], dtype=x.dtype, device=x.device) for layer in scene.layers}

    def add(layer: str, a: Tensor) -> None:
        sums[layer] += of(a.detach()).reshape(len(a), units[layer], -1).mean(2).sum(0)

    hooks = []
    for layer, reader in _readers(scene).items():
        if reader is None:
            last = parts["" if layer == "weight" else layer]
            hooks.append(last.register_forward_hook(lambda _m, _a, out, layer=layer: add(layer, out)))
        else:
            hooks.append(
                parts[reader].register_forward_pre_hook(lambda _, args, layer=layer: add(layer, args[0]))
            )
    try:
        with torch.no_grad():
            for start in range(0, len(x), CHUNK):
                scene.answers(scene.parameters, x[start : start + CHUNK])
    finally:
        for hook in hooks:
            hook.remove()
    return {layer: total / len(x) for layer, total in sums.items()}


def _readers(scene: ScoringContext) -> dict[str, str | None]:
    """For each layer one that reads its units, scored or not; None where none is known to."""
    x, _ = scene.data()
    order = [name or "weight" for name, part in scene.module.named_modules() if isinstance(part, PRUNABLE)]
    weights = {scene.weight_name(layer): layer for layer in order}
    found = trace_dependencies(scene.module, scene.parameters, scene.buffers, weights, x[:2])
    return {layer: next(iter(found[layer].readers), None) for layer in scene.layers}


def noise(scene: ScoringContext) -> ByLayer:
    """Uniform random numbers, drawn on the CPU so that every device sees the same."""
    drawn = {}
    for layer in scene.layers:
        like = scene.parameters[scene.weight_name(layer)]
        drawn[layer] = torch.rand(like.shape, generator=scene.generator, dtype=torch.float64).to(like)
    return drawn


QUANTITIES: dict[str, Callable[[ScoringContext], ByLayer]] = {
    "weight": weight,
    "initial_weight": remembered("initial_weight"),
    "grad": grad,
    "class_grads": class_grads,
    "squared_grad": squared_grad,
    "hessian_grad": hessian_grad,
    "flow": flow,
    "movement": remembered("movement"),
    "activation": activation,
    "silence": silence,
    "noise": noise,
}
