"""Presets: the articles' and the papers' recipes, as data: `explorer.presets["han-2015-lenet-300-100"]`.

`python -m explorer.presets` trains each at reduced length and prints what came of it. An article's numbers
are kept exactly, its bugs are not: what its text describes is what runs.

- `preset`: what a preset is: an Experiment with title, commentary and source.
- `articles`, `papers`: the recipes. To add one, add an entry there.
"""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from explorer.experiment import Experiment
from explorer.presets.articles import ARTICLES
from explorer.presets.papers import PAPERS
from explorer.presets.preset import Preset
from explorer.registry import unknown

PRESETS: dict[str, Preset] = {**ARTICLES, **PAPERS}

__all__ = ["PRESETS", "Preset", "experiment_of"]


def experiment_of(experiment: Experiment | str) -> Experiment:
    """Return an Experiment, a preset's by its name.

    Raises:
        ValueError: where there is no such preset.
        TypeError: where it is something else.
    """
    if isinstance(experiment, str):
        if experiment not in PRESETS:
            raise ValueError(unknown("preset", experiment, PRESETS))
        return PRESETS[experiment].experiment
    if not isinstance(experiment, Experiment):
        raise TypeError(
            f"experiment = {experiment!r}: give an ex.Experiment, such as ex.Experiment(epochs=3), or a "
            "preset's name; ex.Experiment(**fields) makes one of a dictionary"
        )
    return experiment


class _Presets(ModuleType):
    """Lets the package itself be read like a mapping: `explorer.presets[name]`, however it was imported."""

    def __getitem__(self, name: str) -> Preset:
        if name not in PRESETS:
            raise KeyError(unknown("preset", name, PRESETS))
        return PRESETS[name]

    def __iter__(self) -> Iterator[str]:
        return iter(PRESETS)

    def __len__(self) -> int:
        return len(PRESETS)

    def __contains__(self, name: object) -> bool:
        return name in PRESETS

    def keys(self) -> Any:
        """Return the names."""
        return PRESETS.keys()

    def values(self) -> Any:
        """Return the presets."""
        return PRESETS.values()

    def items(self) -> Any:
        """Name and presets."""
        return PRESETS.items()


sys.modules[__name__].__class__ = _Presets
