"""Statistics: intervals, proportions, paired tests, power, agreement.

Textbook methods are those of scipy and statsmodels, with the field's defaults set.
"""

import math
from collections import namedtuple
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache, partial
from statistics import NormalDist
from typing import Any

import numpy as np
import scipy

NONE = (float("nan"), float("nan"))
LEAST = 10  # items; a smaller sample is shown with its n, without an interval
POWER = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)  # in standard errors
WORST_SPREAD = 0.5  # the largest standard deviation of a score between 0 and 1
Ratings = Sequence[Sequence[Hashable | None]]  # a row a rater, a column a unit; None is no rating


def mean_interval(values: Iterable, *, limits: Sequence = (0, 1)) -> tuple[float, float, float]:
    """Return the mean of independent values with its 95% interval, which always has a width.

    Values of 0 or 1: Wilson's. Others: Student's t, with one pseudo-item at each of the `limits` of
    a value. Its ends are nan under `LEAST` items, and for equal values of unknown limits, ().
    """
    values = np.asarray(list(values), dtype=float)
    mean = float(values.mean()) if len(values) else float("nan")
    if tuple(limits) == (0, 1) and np.isin(values, (0, 1)).all():
        return wilson(values.sum(), len(values))[:3]
    items = np.append(values, limits)
    if len(values) < LEAST or not np.ptp(items):
        return mean, *NONE
    reach = t_quantile(0.975, len(items) - 1) * items.std(ddof=1) / math.sqrt(len(items))
    low, high = np.clip(items.mean() + np.array([-reach, reach]), *limits or (None, None))
    return mean, min(float(low), mean), max(float(high), mean)


def jackknife(rows: Any, statistic: Callable, *, limits=(-1, 1)) -> tuple[float, float, float]:
    """Return a statistic of sums over items (rows) with the interval of its pseudo-values' mean.

    `statistic` takes an array of sums, one row a data set (Tukey 1958).
    """
    rows = np.asarray(rows, dtype=float)
    total, n = rows.sum(axis=0), len(rows)
    with np.errstate(invalid="ignore", divide="ignore"):
        value, *without = statistic(np.vstack([total, total - rows]))
    parts = np.round(n * value - (n - 1) * np.array(without), 9)
    _, low, high = mean_interval(parts[np.isfinite(parts)], limits=limits)
    return float(value), min(low, value), max(high, value)


def share_of_sums(hits: Sequence, sizes: Sequence) -> tuple[float, float, float]:
    """Return sum(hits) / sum(sizes) with its 95% interval; an item's parts are not independent."""
    rows = np.column_stack([hits, sizes]).astype(float)
    return jackknife(rows[rows[:, 1] > 0], lambda sums: sums[:, 0] / sums[:, 1], limits=(0, 1))


@lru_cache(maxsize=1000)
def t_quantile(share: float, freedom: int) -> float:
    """Return a quantile of Student's t distribution."""
    return float(scipy.stats.t.ppf(share, freedom))


def entropy(counts: Iterable[float]) -> float:
    """Return the Shannon entropy of counts, in bits."""
    counts = [count for count in counts if count > 0]
    return float(abs(scipy.stats.entropy(counts, base=2))) if counts else 0.0


class Share(namedtuple("Share", "share low high hits n")):
    """A share of `n` with its Wilson interval; nan if n is 0, ends nan if n is small."""


def wilson(hits: float, n: float, *, least: int = LEAST) -> Share:
    """Return hits / n with its 95% Wilson interval if n >= `least`; counts may be weighted."""
    from statsmodels.stats.proportion import proportion_confint

    share = hits / n if n else float("nan")
    if n < least:
        return Share(share, *NONE, hits, n)
    low, high = proportion_confint(hits, n, method="wilson")  # rounding can exclude 0 and 1
    return Share(share, min(float(low), share), max(float(high), share), hits, n)


def difference(first: Share, second: Share) -> tuple[float, float, float]:
    """Return second - first of independent shares with Newcombe's (1998, method 10) interval."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    change, counts = second.share - first.share, (second.hits, second.n, first.hits, first.n)
    if min(first.n, second.n) < LEAST:
        return change, *NONE
    return change, *confint_proportions_2indep(*counts, compare="diff", method="newcomb")


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p value of McNemar's test from the two kinds of changed pairs."""
    changed = only_first + only_second
    return float(scipy.stats.binomtest(only_first, changed).pvalue) if changed else 1.0


def paired_change(before: Sequence[float], after: Sequence[float]) -> dict[str, float]:
    """Return n, change of the mean with 95% interval, items gained and lost, and p, by item.

    Answers of 0 or 1: McNemar's exact test. Others: Wilcoxon's signed ranks.
    """
    a, b = (np.asarray(values, dtype=float) for values in (before, after))
    gap = b - a
    gained, lost, p = int((gap > 0).sum()), int((gap < 0).sum()), 1.0
    if np.isin([a, b], (0, 1)).all():
        p = mcnemar(lost, gained)
    elif gap.any():
        p = float(scipy.stats.wilcoxon(gap).pvalue)
    is_share = all(((values >= 0) & (values <= 1)).all() for values in (a, b))
    change, low, high = mean_interval(gap, limits=(-1, 1) if is_share else ())
    counts = {"n": len(gap), "gained": gained, "lost": lost, "p": p}
    return counts | {"change": change, "low": low, "high": high}


