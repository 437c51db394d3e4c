"""Shares with their intervals, and the paired test of two shares: what the audits count with."""

from collections.abc import Sequence
from typing import NamedTuple


class Share(NamedTuple):
    """A share of `n` with its 95 % Wilson interval; all nan where n is 0. A weighted sample may count less than whole items."""

    share: float
    low: float
    high: float
    hits: float
    n: float


def wilson(hits: float, n: float, *, level: float = 0.95) -> Share:
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


def paired_interval(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the change of a share between two answers to the same questions, each 0 or 1 (Newcombe 1998, method 10).

    Unlike a bootstrap it has a width where no answer has changed.

    >>> [round(x, 3) for x in paired_interval([0] * 60, [0] * 60)], [round(x, 3) for x in paired_interval([0, 1] * 30, [1, 1] * 30)]
    ([-0.06, 0.06], [0.363, 0.623])
    """
    n = len(before)
    if not n:
        return float("nan"), float("nan")
    both = sum(bool(a and b) for a, b in zip(before, after, strict=True))
    old, new = wilson(int(sum(before)), n), wilson(int(sum(after)), n)
    margins = new.hits * (n - new.hits) * old.hits * (n - old.hits)
    joint = both * (n - new.hits - old.hits + both) - (new.hits - both) * (old.hits - both)
    phi = (max(joint - n / 2, 0) if joint > 0 else joint) / margins**0.5 if margins else 0.0
    down, up = (
        _squared(new.share - new.low, old.high - old.share, phi),
        _squared(new.high - new.share, old.share - old.low, phi),
    )
    return new.share - old.share - down, new.share - old.share + up


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p value of McNemar's test from the pairs that changed one way and the other.

    >>> round(mcnemar(1, 9), 4), mcnemar(0, 0)
    (0.0215, 1.0)
    """
    from scipy.stats import binomtest

    changed = only_first + only_second
    return float(binomtest(only_first, changed).pvalue) if changed else 1.0


def _squared(first: float, second: float, phi: float) -> float:
    return max(first**2 - 2 * phi * first * second + second**2, 0.0) ** 0.5
