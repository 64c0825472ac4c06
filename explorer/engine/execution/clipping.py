"""The clip rules of a stack, applied from left to right.

Shapes: L lanes, P parameters.

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

import itertools
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from explorer import registry
from explorer.engine.network.layout import Layout
from explorer.engine.network.state import State
from explorer.experiment import Clipping
from explorer.registry import Method


class Clipped(NamedTuple):
    """What came of clipping, [L] each."""

    bound: Tensor  # whether a rule changed the lane's gradient
    norm: Tensor  # the gradient's, afterwards
    sent: tuple[Tensor, ...] = ()  # how many entries are not zero; only where a rule is sparse


class Chain:
    """The rules of a Clipping, with what they remember kept in a state."""

    def __init__(self, clipping: Clipping, layout: Layout, state: State, steps: int) -> None:
        self.rules = [registry.get("rule", name) for name in clipping.rules]
        self.layout = layout
        self.sparse = any(rule.traits.sparse for rule in self.rules)
        self.options = [rule.own(clipping.options) for rule in self.rules]
        for position in range(len(self.rules)):
            self._remember(position, state, steps)

    def _remember(self, position: int, state: State, steps: int) -> None:
        """Make room for a rule's memory where the state holds none yet."""
        rule, name = self.rules[position], _memory_key(position)
        kind = rule.traits.memory
        if kind is None or not _on(rule, self.options[position]):
            return
        if kind == "weight":
            state.memory.setdefault(name, torch.zeros_like(state.theta))
        else:
            assert kind == "step"
            state.clip_history.setdefault(name, state.theta.new_full((len(state.theta), steps), torch.nan))


class Clip:
    """A chain bound to some rows: what stays the same from step to step is looked up once."""

    def __init__(self, chain: Chain, state: State, grad: Tensor) -> None:
        self.grad, self.sparse = grad, chain.sparse
        fixed = _tensors(chain.layout, state.theta, grad)
        kinds = {"weight": state.memory, "step": state.clip_history}
        empty = grad.new_zeros(len(grad), 0)
        self._calls = []
        for position, (rule, options) in enumerate(zip(chain.rules, chain.options, strict=True)):
            on = rule.traits.memory is not None and _on(rule, options)
            memory = kinds[str(rule.traits.memory)][_memory_key(position)] if on else empty
            self._calls.append((rule.function, rule.needs, options, {**fixed, "memory": memory}))

    def __call__(self, norms: Tensor, max_norm: Tensor, mask: Tensor | None) -> Clipped:
        """Clip the gradient in place, given its norms, [L]; `mask` is 1 where a weight learns."""
        bound = None
        for function, needs, options, quantities in self._calls:
            quantities.update(grad_norm=norms, max_norm=max_norm, mask=mask)
            changed, norms = function(*[quantities[need] for need in needs], **options)
            bound = changed if bound is None else bound | changed
        assert bound is not None
        return Clipped(bound, norms, (torch.count_nonzero(self.grad, dim=1),) if self.sparse else ())


class GroupedClip:
    """What clips rows whose chains differ; neighbours with the same one are clipped together."""

    def __init__(self, runs: Sequence[tuple[slice, Clip | None]]) -> None:
        self.runs = runs

    def __call__(self, norms: Tensor, max_norm: Tensor, mask: Tensor | None) -> Clipped:
        """Clip the gradient in place, as each `Clip` does; where one is sparse, the others send nothing."""
        parts = [
            clip(norms[span], max_norm[span], None if mask is None else mask[span])
            if clip
            else unclipped(norms[span])
            for span, clip in self.runs
        ]
        bound, norm = (torch.cat([each[i] for each in parts]) for i in (0, 1))  # type: ignore[misc]
        if not any(each.sent for each in parts):
            return Clipped(bound, norm)
        none = torch.zeros_like(bound, dtype=torch.long)
        sent = [
            each.sent[0] if each.sent else none[span]
            for each, (span, _) in zip(parts, self.runs, strict=True)
        ]
        return Clipped(bound, norm, (torch.cat(sent),))


def unclipped(norms: Tensor) -> Clipped:
    """Return what comes of no clipping at all."""
    return Clipped(torch.zeros_like(norms, dtype=torch.bool), norms)


def bind(chains: Sequence[Chain | None], state: State, grad: Tensor) -> Clip | GroupedClip | None:
    """Bind the chains of some rows, one a row, to their state and gradient; None where none clips."""
    runs = []
    for chain, group in itertools.groupby(range(len(grad)), lambda row: chains[row]):
        rows = list(group)
        span = slice(rows[0], rows[-1] + 1)
        of_rows = state if len(rows) == len(grad) else state.map(operator.itemgetter(span))
        runs.append((span, Clip(chain, of_rows, grad[span]) if chain else None))
    return runs[0][1] if len(runs) == 1 else GroupedClip(runs)


def chains_of(
    clippings: Sequence[Clipping | None], layout: Layout, state: State, steps: int
) -> list[Chain | None]:
    """Return a chain a row, one and the same where rule and options are; each makes room for its memory."""
    by_key: dict[str, Chain] = {}
    chains: list[Chain | None] = []
    for clipping in clippings:
        key = clipping and repr((clipping.rules, dict(clipping.options)))
        if clipping and key and key not in by_key:
            by_key[key] = Chain(clipping, layout, state, steps)
        chains.append(by_key[key] if key else None)
    return chains


def _memory_key(position: int) -> str:
    return f"rule {position}"


def _tensors(layout: Layout, theta: Tensor, grad: Tensor) -> dict[str, Any]:
    """Return what stays the same from step to step, for rules to ask for."""
    slices = list(layout.slices.values())
    last = {slot for layer in layout.layers[-1:] for slot in (layer.weight, layer.bias)}
    return {
        "grad": grad,
        "theta": theta,
        "grads": [slot.view(grad) for slot in slices],
        "weights": [slot.view(theta) for slot in slices],
        "last": [slot in last for slot in slices],
    }


def per_weight_memory(clipping: Clipping) -> list[str]:
    """Return the names of the memories of a number a weight that a Clipping keeps."""
    rules = [registry.get("rule", name) for name in clipping.rules]
    used = [rule.traits.memory == "weight" and _on(rule, rule.own(clipping.options)) for rule in rules]
    return [_memory_key(position) for position, on in enumerate(used) if on]


def _on(rule: Method, options: dict[str, Any]) -> bool:
    """Whether a rule with these options keeps its memory."""
    switch = rule.traits.switch
    return switch is None or bool(options.get(switch, rule.options[switch].default))
