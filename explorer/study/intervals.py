"""Intervals in which an accuracy lies: over the images that it was counted on, and over seeds."""

from math import sqrt

CONFIDENCE = 0.95


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of n images; a mean over runs need not be a whole number of them.

    Formula: (p + z²/2n ± z √(p (1 − p)/n + z²/4n²)) / (1 + z²/n)
    Reference: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    from scipy.special import ndtri  # noqa: PLC0415  0.15 s; scipy.stats would take 0.6 s

    z = float(ndtri((1 + CONFIDENCE) / 2)) ** 2 / n
    middle = share + z / 2
    half = sqrt(z * share * (1 - share) + z * z / 4)
    return (middle - half) / (1 + z), (middle + half) / (1 + z)


def t_interval(mean: float, sd: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a mean over n seeds, two or more, with this standard deviation.

    Formula: m ± t s/√n, t the quantile of Student's distribution with n − 1 degrees of freedom
    Reference: Student 1908, https://doi.org/10.1093/biomet/6.1.1
    """
    from scipy.special import stdtrit  # noqa: PLC0415

    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * sd / sqrt(n)
    return mean - half, mean + half
