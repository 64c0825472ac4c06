"""Units: what the threshold's number means.

A unit turns a threshold into a cut-off score for each layer, from the scores of the units that are still
kept. `sparsity` is not a cut-off but a count, and is selected exactly by the engine. The trait `every` is the
default number of steps between two events of a continuous schedule: a count costs a selection, a cut-off
only a comparison.
"""

from torch import Tensor

from explorer.registry import register


@register("unit", "sparsity", every=100)
def sparsity(threshold: Tensor, scores: Tensor) -> None:  # noqa: ARG001  a count needs no cut-off
    """The share of all prunable units that falls: exactly round(threshold × n).

    Formula: k = round(s · n)
    Reference: Blalock, Ortiz, Frankle & Guttag 2020, https://arxiv.org/abs/2003.03033
    """
    return


@register("unit", "score", every=1)
def score(threshold: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG001  the cut-off is the threshold itself
    """The score itself: what scores less than the threshold falls.

    Formula: score < τ
    Reference: Han, Pool, Tran & Dally 2015, https://arxiv.org/abs/1506.02626
    """
    return threshold