def sign_flip_test(differences: Sequence[float], *, rounds: int = 9_999, seed: int = 42) -> float:
    """Return p of a paired permutation test, exact to 13 items; differences of 0 are left out."""
    values = np.asarray(differences, dtype=float)
    values = values[np.isfinite(values) & (values != 0)]
    if len(values) < 2:
        return 1.0
    options = {"permutation_type": "samples", "n_resamples": rounds, "vectorized": True}
    return float(scipy.stats.permutation_test((values,), np.mean, **options, rng=seed).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values by Holm's step-down correction, valid for all comparisons together.

    As statsmodels, which collects garbage at each call: half a second beside a loaded model.
    """
    p = np.asarray(p_values, dtype=float)
    order = p.argsort()
    corrected = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return corrected[order.argsort()].tolist()


def minimal_difference(n: int) -> float:
    """Return the smallest true difference that n items show: 80% power, two-sided 5% level."""
    return WORST_SPREAD * POWER / math.sqrt(max(n, 1))


def items_needed(difference: float) -> int:
    """Return how many items show a true difference, with the same power and level."""
    return math.ceil((WORST_SPREAD * POWER / difference) ** 2)


class Agreement(namedtuple("Agreement", "value low high units")):
    """A coefficient (1 full agreement, 0 chance) with its 95% interval over `units` units."""


def cohen_kappa(first: Sequence, second: Sequence) -> Agreement:
    """Return Cohen's kappa of two raters."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    steps = _values(pairs)
    if not pairs or len(steps) < 2:
        return Agreement(float("nan"), *NONE, len(pairs))
    places = [steps.index(a) * len(steps) + steps.index(b) for a, b in pairs]
    kappa = partial(_chance_corrected, distance=1 - np.eye(len(steps)))
    return Agreement(*jackknife(np.eye(len(steps) ** 2)[places], kappa), len(pairs))


def _chance_corrected(sums: np.ndarray, *, distance: np.ndarray, less: int = 0) -> np.ndarray:
    """Return 1 - observed / expected distance of tables of pairs of ratings, one a row of sums."""
    tables = sums.reshape(-1, *distance.shape)
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    observed = (rows.sum(axis=1) - less) * (tables * distance).sum(axis=(1, 2))
    return 1 - observed / np.einsum("rc,rk,ck->r", rows, columns, distance)


def percent_agreement(ratings: Ratings) -> Agreement:
    """Return the share of equal pairs of ratings of a unit, averaged over units."""
    counts = _counts(ratings)
    counts = counts[counts.sum(axis=1) >= 2]
    agreed = _unit_agreement(counts)
    return Agreement(*mean_interval(agreed), len(agreed))


def gwet(ratings: Ratings) -> Agreement:
    """Return Gwet's AC1 of raters (Gwet 2008).

    Unlike kappa it stays near the percent agreement where almost all units have the same value.
    """
    counts = _counts(ratings)
    counts = counts[counts.sum(axis=1) >= 1]
    several, size = counts.sum(axis=1) >= 2, counts.shape[1]
    agreed = _unit_agreement(counts[several])
    if not several.any() or size < 2:  # with one value chance agreement is not defined
        return Agreement(*mean_interval(agreed, limits=(-1, 1)), len(agreed))

    def coefficient(sums: np.ndarray) -> np.ndarray:
        shares = sums[:, 2:] / sums[:, 2:].sum(axis=1, keepdims=True)
        chance = (shares * (1 - shares)).sum(axis=1) / (size - 1)
        return (sums[:, 0] / sums[:, 1] - chance) / (1 - chance)

    rows = np.column_stack([np.zeros(len(counts)), several, counts / counts.sum(axis=1)[:, None]])
    rows[several, 0] = agreed
    return Agreement(*jackknife(rows, coefficient), len(agreed))


def krippendorff_alpha(ratings: Ratings, *, level="nominal") -> Agreement:
    """Return Krippendorff's alpha (2011) of raters on a nominal or ordinal scale."""
    values, counts = _values(ratings), _counts(ratings)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        return Agreement(float("nan"), *NONE, 0)
    ranks = np.cumsum(counts.sum(axis=0)) - counts.sum(axis=0) / 2  # mid-ranks
    gaps = np.subtract.outer(ranks, ranks) if level == "ordinal" else 1 - np.eye(len(values))
    alpha = partial(_chance_corrected, distance=gaps**2, less=1)
    pairs = counts[:, :, None] * (counts[:, None, :] - np.eye(len(values)))
    pairs = (pairs / (counts.sum(axis=1) - 1)[:, None, None]).reshape(len(counts), -1)
    return Agreement(*jackknife(pairs, alpha), len(counts))


def _values(ratings: Ratings) -> list:
    """Return all values that occur, in order; None and nan are gaps."""
    seen = {value for row in ratings for value in row if value is not None and value == value}
    return sorted(seen, key=lambda value: (isinstance(value, str), value))


def _counts(ratings: Ratings) -> np.ndarray:
    """Return units x values: how many raters gave each value."""
    steps, units = _values(ratings), list(zip(*ratings, strict=True))
    counts = [[unit.count(step) for step in steps] for unit in units]
    return np.array(counts, dtype=int).reshape(len(units), len(steps))


def _unit_agreement(counts: np.ndarray) -> np.ndarray:
    raters = counts.sum(axis=1)
    return (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
