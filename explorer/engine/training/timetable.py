"""When things fall in a run: records, prune events, and the weights that a schedule goes back to."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from explorer import registry
from explorer.engine.training.lanes import Lane
from explorer.experiment import DEFAULT_END, Pruning
from explorer.methods.schedules import Event

RECORDS = 4  # an epoch
MOST_EVENTS = 1_000_000  # of a plan, which is copied with each moment that is kept


@dataclass(frozen=True)
class Timetable:
    """The steps of a run at which the host has something to do."""

    per_epoch: int  # steps
    epochs: int

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.per_epoch * self.epochs

    @cached_property
    def record_steps(self) -> frozenset[int]:
        """The steps that every run has a record of: the first, each quarter epoch, the last."""
        return frozenset(round(i * self.per_epoch / RECORDS) for i in range(RECORDS * self.epochs + 1))

    @cached_property
    def _sorted_records(self) -> list[int]:
        return sorted(self.record_steps)

    def events(self, pruning: Pruning | None) -> dict[int, Event]:
        """Return the events of a pruning by their step."""
        if pruning is None:
            return {}
        schedule = registry.get("schedule", pruning.schedule)
        room = int(schedule.traits.spans)  # a step, where begin and end come to the same one
        begin = min(self._step_at(pruning.begin_epoch, schedule.traits.begin), self.total - room)
        end = max(begin + room, self._step_at(pruning.end_epoch, DEFAULT_END))
        self._check_count(pruning, end - begin)
        events = schedule(begin, end, pruning.unit, pruning.threshold, **pruning.own("schedule"))
        return {event.step: event for event in events}

    @staticmethod
    def _check_count(pruning: Pruning, steps: int) -> None:
        """Raise ValueError where a schedule would plan more events than a plan should hold."""
        own = registry.get("schedule", pruning.schedule).settings(pruning.options)
        if "every" not in own:
            return
        every = own["every"] or registry.get("unit", pruning.unit).traits.every
        if steps // every > MOST_EVENTS:
            raise ValueError(
                f"schedule = {pruning.schedule!r} would prune {steps // every:,} times, every = {every} in "
                f"{steps:,} steps; allowed: {MOST_EVENTS:,} times. Set every to "
                f"{-(-steps // MOST_EVENTS)} or more, or train for fewer epochs"
            )

    def first_event(self, pruning: Pruning) -> int | None:
        """Return the step of a pruning's first event; None where it has none."""
        return min(self.events(pruning), default=None)

    def rewind_step(self, pruning: Pruning | None) -> int | None:
        """Return the step whose weights a schedule goes back to; None for schedules that never do."""
        epoch = rewind_epoch(pruning)
        return None if epoch is None else round(epoch * self.per_epoch)

    def _step_at(self, epoch: float | None, default: float) -> int:
        """Return the step at which an epoch, or a default share of the whole, is reached."""
        return round(default * self.total if epoch is None else epoch * self.per_epoch)

    def is_recorded(self, step: int, lanes: Iterable[Lane]) -> bool:
        """Whether a step may have a record, so that the gradient before it is kept."""
        return step in self.record_steps or any(step in lane.plan for lane in lanes)

    def next_stop(self, step: int, lanes: Iterable[Lane]) -> int:
        """Return the next step that the host must see: of a record, or of a lane's plan."""
        lanes = list(lanes)
        if any(step + 1 in lane.plan for lane in lanes):
            return step + 1
        records = self._sorted_records[bisect_right(self._sorted_records, step) :][:1]
        planned = [at for lane in lanes for at in (*lane.plan, lane.rewind_step) if at is not None]
        return min(self.total, *records, *(at for at in planned if at > step))


def tracks_movement(pruning: Pruning | None) -> bool:
    """Whether a pruning asks how the weights have moved."""
    return pruning is not None and "movement" in registry.get("criterion", pruning.criterion).needs


def rewind_epoch(pruning: Pruning | None) -> float | None:
    """Return the epoch whose weights a schedule goes back to; None for schedules that never do."""
    option = pruning and registry.get("schedule", pruning.schedule).options.get("rewind_epoch")
    return pruning.options.get("rewind_epoch", option.default) if pruning and option else None
