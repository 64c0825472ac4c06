"""One training step of a whole stack, in two halves: the gradient, then the update.

Order, as the contract has it: l1 joins the gradient → mask → norm → clip rule → coupled weight decay →
optimizer. Pruned entries have zero weight, gradient and optimizer state, so the update leaves them at zero.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from explorer.engine.clip import Chain, Clipped
from explorer.engine.losses import Loss
from explorer.engine.network import Batch, Network, Views
from explorer.experiment import Clipping, Experiment
from explorer.registry import Method


@dataclass(frozen=True)
class View:
    """The weights of one lane as they are, [P] each; no mask where nothing is pruned."""

    row: Tensor
    mask: Tensor | None = None  # above 0 where kept
    fallen: Tensor | None = None  # a pruned weight's value just before it fell; NaN where none fell
    traces: dict[str, Tensor] = field(default_factory=dict)  # what criteria with a memory ask for
    buffers: dict[str, Tensor] = field(default_factory=dict)  # what the module keeps beside its parameters


@dataclass
class State:
    """All that a training step changes, one row a lane."""

    theta: Tensor  # [L, P]
    memory: dict[str, Tensor] = field(default_factory=dict)  # the optimizer's and residuals: [L, P] or [L, 1]
    past: dict[str, Tensor] = field(default_factory=dict)  # what else clip rules remember, one row a lane
    mask: Tensor | None = None  # [L, P], 1 where kept; None while nothing is pruned
    fallen: Tensor | None = None  # [L, P], as in View
    traces: dict[str, Tensor] = field(default_factory=dict)  # [L, P] each: "initial_weight", "movement"
    buffers: dict[str, Tensor] = field(default_factory=dict)  # the module's, [L, *shape] each
    fill: Tensor | None = None  # [L, P]: what stands in place of a pruned weight where it is not 0
    shadow: Tensor | None = None  # bool [L]: lanes whose pruned weights stay in theta and go on learning

    def view(self, row: int) -> View:
        """One lane; shares the memory where it can."""
        mask = None if self.mask is None else self.mask[row]
        fallen = None if self.fallen is None else self.fallen[row]
        traces = {name: t[row] for name, t in self.traces.items()}
        buffers = {name: t[row] for name, t in self.buffers.items()}
        if mask is None or not self.shadowed(row):
            return View(self.theta[row], mask, fallen, traces, buffers)
        return View(self.theta[row] * mask, mask, fallen, {**traces, "shadow": self.theta[row]}, buffers)

    def shadowed(self, row: int) -> bool:
        """Whether a lane's pruned weights go on learning unseen."""
        return self.shadow is not None and bool(self.shadow[row])

    def map(self, change: Callable[[Tensor], Tensor]) -> "State":
        """A new State with every tensor changed in the same way."""
        return State(
            theta=change(self.theta),
            memory={name: change(tensor) for name, tensor in self.memory.items()},
            past={name: change(tensor) for name, tensor in self.past.items()},
            mask=None if self.mask is None else change(self.mask),
            fallen=None if self.fallen is None else change(self.fallen),
            traces={name: change(tensor) for name, tensor in self.traces.items()},
            buffers={name: change(tensor) for name, tensor in self.buffers.items()},
            fill=None if self.fill is None else change(self.fill),
            shadow=None if self.shadow is None else change(self.shadow),
        )

    def clone(self) -> "State":
        """An independent copy."""
        return self.map(torch.clone)

    def fork(self, row: int) -> "State":
        """One row more: a copy of this one, at the end."""
        return self.map(lambda t: torch.cat([t, t[row : row + 1]]))

    def prune(self, row: int, keep: Tensor, fill: Tensor | None = None) -> None:
        """Keeps only `keep`, bool [P], of a row; what falls is zeroed, in the optimizer's memory too.

        `fill`, [P], takes the place of what falls where it is not 0, and does not learn either.
        In a shadowed lane nothing is zeroed, and what `keep` names anew comes back.
        """
        if self.mask is None or self.fallen is None:
            self.mask = torch.ones_like(self.theta)
            self.fallen = torch.full_like(self.theta, torch.nan)
        falls = (self.mask[row] > 0) & ~keep
        self.fallen[row] = torch.where(falls, self.theta[row], self.fallen[row])
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
        self.theta[row] = self.traces["early"][row] * kept

    def _per_weight(self) -> list[Tensor]:
        return [t for t in (self.theta, *self.memory.values()) if t.shape == self.theta.shape]


