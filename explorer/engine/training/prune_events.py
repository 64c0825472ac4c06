"""Carries out a lane's prune events on the state of its stack, and notes them in its history."""

from collections.abc import Iterable
from dataclasses import dataclass

from explorer.engine.network.state import State
from explorer.engine.pruning.pruner import Pruner
from explorer.engine.training.lanes import Lane
from explorer.engine.training.metrics import Observer, score_rows
from explorer.methods.schedules import Event


@dataclass(frozen=True)
class PruneEvents:
    """Prunes lanes of one network."""

    pruner: Pruner
    observer: Observer

    def exceeds_tolerance(self, state: State, lane: Lane, step: int) -> bool:
        """Whether pruning so far cost more validation accuracy than is allowed; if so it ends here."""
        tolerance = lane.plan[step].tolerance
        if tolerance is None:
            return False
        accuracy = self.observer.evaluate(lane.view(state))["val_accuracy"]
        lane.baseline = accuracy if lane.baseline is None else lane.baseline
        if lane.baseline - accuracy <= tolerance:
            return False
        lane.plan = {at: event for at, event in lane.plan.items() if at < step}
        lane.history.events.append((step, "tolerance", lane.baseline, accuracy))
        return True

    def apply(self, state: State, lane: Lane, step: int) -> None:
        """Carry out the event of this step, in place; raises NonFiniteScores where nothing can be decided."""
        event = lane.plan[step]
        before = self.observer.sparsity(lane.view(state))
        if event.grow:
            keep, grown = self.pruner.regrowth(lane.view(state), lane.experiment, step, event)
            state.prune(lane.row, keep)
            state.grow(lane.row, grown)
        else:
            self._prune(state, lane, event, step)
        if event.rewind:
            state.rewind(lane.row)
        if lane.records_each_event:
            self._recalibrate(state, lane, step)
            self._note(state, lane, before, step, decided=not event.grow)
        elif lane.sparsity_before is None:
            lane.sparsity_before = before

    def note_pending(self, state: State, lanes: Iterable[Lane], step: int) -> None:
        """Note events that are too many to be noted one by one, as a record is to come."""
        for lane in lanes:
            if lane.sparsity_before is not None and not lane.diverged:
                self._recalibrate(state, lane, step)
                self._note(state, lane, lane.sparsity_before, step)
            lane.sparsity_before = None

    def _prune(self, state: State, lane: Lane, event: Event, step: int) -> None:
        view, pruning = lane.view(state), lane.experiment.pruning
        assert pruning is not None
        # a continuous schedule's statistics are taken once: as weights fall they would erode
        if lane.continuous and pruning.unit in ("std", "mean") and not lane.scale:
            lane.scale = self.pruner.scale(view, lane.experiment, step)
        lane.decision = self.pruner.decide(
            view, lane.experiment, step, threshold=event.threshold, scale=lane.scale
        )
        state.prune(lane.row, lane.decision.keep, lane.decision.fill)

    def _recalibrate(self, state: State, lane: Lane, step: int) -> None:
        """Take a lane's running statistics anew; before the first step there are none to take."""
        if step:
            for name, buffer in self.pruner.recalibrated(lane.view(state), lane.experiment).items():
                state.buffers[name][lane.row] = buffer

    def _note(self, state: State, lane: Lane, before: float, step: int, *, decided: bool = True) -> None:
        history, decision = lane.history, lane.decision
        history.events.append((step, "prune", before, self.observer.sparsity(lane.view(state))))
        if decided and decision is not None:
            named = zip(decision.layers, decision.cutoffs, strict=True)
            history.cutoffs += [(step, layer.name, cutoff) for layer, cutoff in named]
            history.histograms += score_rows(step, decision)
