"""Whether a difference on the same items is more than chance, which difference could be seen at all, and Holm's correction."""

import math
from collections.abc import Sequence

import numpy as np

WORST_SPREAD = 0.5  # standard deviation of a score of 0 or 1 at parity: no item score between 0 and 1 varies more


def sign_flip_test(differences: Sequence[float], *, rounds: int = 10_000, seed: int = 42) -> float:
    """The two-sided p value of a paired permutation test: how often random signs give a mean as far from 0 as the one found.

    >>> sign_flip_test([1.0] * 12) < 0.01, sign_flip_test([0.0, 0.0])
    (True, 1.0)
    """
    values = np.asarray([value for value in differences if value], dtype=float)  # what is 0 or nan changes no sum
    values = values[np.isfinite(values)]
    if not len(values):
        return 1.0
    if len(values) <= 12:
        signs = 1 - 2 * ((np.arange(2 ** len(values))[:, None] >> np.arange(len(values))) & 1)
        return float(np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-9))
    signs = np.random.default_rng(seed).choice(np.array([-1.0, 1.0]), size=(rounds, len(values)))
    return float((1 + np.sum(np.abs(signs @ values) >= abs(values.sum()) - 1e-9)) / (rounds + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p values that hold for all comparisons together.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    stepped = np.maximum.accumulate(np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1))
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(stepped, 1)
    return corrected.tolist()


def minimal_difference(
    n: int, *, spread: float = WORST_SPREAD, power: float = 0.8, alpha: float = 0.05, comparisons: int = 1
) -> float:
    """The smallest true difference that n items show with this power, at two-sided `alpha` shared by so many comparisons.

    `spread` is the standard deviation of an item's score (or of a paired difference).

    >>> round(minimal_difference(216), 3)
    0.095
    """
    return _reach(power, alpha / comparisons) * spread / math.sqrt(max(n, 1))


def items_needed(
    difference: float, *, spread: float = WORST_SPREAD, power: float = 0.8, alpha: float = 0.05, comparisons: int = 1
) -> int:
    """How many items show a true difference with this power.

    >>> items_needed(0.05)
    785
    """
    return math.ceil((_reach(power, alpha / comparisons) * spread / difference) ** 2)


def _reach(power: float, alpha: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(1 - alpha / 2) + norm.ppf(power))
