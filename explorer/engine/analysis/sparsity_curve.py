"""The accuracy of the weights as they are at many thresholds, without training.

Each point is what `Trainer.preview` and `Observer` would say of its threshold, but scores are taken once for
all of them, and a chain of Linear layers shares its most costly product. Its first layer reads the
same images whatever is pruned, and its output is linear in its weights. So from the sparsest point to the
densest each weight is added once, z ← z + ΔW x with ΔW sparse, and all points together cost little more than
one dense product. Nothing cancels on the way: the sums are as good as those in any other order.

A criterion that is scored anew in rounds (SynFlow) takes one path to the last threshold, of one round a
point: its points are the stations of that path, and so come of fewer rounds than a run would take to each.

P parameters of the network.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from explorer.engine.network.forward_backward import APPLY, evaluate
from explorer.engine.network.losses import is_correct
from explorer.engine.network.state import LaneView
from explorer.engine.pruning.pruner import SCORING_IMAGES, PruneDecision
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment

POINTS, LAST = 64, 256.0  # from nothing pruned to 256 times compression
FEW_POINTS, FEW_IMAGES = 24, 1000  # where a pass takes 30 times as long: no chain of Linear layers, on a CPU
SPARSE = 0.15  # of the first layer's weights: where more change, a dense product is faster

MOMENT = 100  # images between two pauses where a pass is slow, so that a page may be drawn
BLOCK = 1250  # images of a chain of Linear layers, likewise

# Returns loss and accuracy; pauses each time that some images have been looked at.
Evaluation = Generator[None, None, tuple[float, float]]
Evaluator = Callable[[Tensor, dict[str, Tensor]], Evaluation]  # of a row, [P], and its buffers


@dataclass(frozen=True)
class CurvePoint:
    """What one threshold would make of the weights as they are."""

    threshold: float  # in the pruning's unit
    sparsity: float  # of all prunable weights, in [0, 1]
    loss: float
    accuracy: float

    @property
    def compression(self) -> float:
        """Prunable over kept weights; infinite where none is kept."""
        return 1 / (1 - self.sparsity) if self.sparsity < 1 else float("inf")


@dataclass(frozen=True)
class CurveResolution:
    """How fine a curve is: the shares of units to prune, and how many images are looked at for each."""

    shares: list[float]
    images: int  # of the validation images
    calibration: int = SCORING_IMAGES  # of the scoring set, where a batch norm takes its statistics anew


def shares(count: int = POINTS, last: float = LAST) -> list[float]:
    """Return shares to prune from 0 to 1 − 1/last: evenly in the logarithm of what is kept."""
    return [1 - last ** (-i / (count - 1)) for i in range(count)]


def default_resolution(trainer: Trainer) -> CurveResolution:
    """Return 64 points by all validation images; 24 by the first 1,000 where a pass is slow."""
    held_out = len(trainer.observer.validation[1])
    if trainer.network.chain is not None or trainer.device.type != "cpu":
        return CurveResolution(shares(), held_out)
    return CurveResolution(shares(FEW_POINTS), min(held_out, FEW_IMAGES), FEW_IMAGES)


@torch.no_grad()
def evaluate_curve(
    trainer: Trainer, experiment: Experiment, resolution: CurveResolution | None = None
) -> Iterator[CurvePoint | None]:
    """Yield the points one by one, the sparsest first; None where time passed without one.

    The experiment's own threshold is among them. The weights are those of `Trainer.source` at the first item:
    training may go on between two. Without validation images there are no points.

    Raises:
        ValueError: where the network cannot be pruned like this, or where its scores are not finite.
    """
    resolution = resolution or default_resolution(trainer)
    if not resolution.images:
        return
    view, step = trainer.prune_base()
    view, evaluator = _copy(view), _evaluator(trainer, resolution.images)
    last: tuple[PruneDecision, CurvePoint] | None = None
    for threshold, decision in _decisions(trainer, view, step, experiment, resolution.shares):
        if decision is None:
            yield None
        elif last is not None and torch.equal(last[0].keep, decision.keep):
            yield replace(last[1], threshold=threshold)
        else:
            pruned, buffers = decision.apply_to(view), view.buffers
            if step:
                buffers = trainer.pruner.recalibrated(pruned, experiment, resolution.calibration)
            loss, accuracy = yield from evaluator(pruned.row, buffers)
            point = CurvePoint(threshold, trainer.observer.sparsity(pruned), loss, accuracy)
            last = decision, point
            yield point


def _copy(view: LaneView) -> LaneView:
    """Return a lane that stays as it is while training goes on."""
    return LaneView(
        view.row.clone(),
        None if view.mask is None else view.mask.clone(),
        criterion_memory={name: trace.clone() for name, trace in view.criterion_memory.items()},
        buffers={name: buffer.clone() for name, buffer in view.buffers.items()},
    )


def _decisions(
    trainer: Trainer, view: LaneView, step: int, experiment: Experiment, shares: list[float]
) -> Iterator[tuple[float, PruneDecision | None]]:
    """Yield thresholds and what they keep, the sparsest first; None where only a round has passed."""
    pruner, pruning = trainer.pruner, experiment.pruning
    assert pruning is not None
    view = pruner.with_batch_statistics(view, experiment)
    scores = pruner.score(view, experiment, step)
    thresholds = sorted({*scores.thresholds(shares), pruning.threshold})
    if scores.resolved.rounds == 1:
        yield from ((t, pruner.select(scores, t)) for t in reversed(thresholds))
        return
    path = []
    for threshold in thresholds:
        decision = pruner.select(pruner.score(view, experiment, step), threshold)
        view = decision.apply_to(view)
        path.append((threshold, decision))
        yield threshold, None
    yield from reversed(path)


def _evaluator(trainer: Trainer, images: int) -> Evaluator:
    """Return what evaluates rows on the first validation images."""
    x, labels = (part[:images] for part in trainer.observer.validation)
    network, loss = trainer.network, trainer.observer.loss
    if network.chain is not None and trainer.device.type == "cpu":
        return _ChainEvaluator(trainer, x, labels)

    def evaluate_slowly(row: Tensor, buffers: dict[str, Tensor]) -> Evaluation:
        moment = MOMENT if trainer.device.type == "cpu" else len(x)
        total = correct = 0.0
        for part, truth in zip(torch.split(x, moment), torch.split(labels, moment), strict=True):
            value, share = evaluate(network, row, part, truth, loss, buffers=buffers)
            total, correct = total + len(part) * value, correct + len(part) * share
            yield
        return total / len(x), round(correct) / len(x)

    return evaluate_slowly


class _ChainEvaluator:
    """Evaluates rows of a chain of Linear layers one after the other, by what changed in the first layer."""

    def __init__(self, trainer: Trainer, x: Tensor, labels: Tensor) -> None:
        assert trainer.network.chain is not None
        self.first, *self.rest = trainer.network.chain
        self.layout, self.loss = trainer.network.layout, trainer.observer.loss
        self.weight = x.new_zeros(self.layout.slices[self.first.weight].shape)
        self.blocks = [
            # [inputs, images]: a weight adds one row to another; the first layer's output without its bias
            (part.t().contiguous(), x.new_zeros(len(self.weight), len(part)), truth)
            for part, truth in zip(torch.split(x.flatten(1), BLOCK), torch.split(labels, BLOCK), strict=True)
        ]

    def __call__(self, row: Tensor, _buffers: dict[str, Tensor]) -> Evaluation:
        views = self.layout.views(row.unsqueeze(0))
        weight = views[self.first.weight]
        change = (weight - self.weight).to_sparse()
        anew = change.values().numel() > SPARSE * weight.numel()
        self.weight = weight
        total, correct = 0.0, 0
        for x, z, truth in self.blocks:
            yield  # a block takes about a millisecond
            torch.mm(weight, x, out=z) if anew else z.addmm_(change, x)
            h = APPLY[self.first.activation](z.t() + views[self.first.bias])
            for link in self.rest:
                h = APPLY[link.activation](torch.addmm(views[link.bias], h, views[link.weight].t()))
            value, _ = self.loss(h, truth)
            total, correct = total + len(truth) * float(value), correct + int(is_correct(h, truth).sum())
        images = sum(len(truth) for *_, truth in self.blocks)
        return total / images, correct / images