@dataclass
class Rates:
    """The numbers of each lane; sliders write into these tensors between two steps."""

    lr: Tensor  # [L, 1]
    momentum: Tensor | None  # [L, 1]; None where no lane has any, as for the two below
    weight_decay: Tensor | None
    l1: Tensor | None
    max_norm: Tensor  # [L]

    @classmethod
    def of(cls, experiments: Sequence[Experiment], like: Tensor) -> "Rates":
        """The numbers of a stack, as tensors of the same type and device as `like`."""

        def column(name: str) -> Tensor:
            return like.new_tensor([[getattr(e, name)] for e in experiments])

        def used(name: str) -> Tensor | None:
            return column(name) if any(getattr(e, name) for e in experiments) else None

        bounds = [e.clipping.max_norm if e.clipping else 0.0 for e in experiments]
        return cls(column("lr"), used("momentum"), used("weight_decay"), used("l1"), like.new_tensor(bounds))


class Stepper:
    """The step of one stack: holds the views so that no step has to make them anew."""

    def __init__(
        self,
        network: Network,
        state: State,
        loss: Loss,
        optimizer: Method,
        clipping: Clipping | None,
        *,
        steps: int,  # of the whole run: rules that remember each need the room
    ) -> None:
        self.network, self.state, self.loss, self.optimizer = network, state, loss, optimizer
        self.grad = torch.zeros_like(state.theta)
        self.chain = Chain(clipping, network.layout, state, self.grad, steps) if clipping else None
        self.seen = state.theta if state.shadow is None else torch.empty_like(state.theta)
        self.views: list[Views] = network.blocks(self.seen, state.buffers)
        self.grads: list[Views] = network.blocks(self.grad)
        self.weights = self._weight_columns()
        for name in optimizer.traits["state"]:
            state.memory.setdefault(name, torch.zeros_like(state.theta))
        if optimizer.name == "adam":
            state.memory.setdefault("steps", state.theta.new_zeros(len(state.theta), 1))

    def _weight_columns(self) -> Tensor:
        """1 in the columns of prunable weights, 0 elsewhere: l1 leaves biases alone, [P]."""
        columns = self.grad.new_zeros(self.grad.shape[1])
        for layer in self.network.layout.layers:
            columns[layer.weight.start : layer.weight.stop] = 1
        return columns

    def backward(self, batch: Batch, rates: Rates) -> tuple[Tensor, Tensor]:
        """The masked gradient of each lane into `grad`; returns the losses and norms, [L] each."""
        if self.state.shadow is not None and self.state.mask is not None:
            torch.mul(self.state.theta, self.state.mask, out=self.seen)
        blocks = zip(self.views, self.grads, strict=True)
        losses = [self.network.gradient(views, grads, batch, self.loss) for views, grads in blocks]
        return losses[0].view(-1) if len(losses) == 1 else torch.stack(losses), self._norms(rates)

    @torch.inference_mode()
    def _norms(self, rates: Rates) -> Tensor:
        if "movement" in self.state.traces:
            self.state.traces["movement"].addcmul_(self.state.theta, self.grad, value=-1)
        if rates.l1 is not None:
            self.grad.addcmul_(self.state.theta.sign() * self.weights, rates.l1)
        if self.state.mask is not None:
            self.grad.mul_(self._learning())
        norms: Tensor = torch.linalg.vector_norm(self.grad, dim=1)
        return norms

    def _learning(self) -> Tensor:
        """1 where a weight learns: where it is kept, and everywhere in shadowed lanes, [L, P]."""
        assert self.state.mask is not None
        if self.state.shadow is None:
            return self.state.mask
        return torch.maximum(self.state.mask, self.state.shadow[:, None].to(self.state.mask.dtype))

    @torch.inference_mode()
    def update(self, norms: Tensor, rates: Rates, decay: float = 1.0) -> Clipped:
        """Clips and applies the gradient; returns what came of clipping.

        `decay` is the factor of all learning rates at this step.
        """
        clipped = Clipped(torch.zeros_like(norms, dtype=torch.bool), norms)
        if self.chain is not None:
            masked = self.chain.needs_mask and self.state.mask is not None
            clipped = self.chain(norms, rates.max_norm, self._learning() if masked else None)
        if rates.weight_decay is not None:
            self.grad.addcmul_(self.state.theta, rates.weight_decay)
            if self.state.fill is not None:  # what is not 0 would decay
                self.grad.masked_fill_(self.state.fill != 0, 0)
        lr = rates.lr if decay == 1 else rates.lr * decay
        self.optimizer(self.state.theta, self.grad, lr, rates.momentum, self.state.memory)
        return clipped
