"""Units: what the threshold's number means.

A unit turns a threshold into a cut-off score for a layer, from what is not pruned yet: `scores`, [units], and
`spread`, the values whose standard deviation counts: the weights themselves for magnitude, the scores
otherwise. `sparsity` is not a cut-off but a count, and is selected exactly by the engine. What its traits
say stands in `explorer/traits.py`, as `UnitTraits`; `every` is larger for a count, which costs a selection,
than for a cut-off, which costs only a comparison.
"""

from torch import Tensor

from explorer.registry import register


@register("unit", "sparsity", every=100, signed=True, counts=True)
def sparsity(threshold: Tensor, scores: Tensor, spread: Tensor) -> None:  # noqa: ARG001  a count cuts nowhere
    """The share of all prunable units that falls: exactly round(threshold × n).

    Formula: k = round(s · n)
    Reference: Blalock, Ortiz, Frankle & Guttag 2020, https://arxiv.org/abs/2003.03033
    """
    return


@register("unit", "score", every=1, signed=True)
def score(threshold: Tensor, scores: Tensor, spread: Tensor) -> Tensor:  # noqa: ARG001  it is the cut-off
    """The score itself: what scores less than the threshold falls.

    Formula: score < τ
    Reference: Han, Pool, Tran & Dally 2015, https://arxiv.org/abs/1506.02626
    """
    return threshold


@register("unit", "std", every=1, signed=False)
def std(threshold: Tensor, scores: Tensor, spread: Tensor) -> Tensor:  # noqa: ARG001
    """Standard deviations of the layer: of its weights for magnitude, of its scores otherwise.

    Formula: score < τ · σ, σ of the whole layer, not of a sample
    Reference: Han, Pool, Tran & Dally 2015, https://arxiv.org/abs/1506.02626
    """
    return threshold * spread.std(correction=0)


@register("unit", "mean", every=1, signed=False)
def mean(threshold: Tensor, scores: Tensor, spread: Tensor) -> Tensor:  # noqa: ARG001
    """The layer's mean score: the rate of article 001.

    Formula: score < τ · mean(score)
    Reference: article 001, section 4; compare Han, Pool, Tran & Dally 2015, https://arxiv.org/abs/1506.02626
    """
    return threshold * scores.mean()
