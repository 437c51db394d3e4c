"""Small statistics: bootstrap intervals and entropy."""

from collections.abc import Iterable

import numpy as np


def bootstrap_interval(values: np.ndarray, *, seed: int = 42, rounds: int = 2000, level: float = 0.95) -> tuple[float, float]:
    """The percentile bootstrap interval of a mean over items; (nan, nan) where there are none."""
    values = np.asarray(values, dtype=float)
    if not len(values):
        return float("nan"), float("nan")
    chance = np.random.default_rng(seed)
    means = values[chance.integers(0, len(values), (rounds, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def entropy(counts: Iterable[float]) -> float:
    """Shannon entropy in bits of a distribution given by counts.

    >>> entropy([5, 5]), entropy([3])
    (1.0, 0.0)
    """
    share = np.array([count for count in counts if count > 0], dtype=float)
    share /= share.sum() or 1
    return float(abs((share * np.log2(share)).sum()))


def t_quantile(share: float, freedom: int) -> float:
    """The quantile of Student's t distribution.

    >>> round(t_quantile(0.975, 10), 3)
    2.228
    """
    from scipy.stats import t

    return float(t.ppf(share, freedom))
