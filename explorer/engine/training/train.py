"""`train`: an Experiment in, a Run out, with a progress bar on the way."""

import functools
import os
import platform
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from statistics import fmean
from typing import Any

import torch

from explorer import registry
from explorer.engine.data.device import pick_device, tf32
from explorer.engine.execution.interrupts import defer_sigint
from explorer.engine.execution.kernel_loader import available
from explorer.engine.network.layout import warn_of_left_out
from explorer.engine.pruning import fit
from explorer.engine.pruning.masking import warn_of_fallen
from explorer.engine.training.lanes import Lane
from explorer.engine.training.recorder import Record
from explorer.engine.training.run import Run
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment
from explorer.presets import experiment_of

WARM_UP_DELAY = 1.5  # seconds from the first look at an explorer to the compiling of its machine code


def train(
    experiment: Experiment | str,
    device: str = "auto",
    twin: bool = True,
    progress: bool = True,
    dtype: torch.dtype = torch.float32,
) -> Run:
    """Train an experiment to its end and returns the Run; Ctrl-C returns what there is, as "stopped".

    Before the first step, that is the untrained network; a second Ctrl-C while data is loaded raises.
    A process that is forked from one that has trained (a DataLoader's workers, multiprocessing's "fork") may
    hang in torch: start it by "spawn".

    The same experiment gives the same history to the bit on one machine and number of threads. Otherwise,
    and between machine code and torch, a step differs by rounding; over an epoch that grows, until masks
    differ in thousands of entries, at equal accuracy.

    Args:
        experiment: what to train, or a preset's name.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        twin: train the dense twin beside it, as `run.dense`: the same seed, data order and number of steps.
        progress: show a bar with epoch, accuracy, sparsity, images a second and time left.
        dtype: torch.float32, or torch.float64 for exact comparisons.

    Raises:
        ValueError: where the device is not there, or no preset has such a name.
        TypeError: where it is no Experiment.
    """
    experiment = experiment_of(experiment)
    warn_of_fork()
    trainer, status = None, "done"
    try:
        with defer_sigint(once=True):  # data is being loaded
            trainer = Trainer(with_twin(experiment, twin=twin), device, dtype)
        fit.warn_of_dense_layers([experiment])
        if experiment.pruning is not None:
            warn_of_left_out(trainer.network.module)
        trainer.rewindable = False
        with _bar(trainer) if progress else nullcontext() as bar:
            for record in trainer.run():
                if bar is not None:
                    bar.update(trainer.step - bar.n)
                    if record is not None:
                        bar.set_postfix_str(_postfix(record))
    except KeyboardInterrupt:
        if trainer is None:
            raise
        status = "stopped"
    run = run_of(trainer, status)
    if experiment.pruning is not None:
        warn_of_fallen(staying_layers(run), experiment.pruning.threshold)
    return run


def staying_layers(run: Run) -> dict[str, bool]:
    """Return of which layers some weights stay at a run's end; what hands on what it gets stays."""
    pruning = run.experiment.pruning
    hands_on = pruning is not None and registry.get("granularity", pruning.granularity).traits.identity
    sparsity = {
        layer: value for _, _, metric, layer, value in run.records.history if metric == "sparsity" and layer
    }
    return {layer: value < 1 or hands_on for layer, value in sparsity.items()}


def train_stack(
    experiments: Sequence[Experiment], device: str, on_steps: Callable[[int], object]
) -> list[Run]:
    """Train experiments side by side, as lanes of one stack, and return their runs.

    `on_steps` hears of the steps of all lanes as they are done; where it raises, training ends.
    Ctrl-C returns what there is, as "stopped", but raises before the first step. In a process forked from one
    that has trained it warns, as `train` does.
    """
    warn_of_fork()
    with defer_sigint(once=True):  # data is being loaded
        trainer = Trainer(experiments, device)
    trainer.rewindable = False
    done, status = 0, "done"
    try:
        for _ in trainer.run():
            on_steps(len(experiments) * (trainer.step - done))
            done = trainer.step
    except KeyboardInterrupt:
        status = "stopped"
    return runs_of(trainer, status)


def with_twin(experiment: Experiment, *, twin: bool) -> list[Experiment]:
    """Return the experiment, and its dense twin where there is something to compare."""
    return [experiment, experiment.dense()] if twin and experiment.pruning is not None else [experiment]


def run_of(trainer: Trainer, status: str) -> Run:
    """Return the Run of a trainer's first lane, its dense twin attached."""
    runs = runs_of(trainer, status)
    runs[0].dense = runs[1] if len(runs) > 1 else None
    if runs[0].dense:
        runs[0].summary["dense_test_accuracy"] = runs[0].dense.summary["test_accuracy"]
    return runs[0]


def runs_of(trainer: Trainer, status: str) -> list[Run]:
    """Return the Run of every lane, in their order."""
    if trainer.recorder.pending:
        trainer.complete_record()
    return [_lane_run(trainer, lane, status) for lane in trainer.lanes]


