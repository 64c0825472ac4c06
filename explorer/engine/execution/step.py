"""One training step of a stack, eager.

Order, as the contract has it: l1 joins the gradient → mask → norm → clip rule → coupled weight decay →
optimizer. Pruned entries have zero weight, gradient and optimizer state, so the update leaves them at zero.

On the CPU rows are taken one after the other, so that what a step touches of each stays in the cache. On a
GPU all rows are one group, and nothing waits for the host: a row whose gradient is not finite stops there.

Shapes: L lanes, P parameters, B batch.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from explorer.engine.data.datasets import Images
from explorer.engine.execution.clipping import Chain, Clipped, bind, chains_of, unclipped
from explorer.engine.network.forward_backward import Batch, Network
from explorer.engine.network.losses import Loss
from explorer.engine.network.optimizers import state_of
from explorer.engine.network.state import State, StepHyperparameters
from explorer.experiment import Clipping
from explorer.registry import Method

# Of one step, a number a row each: loss, norm, clipped norm, bound and, of sparse rules, sent. A tensor on
# the device, [measures, L], where all rows are together; else numbers, as small tensors that are kept would
# leave holes in the memory between large ones.
Measured = Tensor | list[list[float]]


class StepInputs(NamedTuple):
    """What many steps at once read of the run."""

    images: Images  # to train on
    seeds: Sequence[int]  # which order of the images each row follows, [L]
    batch_size: int  # the last batch of an epoch may be smaller
    normalise: bool  # as in an Experiment
    lr_factor: Callable[[int], float]  # of all learning rates, at a step of the run
    total: int  # steps of the run


class StepContext(NamedTuple):
    """What all rows of a stack have in common."""

    network: Network
    loss: Loss
    optimizer: Method
    weights: Tensor  # 1 in the columns of prunable weights, 0 elsewhere: l1 leaves biases alone, [P]


class RowGroup:
    """Some rows of a stack, bound to their views so that no step has to make them anew."""

    def __init__(
        self,
        context: StepContext,
        state: State,
        grad: Tensor,
        rates: StepHyperparameters,
        chains: Sequence[Chain | None],
        *,
        masked: bool,
    ) -> None:
        self.context, self.state, self.grad, self.rates = context, state, grad, rates
        shadowed = masked and state.shadow is not None and bool(state.shadow.any())
        self.masked_theta = torch.empty_like(state.theta) if shadowed else state.theta
        self.gradient_mask = self._learning_mask(shadowed=shadowed) if masked else None
        self.views = context.network.views(self.masked_theta, state.buffers)
        self.grads = context.network.views(grad)
        self.clip = bind(chains, state, grad)

    def _learning_mask(self, *, shadowed: bool) -> Tensor | None:
        """Return 1 where a weight learns, [L, P]: where kept, and all over shadowed lanes; None if all do."""
        mask, shadow = self.state.mask, self.state.shadow
        if not shadowed or shadow is None or mask is None:
            return mask
        return None if bool(shadow.all()) else torch.maximum(mask, shadow[:, None].to(mask.dtype))

    def backward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Write the masked gradient of each row into `grad`; return the losses and norms, [L] each."""
        state, grad = self.state, self.grad
        if self.masked_theta is not state.theta and state.mask is not None:
            torch.mul(state.theta, state.mask, out=self.masked_theta)
            if self.gradient_mask is not None and state.shadow is not None:  # masks of other rows may change
                torch.maximum(state.mask, state.shadow[:, None], out=self.gradient_mask)
        losses = self.context.network.gradient(self.views, self.grads, batch, self.context.loss)
        if "movement" in state.criterion_memory:
            state.criterion_memory["movement"].addcmul_(state.theta, grad, value=-1)
        if self.rates.l1 is not None:
            grad.addcmul_(state.theta.sign() * self.context.weights, self.rates.l1)
        self._hold_frozen()
        if self.gradient_mask is not None:
            grad.mul_(self.gradient_mask)
        return losses.view(-1), torch.linalg.vector_norm(grad, dim=1)

    def update(self, norms: Tensor, lr: Tensor) -> Clipped:
        """Clip and apply the gradient; return what came of clipping."""
        state, rates = self.state, self.rates
        clipped = self.clip(norms, rates.max_norm, self.gradient_mask) if self.clip else unclipped(norms)
        if rates.weight_decay is not None:
            self.grad.addcmul_(state.theta, rates.weight_decay)
            if state.fill is not None:  # what is not 0 would decay
                self.grad.masked_fill_(state.fill != 0, 0)
            self._hold_frozen()
        if state.diverged is not None:
            lr = self._freeze(state.diverged, norms, lr)
        self.context.optimizer(state.theta, self.grad, lr, rates.momentum, state.memory)
        return clipped

    def _hold_frozen(self) -> None:
        """Clear the gradient of parameters that are not to learn."""
        for frozen in self.context.network.layout.frozen:
            frozen.of(self.grad).zero_()

    def _freeze(self, diverged: Tensor, norms: Tensor, lr: Tensor) -> Tensor:
        """Return learning rates that leave rows alone from the step on at which their gradient is not finite.

        No host is asked. Their gradient is cleared last: a rule that scales by a norm of NaN would undo it.
        """
        diverged |= ~norms.isfinite()
        self.grad.masked_fill_(diverged[:, None], 0)
        return lr.masked_fill(diverged[:, None], 0)


