"""Shares with their intervals, and the paired test of two shares: what the audits count with."""

from typing import NamedTuple


class Share(NamedTuple):
    """A share of `n` with its 95 % Wilson interval; all nan where n is 0."""

    share: float
    low: float
    high: float
    hits: int
    n: int


def wilson(hits: int, n: int, *, level: float = 0.95) -> Share:
    """The share hits / n with Wilson's interval, which stays inside 0 to 1 and is honest for few and for rare (Wilson 1927).

    >>> [round(value, 3) for value in wilson(0, 20)[:3]]
    [0.0, 0.0, 0.161]
    """
    from scipy.stats import norm

    if not n:
        return Share(*[float("nan")] * 3, hits, 0)
    z, p = float(norm.ppf((1 + level) / 2)), hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return Share(p, max(0.0, middle - half) if hits else 0.0, min(1.0, middle + half) if hits < n else 1.0, hits, n)


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p value of McNemar's test from the pairs that changed one way and the other.

    >>> round(mcnemar(1, 9), 4), mcnemar(0, 0)
    (0.0215, 1.0)
    """
    from scipy.stats import binomtest

    changed = only_first + only_second
    return float(binomtest(only_first, changed).pvalue) if changed else 1.0
