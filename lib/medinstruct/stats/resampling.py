"""Intervals by resampling items, all rounds at once as one matrix product; entropy; the t quantile."""

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

NONE = (float("nan"), float("nan"))


def bootstrap_interval(
    values: np.ndarray, *, seed: int = 42, rounds: int = 2000, level: float = 0.95, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """The bootstrap interval of a mean over items (weighted where `weights` are given); (nan, nan) where there are none.

    >>> low, high = bootstrap_interval([0, 1] * 50)
    >>> 0.38 < low < 0.42 and 0.58 < high < 0.62
    True
    """
    values = np.asarray(values, dtype=float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    return bootstrap_ratio(values * weights, weights, seed=seed, rounds=rounds, level=level)


def bootstrap_ratio(
    above: np.ndarray, below: np.ndarray, *, seed: int = 42, rounds: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """The interval of sum(above) / sum(below) over items, such as wins over decided items."""
    above, below = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    used = (below != 0) | (above != 0)
    if not used.any():
        return NONE
    with np.errstate(invalid="ignore", divide="ignore"):
        means = resampled(above[used], seed=seed, rounds=rounds) / resampled(below[used], seed=seed, rounds=rounds)
    return interval(means, n=int(used.sum()), level=level)


def resampled(values: np.ndarray, *, seed: int = 42, rounds: int = 2000) -> np.ndarray:
    """Sums over items of `values` (items, or items x measures) in each round; the same rounds for all of equal length.

    Values of the same items stay paired: two measures resampled with one seed see the same items.
    """
    values = np.asarray(values, dtype=float)
    return _counts(len(values), rounds, seed) @ values


def interval(samples: np.ndarray, *, n: int, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of resampled values, widened for small n as Hesterberg (2015) advises ("expanded percentiles")."""
    samples = samples[np.isfinite(samples)]
    if not len(samples):
        return NONE
    tail = (1 - level) / 2
    if n > 1:
        tail = _normal_share(-math.sqrt(n / (n - 1)) * t_quantile(1 - tail, n - 1))
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def entropy(counts: Iterable[float]) -> float:
    """Shannon entropy in bits of a distribution given by counts.

    >>> entropy([5, 5]), entropy([3])
    (1.0, 0.0)
    """
    share = np.array([count for count in counts if count > 0], dtype=float)
    share /= share.sum() or 1
    return float(abs((share * np.log2(share)).sum()))


@lru_cache(maxsize=1000)
def t_quantile(share: float, freedom: int) -> float:
    """The quantile of Student's t distribution.

    >>> round(t_quantile(0.975, 10), 3)
    2.228
    """
    from scipy.stats import t

    return float(t.ppf(share, freedom))


def _normal_share(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


@lru_cache(maxsize=2)
def _counts(n: int, rounds: int, seed: int) -> np.ndarray:
    """How often each of n items is drawn in each round."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=rounds).astype(np.float64)
