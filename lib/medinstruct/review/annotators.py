"""Annotators: how far they agree, how many items to read, estimates for the dataset."""

import math
from bisect import bisect_left
from collections import namedtuple
from collections.abc import Mapping, Sequence

import pandas as pd

from medinstruct import paths, stats
from medinstruct.review.review_cards import Card
from medinstruct.review.reviewed import decide
from medinstruct.review.store import SCALES, Vote

Estimate = namedtuple("Estimate", "score low high items")
Summary = namedtuple("Summary", "items counts people reviewers text")


def agreement(votes: Sequence[Vote]) -> pd.DataFrame:
    """Return agreement by question and statistic, over reviewers of one text; kappa for two.

    On the scales a near miss counts less than a far one, by ordinal alpha.
    """
    table, rows = vote_table(votes).query("role == 'reviewer'"), []
    for question in ("decision", *SCALES):
        rated = table.dropna(subset=question)
        wide = rated.pivot(index="reviewer", columns=["kind", "item", "hash"], values=question)
        ratings = wide.astype(object).where(wide.notna(), None).to_numpy().tolist()
        if len(ratings) < 2:
            continue
        values = {"percent": stats.percent_agreement(ratings)}
        if question == "decision":
            values |= {"Cohen's kappa": stats.cohen_kappa(*ratings)} if len(ratings) == 2 else {}
            values["Gwet's AC1"] = stats.gwet(ratings)
        level = "nominal" if question == "decision" else "ordinal"
        values["Krippendorff's alpha"] = stats.krippendorff_alpha(ratings, level=level)
        rows += [(question, name, *row) for name, row in values.items() if row.units]
    return pd.DataFrame(rows, columns=["question", "statistic", "value", "low", "high", "items"])


def half_width(share: float, read: float, population: int) -> float:
    """Return the half-width of the 95% interval of a share after `read` items; 0 after all."""
    low, high = _wilson(share, read, population)
    return (high - low) / 2


def items_to_review(width: float, *, population: int, expected: float = 0.5) -> int:
    """Return how many items give an interval of half-width `width` if the share is `expected`."""
    numbers = range(min(stats.LEAST, population), population + 1)
    place = bisect_left(numbers, -width, key=lambda n: -half_width(expected, n, population))
    return numbers[min(place, len(numbers) - 1)]


def estimate(marks: Mapping, weights: Mapping, *, population: int) -> Estimate:
    """Return the share of the dataset with a mark, from the items read and their sampling weights.

    `marks`: item -> whether it has the mark; `weights`: item -> weight, else 1. The interval is
    Wilson's at the effective sample size (Kish): a mark of no item has an upper bound.
    """
    used = [(mark, weights.get(item, 1.0)) for item, mark in marks.items()]
    if not used:
        return Estimate(*[math.nan] * 3, 0)
    total = sum(weight for _, weight in used)
    score = sum(weight for mark, weight in used if mark) / total
    effective = total**2 / sum(weight**2 for _, weight in used)
    return Estimate(score, *_wilson(score, effective, population), len(used))


def shares(votes: Sequence[Vote], deck: Sequence[Card], *, population, least=1) -> pd.DataFrame:
    """Return one row a mark: its share of the `population` (score), low, high, items read."""
    weights = {card.key: card.weight for card in deck}
    votes = [vote for vote in votes if vote.key in weights]
    actions = pd.Series({key: row.action for key, row in decide(votes, least=least).items()})
    rules = paths.load("review")
    marks = {name: actions.eq(action).to_dict() for name, action in rules["decisions"].items()}
    scores = vote_table(votes).groupby(["item", "hash"])
    for name, (scale, summary, level) in rules["levels"].items():
        marks[name] = scores[scale].agg(summary).dropna().ge(level).to_dict()
    rows = [estimate(marked, weights, population=population) for marked in marks.values()]
    return pd.DataFrame(rows, index=pd.Index(marks, name="mark"), columns=Estimate._fields)


def summary(votes: Sequence[Vote], deck: Sequence[Card]) -> Summary:
    """Return how far a review is: items, counts, reviewers by card and in all, and as a text."""
    keys = {card.key for card in deck}
    decisions = decide([vote for vote in votes if vote.key in keys])
    names = paths.load("review")["outcomes"][deck[0].kind if deck else "dataset"]
    counts = dict.fromkeys(names.values(), 0)
    for decision in decisions.values():
        counts[names[decision.action]] += 1
    counts["unreviewed"] = len(keys) - len(decisions)
    groups = {key: [v for v in row.group if v.role == "reviewer"] for key, row in decisions.items()}
    people = {key: len({vote.reviewer for vote in group}) for key, group in groups.items()}
    reviewers = len({vote.reviewer for group in groups.values() for vote in group})
    shared = [{vote.decision for vote in groups[key]} for key, n in people.items() if n > 1]
    same = f"{sum(len(decisions) == 1 for decisions in shared)} of {len(shared)}"
    few = ["No reviewer so far.", "One reviewer so far; agreement needs a second."]
    many = f"{reviewers} reviewers agree on {same} items that two or more have reviewed."
    text = f"{len(keys)} item{'s' * (len(keys) != 1)}: "
    text += ", ".join(f"{n} {name}" for name, n in counts.items())
    text += f". {few[reviewers] if reviewers < 2 else many}"
    return Summary(len(keys), counts, people, reviewers, text)


def vote_table(votes: Sequence[Vote]) -> pd.DataFrame:
    """Return one row a vote: its fields and its decision."""
    columns = [*Vote.model_fields, "decision"]
    rows = [vote.model_dump() | {"decision": vote.decision} for vote in votes]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(SCALES, float))


def _wilson(share: float, read: float, population: int) -> tuple[float, float]:
    """Return Wilson's interval with the finite population correction: no width after all items."""
    if read >= population or read < stats.LEAST:
        return (share, share) if read >= population else stats.NONE
    effective = read * (population - 1) / (population - read)
    return stats.wilson(share * effective, effective)[1:3]
