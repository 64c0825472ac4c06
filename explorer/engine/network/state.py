"""What a stack is at a moment of training: weights, masks, memories and rates, one row a lane."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from explorer.experiment import Experiment

BITS = {torch.float32: torch.int32, torch.float64: torch.int64}  # to compare what may be NaN


@dataclass(frozen=True)
class LaneView:
    """The weights of one lane as they are, [P] each; no mask where nothing is pruned."""

    row: Tensor
    mask: Tensor | None = None  # above 0 where kept
    pruned_values: Tensor | None = None  # a pruned weight's value just before it fell; NaN where none fell
    criterion_memory: dict[str, Tensor] = field(default_factory=dict)  # what criteria with a memory ask for
    buffers: dict[str, Tensor] = field(default_factory=dict)  # what the module keeps beside its parameters


@dataclass
class State:
    """All that a training step changes, one row a lane."""

    theta: Tensor  # [L, P]
    memory: dict[str, Tensor] = field(default_factory=dict)  # the optimizer's and residuals: [L, P] or [L, 1]
    clip_history: dict[str, Tensor] = field(
        default_factory=dict
    )  # what else clip rules remember, one row a lane
    mask: Tensor | None = None  # [L, P], 1 where kept; None while nothing is pruned
    pruned_values: Tensor | None = None  # [L, P], as in View
    criterion_memory: dict[str, Tensor] = field(
        default_factory=dict
    )  # [L, P] each: "initial_weight", "movement"
    buffers: dict[str, Tensor] = field(default_factory=dict)  # the module's, [L, *shape] each
    fill: Tensor | None = None  # [L, P]: what stands in place of a pruned weight where it is not 0
    shadow: Tensor | None = None  # bool [L]: lanes whose pruned weights stay in theta and go on learning
    diverged: Tensor | None = None  # bool [L]: rows that diverged on a GPU, where the host is not asked
    pruned: frozenset[int] = frozenset()  # the rows that have ever been pruned: no other needs its mask

    def view(self, row: int) -> LaneView:
        """One lane; shares the memory where it can."""
        mask = None if self.mask is None else self.mask[row]
        pruned_values = None if self.pruned_values is None else self.pruned_values[row]
        criterion_memory = {name: t[row] for name, t in self.criterion_memory.items()}
        buffers = {name: t[row] for name, t in self.buffers.items()}
        if mask is None or not self.shadowed(row):
            return LaneView(self.theta[row], mask, pruned_values, criterion_memory, buffers)
        return LaneView(
            self.theta[row] * mask,
            mask,
            pruned_values,
            {**criterion_memory, "shadow": self.theta[row]},
            buffers,
        )

    def effective_weights(self) -> Tensor:
        """The weights as the network has them, [L, P]: in shadowed lanes only what is kept."""
        if self.shadow is None or self.mask is None:
            return self.theta
        return torch.where(self.shadow[:, None], self.theta * self.mask, self.theta)

    def shadowed(self, row: int) -> bool:
        """Whether a lane's pruned weights go on learning unseen."""
        return self.shadow is not None and bool(self.shadow[row])

    def map(self, change: Callable[[Tensor], Tensor]) -> "State":
        """A new State with every tensor changed in the same way."""
        return State(
            theta=change(self.theta),
            memory={name: change(tensor) for name, tensor in self.memory.items()},
            clip_history={name: change(tensor) for name, tensor in self.clip_history.items()},
            mask=None if self.mask is None else change(self.mask),
            pruned_values=None if self.pruned_values is None else change(self.pruned_values),
            criterion_memory={name: change(tensor) for name, tensor in self.criterion_memory.items()},
            buffers={name: change(tensor) for name, tensor in self.buffers.items()},
            fill=None if self.fill is None else change(self.fill),
            shadow=None if self.shadow is None else change(self.shadow),
            diverged=None if self.diverged is None else change(self.diverged),
            pruned=self.pruned,
        )

    def tensors(self) -> list[Tensor]:
        """All there are, each once."""
        found: list[Tensor] = []
        self.map(lambda t: found.append(t) or t)  # type: ignore[func-returns-value]
        return found

    def clone(self) -> "State":
        """An independent copy."""
        return self.map(torch.clone)

    def deduplicated(self, other: "State") -> "State":
        """The same, to the bit, but in the memory of another where that holds the same: it changes little."""
        held = iter(other.tensors())

        def shared(mine: Tensor) -> Tensor:
            theirs = next(held, mine)
            return theirs if _same(mine, theirs) else mine

        return self.map(shared)

    def fork(self, rows: Sequence[int]) -> "State":
        """More rows at the end: copies of these."""
        found = torch.tensor([*range(len(self.theta)), *rows], device=self.theta.device)
        forked = self.map(lambda t: t.index_select(0, found))
        forked.pruned |= {len(self.theta) + i for i, row in enumerate(rows) if row in self.pruned}
        return forked

    def prune(self, row: int, keep: Tensor, fill: Tensor | None = None) -> None:
        """Keeps only `keep`, bool [P], of a row; what falls is zeroed, in the optimizer's memory too.

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
        if not self.shadowed(row):
            for tensor in self._per_weight():
                tensor[row].masked_fill_(~keep, 0)
        if fill is not None:
            self.fill = torch.zeros_like(self.theta) if self.fill is None else self.fill
            self.fill[row] = fill
            self.theta[row] += fill

    def grow(self, row: int, grown: Tensor) -> None:
        """Brings pruned weights of a row back, bool [P], at zero."""
        assert self.mask is not None
        self.mask[row].masked_fill_(grown, 1)

    def rewind(self, row: int) -> None:
        """Puts the kept weights of a row back to their early values, as if training began there."""
        for tensor in self._per_weight():
            tensor[row].zero_()
        kept = 1 if self.mask is None else self.mask[row]
        self.theta[row] = self.criterion_memory["early"][row] * kept

    def _per_weight(self) -> list[Tensor]:
        return [t for t in (self.theta, *self.memory.values()) if t.shape == self.theta.shape]


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal to the bit, NaN included."""
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
        """The numbers of a stack, as tensors of the same type and device as `like`."""

        def column(name: str) -> Tensor:
            return like.new_tensor([[getattr(e, name)] for e in experiments])

        def used(name: str) -> Tensor | None:
            return column(name) if any(getattr(e, name) for e in experiments) else None

        bounds = [e.clipping.max_norm if e.clipping else 0.0 for e in experiments]
        return cls(column("lr"), used("momentum"), used("weight_decay"), used("l1"), like.new_tensor(bounds))

    def rows(self, span: slice) -> "StepHyperparameters":
        """The numbers of some rows; shares the memory."""
        parts = (self.lr, self.momentum, self.weight_decay, self.l1, self.max_norm)
        return StepHyperparameters(*(None if part is None else part[span] for part in parts))  # type: ignore[arg-type]

    def copy_(self, other: "StepHyperparameters") -> None:
        """Takes the numbers of another, whose lanes are the same."""
        for name in vars(self):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None:
                mine.copy_(theirs)
