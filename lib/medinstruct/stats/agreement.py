"""Agreement of raters, human or judge, beyond chance: Cohen's kappa for two, Krippendorff's alpha for any number with gaps."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from medinstruct.stats.resampling import interval, resampled


class Agreement(NamedTuple):
    """A coefficient (1 full agreement, 0 chance) with its bootstrap interval over units, and how many units it stands on."""

    value: float
    low: float
    high: float
    units: int


def cohen_kappa(
    first: Sequence[Hashable | None], second: Sequence[Hashable | None], *, seed: int = 42, rounds: int = 2000
) -> Agreement:
    """Cohen's kappa of two raters over units that both have rated; None is no rating.

    >>> cohen_kappa(["y"] * 25 + ["n"] * 25, ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15).value
    0.4
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if not pairs:
        return Agreement(*[float("nan")] * 3, 0)
    code = {value: n for n, value in enumerate(dict.fromkeys(value for pair in pairs for value in pair))}
    a, b = (np.eye(len(code))[[code[pair[side]] for pair in pairs]] for side in (0, 1))
    counted = np.hstack([(a * b).sum(axis=1, keepdims=True), a, b])
    found = _kappa(counted.sum(axis=0, keepdims=True), len(pairs), len(code))[0]
    low, high = interval(_kappa(resampled(counted, seed=seed, rounds=rounds), len(pairs), len(code)), n=len(pairs))
    return Agreement(round(float(found), 12), low, high, len(pairs))


def krippendorff_alpha(
    ratings: Sequence[Sequence[Hashable | None]], *, level: str = "nominal", seed: int = 42, rounds: int = 2000
) -> Agreement:
    """Krippendorff's alpha of raters (rows) over units (columns); None or nan is no rating.

    `level` is nominal, ordinal, interval or ratio. After Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability".

    >>> round(krippendorff_alpha([[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]).value, 3)
    0.095
    """
    values = _values(ratings)
    code = {value: n for n, value in enumerate(values)}
    counts = np.zeros((len(ratings[0]) if ratings else 0, len(values)))
    for row in ratings:
        for unit, value in enumerate(row):
            if value in code:
                counts[unit, code[value]] += 1
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        return Agreement(*[float("nan")] * 3, 0)
    distance = _distance(values, counts.sum(axis=0), level)
    pairs = counts[:, :, None] * (counts[:, None, :] - np.eye(len(values))) / (counts.sum(axis=1) - 1)[:, None, None]
    flat = pairs.reshape(len(counts), -1)
    found = _alpha(flat.sum(axis=0, keepdims=True), distance)[0]
    low, high = interval(_alpha(resampled(flat, seed=seed, rounds=rounds), distance), n=len(counts))
    return Agreement(float(found), low, high, len(counts))


def _kappa(sums: np.ndarray, n: int, codes: int) -> np.ndarray:
    """Kappa from rows of (agreements, counts of the first rater, counts of the second)."""
    seen = sums[:, 0] / n
    chance = (sums[:, 1 : codes + 1] * sums[:, codes + 1 :]).sum(axis=1) / n**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (seen - chance) / (1 - chance)


def _alpha(flat: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Alpha from rows of coincidences (values x values, flattened)."""
    pairs = flat.reshape(-1, *distance.shape)
    margins = pairs.sum(axis=2)
    observed = (pairs * distance).sum(axis=(1, 2))
    expected = np.einsum("rc,rk,ck->r", margins, margins, distance)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (margins.sum(axis=1) - 1) * observed / expected, np.nan)


def _values(ratings: Sequence[Sequence[Hashable | None]]) -> list[Hashable]:
    """All values that occur, in order; a value that is not equal to itself is a gap."""
    seen = {value for row in ratings for value in row if value is not None and value == value}
    return sorted(seen, key=lambda value: (isinstance(value, str), value))


def _distance(values: list[Hashable], margins: np.ndarray, level: str) -> np.ndarray:
    """Squared differences between values, by the level of measurement."""
    if level == "nominal":
        return 1 - np.eye(len(values))
    if level == "ordinal":
        middle = np.cumsum(margins) - margins / 2  # the mid-rank: what lies between two values counts, and half of each
        return (middle[:, None] - middle[None, :]) ** 2
    numbers = np.array(values, dtype=float)
    gap = numbers[:, None] - numbers[None, :]
    if level == "interval":
        return gap**2
    if level == "ratio":
        both = numbers[:, None] + numbers[None, :]
        return np.divide(gap, both, out=np.zeros_like(gap), where=both != 0) ** 2
    raise ValueError(f"level must be nominal, ordinal, interval or ratio, not {level!r}")
