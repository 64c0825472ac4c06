"""What a stack is at a moment of training: weights, masks, memories and hyperparameters, one row a lane.

Shapes: L lanes, P parameters. All tensors are on the stack's device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from explorer.experiment import Experiment

BITS = {torch.float32: torch.int32, torch.float64: torch.int64}  # to compare what may be NaN


@dataclass(frozen=True)
class LaneView:
    """The weights of one lane as they are, [P] each; no mask where nothing is pruned."""

    row: Tensor
    mask: Tensor | None = None  # above 0 where kept
    pruned_values: Tensor | None = None  # of pruned weights, just before they fell; NaN elsewhere
    criterion_memory: dict[str, Tensor] = field(default_factory=dict)  # what criteria with a memory need
    buffers: dict[str, Tensor] = field(default_factory=dict)  # what the module keeps beside its parameters


@dataclass
class State:
    """All that a training step changes, one row a lane."""

    theta: Tensor  # [L, P]
    # of the optimizer and of clip rules, what has a number a weight or a lane: [L, P] or [L, 1]
    memory: dict[str, Tensor] = field(default_factory=dict)
    clip_history: dict[str, Tensor] = field(
        default_factory=dict
    )  # of clip rules, a number a step: [L, steps]
    mask: Tensor | None = None  # [L, P], 1 where kept; None while nothing is pruned
    pruned_values: Tensor | None = None  # [L, P], as in LaneView
    # "initial_weight", "movement", "early": [L, P] each
    criterion_memory: dict[str, Tensor] = field(default_factory=dict)
    buffers: dict[str, Tensor] = field(default_factory=dict)  # the module's, [L, *shape] each
    fill: Tensor | None = None  # [L, P]: what stands in place of a pruned weight where it is not 0
    shadow: Tensor | None = None  # bool [L]: lanes whose pruned weights stay in theta and go on learning
    diverged: Tensor | None = None  # bool [L]: rows given up on a GPU, of which the host learns later
    pruned: frozenset[int] = frozenset()  # the rows that have ever been pruned: no other needs its mask

    def view(self, row: int) -> LaneView:
        """Return one lane; it shares the memory, except for the weights of a shadowed lane."""
        mask = None if self.mask is None else self.mask[row]
        pruned_values = None if self.pruned_values is None else self.pruned_values[row]
        memory = {name: t[row] for name, t in self.criterion_memory.items()}
        weights, buffers = self.theta[row], {name: t[row] for name, t in self.buffers.items()}
        if mask is not None and self._is_shadowed(row):
            weights, memory["shadow"] = weights * mask, weights
        return LaneView(weights, mask, pruned_values, memory, buffers)

    def effective_weights(self) -> Tensor:
        """Return the weights as the network has them, [L, P]: in shadowed lanes only what is kept."""
        if self.shadow is None or self.mask is None:
            return self.theta
        return torch.where(self.shadow[:, None], self.theta * self.mask, self.theta)

    def _is_shadowed(self, row: int) -> bool:
        """Return whether a lane's pruned weights go on learning unseen."""
        return self.shadow is not None and bool(self.shadow[row])

    def map(self, change: Callable[[Tensor], Tensor]) -> "State":
        """Return a new State with every tensor changed in the same way, in the order of the fields."""

        def changed(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: change(tensor) for name, tensor in value.items()}
            return change(value) if isinstance(value, Tensor) else value

        return State(**{name: changed(value) for name, value in vars(self).items()})

    def tensors(self) -> list[Tensor]:
        """Return all there are, each once."""
        tensors: list[Tensor] = []
        self.map(lambda t: tensors.append(t) or t)  # type: ignore[func-returns-value]
        return tensors

    def clone(self) -> "State":
        """Return an independent copy."""
        return self.map(torch.clone)

    def deduplicated(self, other: "State") -> "State":
        """Return the same, to the bit, in another's memory wherever that holds the same."""
        others = iter(other.tensors())

        def share(mine: Tensor) -> Tensor:
            theirs = next(others, mine)
            return theirs if _same(mine, theirs) else mine

        return self.map(share)

    def fork(self, rows: Sequence[int]) -> "State":
        """Return a State with more rows at the end: copies of these."""
        index = torch.tensor([*range(len(self.theta)), *rows], device=self.theta.device)
        forked = self.map(lambda t: t.index_select(0, index))
        forked.pruned |= {len(self.theta) + i for i, row in enumerate(rows) if row in self.pruned}
        return forked

    def prune(self, row: int, keep: Tensor, fill: Tensor | None = None) -> None:
        """Keep only `keep`, bool [P], of a row; zero the rest, in the optimizer's memory too.

        `fill`, [P], takes the place of what falls where it is not 0, and does not learn either.
        In a shadowed lane nothing is zeroed, and what `keep` names anew comes back.
        """
        if self.mask is None or self.pruned_values is None:
            self.mask = torch.ones_like(self.theta)
            self.pruned_values = torch.full_like(self.theta, torch.nan)
        self.pruned |= {row}
        falls = (self.mask[row] > 0) & ~keep
        self.pruned_values[row] = torch.where(falls, self.theta[row], self.pruned_values[row])
        self.mask[row] = keep.to(self.mask.dtype)
        if not self._is_shadowed(row):
            for tensor in self._per_weight():
                tensor[row].masked_fill_(~keep, 0)
        if fill is not None:
            self.fill = torch.zeros_like(self.theta) if self.fill is None else self.fill
            self.fill[row] = fill
            self.theta[row] += fill

    def grow(self, row: int, grown: Tensor) -> None:
        """Bring pruned weights of a row back, bool [P], at zero."""
        assert self.mask is not None
        self.mask[row].masked_fill_(grown, 1)

    def rewind(self, row: int) -> None:
        """Put the kept weights of a row back to their early values, as if training began there.

        Nothing of the optimizer's is left, the number of its steps included.
        """
        for tensor in self.memory.values():
            tensor[row].zero_()
        mask = 1 if self.mask is None else self.mask[row]
        self.theta[row] = self.criterion_memory["early"][row] * mask

    def _per_weight(self) -> list[Tensor]:
        return [t for t in (self.theta, *self.memory.values()) if t.shape == self.theta.shape]


