"""How many items people must read for what one wants to say, and what can be said after those that they have read."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from medinstruct import stats

SECONDS = 60.0  # what one item takes until it has been measured


class Estimate(NamedTuple):
    """A share in the whole dataset with its 95 % interval; `items` were read and are worth `effective` of a plain sample."""

    share: float
    low: float
    high: float
    items: int
    effective: float


def items_to_review(
    half_width: float, *, population: int, expected: float = 0.5, effect: float = 1.0
) -> int:
    """How many items give a 95 % interval (Wilson) of this half-width, when the share is about `expected`.

    `effect` is the design effect of a sample that favours some items (1 for none). A small dataset needs fewer: reading all
    of it leaves nothing open.

    >>> items_to_review(0.05, population=1_000_000), items_to_review(0.05, population=500)
    (381, 217)
    """
    low, high = 1, max(population, 1)
    while low < high:
        middle = (low + high) // 2
        effective = _effective(middle / effect, population)
        low, high = (
            (low, middle) if _half(expected, effective) <= half_width else (middle + 1, high)
        )
    return low


def items_to_rule_out(rate: float, *, population: int) -> int:
    """How many items must all be free of a fault before one may say, with 95 % confidence, that fewer than `rate` have it.

    Exact for a dataset of this size (hypergeometric); for a large one it is the "rule of three", 3 / rate.

    >>> items_to_rule_out(0.01, population=1_000_000), items_to_rule_out(0.01, population=200)
    (299, 155)
    """
    faulty = max(math.ceil(rate * population), 1)
    log = 0.0
    for read in range(1, population + 1):
        left = population - read + 1
        if left - faulty <= 0:
            return read
        log += math.log((left - faulty) / left)
        if log <= math.log(0.05):
            return read
    return population


def plan(
    population: int,
    *,
    half_widths: Sequence[float] = (0.1, 0.05, 0.03),
    expected: Sequence[float] = (0.5, 0.8, 0.95),
    rates: Sequence[float] = (0.05, 0.02, 0.01),
    seconds: float = SECONDS,
    effect: float = 1.0,
    reviewers: int = 1,
) -> pd.DataFrame:
    """One row an aim: the items it takes and the hours of all reviewers together, at `seconds` an item."""
    aims = {
        f"{share:.0%} accepted, to ± {100 * half:g} points": items_to_review(
            half, population=population, expected=share, effect=effect
        )
        for share in expected
        for half in half_widths
    }
    aims |= {
        f"fewer than {rate:.0%} harmful, if none is found": items_to_rule_out(
            rate, population=population
        )
        for rate in rates
    }
    frame = pd.DataFrame({"items": aims}).rename_axis("to say")
    frame["of the dataset"] = (frame["items"] / max(population, 1)).map("{:.0%}".format)
    return frame.assign(hours=(frame["items"] * seconds * reviewers / 3600).round(1))


def estimate(
    marks: Mapping[str, bool], weights: Mapping[str, float], *, population: int
) -> Estimate:
    """The share of the dataset that bears a mark, from the items read; `weights` undo that suspicious ones were read more often.

    Wilson's interval at the effective size (Kish), so that a mark that nobody met still has an upper bound.

    >>> [round(x, 3) for x in estimate({"a": True, "b": False}, {"a": 1.0, "b": 3.0}, population=1000)[:3]]
    [0.25, 0.022, 0.831]
    """
    of = {item: weights.get(item, 1.0) for item in marks}
    total, squares = sum(of.values()), sum(weight**2 for weight in of.values())
    if not total:
        return Estimate(*[float("nan")] * 3, 0, 0.0)
    share = sum(of[item] for item, mark in marks.items() if mark) / total
    kish = total**2 / squares
    low, high = _wilson(share, _effective(kish, population))
    return Estimate(share, low, high, len(marks), kish)


def precision_curve(
    population: int,
    *,
    expected: Sequence[float] = (0.5, 0.8, 0.95),
    points: int = 16,
    also: int = 0,
) -> pd.DataFrame:
    """Half-widths of the interval (in percentage points) over the number of items read, one column an expected share.

    `also` is one more number of items that the curve shall have.
    """
    steps = {round(10 * (population / 10) ** (n / (points - 1))) for n in range(points)} | {also}
    numbers = sorted({min(population, n) for n in steps} - {0})
    columns = {
        f"{share:.0%} accepted": [100 * _half(share, _effective(n, population)) for n in numbers]
        for share in expected
    }
    return pd.DataFrame(columns, index=pd.Index(numbers, name="items read"))


def pace(votes: Sequence[Any]) -> float:
    """The median seconds an item took, from the votes that know it; a minute where none does. A pause over 20 minutes is none."""
    known = [vote.seconds for vote in votes if vote.seconds and vote.seconds < 1200]
    return float(pd.Series(known).median()) if known else SECONDS


def _effective(read: float, population: int) -> float:
    """What a sample without replacement is worth: infinite when all is read."""
    return read * (population - 1) / (population - read) if read < population else math.inf


def _half(share: float, n: float) -> float:
    low, high = _wilson(share, n)
    return (high - low) / 2


def _wilson(share: float, n: float) -> tuple[float, float]:
    return (share, share) if math.isinf(n) else stats.wilson(share * n, n)[1:3]
