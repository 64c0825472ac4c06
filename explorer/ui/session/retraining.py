"""Retraining along the curve: one experiment at several thresholds, seed after seed, in the background."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from explorer.engine.training.run import Run
from explorer.experiment import Experiment
from explorer.study.plan import steps_of, with_twins
from explorer.study.processes import train_stacks

Row = dict[str, float]  # threshold, seed, sparsity, accuracy, dense: shares of 1


class Stopped(Exception):  # noqa: N818  somebody wanted it
    """Ends the training of a seed."""


class Retraining:
    """Trains in a thread of its own, which only waits: the work is done by one process with one thread.

    Args:
        experiment: what is retrained, from its own seed on.
        thresholds: in its unit.
        seeds: how many.
        on_news: called with the rows of a seed that is done, and with none as time passes.
        on_end: called at the end, with what went wrong if anything did.
    """

    def __init__(
        self,
        experiment: Experiment,
        thresholds: Sequence[float],
        seeds: int,
        on_news: Callable[[list[Row]], Any],
        on_end: Callable[[Exception | None], Any],
    ) -> None:
        self.experiment, self.seeds, self.done = experiment, seeds, 0.0
        self._on_news, self._on_end = on_news, on_end
        self._stacks = [
            with_twins(
                [experiment.replace({"pruning.threshold": t}, seed=experiment.seed + i) for t in thresholds]
            )
            for i in range(seeds)
        ]
        self._steps, self._total = 0, sum(map(steps_of, self._stacks))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="explorer-retraining", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it within a moment; seeds that are done stay."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether somebody has ended it."""
        return self._stopped.is_set()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end."""
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _work(self) -> None:
        problem: Exception | None = None
        try:
            for _, runs in train_stacks(self._stacks, 1, self._on_steps):
                if isinstance(runs, Exception):
                    raise runs
                self._on_news([_row(run, dense) for run, dense in _pairs(runs)])
        except Stopped:
            pass
        except Exception as error:  # noqa: BLE001  it is shown beside the button
            problem = error
        self._on_end(problem)

    def _on_steps(self, steps: int) -> None:
        if self._stopped.is_set():
            raise Stopped
        self._steps += steps
        share = min(1.0, self._steps / max(1, self._total))
        if share - self.done >= 0.01:  # a hundred words on the progress are enough
            self.done = share
            self._on_news([])


def _pairs(runs: list[Run]) -> Iterator[tuple[Run, Run]]:
    """Yield the pruned runs that came to their end, each with its dense twin."""
    dense = next(run for run in runs if run.experiment.pruning is None)
    return ((run, dense) for run in runs if run.experiment.pruning is not None and run.status == "done")


def _row(run: Run, dense: Run) -> Row:
    assert run.experiment.pruning is not None
    return {
        "threshold": run.experiment.pruning.threshold,
        "seed": run.experiment.seed,
        "sparsity": run.summary["sparsity"],
        "accuracy": run.summary["val_accuracy"],
        "dense": dense.summary["val_accuracy"],
    }
