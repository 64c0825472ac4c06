"""Criteria: what a weight or a neuron is worth. Higher scores are kept.

A criterion is called once a layer. The first dimension of every tensor is the lane, so that a stack of
variants is scored in one call: `weight` and `grad` are [L, *shape], `activation` is [L, units]. What the
parameters mean is told in `explorer/engine/scoring.py`, which computes only those that are asked for.
"""

from torch import Tensor

from explorer.registry import register


@register("criterion", "magnitude")
def magnitude(weight: Tensor) -> Tensor:
    """Weights near zero fall first.

    Formula: |w|
    Reference: Han, Pool, Tran & Dally 2015, https://arxiv.org/abs/1506.02626
    """
    return weight.abs()


@register("criterion", "gradient")
def gradient(grad: Tensor) -> Tensor:
    """Weights that the loss does not feel fall first.

    Formula: |∂L/∂w|, L the mean loss over the scoring set
    Reference: Mozer & Smolensky 1988, https://papers.nips.cc/paper/119
    """
    return grad.abs()


@register("criterion", "activity", granularity=("neuron",))
def activity(activation: Tensor) -> Tensor:
    """Neurons that hardly answer fall first.

    Formula: mean |a| over the scoring set
    Reference: Hu, Peng, Tai & Tang 2016, https://arxiv.org/abs/1607.03250
    """
    return activation


@register("criterion", "random")
def random(noise: Tensor) -> Tensor:
    """Chance decides: the baseline that every method has to beat.

    Formula: u ~ U(0, 1)
    Reference: Blalock, Ortiz, Frankle & Guttag 2020, https://arxiv.org/abs/2003.03033
    """
    return noise
