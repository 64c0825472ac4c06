"""The quantities that criteria may ask for by name, computed over a scoring set of training images.

`weight`      the weights themselves
`grad`        ∂L/∂w, L the mean loss over the whole scoring set, in eval mode
`activation`  mean |a| of each unit over the set, a what the next layer reads (after the activation function)
`noise`       uniform random numbers in [0, 1), from the run's own generator

Each is a dictionary from a layer's name to a tensor: [*shape] for weights, [units] for `activation`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from explorer.registry import Method, unknown

LossValue = Callable[[Tensor, Tensor], Tensor]
ByLayer = dict[str, Tensor]
CHUNK = 1000  # images at once


@dataclass
class Scene:
    """What quantities are computed from: a module, its parameters by name, images, and a loss."""

    module: nn.Module
    parameters: dict[str, Tensor]
    layers: Sequence[str]
    x: Tensor | None
    labels: Tensor | None
    loss: LossValue
    generator: torch.Generator

    def weight_name(self, layer: str) -> str:
        """The full name of a layer's weight; a bare Linear has only "weight"."""
        name = f"{layer}.weight"
        return name if name in self.parameters else "weight"

    def data(self) -> tuple[Tensor, Tensor]:
        """The scoring set; raises ValueError where there is none."""
        if self.x is None or self.labels is None:
            raise ValueError("this criterion scores by data: give batch=(images, labels)")
        return self.x, self.labels


def weight(scene: Scene) -> ByLayer:
    """The weights."""
    return {layer: scene.parameters[scene.weight_name(layer)].detach() for layer in scene.layers}


def grad(scene: Scene) -> ByLayer:
    """The gradient of the mean loss over the whole set, accumulated chunk by chunk."""
    x, labels = scene.data()
    leaves = {n: p.detach().requires_grad_() for n, p in scene.parameters.items()}
    wanted = [leaves[scene.weight_name(layer)] for layer in scene.layers]
    total = [torch.zeros_like(leaf) for leaf in wanted]
    with torch.enable_grad():
        for start in range(0, len(x), CHUNK):
            part, truth = x[start : start + CHUNK], labels[start : start + CHUNK]
            value = scene.loss(torch.func.functional_call(scene.module, leaves, (part,)), truth)
            for sum_, gradient in zip(total, torch.autograd.grad(value, wanted), strict=True):
                sum_.add_(gradient, alpha=len(part) / len(x))
    return dict(zip(scene.layers, total, strict=True))


def activation(scene: Scene) -> ByLayer:
    """Mean |a| of each unit; what a layer's units are worth is seen where the next layer reads them."""
    x, _ = scene.data()
    parts = dict(scene.module.named_modules())
    units = {layer: scene.parameters[scene.weight_name(layer)].shape[0] for layer in scene.layers}
    sums = {layer: torch.zeros(units[layer], dtype=x.dtype, device=x.device) for layer in scene.layers}

    def add(layer: str, a: Tensor) -> None:
        sums[layer] += a.detach().abs().view(len(a), units[layer], -1).mean(2).sum(0)

    hooks = [
        parts[reader].register_forward_pre_hook(lambda _, args, layer=layer: add(layer, args[0]))
        for layer, reader in zip(scene.layers, scene.layers[1:], strict=False)
    ]
    last = scene.layers[-1]
    hooks.append(
        parts["" if last == "weight" else last].register_forward_hook(lambda _m, _a, out: add(last, out))
    )
    try:
        with torch.no_grad():
            for start in range(0, len(x), CHUNK):
                torch.func.functional_call(scene.module, scene.parameters, (x[start : start + CHUNK],))
    finally:
        for hook in hooks:
            hook.remove()
    return {layer: total / len(x) for layer, total in sums.items()}


def noise(scene: Scene) -> ByLayer:
    """Uniform random numbers, drawn on the CPU so that every device sees the same."""
    drawn = {}
    for layer in scene.layers:
        like = scene.parameters[scene.weight_name(layer)]
        drawn[layer] = torch.rand(like.shape, generator=scene.generator, dtype=torch.float64).to(like)
    return drawn


QUANTITIES: dict[str, Callable[[Scene], ByLayer]] = {
    "weight": weight,
    "grad": grad,
    "activation": activation,
    "noise": noise,
}


def score(criterion: Method, scene: Scene, options: dict[str, object]) -> list[Tensor]:
    """The scores of each layer, [1, *shape] or [1, units]; raises ValueError where they are not finite."""
    found = collect(criterion.needs, scene)
    scores = [
        criterion(*(found[need][layer].unsqueeze(0) for need in criterion.needs), **options)
        for layer in scene.layers
    ]
    for layer, values in zip(scene.layers, scores, strict=True):
        if not torch.isfinite(values).all():
            raise ValueError(
                f"criterion {criterion.name!r} gives scores that are not finite in layer {layer!r}; "
                "the weights may have diverged: try a clip norm or a smaller learning rate"
            )
    return scores


def collect(needs: Iterable[str], scene: Scene) -> dict[str, ByLayer]:
    """Computes the quantities that are asked for, and no others."""
    for need in needs:
        if need not in QUANTITIES:
            raise ValueError(unknown("a criterion's parameter", need, QUANTITIES))
    return {need: QUANTITIES[need](scene) for need in needs}
