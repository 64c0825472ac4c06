"""Run: what came of an Experiment. Frames are made when asked for, so that a bare worker needs no polars."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from explorer.engine import files, models
from explorer.engine.records import CUTOFFS, EVENTS, HISTOGRAMS, HISTORY, History, Row
from explorer.engine.rows import Layout
from explorer.experiment import Experiment

if TYPE_CHECKING:
    import polars as pl


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
        return files.provenance(self)

    def save(self, folder: str | Path) -> Path:
        """Writes all of it into a folder: Experiment, summary, tables as CSV, model.safetensors, its twin."""
        return files.save(self, folder)

    @property
    def masks(self) -> dict[str, Tensor]:
        """For each prunable weight by name, a bool tensor of its shape: True where kept."""
        layout = Layout(models.build(self.experiment))
        named = [layer.weight for layer in layout.layers]
        return {slot.name: self._keep[slot.start : slot.stop].view(slot.shape).clone() for slot in named}

    @property
    def _keep(self) -> Tensor:
        return self.row.new_ones(self.row.shape).bool() if self.keep is None else self.keep

    def model(self) -> nn.Module:
        """An ordinary `nn.Module` in eval mode on the CPU that holds the (pruned) weights."""
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
