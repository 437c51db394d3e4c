"""Few labels that are trusted and many that are not: an estimate that uses both and stays honest (prediction-powered inference)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medinstruct.stats.resampling import t_quantile


class Calibrated(NamedTuple):
    """A mean with its 95 % interval; `human_low` and `human_high` bound it by the human labels alone.

    `weight` is how much the other labels count (0 not at all, 1 fully); `worth` is how many human labels alone would give
    an interval as narrow.
    """

    value: float
    low: float
    high: float
    human: float
    human_low: float
    human_high: float
    weight: float
    labels: int
    worth: float


def prediction_powered(
    human: Sequence[float], judged: Sequence[float], others: Sequence[float], *, level: float = 0.95
) -> Calibrated:
    """The mean human label of all items, from `human` labels of some, `judged` labels of the same, and those of all `others`.

    The mean of the judge is corrected by how far it is from the people where both spoke; the weight of the judge is the one
    that makes the interval narrowest, so that a useless judge costs nothing (Angelopoulos et al. 2023, "PPI++").
    """
    y, f, rest = (np.asarray(values, dtype=float) for values in (human, judged, others))
    n, many = len(y), len(rest)
    if n < 3 or n != len(f):
        raise ValueError(f"at least 3 items need both labels, not {n} and {len(f)}")
    spread = np.var(np.concatenate([f, rest]), ddof=1)
    weight = float(np.clip(np.cov(y, f)[0, 1] / spread / (1 + n / many), 0, 1)) if spread and many else 0.0
    value = float(np.mean(y - weight * f) + (weight * np.mean(rest) if many else 0))
    # two degrees of freedom go: the mean, and the weight that was chosen on these very labels
    error = math.sqrt(np.var(y - weight * f, ddof=2) / n + (weight**2 * np.var(rest, ddof=1) / many if many > 1 else 0))
    alone, mean, t = math.sqrt(np.var(y, ddof=1) / n), float(np.mean(y)), t_quantile((1 + level) / 2, n - 1)
    worth = n * (alone / error) ** 2 if error else float("nan")
    return Calibrated(value, value - t * error, value + t * error, mean, mean - t * alone, mean + t * alone, weight, n, worth)
