"""Sparsifiers send exactly what they say; with error feedback nothing is lost, only late."""

import pytest
import torch

from explorer.engine.pruning.masking import keep_highest
from explorer.methods.gradient_sparsification import threshold, top_k

NOTHING = torch.zeros(0)


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_top_k_worked_by_hand_with_ties():
    """Four of eight stay; where the size is the same, the lowest index falls first."""
    grad = double([1.0, -3.0, 2.0, 2.0, 5.0, -2.0, 0.0, 2.0], [1.0] * 8, [0.0] * 8)
    bound, after = top_k(grad, NOTHING, k=0.5)
    assert grad.tolist() == [[0, -3.0, 0, 0, 5.0, -2.0, 0, 2.0], [0] * 4 + [1.0] * 4, [0] * 8]
    assert bound.tolist() == [True, True, False]
    assert after.tolist() == pytest.approx([42**0.5, 2.0, 0.0])


@pytest.mark.parametrize("k", [0.001, 0.0149, 0.1, 0.25, 0.5, 0.999, 1.0])
def test_top_k_keeps_exactly_its_share_as_masking_does(k):
    generator = torch.Generator().manual_seed(0)
    grad = torch.randint(-5, 6, (4, 200), generator=generator).double()  # ties everywhere
    grad[2] = torch.randn(200, generator=generator, dtype=torch.float64)
    before, falls = grad.clone(), 200 - round(k * 200)
    bound, after = top_k(grad, NOTHING, k=k)
    for row, old in zip(grad, before, strict=True):
        assert torch.equal(row, old * keep_highest(old.abs(), falls))
    assert int(grad[2].count_nonzero()) == round(k * 200)
    assert torch.equal(bound, (grad != before).any(1))
    torch.testing.assert_close(after, grad.norm(dim=1))


def parts(grad, sizes=(4, 2)):
    return list(torch.split(grad, list(sizes), 1))


def test_an_absolute_threshold_worked_by_hand():
    grad = double([0.5, -0.5, 0.25, -0.75, 0.0, 0.4999])
    bound, after = threshold(grad, parts(grad), None, NOTHING, tau=0.5)
    assert grad.tolist() == [[0.5, -0.5, 0, -0.75, 0, 0]]
    assert (bound.tolist(), after.tolist()) == ([True], pytest.approx([1.0625**0.5]))
    bound, _ = threshold(grad, parts(grad), None, NOTHING, tau=0.5)
    assert bound.tolist() == [False]  # only zeros are below it now


def test_a_rate_is_a_share_of_the_mean_size_of_each_tensor():
    grad = double([1.0, -2.0, 3.0, -6.0, 0.1, 0.3])  # means 3 and 0.2
    bound, _ = threshold(grad, parts(grad), None, NOTHING, rate=1.0)
    assert grad.tolist() == [[0, 0, 3.0, -6.0, 0, 0.3]]
    assert bound.tolist() == [True]


def test_pruned_weights_do_not_count_in_the_mean():
    lane, mask = [1.0, -2.0, 0.0, 0.0, 0.1, 0.3], double([1, 1, 0, 0, 1, 1], [1] * 6)
    grad = double(lane, lane)
    threshold(grad, parts(grad), mask, NOTHING, rate=1.0)  # means 1.5 and 0.75 for the first tensor
    assert grad.tolist() == [[0, -2.0, 0, 0, 0, 0.3], [1.0, -2.0, 0, 0, 0, 0.3]]


def test_a_tensor_that_is_pruned_altogether_sends_nothing():
    grad, mask = double([0.0, 0.0, 0.0, 0.0, 1.0, 3.0]), double([0, 0, 0, 0, 1, 1])
    threshold(grad, parts(grad), mask, NOTHING, rate=1.0)
    assert grad.tolist() == [[0, 0, 0, 0, 0, 3.0]]


RULES = {
    "top-k": lambda g, m: top_k(g, m, k=0.25, error_feedback=True),
    "tau": lambda g, m: threshold(g, parts(g, (30, 10)), None, m, tau=1.5, error_feedback=True),
    "rate": lambda g, m: threshold(g, parts(g, (30, 10)), None, m, rate=1.5, error_feedback=True),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_with_error_feedback_what_was_sent_and_the_residual_add_up(rule):
    generator = torch.Generator().manual_seed(0)
    residual = torch.zeros(3, 40, dtype=torch.float64)
    total, sent = residual.clone(), residual.clone()
    for _ in range(20):
        grad = torch.randn(3, 40, generator=generator, dtype=torch.float64)
        total += grad
        due = grad + residual
        rule(grad, residual)
        assert torch.equal(grad + residual, due)  # each entry is either sent or kept, as a whole
        assert not (grad * residual).any()
        sent += grad
    torch.testing.assert_close(sent + residual, total, rtol=0, atol=1e-13)
    assert residual.any()


def test_error_feedback_worked_by_hand():
    """The small entry waits until it has grown to the size of the large one."""
    residual, sent = torch.zeros(1, 2, dtype=torch.float64), []
    for _ in range(4):
        grad = double([2.0, 0.75])
        bound, _ = top_k(grad, residual, k=0.5, error_feedback=True)
        sent.append(grad[0].tolist())
        assert bound.tolist() == [True]
    assert sent == [[2.0, 0.0], [2.0, 0.0], [0.0, 2.25], [4.0, 0.0]]
    assert residual.tolist() == [[0.0, 0.75]]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_lane_is_not_changed_by_its_neighbours(rule):
    generator = torch.Generator().manual_seed(0)
    grad = torch.randn(3, 40, generator=generator, dtype=torch.float64)
    grad[2] = torch.nan
    residual, alone = torch.zeros_like(grad), torch.zeros_like(grad)
    singles = [row.clone()[None] for row in grad]
    rule(grad, residual)
    for i in (0, 1):
        rule(singles[i], alone[i : i + 1])
        assert torch.equal(grad[i], singles[i][0])
        assert torch.equal(residual[i], alone[i])
