"""Small statistics for all chapters: intervals by resampling, agreement, paired tests, power, few human labels with many others."""

import math
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

NONE = (float("nan"), float("nan"))


def bootstrap_interval(
    values: np.ndarray,
    *,
    seed: int = 42,
    rounds: int = 2000,
    level: float = 0.95,
    weights: np.ndarray | None = None,
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
        means = resampled(above[used], seed=seed, rounds=rounds) / resampled(
            below[used], seed=seed, rounds=rounds
        )
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
    return (
        np.random.default_rng(seed)
        .multinomial(n, np.full(n, 1 / n), size=rounds)
        .astype(np.float64)
    )


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
    return Share(
        p,
        max(0.0, middle - half) if hits else 0.0,
        min(1.0, middle + half) if hits < n else 1.0,
        hits,
        n,
    )


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


WORST_SPREAD = 0.5  # standard deviation of a score of 0 or 1 at parity: no item score between 0 and 1 varies more


def sign_flip_test(differences: Sequence[float], *, rounds: int = 10_000, seed: int = 42) -> float:
    """The two-sided p value of a paired permutation test: how often random signs give a mean as far from 0 as the one found.

    >>> sign_flip_test([1.0] * 12) < 0.01, sign_flip_test([0.0, 0.0])
    (True, 1.0)
    """
    values = np.asarray(
        [value for value in differences if value], dtype=float
    )  # what is 0 or nan changes no sum
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
    stepped = np.maximum.accumulate(
        np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    )
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(stepped, 1)
    return corrected.tolist()


def minimal_difference(
    n: int,
    *,
    spread: float = WORST_SPREAD,
    power: float = 0.8,
    alpha: float = 0.05,
    comparisons: int = 1,
) -> float:
    """The smallest true difference that n items show with this power, at two-sided `alpha` shared by so many comparisons.

    `spread` is the standard deviation of an item's score (or of a paired difference).

    >>> round(minimal_difference(216), 3)
    0.095
    """
    return _reach(power, alpha / comparisons) * spread / math.sqrt(max(n, 1))


def items_needed(
    difference: float,
    *,
    spread: float = WORST_SPREAD,
    power: float = 0.8,
    alpha: float = 0.05,
    comparisons: int = 1,
) -> int:
    """How many items show a true difference with this power.

    >>> items_needed(0.05)
    785
    """
    return math.ceil((_reach(power, alpha / comparisons) * spread / difference) ** 2)


def _reach(power: float, alpha: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(1 - alpha / 2) + norm.ppf(power))


class Agreement(NamedTuple):
    """A coefficient (1 full agreement, 0 chance) with its bootstrap interval over units, and how many units it stands on."""

    value: float
    low: float
    high: float
    units: int


def cohen_kappa(
    first: Sequence[Hashable | None],
    second: Sequence[Hashable | None],
    *,
    seed: int = 42,
    rounds: int = 2000,
) -> Agreement:
    """Cohen's kappa of two raters over units that both have rated; None is no rating.

    >>> cohen_kappa(["y"] * 25 + ["n"] * 25, ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15).value
    0.4
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if not pairs:
        return Agreement(*[float("nan")] * 3, 0)
    code = {
        value: n for n, value in enumerate(dict.fromkeys(value for pair in pairs for value in pair))
    }
    a, b = (np.eye(len(code))[[code[pair[side]] for pair in pairs]] for side in (0, 1))
    counted = np.hstack([(a * b).sum(axis=1, keepdims=True), a, b])
    found = _kappa(counted.sum(axis=0, keepdims=True), len(pairs), len(code))[0]
    low, high = interval(
        _kappa(resampled(counted, seed=seed, rounds=rounds), len(pairs), len(code)), n=len(pairs)
    )
    return Agreement(round(float(found), 12), low, high, len(pairs))


def krippendorff_alpha(
    ratings: Sequence[Sequence[Hashable | None]],
    *,
    level: str = "nominal",
    seed: int = 42,
    rounds: int = 2000,
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
    pairs = (
        counts[:, :, None]
        * (counts[:, None, :] - np.eye(len(values)))
        / (counts.sum(axis=1) - 1)[:, None, None]
    )
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
        middle = (
            np.cumsum(margins) - margins / 2
        )  # the mid-rank: what lies between two values counts, and half of each
        return (middle[:, None] - middle[None, :]) ** 2
    numbers = np.array(values, dtype=float)
    gap = numbers[:, None] - numbers[None, :]
    if level == "interval":
        return gap**2
    if level == "ratio":
        both = numbers[:, None] + numbers[None, :]
        return np.divide(gap, both, out=np.zeros_like(gap), where=both != 0) ** 2
    raise ValueError(f"level must be nominal, ordinal, interval or ratio, not {level!r}")


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
    weight = (
        float(np.clip(np.cov(y, f)[0, 1] / spread / (1 + n / many), 0, 1))
        if spread and many
        else 0.0
    )
    value = float(np.mean(y - weight * f) + (weight * np.mean(rest) if many else 0))
    # One more item of each kind (human and judge 0 or 1) for the spread alone, as Agresti and Coull add four: errors may be rare.
    gaps = np.concatenate([y - weight * f, [0.0, 1.0, -weight, 1.0 - weight]])
    error = math.sqrt(
        np.var(gaps, ddof=1) / n + (weight**2 * np.var(rest, ddof=1) / many if many > 1 else 0)
    )
    alone, mean, t = (
        math.sqrt(np.var(y, ddof=1) / n),
        float(np.mean(y)),
        t_quantile((1 + level) / 2, n - 1),
    )
    worth = n * (alone / error) ** 2 if error else float("nan")
    return Calibrated(
        value,
        value - t * error,
        value + t * error,
        mean,
        mean - t * alone,
        mean + t * alone,
        weight,
        n,
        worth,
    )


Ratings = Sequence[Sequence[Hashable | None]]  # a row a rater, a column a unit; None is no rating


def percent_agreement(ratings: Ratings, *, seed: int = 42) -> Agreement:
    """Return the share of equal pairs of ratings of a unit, averaged over units.

    >>> percent_agreement([["y", "y", "n"], ["y", "n", "n"]]).value.__round__(3)
    0.667
    """
    counts = _rating_counts(ratings)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        return Agreement(*[float("nan")] * 3, 0)
    agreed = _unit_agreement(counts, np.eye(counts.shape[1]))
    return Agreement(float(agreed.mean()), *bootstrap_interval(agreed, seed=seed), len(agreed))


def gwet(
    ratings: Ratings, *, weights: str = "identity", values: Sequence = (), seed: int = 42
) -> Agreement:
    """Return Gwet's AC1 (identity weights) or AC2 (linear, quadratic) of raters (Gwet 2008).

    Unlike kappa it stays near the percent agreement where almost all units have the same value.
    `values` are the steps of the scale in order, also those that no rater used.

    >>> both = [["+"] * 118 + ["+"] * 5 + ["-"] * 2, ["+"] * 118 + ["-"] * 5 + ["+"] * 2]
    >>> round(gwet(both).value, 4), round(cohen_kappa(*both).value, 4)
    (0.9408, -0.0234)
    """
    counts = _rating_counts(ratings, values)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rated, several = counts.sum(axis=1) >= 1, counts.sum(axis=1) >= 2
    size, weight = counts.shape[1], _rating_weights(counts.shape[1], weights)
    if not several.any() or size < 2:  # with one value chance agreement is not defined
        return Agreement(*[1.0 if several.any() else float("nan")] * 3, int(several.sum()))

    def coefficient(agreed: np.ndarray, shares: np.ndarray) -> np.ndarray:
        chance = weight.sum() / (size * (size - 1)) * (shares * (1 - shares)).sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (agreed - chance) / (1 - chance)

    agreed = _unit_agreement(counts[several], weight)
    draws = resampled(np.column_stack([agreed, shares[several]]), seed=seed) / len(agreed)
    bounds = interval(coefficient(draws[:, 0], draws[:, 1:]), n=len(agreed))
    value = coefficient(agreed.mean(), shares[rated].mean(axis=0))
    return Agreement(float(value), *bounds, len(agreed))


def weighted_kappa(
    first: Sequence, second: Sequence, *, weights: str = "quadratic", values: Sequence = ()
) -> Agreement:
    """Return Cohen's weighted kappa of two raters on an ordered scale (asymptotic interval)."""
    from statsmodels.stats.inter_rater import cohens_kappa

    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    steps = list(values) or sorted({value for pair in pairs for value in pair})
    if not pairs or len(steps) < 2:
        return Agreement(*[float("nan")] * 3, len(pairs))
    table = np.zeros((len(steps), len(steps)))
    for a, b in pairs:
        table[steps.index(a), steps.index(b)] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa = cohens_kappa(table, weights=1 - _rating_weights(len(steps), weights))
    bounds = np.clip([kappa.kappa_low, kappa.kappa_upp], -1, 1)
    return Agreement(float(kappa.kappa), *map(float, bounds), len(pairs))


def _rating_weights(number: int, kind: str) -> np.ndarray:
    """Return how much two steps of a scale agree: identity, linear or quadratic."""
    gap = np.abs(np.subtract.outer(np.arange(number), np.arange(number))) / max(number - 1, 1)
    return {"identity": (gap == 0) * 1.0, "linear": 1 - gap, "quadratic": 1 - gap**2}[kind]


def _rating_counts(ratings: Ratings, values: Sequence = ()) -> np.ndarray:
    """Return units x values: how many raters gave each value."""
    steps, units = list(values) or _values(ratings), list(zip(*ratings, strict=True))
    counts = [[unit.count(step) for step in steps] for unit in units]
    return np.array(counts, dtype=int).reshape(len(units), len(steps))


def _unit_agreement(counts: np.ndarray, weight: np.ndarray) -> np.ndarray:
    raters = counts.sum(axis=1)
    return (counts * (counts @ weight - 1)).sum(axis=1) / (raters * (raters - 1))
