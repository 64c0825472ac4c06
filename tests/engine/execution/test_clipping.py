"""Clip rules are torch's own functions, row by row, or worked by hand where torch has none."""

import numpy as np
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


SIZES = [20, 30]  # of two parameter tensors


def test_layer_norm_is_torchs_rule_on_each_parameter_alone():
    grad, bounds = rows(), torch.tensor(BOUNDS, dtype=torch.float64)
    bound, after = clipping.layer_norm([g.unflatten(1, (-1, 5)) for g in grad.split(SIZES, 1)], bounds)
    for i, limit in enumerate(BOUNDS):
        for part, whole in zip(grad[i].split(SIZES), rows()[i].split(SIZES), strict=True):
            parameter = torch.nn.Parameter(torch.zeros_like(whole))
            parameter.grad = whole.clone()
            clip_grad_norm_([parameter], limit)
            torch.testing.assert_close(part, parameter.grad, rtol=1e-14, atol=0)
    assert bound.tolist() == [True, True, True, False]
    torch.testing.assert_close(after, grad.norm(dim=1), rtol=1e-13, atol=0)


def test_layer_norm_binds_where_one_tensor_is_too_long():
    grad = torch.tensor([[3.0, 4.0, 0.6, 0.8]], dtype=torch.float64)
    bound, after = clipping.layer_norm([grad[:, :2], grad[:, 2:]], torch.tensor([2.0], dtype=torch.float64))
    torch.testing.assert_close(
        grad, torch.tensor([[1.2, 1.6, 0.6, 0.8]], dtype=torch.float64), rtol=1e-6, atol=0
    )
    assert bound.tolist() == [True]
    assert after.tolist() == pytest.approx([5**0.5])


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_agc_worked_by_hand():
    """Two lanes of a 2 × 2 weight, its bias, and a last layer that is left alone."""
    lane = [3.0, 4.0, 0.003, 0.004, 0.03, 0.04, 100.0]
    grad = double(lane, [v / 1e6 for v in lane])
    weights = double([0.6, 0.8, 1.0, 0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0, 3.0, 4.0, 1.0])
    views = [[m[:, :4].view(2, 2, 2), m[:, 4:6], m[:, 6:].view(2, 1, 1)] for m in (grad, weights)]
    bound, after = clipping.agc(grad, *views, [False, False, True])
    assert grad[0].tolist() == pytest.approx(
        # ‖g‖ = 5 to 0.01 · 1; 0.005 is less than 0.01; a bias of zeros counts as 1e-3: 0.05 to 1e-5; exempt
        [0.006, 0.008, 0.003, 0.004, 0.6e-5, 0.8e-5, 100.0]
    )
    assert grad[1].tolist() == pytest.approx([v / 1e6 for v in lane])  # 5e-6 is less than 0.01 · 1e-3
    assert bound.tolist() == [True, False]
    torch.testing.assert_close(after, grad.norm(dim=1))


def test_agc_takes_its_options():
    grad, weights = double([3.0, 4.0]), double([0.0, 0.0])
    clipping.agc(grad, [grad.view(1, 1, 2)], [weights.view(1, 1, 2)], [False], clipping=0.5, eps=0.2)
    assert grad[0].tolist() == pytest.approx([0.06, 0.08])  # to 0.5 · 0.2


def test_a_filter_is_one_unit_for_agc():
    grad, weights = torch.ones(1, 2, 3, 4, 4), torch.ones(1, 2, 3, 4, 4)
    weights[0, 1] *= 1000
    clipping.agc(grad.flatten(1), [grad], [weights], [False])
    assert grad[0, 0].flatten().tolist() == pytest.approx([0.01] * 48)
    assert torch.equal(grad[0, 1], torch.ones(3, 4, 4))


@pytest.mark.parametrize("percentile", [0.0, 10.0, 37.5, 50.0, 100.0])
def test_autoclip_is_numpys_percentile_of_all_norms_so_far(percentile):
    generator = torch.Generator().manual_seed(0)
    steps = torch.rand(12, 3, 4, generator=generator, dtype=torch.float64)
    steps[5, 1] = 0  # a gradient of zero is a norm as well
    memory, seen = torch.full((3, 12), torch.nan, dtype=torch.float64), []
    for grad in steps:
        norms = grad.norm(dim=1)
        seen.append(norms.numpy())
        limits = np.percentile(np.stack(seen), percentile, axis=0)
        expected = [by_torch_norm(g, limit) for g, limit in zip(grad, limits, strict=True)]
        clipped = grad.clone()
        bound, after = clipping.autoclip(clipped, norms, memory, percentile=percentile)
        torch.testing.assert_close(clipped, torch.stack(expected), rtol=1e-12, atol=0)
        torch.testing.assert_close(after, clipped.norm(dim=1), rtol=1e-12, atol=0)
        assert torch.equal(bound, (clipped != grad).any(1))
    assert torch.equal(memory, steps.norm(dim=2).T.sort(1).values)


def by_torch_norm(grad, limit):
    """As the authors have it; a gradient that is exactly as long as the limit stays."""
    return grad * (limit / (grad.norm() + 1e-6)) if grad.norm() > limit else grad


def test_autoclip_worked_by_hand():
    memory, found = torch.full((1, 4), torch.nan, dtype=torch.float64), []
    for length in (4.0, 2.0, 8.0, 1.0):
        grad = double([length, 0.0])
        bound, after = clipping.autoclip(grad, grad.norm(dim=1), memory, percentile=50.0)
        found.append((float(grad[0, 0]), bool(bound)))
        assert float(after) == pytest.approx(float(grad[0, 0]))
    # medians: of 4; of 2, 4; of 2, 4, 8; of 1, 2, 4, 8
    assert found == [(4.0, False), (2.0, False), (pytest.approx(4.0), True), (1.0, False)]


def test_a_norm_that_is_not_finite_is_not_remembered_and_disturbs_no_other_lane():
    memory = torch.full((2, 3), torch.nan)
    for norms in ([1.0, torch.nan], [2.0, torch.nan], [3.0, torch.nan]):
        grad = torch.tensor(norms)[:, None].clone()
        clipping.autoclip(grad, grad[:, 0].clone(), memory)
    assert memory[0].tolist() == [1.0, 2.0, 3.0]
    assert float(grad[0]) == pytest.approx(1.2)
    assert memory[1].isnan().all()
