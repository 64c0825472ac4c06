"""Optimizers on the row matrix: one row-wise update for all lanes.

An optimizer changes `theta` [L, P] in place; `grad` may be used as scratch. `lr` and `momentum` are [L, 1];
`state` holds its own [L, P] tensors, zero at the start. A pruned entry has zero weight, gradient and state,
and all updates keep it there exactly.

Shapes: L lanes, P parameters.
"""

from torch import Tensor

from explorer.registry import Method, register
from explorer.traits import OptimizerTraits

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8  # Adam's own defaults


def state_of(optimizer: Method[OptimizerTraits], *, momentum: bool) -> tuple[str, ...]:
    """Return the names of the [L, P] tensors that an optimizer keeps; without momentum fewer."""
    traits = optimizer.traits
    return traits.state if momentum or not traits.momentum else ()


@register("optimizer", "sgd", state=("velocity",), momentum=True)
def sgd(theta: Tensor, grad: Tensor, lr: Tensor, momentum: Tensor | None, state: dict[str, Tensor]) -> None:
    """Stochastic gradient descent, with momentum where that is above 0.

    Formula: v ← μ v + g; w ← w − η v
    Reference: Polyak 1964, https://doi.org/10.1016/0041-5553(64)90137-5
    """
    if momentum is not None:
        grad = state["velocity"].mul_(momentum).add_(grad)
    theta.addcmul_(grad, lr, value=-1)


@register("optimizer", "adam", state=("mean", "square"))
def adam(theta: Tensor, grad: Tensor, lr: Tensor, momentum: Tensor | None, state: dict[str, Tensor]) -> None:  # noqa: ARG001
    """Adam: steps scaled by running means of the gradient and of its square.

    Formula: w ← w − η m̂ / (√v̂ + 1e-8), β = (0.9, 0.999)
    Reference: Kingma & Ba 2015, https://arxiv.org/abs/1412.6980
    """
    steps = state["steps"].add_(1)
    mean = state["mean"].lerp_(grad, 1 - BETA1)
    square = state["square"].mul_(BETA2).addcmul_(grad, grad, value=1 - BETA2)
    root = (square / (1 - BETA2**steps)).sqrt_().add_(EPS)
    theta.addcdiv_(mean * (lr / (1 - BETA1**steps)), root, value=-1)
