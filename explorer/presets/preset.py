"""What a preset is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from explorer.experiment import Experiment


@dataclass(frozen=True)
class Preset:
    """A named recipe: an ordinary Experiment, what happens in it and why, and where it comes from."""

    recipe: Callable[[], Experiment]  # made when asked for, as it is checked against all models and methods
    title: str
    commentary: str
    source: str

    @cached_property
    def experiment(self) -> Experiment:
        """The recipe as a plain Experiment."""
        return self.recipe()
