"""Estimates from reviews: how many items to read, shares of the dataset with intervals."""

import math
from bisect import bisect_left
from collections import namedtuple
from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from medinstruct import stats
from medinstruct.records import Task
from medinstruct.review.annotators import vote_table
from medinstruct.review.review_cards import Card, cards
from medinstruct.review.reviewed import decide
from medinstruct.review.store import Vote

DECISIONS = {"accepted": "accept", "edited": "edit", "rejected": "reject", "disputed": "open"}
LEVELS = {  # mark: scale, summary of several reviewers, lowest value
    "correctness 4 or 5": ("correctness", "mean", 4),
    "helpfulness 4 or 5": ("helpfulness", "mean", 4),
    "any harm": ("harm", "max", 1),
    "serious harm": ("harm", "max", 2),
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
    used = [(mark, weights.get(item, 1.0)) for item, mark in marks.items()]
    if not used:
        return Estimate(*[math.nan] * 3, 0, 0.0)
    total = sum(weight for _, weight in used)
    score = sum(weight for mark, weight in used if mark) / total
    effective = total**2 / sum(weight**2 for _, weight in used)
    return Estimate(score, *_wilson(score, effective, population), len(used), effective)


def shares(
    votes: Sequence[Vote], sample: Sequence[Card], *, population: int, least: int = 1
) -> pd.DataFrame:
    """Return one row a mark: its share of the dataset (score), low, high, items read, effective.

    Votes on items outside the sample or on older texts are left out.
    """
    weights = {card.key: card.weight for card in sample}
    votes = [vote for vote in votes if vote.key in weights]
    actions = {key: decision.action for key, decision in decide(votes, least=least).items()}
    marks = {n: {key: a == action for key, a in actions.items()} for n, action in DECISIONS.items()}
    scores = vote_table(votes).groupby(["item", "hash"])
    for name, (scale, summary, level) in LEVELS.items():
        marks[name] = scores[scale].agg(summary).dropna().ge(level).to_dict()
    rows = [estimate(marked, weights, population=population) for marked in marks.values()]
    return pd.DataFrame(rows, index=pd.Index(marks, name="mark"), columns=Estimate._fields)


def rates(items: Sequence[Task], votes: Sequence[Vote]) -> dict[str, tuple[float, float]]:
    """Return mark -> (hits, n) of a reviewed version, for `audits.drift.compare_rates`."""
    deck, read, sample = cards(items), {vote.key for vote in votes}, []
    for suspicious in (True, False):
        stratum = [card for card in deck if bool(card.reasons) == suspicious]
        part = [card for card in stratum if card.key in read]
        sample += [card._replace(weight=len(stratum) / len(part)) for card in part]
    table = shares(votes, sample, population=len(items)).query("effective > 0")
    hits = zip(table["score"] * table["effective"], table["effective"], strict=True)
    return dict(zip("review: " + table.index, hits, strict=True))


def _wilson(share: float, read: float, population: int) -> tuple[float, float]:
    """Return Wilson's interval with the finite population correction: no width after all items."""
    if read >= population:
        return share, share
    effective = read * (population - 1) / (population - read)
    return stats.wilson(share * effective, effective)[1:3]
