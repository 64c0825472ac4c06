"""Traits: what the machine has to know of a method beside its signature, a small dataclass for each axis.

They are given by name to `registry.register`. One that is not given has the default that stands here; one
that has no default must be given.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # an Experiment can be made where torch is never loaded
    from torch import Size, Tensor


@dataclass(frozen=True, kw_only=True)
class PruningTraits:
    """Traits of all methods that a Pruning chooses, and all of an allocation's."""

    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by axis: the methods it goes with

    @property
    def partners(self) -> dict[str, tuple[str, ...]]:
        """The methods on other axes that it insists on, by axis."""
        return dict(self.only)


@dataclass(frozen=True, kw_only=True)
class CriterionTraits(PruningTraits):
    """Traits of a criterion; one that goes with whole units only scores these itself."""

    signed: bool = False  # scores may lie below zero
    trained: bool = False  # scores are all zero before the first step
    rounds: int = 1  # how often it is scored anew on the way to a share
    granularity: tuple[str, ...] = ()  # those that it goes with; none given: all
    allocation: tuple[str, ...] = ()

    @property
    def partners(self) -> dict[str, tuple[str, ...]]:
        """The granularities and allocations that it insists on, and those in `only`."""
        named = {"granularity": self.granularity, "allocation": self.allocation}
        return {axis: names for axis, names in named.items() if names} | dict(self.only)


@dataclass(frozen=True, kw_only=True)
class GranularityTraits(PruningTraits):
    """Traits of a granularity. Options are those of the method, by name."""

    expand: "Callable[[Tensor, Size], Tensor]"  # units [L, units] to a mask of the weights, [L, *shape]
    prunes: str  # what it prunes, for the error where there is none
    hidden: bool = False  # in a run the last layer is left out, because its units are the classes
    takes: Callable[[Sequence[int]], bool] | None = None  # whether weights of this shape; by default any
    problem: Callable[..., str] | None = None  # (shape, **options): what keeps a layer dense
    inputs: bool = False  # its units are what a layer reads: each group of a convolution has its own
    outlets: bool = False  # what depends on a unit falls with it: bias, batch norm, weights that read it
    identity: bool = False  # a layer that falls hands on what it gets: W = I, b = 0
    select: "Callable[..., Tensor] | None" = None  # (scores, shape, share, **options): within each layer
    threshold: Callable[..., float] | None = None  # (**options): the threshold that these amount to


@dataclass(frozen=True, kw_only=True)
class ScheduleTraits(PruningTraits):
    """Traits of a schedule."""

    begin: float = 0.0  # the default begin, as a share of the whole training
    spans: bool = True  # it needs room between begin and end
    continuous: bool = False  # a threshold moved in mid-run acts at once, without going back to an event
    immediate: bool = False  # the first event is at the begin itself
    shadow: bool = False  # pruned weights go on learning unseen and may come back
    regrows: bool = False  # it works weight by weight

    @property
    def partners(self) -> dict[str, tuple[str, ...]]:
        """Single weights where it regrows them, and those in `only`."""
        return {**({"granularity": ("weight",)} if self.regrows else {}), **self.only}


@dataclass(frozen=True, kw_only=True)
class UnitTraits(PruningTraits):
    """Traits of a threshold's unit."""

    every: int = 1  # steps between two events of a continuous schedule, by default
    signed: bool = False  # it makes sense for scores below zero
    counts: bool = False  # it is a count: a budget, which an allocation can spread over the layers


@dataclass(frozen=True, kw_only=True)
class RuleTraits:
    """Traits of a clip rule."""

    memory: Literal["weight", "step"] | None = None  # it remembers a number a weight, or one a step
    switch: str | None = None  # the option that turns the memory on; without one it is always on
    sparse: bool = False  # it sends only a part of the gradient
    overrides: Mapping[str, str] = field(default_factory=dict)  # options that take the place of others


@dataclass(frozen=True, kw_only=True)
class ModelTraits:
    """Traits of a model."""

    labels: "Callable[..., Tensor] | None" = None  # (labels, **options): the answers that it is to give


@dataclass(frozen=True, kw_only=True)
class DatasetTraits:
    """Traits of a data set."""

    sizes: tuple[int, int] | None = None  # images to train and validate by, and to test by
    shape: tuple[int, int, int] | None = None  # of an image: channels, rows, columns
    classes: int | None = None
    nonzero: float | None = None  # the share of pixels that are not 0, at most


@dataclass(frozen=True, kw_only=True)
class LossTraits:
    """Traits of a loss."""

    value: "Callable[[Tensor, Tensor], Tensor]"  # (logits, labels): its mean, for autograd


@dataclass(frozen=True, kw_only=True)
class OptimizerTraits:
    """Traits of an optimizer."""

    state: tuple[str, ...] = ()  # the names of the [L, P] tensors that it keeps
    momentum: bool = False  # it keeps them only where momentum is above 0


@dataclass(frozen=True, kw_only=True)
class DecayTraits:
    """Traits of a decay of the learning rate: there are none."""


# What the machine calls a method with: by position, so that the number counts, ...
CALLED_WITH: dict[str, tuple[str, ...]] = {
    "granularity": ("scores",),
    "allocation": ("sizes", "shapes", "sparsity"),
    "schedule": ("begin", "end", "unit", "threshold"),
    "unit": ("threshold", "scores", "spread"),
    "model": (),
    "dataset": (),
    "loss": ("logits", "labels"),
    "optimizer": ("theta", "grad", "lr", "momentum", "state"),
    "lr_decay": ("progress",),
}
# ... or by name: a method asks for what it wants of these.
OFFERED: dict[str, tuple[str, ...]] = {
    "criterion": (
        *("weight", "initial_weight", "grad", "class_grads", "squared_grad", "hessian_grad", "flow"),
        *("movement", "activation", "silence", "noise"),
    ),
    "rule": ("grad", "grad_norm", "max_norm", "theta", "grads", "weights", "last", "mask", "memory"),
}

BY_AXIS: dict[str, type] = {
    "criterion": CriterionTraits,
    "granularity": GranularityTraits,
    "allocation": PruningTraits,
    "schedule": ScheduleTraits,
    "unit": UnitTraits,
    "rule": RuleTraits,
    "model": ModelTraits,
    "dataset": DatasetTraits,
    "loss": LossTraits,
    "optimizer": OptimizerTraits,
    "lr_decay": DecayTraits,
}
