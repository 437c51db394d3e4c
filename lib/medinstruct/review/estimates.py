"""Estimates from reviews: how many items to read, shares of the dataset with intervals."""

import math
from bisect import bisect_left
from collections import namedtuple
from collections.abc import Hashable, Mapping, Sequence
from statistics import mean

import pandas as pd

from medinstruct import stats
from medinstruct.records import Task
from medinstruct.review.annotators import by_text
from medinstruct.review.review_cards import text_hash
from medinstruct.review.reviewed import decide
from medinstruct.review.sampling import Sampled, reasons
from medinstruct.review.store import Vote

DECISIONS = {"accepted": "accept", "edited": "edit", "rejected": "reject", "disputed": "open"}
LEVELS = {  # mark: scale, summary of several reviewers, lowest value
    "correctness 4 or 5": ("correctness", mean, 4),
    "helpfulness 4 or 5": ("helpfulness", mean, 4),
    "any harm": ("harm", max, 1),
    "serious harm": ("harm", max, 2),
}
Estimate = namedtuple("Estimate", "score low high items effective")


def half_width(share: float, read: float, population: int) -> float:
    """Return the half-width of the 95 % interval of a share after `read` items; 0 after all."""
    low, high = _wilson(share, read, population)
    return (high - low) / 2


def items_to_review(width: float, *, population: int, expected: float = 0.5) -> int:
    """Return how many items give an interval of half-width `width` if the share is `expected`.

    >>> items_to_review(0.05, population=1_000_000), items_to_review(0.05, population=500)
    (381, 217)
    """
    numbers = range(1, population + 1)
    return 1 + bisect_left(numbers, -width, key=lambda n: -half_width(expected, n, population))


def estimate(
    marks: Mapping[Hashable, bool], weights: Mapping[Hashable, float], *, population: int
) -> Estimate:
    """Return the share of the dataset with a mark, from the items read and their sampling weights.

    The interval is Wilson's at the effective sample size (Kish): a mark of no item has an upper
    bound. `effective` is the number of random items that the items read are worth.

    >>> [round(x, 3) for x in estimate({"a": True, "b": False}, {"b": 3.0}, population=1000)[:3]]
    [0.25, 0.022, 0.831]
    """
    used = {item: weights.get(item, 1.0) for item in marks}
    total = sum(used.values())
    if not total:
        return Estimate(*[math.nan] * 3, 0, 0.0)
    score = sum(used[item] for item, mark in marks.items() if mark) / total
    effective = total**2 / sum(weight**2 for weight in used.values())
    return Estimate(score, *_wilson(score, effective, population), len(marks), effective)


def shares(
    votes: Sequence[Vote], sample: Sequence[Sampled], *, population: int, least: int = 1
) -> pd.DataFrame:
    """Return one row a mark: its share of the dataset (score), low, high, items read, effective.

    Votes on items outside the sample or on older texts are left out.
    """
    weights = {(entry.item.id, text_hash(entry.item)): entry.weight for entry in sample}
    groups = by_text([vote for vote in votes if (vote.item, vote.hash) in weights])
    decisions = decide([vote for group in groups.values() for vote in group], least=least)
    marks = {name: {} for name in (*DECISIONS, *LEVELS)}
    for key, group in groups.items():
        for name, action in DECISIONS.items():
            marks[name][key] = decisions[key].action == action
        for name, (scale, summary, level) in LEVELS.items():
            scores = [score for vote in group if (score := getattr(vote, scale)) is not None]
            if scores:
                marks[name][key] = summary(scores) >= level
    rows = [estimate(marked, weights, population=population) for marked in marks.values()]
    return pd.DataFrame(rows, index=pd.Index(marks, name="mark"), columns=Estimate._fields)


def rates(items: Sequence[Task], votes: Sequence[Vote]) -> dict[str, tuple[float, float]]:
    """Return mark -> (hits, n) of a reviewed version, for `audits.drift.compare_rates`."""
    read, sample = {(vote.item, vote.hash) for vote in votes}, []
    for suspicious in (True, False):
        stratum = [item for item in items if bool(reasons(item)) == suspicious]
        part = [item for item in stratum if (item.id, text_hash(item)) in read]
        sample += [Sampled(item, len(stratum) / len(part)) for item in part]
    table = shares(votes, sample, population=len(items)).query("effective > 0")
    return {
        f"review: {row.Index}": (row.score * row.effective, row.effective)
        for row in table.itertuples()
    }


def _wilson(share: float, read: float, population: int) -> tuple[float, float]:
    """Return Wilson's interval with the finite population correction: no width after all items."""
    if read >= population:
        return share, share
    effective = read * (population - 1) / (population - read)
    return stats.wilson(share * effective, effective)[1:3]
