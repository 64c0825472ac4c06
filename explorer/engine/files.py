"""A run as files: tables as CSV, the network as safetensors, the Experiment as JSON and as Python.

All imports beyond torch wait until they are used: a bare worker that saves nothing does without.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.engine.run import Run

KEY = "pruning-explorer"  # of the metadata in a safetensors file; figures use the same
MASK = "mask."  # before the name of a weight: True where it is kept
TABLES = ("history", "histograms", "events", "cutoffs")
OF_ITSELF = ("prune", "tolerance")  # events that no slider made
FACTS = ("device", "threads", "tf32", "stack", "versions")  # of the summary: what else the numbers depend on

# Every string that a person reads here.
SCRIPT = "import explorer as ex\n\nexperiment = {code}\nrun = ex.train(experiment)\n"
MOVED = "# Sliders were moved while it ran, which this script does not repeat:\n"
MOVE = "# at step {step}: {what} from {from} to {to}\n"


def save(run: "Run", folder: str | Path) -> Path:
    """Writes all of a run into a folder, its dense twin into `dense` in there; returns the folder.

    experiment.json and .py; run.json with the summary; history, histograms, events and cutoffs as CSV;
    model.safetensors, as `write_model` has it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in WRITERS.items():
        write(run, folder / name)
    if run.dense is not None:
        save(run.dense, folder / "dense")
    return folder


def provenance(run: "Run") -> dict[str, Any]:
    """What made a run, as plain data: experiment, hash, status, steered, events, device, versions."""
    keys = ("step", "what", "from", "to")
    return {
        "experiment": run.experiment.model_dump(mode="json"),
        "hash": run.experiment.hash,
        "status": run.status,
        "steered": bool(run.summary.get("steered")),
        "events": [_plain(dict(zip(keys, event, strict=True))) for event in run.records.events],
        **{name: run.summary[name] for name in FACTS if name in run.summary},
    }


def write_model(run: "Run", path: str | Path) -> None:
    """Writes the pruned network: its state dict, and for each prunable weight its mask.

    `tensors = safetensors.torch.load_file(path)` gives both back; what begins with "mask." is a mask, the
    rest is for `load_state_dict`. The metadata hold the Experiment, for `explorer.figures.recipe(path)`.
    """
    from safetensors.torch import save  # noqa: PLC0415  a bare worker saves nothing

    tensors = {name: value.contiguous().clone() for name, value in run.model().state_dict().items()}
    tensors |= {MASK + name: mask.contiguous() for name, mask in run.masks.items()}
    content = save(tensors, metadata={"format": "pt", KEY: json.dumps([provenance(run)])})
    Path(path).write_bytes(content)  # who may read the folder may read it; `save_file` lets its owner alone


def write_table(name: str) -> Callable[["Run", Path], None]:
    """Returns what writes a run's frame of this name as CSV."""
    return lambda run, path: getattr(run, name).write_csv(path)


def write_experiment(run: "Run", path: Path) -> None:
    """Writes the Experiment as JSON, for `Experiment.from_json`."""
    path.write_text(run.experiment.to_json() + "\n", encoding="utf-8")


def write_script(run: "Run", path: Path) -> None:
    """Writes Python that runs the Experiment again."""
    moves = [event for event in provenance(run)["events"] if event["what"] not in OF_ITSELF]
    steered = run.summary.get("steered")
    notes = MOVED + "".join(MOVE.format(**move) for move in moves) if steered else ""
    path.write_text(SCRIPT.format(code=run.experiment.code()) + notes, encoding="utf-8")


def write_summary(run: "Run", path: Path) -> None:
    """Writes the summary, and what made it, as JSON."""
    told = {**provenance(run), "summary": _plain(run.summary)}
    path.write_text(json.dumps(told, indent=2, default=str) + "\n", encoding="utf-8")


def _plain(numbers: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN and no infinity."""
    return {n: None if isinstance(v, float) and not math.isfinite(v) else v for n, v in numbers.items()}


WRITERS: dict[str, Callable[["Run", Path], None]] = {
    "experiment.json": write_experiment,
    "experiment.py": write_script,
    "run.json": write_summary,
    **{f"{name}.csv": write_table(name) for name in TABLES},
    "model.safetensors": write_model,
}
