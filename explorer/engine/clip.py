"""The clip rules of a stack, applied from left to right.

What a rule may ask for by name:

`grad`       [L, P]: the gradient, masked; the rule changes it in place
`grad_norm`  [L]: its norm as the rule finds it
`max_norm`   [L]: the clip norm
`theta`      [L, P]: the weights
`grads`      the gradient as parameter tensors, [L, *shape] each, biases included, in the order of the columns
`weights`    the weights likewise
`last`       for each of these tensors, whether it belongs to the last layer
`mask`       [L, P], 1 where a weight learns; None where all do
`memory`     what the rule keeps from step to step, one row a lane; the rule changes it in place

The trait `memory` says how much that is: "weight" is a number a weight, [L, P], zero at first and where
pruned; "step" is a number a step, [L, steps], NaN at first. The trait `switch` names an option without which
it is empty. The trait `sparse` marks a rule whose zeros need not be sent.

A rule returns which lanes it bound and their norms afterwards, [L] each.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from explorer import registry
from explorer.engine.rows import Layout
from explorer.experiment import Clipping
from explorer.registry import Method

if TYPE_CHECKING:
    from explorer.engine.state import State

QUANTITIES = ("grad", "grad_norm", "max_norm", "theta", "grads", "weights", "last", "mask", "memory")


class Clipped(NamedTuple):
    """What came of clipping, [L] each."""

    bound: Tensor  # whether a rule changed the lane's gradient
    norm: Tensor  # the gradient's, afterwards
    sent: tuple[Tensor, ...] = ()  # how many entries are not zero; only where a rule is sparse


class Chain:
    """The rules of a Clipping, with what they remember kept in a state."""

    def __init__(self, clipping: Clipping, layout: Layout, state: "State", steps: int) -> None:
        self.rules = [registry.get("rule", name) for name in clipping.rules]
        needs = {need for rule in self.rules for need in rule.needs}
        for need in sorted(needs - set(QUANTITIES)):
            raise ValueError(registry.unknown("a clip rule's parameter", need, QUANTITIES))
        self.layout = layout
        self.sparse = any(rule.traits.get("sparse") for rule in self.rules)
        self.options = [rule.own(clipping.options) for rule in self.rules]
        for place in range(len(self.rules)):
            self._remember(place, state, steps)

    def _remember(self, place: int, state: "State", steps: int) -> None:
        """Makes room for a rule's memory where the state holds none yet."""
        rule, name = self.rules[place], _place(place)
        kind = rule.traits.get("memory")
        if kind is None or not switched_on(rule, self.options[place]):
            return
        if kind == "weight":
            state.memory.setdefault(name, torch.zeros_like(state.theta))
        else:
            assert kind == "step"
            state.past.setdefault(name, state.theta.new_full((len(state.theta), steps), torch.nan))

    def bind(self, state: "State", grad: Tensor) -> "Clip":
        """The rules at work on some rows of the state and their gradient."""
        return Clip(self, state, grad)


class Clip:
    """A chain bound to some rows: what stays the same from step to step is looked up once."""

    def __init__(self, chain: Chain, state: "State", grad: Tensor) -> None:
        self.grad, self.sparse = grad, chain.sparse
        fixed = _tensors(chain.layout, state.theta, grad)
        empty = grad.new_zeros(len(grad), 0)
        self._calls = []
        for place, (rule, options) in enumerate(zip(chain.rules, chain.options, strict=True)):
            memory = state.memory.get(_place(place), state.past.get(_place(place), empty))
            self._calls.append((rule.function, rule.needs, options, {**fixed, "memory": memory}))

    def __call__(self, norms: Tensor, max_norm: Tensor, mask: Tensor | None) -> Clipped:
        """Clips the gradient in place, given its norms, [L]; `mask` is 1 where a weight learns."""
        bound = None
        for function, needs, options, known in self._calls:
            known.update(grad_norm=norms, max_norm=max_norm, mask=mask)
            changed, norms = function(*[known[need] for need in needs], **options)
            bound = changed if bound is None else bound | changed
        assert bound is not None
        return Clipped(bound, norms, (torch.count_nonzero(self.grad, dim=1),) if self.sparse else ())


def _place(place: int) -> str:
    return f"rule {place}"


def _tensors(layout: Layout, theta: Tensor, grad: Tensor) -> dict[str, Any]:
    """What stays the same from step to step, made once."""
    slots = list(layout.slots.values())
    end = layout.layers[-1]
    return {
        "grad": grad,
        "theta": theta,
        "grads": [slot.view(grad) for slot in slots],
        "weights": [slot.view(theta) for slot in slots],
        "last": [slot in (end.weight, end.bias) for slot in slots],
    }


def switched_on(rule: Method, options: dict[str, Any]) -> bool:
    """Whether a rule with these options keeps a memory."""
    switch = rule.traits.get("switch")
    return switch is None or bool(options.get(switch, rule.options[switch].default))