def _same(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors are equal to the bit, NaN included."""
    if a is b or (a.shape, a.dtype, a.device) != (b.shape, b.dtype, b.device):
        return a is b
    bits = BITS.get(a.dtype, a.dtype)
    return torch.equal(a.view(bits), b.view(bits))  # ends at the first that differs


@dataclass
class StepHyperparameters:
    """The numbers of each lane; sliders write into these tensors between two steps."""

    lr: Tensor  # [L, 1]
    momentum: Tensor | None  # [L, 1]; None where no lane has any, as for the two below
    weight_decay: Tensor | None
    l1: Tensor | None
    max_norm: Tensor  # [L]

    @classmethod
    def of(cls, experiments: Sequence[Experiment], like: Tensor) -> "StepHyperparameters":
        """Return the numbers of experiments, one a row, in the type and on the device of `like`."""

        def column(name: str) -> Tensor:
            return like.new_tensor([[getattr(e, name)] for e in experiments])

        def column_if_used(name: str) -> Tensor | None:
            return column(name) if any(getattr(e, name) for e in experiments) else None

        bounds = [e.clipping.max_norm if e.clipping else 0.0 for e in experiments]
        momentum, weight_decay, l1 = map(column_if_used, ("momentum", "weight_decay", "l1"))
        return cls(column("lr"), momentum, weight_decay, l1, like.new_tensor(bounds))

    def rows(self, span: slice) -> "StepHyperparameters":
        """Return the numbers of some rows; they share the memory."""
        rows: dict[str, Any] = {name: None if t is None else t[span] for name, t in vars(self).items()}
        return StepHyperparameters(**rows)

    def copy_(self, other: "StepHyperparameters") -> None:
        """Copy the numbers of another, whose lanes are the same."""
        for name in vars(self):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None:
                mine.copy_(theirs)
