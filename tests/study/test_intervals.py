"""Intervals: worked by hand, and beside those of scipy.stats."""

from statistics import fmean, stdev

import pytest
from scipy import stats

from explorer.study.intervals import t_interval, wilson_interval


def test_the_wilson_interval_by_hand():
    assert wilson_interval(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    low, high = wilson_interval(1.0, 100)
    assert (low, high) == pytest.approx((0.9630, 1.0), abs=1e-4)
    assert wilson_interval(0.0, 100)[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (97, 100), (9712, 10_000)])
def test_whole_numbers_of_images_have_the_interval_of_scipy(right, n):
    interval = stats.binomtest(right, n).proportion_ci(0.95, "wilson")
    assert wilson_interval(right / n, n) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_a_mean_over_seeds_need_not_be_a_whole_number_of_images():
    low, high = wilson_interval(0.9715, 100)
    assert wilson_interval(0.97, 100)[0] < low < 0.9715 < high < wilson_interval(0.98, 100)[1]


def test_the_interval_of_a_mean_by_hand():
    low, high = t_interval(0.97, 0.01 * 2**0.5, 2)  # t with one degree of freedom is 12.706
    assert (low, high) == pytest.approx((0.97 - 0.12706, 0.97 + 0.12706), abs=1e-5)


def test_the_interval_of_a_mean_is_that_of_scipy():
    values = [0.971, 0.968, 0.975, 0.970, 0.966]
    expected = stats.t.interval(0.95, len(values) - 1, loc=stats.tmean(values), scale=stats.sem(values))
    assert t_interval(fmean(values), stdev(values), len(values)) == pytest.approx(expected, abs=1e-12)


def test_equal_values_leave_no_doubt():
    assert t_interval(0.9, 0.0, 3) == pytest.approx((0.9, 0.9))
