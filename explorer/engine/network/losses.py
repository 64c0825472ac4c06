"""Losses with their gradient by hand: one pass over the logits gives both.

A loss gets logits [..., B, C] and labels [..., B]; it returns the mean loss of each lane, [...], and its
gradient with respect to the logits, already divided by the batch's own size. The trait `value` is the same
loss as torch has it, for scoring through autograd; a test holds the two equal.

A network with one output answers yes or no: its logit z stands for the probability σ(z) of the label 1.

Shapes: B batch, C classes; "..." is [L] lanes, or nothing where there is one.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the field's own name for it

from explorer.registry import register

# torch's own two halves of the negative log-likelihood, without the autograd that comes between
_NLL = torch.ops.aten.nll_loss_forward.default
_NLL_BACKWARD = torch.ops.aten.nll_loss_backward.default
MEAN, IGNORED = 1, -100  # its codes: the mean over the batch; a label that never comes

Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def predictions(logits: Tensor) -> Tensor:
    """Return the predicted classes, int [..., B]: the largest logit's, or for one output its sign's."""
    return (logits.squeeze(-1) > 0).long() if logits.shape[-1] == 1 else logits.argmax(-1)


def is_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Return which predictions are correct, bool [..., B]."""
    return predictions(logits) == labels


def _likelihood(logits: Tensor, labels: Tensor) -> Tensor:
    if logits.shape[-1] == 1:
        return F.binary_cross_entropy_with_logits(logits.squeeze(-1), labels.to(logits.dtype))
    return F.cross_entropy(logits, labels)


def _half_squared(logits: Tensor, labels: Tensor) -> Tensor:
    if logits.shape[-1] == 1:
        return (logits.squeeze(-1).sigmoid() - labels).square().mean() / 2
    return (logits - _one_hot(labels, logits)).square().sum(-1).mean() / 2


def _one_hot(labels: Tensor, logits: Tensor) -> Tensor:
    """Return 1 at the label, 0 elsewhere, [..., B, C]; torch's own reads the values, which vmap forbids."""
    classes = torch.arange(logits.shape[-1], device=labels.device)
    return (labels.unsqueeze(-1) == classes).to(logits.dtype)


@register("loss", "cross-entropy", value=_likelihood)
def cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the softmax of the logits, or of the sigmoid where there is one.

    Formula: −log softmax(z)_y, mean over the batch; −log σ(z) or −log(1 − σ(z)) for one output
    Reference: Bridle 1990, https://doi.org/10.1007/978-3-642-76153-9_28
    """
    if logits.shape[-1] == 1:
        z, truth = logits.squeeze(-1), labels.to(logits.dtype)
        value = F.binary_cross_entropy_with_logits(z, truth.expand_as(z), reduction="none").mean(-1)
        return value, (logits.sigmoid() - truth.unsqueeze(-1)).div_(logits.shape[-2])
    if logits.dim() > 2:
        return _lanes_cross_entropy(logits, labels)
    log_p = torch.log_softmax(logits, -1)
    value, count = _NLL(log_p, labels, None, MEAN, IGNORED)
    gradient = _NLL_BACKWARD(count, log_p, labels, None, MEAN, IGNORED, count)  # −1 at the truth
    return value, gradient.add_(log_p.exp_()).div_(len(labels))


def _lanes_cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of each lane, [L], and its gradient; lanes may share their labels, [B]."""
    labels = labels.expand(logits.shape[:-1]).unsqueeze(-1)
    log_p = torch.log_softmax(logits, -1)
    value = log_p.gather(-1, labels).squeeze(-1).mean(-1).neg()
    gradient = log_p.exp_()
    gradient.scatter_add_(-1, labels, gradient.new_full((), -1.0).expand(labels.shape))
    return value, gradient.div_(logits.shape[-2])


@register("loss", "mse", value=_half_squared)
def mse(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Half the squared distance between the logits and the one-hot label, or between the sigmoid and 0 or 1.

    Formula: ½ Σ_c (z_c − onehot_c)², mean over the batch; ½ (σ(z) − y)² for one output
    Reference: Bishop 2006, Pattern Recognition and Machine Learning, section 5.2
    """
    if logits.shape[-1] == 1:
        p = logits.sigmoid()
        error = p - labels.unsqueeze(-1)
        loss = error.square().mean((-2, -1)).div_(2)
        return loss, (error * p * (1 - p)).div_(logits.shape[-2])
    gradient = logits - _one_hot(labels, logits)
    loss = gradient.square().sum(-1).mean(-1).div_(2)
    return loss, gradient.div_(logits.shape[-2])
