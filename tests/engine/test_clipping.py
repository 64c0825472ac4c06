"""Clip rules are torch's own functions, row by row."""

import pytest
import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from explorer.methods import clipping

BOUNDS = [1e-3, 0.5, 3.0, 1e6]


def rows():
    torch.manual_seed(0)
    return torch.randn(len(BOUNDS), 50, dtype=torch.float64)


def by_torch(clip, grad, bound):
    """The gradient after torch's function, handed over as two parameters."""
    parts = [torch.nn.Parameter(torch.zeros_like(part)) for part in grad.split([20, 30])]
    for parameter, part in zip(parts, grad.split([20, 30]), strict=True):
        parameter.grad = part.clone()
    returned = clip(parts, bound)
    return torch.cat([p.grad for p in parts]), returned


def test_norm_rule_row_by_row():
    grad, bounds = rows(), torch.tensor(BOUNDS, dtype=torch.float64)
    before = grad.norm(dim=1)
    bound, after = clipping.norm(grad, before, bounds)
    for i, limit in enumerate(BOUNDS):
        expected, returned = by_torch(clip_grad_norm_, rows()[i], limit)
        torch.testing.assert_close(grad[i], expected, rtol=1e-14, atol=0)
        torch.testing.assert_close(before[i], returned, rtol=1e-14, atol=0)  # the norm before, in both
    assert bound.tolist() == [True, True, True, False]
    torch.testing.assert_close(after, grad.norm(dim=1), rtol=1e-13, atol=0)
    assert torch.equal(grad[3], rows()[3])  # a bound that never binds changes nothing


def test_value_rule_row_by_row():
    grad, bounds = rows(), torch.tensor(BOUNDS, dtype=torch.float64)
    bound, after = clipping.value(grad, grad.norm(dim=1), bounds)
    for i, limit in enumerate(BOUNDS):
        expected, _ = by_torch(clip_grad_value_, rows()[i], limit)
        assert torch.equal(grad[i], expected)
    largest = rows().abs().amax(1)
    assert bound.tolist() == [float(m) > c for m, c in zip(largest, BOUNDS, strict=True)]
    torch.testing.assert_close(after, grad.norm(dim=1), rtol=1e-14, atol=0)


@pytest.mark.parametrize("rule", [clipping.norm, clipping.value])
def test_a_zero_gradient_stays_zero(rule):
    grad = torch.zeros(1, 5)
    bound, after = rule(grad, torch.zeros(1), torch.ones(1))
    assert grad.tolist() == [[0.0] * 5]
    assert (bound.tolist(), after.tolist()) == ([False], [0.0])


def test_norm_worked_by_hand():
    grad = torch.tensor([[3.0, 4.0], [0.3, 0.4]], dtype=torch.float64)
    bound, after = clipping.norm(grad, grad.norm(dim=1), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(grad[0], torch.tensor([0.6, 0.8], dtype=torch.float64), rtol=1e-6, atol=0)
    assert grad[1].tolist() == [0.3, 0.4]
    assert bound.tolist() == [True, False]
    assert after.tolist() == pytest.approx([1.0, 0.5], rel=1e-6)


def test_value_worked_by_hand():
    grad = torch.tensor([[3.0, -4.0, 0.5]])
    bound, after = clipping.value(grad, grad.norm(dim=1), torch.ones(1))
    assert grad.tolist() == [[1.0, -1.0, 0.5]]
    assert bound.tolist() == [True]
    assert after.tolist() == [1.5]