def _lane_run(trainer: Trainer, lane: Lane, status: str) -> Run:
    view = trainer.view(lane)
    return Run(
        experiment=lane.experiment,
        status="diverged" if lane.diverged else status,
        summary=_summary(trainer, lane),
        records=lane.history.copy(),
        row=view.row.clone().cpu(),
        buffers={name: buffer.clone().cpu() for name, buffer in view.buffers.items()},
        keep=None if view.mask is None else (view.mask > 0).cpu(),
        answers=lane.answers[max(lane.answers)] if lane.answers else None,
        truth=trainer.split.validation.labels.to(torch.int16).cpu(),
    )


def _summary(trainer: Trainer, lane: Lane) -> dict[str, Any]:
    last = {metric: value for _, _, metric, layer, value in lane.history.history if layer is None}
    density = 1 - trainer.sparsity(lane)
    return {
        "hash": lane.experiment.hash,
        "test_accuracy": last.get("test_accuracy"),
        "dense_test_accuracy": last.get("test_accuracy") if lane.experiment.pruning is None else None,
        "val_accuracy": last.get("val_accuracy"),
        "validation_images": len(trainer.split.validation),
        "test_images": len(trainer.split.test),
        "sparsity": 1 - density,
        "compression": 1 / density if density else float("inf"),
        "clip_rate": _clip_rate(lane),
        **_bytes(trainer, lane),
        "steps": trainer.step,
        "seconds": trainer.seconds,
        "steered": lane.steered,
        "advice": lane.diverged,
        "device": torch.cuda.get_device_name(trainer.device) if trainer.device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "compiled": trainer.executor.compiled,
        "tf32": trainer.device.type == "cuda" and tf32(),
        "stack": [each.experiment.hash for each in trainer.lanes],
        "versions": {
            "explorer": version("pruning-explorer"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }


def _clip_rate(lane: Lane) -> float:
    """Return the share of all steps in which the clip bound, from the shares between records."""
    bound, before = 0.0, 0
    for step, _, metric, _, value in lane.history.history:
        if metric == "clip_rate":
            bound, before = bound + value * (step - before), step
    return bound / before if before else 0.0


def _bytes(trainer: Trainer, lane: Lane) -> dict[str, float | None]:
    """Return what a step would send over a network, on average, where a clip rule makes the gradient sparse.

    An entry takes 4 bytes for its value and 4 for its index; the whole gradient needs no indices.
    """
    chain = trainer.executor.stepper.chains[lane.row]
    if chain is None or not chain.sparse:
        return {}
    place = [each is lane for each in trainer.lanes].index(True)
    sent = trainer.flush().series(place, 4).tolist()
    dense = 4 * trainer.network.layout.width
    return {"bytes_per_step": 8 * fmean(sent) if sent else None, "dense_bytes_per_step": dense}


@functools.cache
def _first_process() -> int:
    """Return the process in which training began; a forked one inherits the answer."""
    return os.getpid()


def warn_of_fork() -> None:
    """Warn whoever trains in a process that was forked from one that has; all that trains asks here first."""
    if _first_process() != os.getpid():
        frame, level = sys._getframe(), 1
        while frame.f_back and frame.f_globals.get("__name__", "").startswith("explorer."):
            frame, level = frame.f_back, level + 1
        warnings.warn(
            "this process was forked from one that has trained, and torch may hang in it: "
            'start it by multiprocessing.get_context("spawn")',
            stacklevel=level,
        )


@contextmanager
def _bar(trainer: Trainer) -> Iterator[Any]:
    from tqdm.auto import tqdm  # noqa: PLC0415  a bare worker shows no bar

    experiment = trainer.lanes[0].experiment
    shape = "{l_bar}{bar}{postfix}, {rate_fmt}, {remaining} left"
    unit: dict[str, Any] = {"unit": " images", "unit_scale": experiment.batch_size}
    with tqdm(total=trainer.total, desc=experiment.model, bar_format=shape, mininterval=0.2, **unit) as bar:
        yield bar


def _postfix(record: Record) -> str:
    values = record.lanes[0]
    accuracy = f"{values['val_accuracy']:.2%}" if "val_accuracy" in values else "no validation images"
    return f"epoch {record.epoch:.2f}, accuracy {accuracy}, sparsity {values['sparsity']:.1%}"


@functools.cache  # once a process
def warm_up() -> None:
    """Get the machine code ready in the background: compiling it takes seconds, once on each machine.

    What is to be seen first comes first.
    """
    if available() and pick_device("auto").type == "cpu":
        threading.Timer(WARM_UP_DELAY, _compile_kernels).start()


def _compile_kernels() -> None:
    """Call each kernel once."""
    trainer = Trainer([Experiment(pruning=None)], "cpu")
    trainer.executor.advance(0, 1, keep_gradient=False)
    trainer.executor.evaluate(trainer.state.theta, trainer.split.validation[slice(1)])
