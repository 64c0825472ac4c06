"""Criteria: what a weight or a neuron is worth. Higher scores are kept.

A criterion is called once a layer. The first dimension of every tensor is the lane, so that a stack of
variants is scored in one call: `weight` and `grad` are [L, *shape], `activation` is [L, units]. What the
parameters mean is told in `explorer/engine/pruning/score_inputs.py`; only those that are asked for are
computed. What its traits say stands in `explorer/traits.py`, as `CriterionTraits`.
"""

import torch
from torch import Tensor

from explorer.registry import register

TINY = 1e-38  # a sum of squares below it is that of a layer without weights


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


@register("criterion", "taylor")
def taylor(weight: Tensor, grad: Tensor) -> Tensor:
    """Weights whose removal would change the loss least, to first order; SNIP when taken at initialisation.

    Formula: |w · ∂L/∂w|
    Reference: Lee, Ajanthan & Torr 2019, https://arxiv.org/abs/1810.02340
    """
    return (weight * grad).abs()


@register("criterion", "fisher")
def fisher(weight: Tensor, squared_grad: Tensor) -> Tensor:
    """Weights whose removal would change the loss least, by the curvature that single images show.

    Formula: ½ w² · mean over images of (∂ℓ/∂w)²
    Reference: Theis, Korshunova, Tejani & Huszár 2018, https://arxiv.org/abs/1801.05787
    """
    return weight.square() * squared_grad / 2


@register("criterion", "class-gradient")
def class_gradient(class_grads: Tensor) -> Tensor:
    """The gradient split by class: a weight that classes pull both ways is not redundant, and is kept.

    Formula: Σ_c |g_c|, g_c the part of ∂L/∂w that images of class c give, so that Σ_c g_c = ∂L/∂w
    Reference: article 004, sections 2 to 4; compare Mozer & Smolensky 1988, https://papers.nips.cc/paper/119
    """
    return class_grads.abs().sum(1)


@register("criterion", "movement", signed=True, trained=True)
def movement(movement: Tensor) -> Tensor:
    """Weights that training pulled towards zero fall first, however large they still are.

    Formula: −Σ over steps of w · ∂L/∂w
    Reference: Sanh, Wolf & Rush 2020, https://arxiv.org/abs/2005.07683
    """
    return movement


@register("criterion", "change", trained=True)
def change(weight: Tensor, initial_weight: Tensor) -> Tensor:
    """Weights that training left where they began fall first.

    Formula: |w − w₀|
    Reference: Zhou, Lan, Liu & Yosinski 2019, https://arxiv.org/abs/1905.01067
    """
    return (weight - initial_weight).abs()


@register("criterion", "synflow", rounds=100)
def synflow(weight: Tensor, flow: Tensor) -> Tensor:
    """Weights that carry little of the network's flow fall first; it looks at no image.

    Formula: |w| · ∂R/∂|w|, R the summed output for ones under |w|, scored anew in each of 100 rounds
    Reference: Tanaka, Kunin, Yamins & Ganguli 2020, https://arxiv.org/abs/2006.05467
    """
    return weight.abs() * flow


@register("criterion", "grasp", signed=True)
def grasp(weight: Tensor, hessian_grad: Tensor) -> Tensor:
    """Weights whose removal would most strengthen the gradient's flow fall first.

    Formula: w · (H g), the most negative falls first
    Reference: Wang, Zhang & Grosse 2020, https://arxiv.org/abs/2002.07376
    """
    return weight * hessian_grad


@register("criterion", "lamp", allocation=("global",))
def lamp(weight: Tensor) -> Tensor:
    """Magnitude, measured against all larger weights of the layer, so that layers can compete.

    Costs a sort of each layer's weights, where other criteria of weights are selected from without one.

    Formula: w² / Σ of v² over the layer's weights with |v| ≥ |w|
    Reference: Lee, Park, Mo, Ahn & Shin 2021, https://arxiv.org/abs/2010.07611
    """
    sizes, order = weight.flatten(1).abs().sort(dim=1)
    ranked = sizes.double().square()
    tails = ranked.flip(1).cumsum(1).flip(1)  # from each on to the largest
    starts = torch.arange(ranked.shape[1], device=weight.device).repeat(len(ranked), 1)
    starts[:, 1:].masked_fill_(ranked[:, 1:] == ranked[:, :-1], 0)
    first = starts.cummax(1).values  # equal weights share the sum of all that are not smaller
    scores = (ranked / tails.gather(1, first).clamp_min(TINY)).to(weight)
    return torch.empty_like(scores).scatter_(1, order, scores).view_as(weight)


@register("criterion", "activity", granularity=("neuron", "filter"))
def activity(activation: Tensor) -> Tensor:
    """Neurons that hardly answer fall first.

    Costs a pass of the whole scoring set through the network, without gradients.

    Formula: mean |a| over the scoring set
    Reference: Hu, Peng, Tai & Tang 2016, https://arxiv.org/abs/1607.03250
    """
    return activation


@register("criterion", "apoz", granularity=("neuron", "filter"))
def apoz(silence: Tensor) -> Tensor:
    """Neurons that are silent for most images fall first.

    Costs a pass of the whole scoring set through the network, without gradients.

    Formula: 1 − share of images for which a = 0
    Reference: Hu, Peng, Tai & Tang 2016, https://arxiv.org/abs/1607.03250
    """
    return 1 - silence


@register("criterion", "random")
def random(noise: Tensor) -> Tensor:
    """Chance decides: the baseline that every method has to beat.

    Formula: u ~ U(0, 1)
    Reference: Blalock, Ortiz, Frankle & Guttag 2020, https://arxiv.org/abs/2003.03033
    """
    return noise
