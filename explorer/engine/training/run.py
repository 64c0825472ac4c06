"""Run: what came of an Experiment, and how it is written as files.

Tables are CSV, the network is safetensors, the Experiment JSON and Python. All imports beyond torch wait
until they are used: a bare worker that makes no frames and saves nothing does without.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from explorer.engine.network import models
from explorer.engine.network.layout import Layout
from explorer.engine.training.history import CUTOFFS, EVENTS, HISTOGRAMS, HISTORY, History, Row
from explorer.experiment import Experiment

if TYPE_CHECKING:
    import polars as pl


KEY = "pruning-explorer"  # of the metadata in a safetensors file; figures use the same
MASK = "mask."  # before the name of a weight: True where it is kept
TABLES = ("history", "histograms", "events", "cutoffs")
AUTOMATIC_EVENTS = ("prune", "tolerance")  # events that no slider made
FACTS = ("device", "threads", "tf32", "stack", "versions")  # of the summary: what else the numbers depend on

# Every string that a person reads here.
SCRIPT = "import explorer as ex\n\nexperiment = {code}\nrun = ex.train(experiment)\n"
MOVED = "# Sliders were moved while it ran, which this script does not repeat:\n"
MOVE = "# at step {step}: {what} from {from} to {to}\n"


@dataclass
class Run:
    """What came of an Experiment.

    `status` is "done", "stopped" or "diverged"; `summary` holds the numbers of the end; `dense` is the dense
    twin's Run. `history`, `histograms`, `events` and `cutoffs` are polars frames.
    """

    experiment: Experiment
    status: str
    summary: dict[str, Any]
    records: History = field(repr=False)
    row: Tensor = field(repr=False)  # the weights, [P], zero where pruned
    keep: Tensor | None = field(repr=False)  # bool [P]; None where nothing is pruned
    dense: "Run | None" = field(default=None, repr=False)
    buffers: dict[str, Tensor] = field(default_factory=dict, repr=False)  # what the module keeps beside them
    answers: Tensor | None = field(default=None, repr=False)  # at the last record, [n]
    truth: Tensor | None = field(default=None, repr=False)  # of each validation image, [n]

    @cached_property
    def history(self) -> "pl.DataFrame":
        """The tidy record: step, epoch, metric, layer (null for the whole model), value."""
        return _frame(self.records.history, HISTORY, text=("metric", "layer"), whole=("step",))

    @cached_property
    def histograms(self) -> "pl.DataFrame":
        """Counts by bin: step, layer, axis ("weight" or "score"), left, right, kept, pruned, revived."""
        counts = ("step", "kept", "pruned", "revived")
        return _frame(self.records.histograms, HISTOGRAMS, text=("layer", "axis"), whole=counts)

    @cached_property
    def events(self) -> "pl.DataFrame":
        """Prune events and slider moves: step, what, from, to."""
        return _frame(self.records.events, EVENTS, text=("what",), whole=("step",))

    @cached_property
    def cutoffs(self) -> "pl.DataFrame":
        """The score below which a layer's units fell, at each prune event: step, layer, cutoff."""
        return _frame(self.records.cutoffs, CUTOFFS, text=("layer",), whole=("step",))

    @property
    def provenance(self) -> dict[str, Any]:
        """What made it, as plain data: experiment, hash, status, steered, events, device, versions."""
        keys = ("step", "what", "from", "to")
        return {
            "experiment": self.experiment.model_dump(mode="json"),
            "hash": self.experiment.hash,
            "status": self.status,
            "steered": bool(self.summary.get("steered")),
            "events": [_json_safe(dict(zip(keys, event, strict=True))) for event in self.records.events],
            **{name: self.summary[name] for name in FACTS if name in self.summary},
        }

    def save(self, folder: str | Path) -> Path:
        """Write all of it into a folder, its dense twin into `dense` in there; return the folder.

        experiment.json and .py; run.json with the summary; history, histograms, events and cutoffs as CSV;
        model.safetensors, as `write_model` has it.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, write in WRITERS.items():
            write(self, folder / name)
        if self.dense is not None:
            self.dense.save(folder / "dense")
        return folder

    @property
    def masks(self) -> dict[str, Tensor]:
        """For each prunable weight by name, a bool tensor of its shape: True where kept."""
        layout = Layout(models.build(self.experiment))
        return {slot.name: slot.view(self._keep).clone() for slot in layout.weights}

    @property
    def _keep(self) -> Tensor:
        return self.row.new_ones(self.row.shape).bool() if self.keep is None else self.keep

    def model(self) -> nn.Module:
        """Return an ordinary `nn.Module` in eval mode on the CPU that holds the (pruned) weights."""
        module = models.build(self.experiment).to(self.row.dtype)
        Layout(module).load(module, self.row)
        for name, buffer in module.named_buffers():
            buffer.copy_(self.buffers[name])
        return module


def _frame(
    rows: Iterable[Row], names: tuple[str, ...], text: tuple[str, ...], whole: tuple[str, ...]
) -> "pl.DataFrame":
    import polars as pl  # noqa: PLC0415  a bare worker has no polars

    kinds = {n: pl.String if n in text else pl.Int64 if n in whole else pl.Float64 for n in names}
    return pl.DataFrame(list(rows), schema=kinds, orient="row")


def write_model(run: Run, path: str | Path) -> None:
    """Write the pruned network: its state dict, and for each prunable weight its mask.

    `tensors = safetensors.torch.load_file(path)` gives both back; what begins with "mask." is a mask, the
    rest is for `load_state_dict`. The metadata hold the Experiment, for `explorer.figures.recipe(path)`.
    """
    from safetensors.torch import save  # noqa: PLC0415  a bare worker saves nothing

    tensors = {name: value.contiguous().clone() for name, value in run.model().state_dict().items()}
    tensors |= {MASK + name: mask.contiguous() for name, mask in run.masks.items()}
    content = save(tensors, metadata={"format": "pt", KEY: json.dumps([run.provenance])})
    Path(path).write_bytes(content)  # who may read the folder may read it; `save_file` lets its owner alone


def write_table(name: str) -> Callable[[Run, Path], None]:
    """Return what writes a run's frame of this name as CSV."""
    return lambda run, path: getattr(run, name).write_csv(path)


def write_experiment(run: Run, path: Path) -> None:
    """Write the Experiment as JSON, for `Experiment.from_json`."""
    path.write_text(run.experiment.to_json() + "\n", encoding="utf-8")


def write_script(run: Run, path: Path) -> None:
    """Write Python that runs the Experiment again."""
    moves = [event for event in run.provenance["events"] if event["what"] not in AUTOMATIC_EVENTS]
    steered = run.summary.get("steered")
    notes = MOVED + "".join(MOVE.format(**move) for move in moves) if steered else ""
    path.write_text(SCRIPT.format(code=run.experiment.code()) + notes, encoding="utf-8")


def write_summary(run: Run, path: Path) -> None:
    """Write the summary, and what made it, as JSON."""
    content = {**run.provenance, "summary": _json_safe(run.summary)}
    path.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


def _json_safe(numbers: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN and no infinity."""
    return {n: None if isinstance(v, float) and not math.isfinite(v) else v for n, v in numbers.items()}


WRITERS: dict[str, Callable[[Run, Path], None]] = {
    "experiment.json": write_experiment,
    "experiment.py": write_script,
    "run.json": write_summary,
    **{f"{name}.csv": write_table(name) for name in TABLES},
    "model.safetensors": write_model,
}
