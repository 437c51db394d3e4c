"""Inter-annotator agreement: coefficients, disputed items, the adjudicator's queue."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from medinstruct import stats
from medinstruct.review.review_cards import Card, visible
from medinstruct.review.store import SCALES, Vote

DISPUTED_FROM = {"correctness": 2, "helpfulness": 2, "harm": 1}  # differences in steps of the scale


def agreement(votes: Sequence[Vote], *, seed: int = 42) -> pd.DataFrame:
    """Return one row a question and statistic: value, 95 % interval, items with two reviewers.

    Kappa is given for two reviewers. Adjudicators do not count; a changed text is another item.
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
    reasons = [(key, _difference(group)) for key, group in by_text(votes).items()]
    reasons.sort(key=lambda entry: ("harm" in entry[1], len(entry[1])), reverse=True)
    return {key: reason for key, reason in reasons if reason}


def to_adjudicate(cards: Sequence[Card], votes: Sequence[Vote]) -> list[Card]:
    """Return the cards of disputed texts, harm first, with the votes on them under aliases."""
    known, groups, queue = {card.key: card for card in cards}, by_text(votes), []
    for key, reason in disputes(votes).items():
        if key in known:
            earlier = tuple(map(_summary, groups[key]))
            queue.append(known[key]._replace(reasons=(reason,), earlier=earlier))
    return queue


def by_text(votes: Sequence[Vote]) -> dict[tuple[str, str], list[Vote]]:
    """Return the votes on each text, by (item, hash)."""
    groups: dict[tuple[str, str], list[Vote]] = {}
    for vote in votes:
        groups.setdefault(vote.key, []).append(vote)
    return groups


def vote_table(votes: Sequence[Vote]) -> pd.DataFrame:
    """Return one row a vote: its fields and its decision."""
    columns = [*Vote.model_fields, "decision"]
    rows = [vote.model_dump() | {"decision": vote.decision} for vote in votes]
    return pd.DataFrame(rows, columns=columns)


def _coefficients(rows: list[list], scale: Sequence[int], seed: int) -> dict[str, stats.Agreement]:
    nominal = ("nominal", "Gwet's AC1", "Cohen's kappa", "identity")
    ordinal = ("ordinal", "Gwet's AC2", "weighted kappa", "quadratic")
    level, gwet, kappa, weights = ordinal if scale else nominal
    result = {"percent": stats.percent_agreement(rows, seed=seed)}
    if len(rows) == 2:
        result[kappa] = stats.cohen_kappa(*rows, weights=weights, values=scale)
    result["Krippendorff's alpha"] = stats.krippendorff_alpha(rows, level=level, seed=seed)
    return result | {gwet: stats.gwet(rows, weights=weights, values=scale, seed=seed)}


def _difference(group: Sequence[Vote]) -> str:
    """Return the points in which votes on one text differ; empty if none, or if adjudicated."""
    if any(vote.role == "adjudicator" for vote in group):
        return ""
    decisions = sorted(Counter(vote.decision for vote in group).items())
    points = [" / ".join(f"{n} {name}" for name, n in decisions)] if len(decisions) > 1 else []
    if len({tuple(sorted(vote.edit.items())) for vote in group if vote.action == "edit"}) > 1:
        points.append("different edits")
    for name, step in DISPUTED_FROM.items():
        scores = [score for vote in group if (score := getattr(vote, name)) is not None]
        if scores and max(scores) - min(scores) >= step:
            points.append(f"{name} {min(scores)} to {max(scores)}")
    return "; ".join(points)


def _summary(vote: Vote) -> str:
    scores = [f"{name} {getattr(vote, name)}" for name in SCALES if getattr(vote, name) is not None]
    comment = [f"“{vote.comment}”"] if vote.comment else []
    edits = [f"{name} → {text}" for name, text in vote.edit.items()]
    return visible("; ".join([f"{vote.reviewer}: {vote.action}", *scores, *comment, *edits]))


def _ratings(votes: Sequence[Vote], question: str) -> list[list]:
    """Return a row of ratings a reviewer (no adjudicator) over all texts, None if missing."""
    frame = vote_table(votes).query("role == 'reviewer'").dropna(subset=question)
    wide = frame.pivot(index="reviewer", columns=["kind", "item", "hash"], values=question)
    return wide.astype(object).where(wide.notna(), None).to_numpy().tolist()
