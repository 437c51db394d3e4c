"""Inter-annotator agreement: coefficients for each question, disputed items, the adjudicator's queue."""

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import combinations

import pandas as pd

from medinstruct import stats
from medinstruct.review.store import SCALES, Vote

DISPUTED_FROM = {"correctness": 2, "helpfulness": 2, "harm": 1}  # differences in steps of the scale


def agreement(votes: Sequence[Vote], *, seed: int = 42) -> pd.DataFrame:
    """Return one row a question and statistic: value, 95 % interval, items with two reviewers or more.

    With more than two reviewers kappa is given for each pair. Adjudicators do not count. A text that
    has changed since is another item.
    """
    rows = []
    for question in ("decision", *SCALES):
        ratings = _ratings(votes, question)
        if len(ratings) > 1:
            coefficients = _coefficients(ratings, SCALES.get(question, ()), seed)
            rows += [(question, name, *row) for name, row in coefficients.items() if row.units]
    return pd.DataFrame(rows, columns=["question", "statistic", "value", "low", "high", "items"])


def disputes(votes: Sequence[Vote]) -> dict[tuple[str, str], str]:
    """Return (item, hash) -> what the reviewers differ in, disputes over harm first.

    Reviewers differ if their decisions or edits do, or their scores by `DISPUTED_FROM` steps. Items
    with an adjudicator's vote are left out.
    """
    groups = by_text(votes)
    adjudicated = {
        key for key, group in groups.items() if any(v.role == "adjudicator" for v in group)
    }
    reasons = {key: _difference(group) for key, group in groups.items() if key not in adjudicated}
    queue = [key for key, reason in reasons.items() if reason]
    queue.sort(key=lambda key: ("harm" in reasons[key], len(reasons[key])), reverse=True)
    return {key: reasons[key] for key in queue}


def by_text(votes: Sequence[Vote]) -> dict[tuple[str, str], list[Vote]]:
    """Return the votes on each text, by (item, hash)."""
    groups: dict[tuple[str, str], list[Vote]] = {}
    for vote in votes:
        groups.setdefault((vote.item, vote.hash), []).append(vote)
    return groups


def _coefficients(
    ratings: dict[str, list[Hashable | None]], scale: Sequence[int], seed: int
) -> dict[str, stats.Agreement]:
    rows = list(ratings.values())
    result = {"percent": stats.percent_agreement(rows, seed=seed)}
    for a, b in combinations(ratings, 2):
        pair = f": {a[-4:]}, {b[-4:]}" if len(ratings) > 2 else ""
        result[f"Cohen's kappa{pair}"] = stats.cohen_kappa(ratings[a], ratings[b])
        if scale:
            weighted = stats.cohen_kappa(ratings[a], ratings[b], weights="quadratic", values=scale)
            result[f"weighted kappa{pair}"] = weighted
    level, name, weights = ("nominal", "Gwet's AC1", "identity")
    if scale:
        level, name, weights = ("ordinal", "Gwet's AC2", "quadratic")
    result["Krippendorff's alpha"] = stats.krippendorff_alpha(rows, level=level, seed=seed)
    result[name] = stats.gwet(rows, weights=weights, values=scale, seed=seed)
    return result


def _difference(group: Sequence[Vote]) -> str:
    """Return the points in which the votes on one text differ; empty if in none."""
    decisions = Counter(_decision(vote) for vote in group)
    points = []
    if len(decisions) > 1:
        points.append(" / ".join(f"{n} {name}" for name, n in sorted(decisions.items())))
    if len({tuple(sorted(vote.edit.items())) for vote in group if vote.action == "edit"}) > 1:
        points.append("different edits")
    for name, step in DISPUTED_FROM.items():
        scores = [score for vote in group if (score := getattr(vote, name)) is not None]
        if scores and max(scores) - min(scores) >= step:
            points.append(f"{name} {min(scores)} to {max(scores)}")
    return "; ".join(points)


def _decision(vote: Vote) -> str:
    """Return the action; in a comparison the model that won, on either side."""
    return vote.sides.get(vote.action, vote.action)


def _ratings(votes: Sequence[Vote], question: str) -> dict[str, list[Hashable | None]]:
    """Return reviewer -> rating of each text that any reviewer saw, None where there is no vote."""
    votes = [vote for vote in votes if vote.role == "reviewer"]
    texts = list(dict.fromkeys((vote.kind, vote.item, vote.hash) for vote in votes))
    table: dict[str, dict[tuple, Hashable | None]] = {}
    for vote in votes:
        rating = _decision(vote) if question == "decision" else getattr(vote, question)
        table.setdefault(vote.reviewer, {})[vote.kind, vote.item, vote.hash] = rating
    ratings = {name: [given.get(text) for text in texts] for name, given in sorted(table.items())}
    return {name: row for name, row in ratings.items() if any(x is not None for x in row)}