class Stepper:
    """The step of one stack."""

    def __init__(
        self,
        network: Network,
        state: State,
        *,
        loss: Loss,
        optimizer: Method,
        clippings: Sequence[Clipping | None],  # one a row
        rates: StepHyperparameters,
        steps: int,  # of the whole run: rules that remember each need the room
        together: bool,
    ) -> None:
        self.state, self.rates, self.together = state, rates, together
        self.grad = torch.zeros_like(state.theta)
        self.chains = chains_of(clippings, network.layout, state, steps)
        self.context = StepContext(network, loss, optimizer, _weight_columns(network, self.grad))
        for name in state_of(optimizer, momentum=rates.momentum is not None):
            state.memory.setdefault(name, torch.zeros_like(state.theta))
        if optimizer.name == "adam":
            state.memory.setdefault("steps", state.theta.new_zeros(len(state.theta), 1))
        self.stopped: set[int] = set()  # rows on the CPU that are not to go on
        if together and state.diverged is None:
            state.diverged = torch.zeros_like(state.theta[:, 0], dtype=torch.bool)
        self._bind()

    @property
    def sparse(self) -> bool:
        """Whether a clip rule makes the gradient of any row sparse."""
        return any(chain is not None and chain.sparse for chain in self.chains)

    def _bind(self) -> None:
        self._bound = self.state.pruned, self.state.fill is None
        rows = len(self.grad)
        # rows as they train and are looked at: together, or one after the other
        self.spans = [slice(0, rows)] if self.together else [slice(i, i + 1) for i in range(rows)]
        self.groups = [self._group(span) for span in self.spans]

    def _group(self, span: slice) -> RowGroup:
        masked = any(span.start <= row < span.stop for row in self.state.pruned)
        state = self.state.map(lambda t: t[span])
        rates, chains = self.rates.rows(span), self.chains[span]
        return RowGroup(self.context, state, self.grad[span], rates, chains, masked=masked)

    def refresh(self) -> None:
        """Bind the groups anew where rows have been pruned, or layers replaced, for the first time."""
        if self._bound != (self.state.pruned, self.state.fill is None):
            self._bind()

    def set_rates(self, rates: StepHyperparameters) -> None:
        """Take other numbers from the next step on, in place: a captured step reads them where they are."""
        self.rates.copy_(rates)

    def step(
        self,
        batches: Sequence[Batch],
        keys: Sequence[tuple[int, ...]],
        *,
        decay: float,
        keep: Tensor | None,
    ) -> Measured:
        """Train every row on its batch; on a CPU one whose gradient is not finite joins `stopped`.

        Args:
            batches: one a group of rows.
            keys: what decides the random numbers that a module may draw, one a group.
            decay: the factor of all learning rates at this step.
            keep: room for the gradients as they are before clipping, [L, P], where they are wanted.
        """
        self.refresh()
        rows: list[tuple[float, ...]] = []
        for span, group, batch, key in zip(self.spans, self.groups, batches, keys, strict=True):
            if span.start in self.stopped:
                rows.append(self._nan_measures())
                continue
            with self.context.network.train_mode(self.grad.device, *key):
                losses, norms = group.backward(batch)
            if keep is not None:
                keep[span] = group.grad
            lr = group.rates.lr if decay == 1 else group.rates.lr * decay
            if self.together:
                return stack_measures(losses, norms, group.update(norms, lr))
            norm = norms.item()
            if not math.isfinite(norm):
                self.stopped.add(span.start)
                rows.append(self._nan_measures())
                continue
            clipped = group.update(norms, lr)
            sent = [each.item() for each in clipped.sent] or [0.0] * self.sparse
            rows.append((losses.item(), norm, clipped.norm.item(), float(clipped.bound.item()), *sent))
        return [list(each) for each in zip(*rows, strict=True)]

    def _nan_measures(self) -> tuple[float, ...]:
        """Return what a row that is stopped measures."""
        return (math.nan, math.nan, math.nan, 0.0, *([0.0] if self.sparse else []))


def stack_measures(losses: Tensor, norms: Tensor, clipped: Clipped) -> Tensor:
    """Return what a step of all rows together measured, [measures, L]."""
    return torch.stack([t.to(losses) for t in (losses, norms, clipped.norm, clipped.bound, *clipped.sent)])


def _weight_columns(network: Network, like: Tensor) -> Tensor:
    columns = like.new_zeros(like.shape[1])
    for layer in network.layout.layers:
        layer.weight.of(columns).fill_(1)
    return columns
