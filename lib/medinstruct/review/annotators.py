"""Annotators: agreement, adjudication, decisions, the reviewed dataset, estimates for it."""

import math
from bisect import bisect_left
from collections import Counter, namedtuple
from collections.abc import Mapping, Sequence

import pandas as pd
from pydantic import BaseModel, Field

from medinstruct import paths, records, stats
from medinstruct.records import Example, Provenance, Task
from medinstruct.review.review_cards import Card, text_hash, visible
from medinstruct.review.store import SCALES, Vote

NOMINAL = ("nominal", "Gwet's AC1", "Cohen's kappa", "identity")
ORDINAL = ("ordinal", "Gwet's AC2", "weighted kappa", "quadratic")
Estimate = namedtuple("Estimate", "score low high items")


class Decision(BaseModel):
    """The decision on a reviewed text: accept, edit, reject or open, and how it came about.

    `new` is the id after an edit, `reviewers` are aliases, `votes` uids, `vote` is the one that
    decides and carries the edit, `group` all votes on the text.
    """

    id: str
    action: str
    new: str = ""
    how: str = ""
    reviewers: tuple[str, ...] = ()
    votes: tuple[str, ...] = ()
    vote: Vote | None = Field(None, exclude=True)
    group: list[Vote] = Field([], exclude=True)


def agreement(votes: Sequence[Vote], *, seed: int = 42) -> pd.DataFrame:
    """Return one row a question and statistic: value, 95 % interval, items with two reviewers.

    Kappa is given for two reviewers. Adjudicators do not count; a changed text is another item.
    """
    table, rows = vote_table(votes).query("role == 'reviewer'"), []
    for question in ("decision", *SCALES):
        scale, rated = SCALES.get(question, []), table.dropna(subset=question)
        wide = rated.pivot(index="reviewer", columns=["kind", "item", "hash"], values=question)
        ratings = wide.astype(object).where(wide.notna(), None).to_numpy().tolist()
        level, gwet, kappa, weights = ORDINAL if scale else NOMINAL
        if len(ratings) < 2:
            continue
        values = {"percent": stats.percent_agreement(ratings, seed=seed)}
        if len(ratings) == 2:
            values[kappa] = stats.cohen_kappa(*ratings, weights=weights, values=scale)
        values["Krippendorff's alpha"] = stats.krippendorff_alpha(ratings, level=level, seed=seed)
        values[gwet] = stats.gwet(ratings, weights=weights, values=scale, seed=seed)
        rows += [(question, name, *row) for name, row in values.items() if row.units]
    return pd.DataFrame(rows, columns=["question", "statistic", "value", "low", "high", "items"])


def decide(votes: Sequence[Vote], *, least: int = 1) -> dict[tuple[str, str], Decision]:
    """Return (item, hash) -> decision on that text.

    No majority decides a tie: if the reviewers differ in their decisions or edits, or in scores by
    `disputed_from` steps (data/review.yaml), or are fewer than `least`, the item stays open until
    an adjudicator votes; the adjudicator's last vote decides.
    """
    groups: dict[tuple[str, str], list[Vote]] = {}
    for vote in votes:
        groups.setdefault(vote.key, []).append(vote)
    decisions = {}
    for key, group in groups.items():
        adjudicated = [vote for vote in group if vote.role == "adjudicator"]
        vote, difference = (adjudicated or group)[-1], _difference(group)
        action, how = vote.action, f"{len(group)} reviewer{'s' * (len(group) > 1)}"
        if adjudicated:
            how = "adjudicated"
        elif difference or len(group) < least:
            action, how = "open", difference or f"{len(group)} of {least} reviewers"
        fields = {"how": f"chat, {how}" if vote.kind == "chat" else how, "vote": vote}
        fields |= {"reviewers": tuple(dict.fromkeys(vote.reviewer for vote in group))}
        fields |= {"votes": tuple(vote.uid for vote in group), "group": group}
        decisions[key] = Decision(id=vote.item, action=action, **fields)
    return decisions


def apply_votes(
    items: Sequence[Task], votes: Sequence[Vote], *, least: int = 1, chat: Sequence[Vote] = ()
) -> tuple[list[Task], list[Decision]]:
    """Return the next version of a dataset or of seeds, and the decisions that led to it.

    Unread and accepted items stay, rejected ones go, open ones are held back. A vote counts only
    for the text it was given on. Answers of the `chat` that were accepted or corrected are added.
    """
    texts = {(item.id, text_hash(item)): item for item in items}
    decisions = decide(votes, least=least)
    rows = [(item, decisions.get(key)) for key, item in texts.items()]
    rows += [(None, decision) for decision in decide(chat, least=least).values()]
    result: dict[str, Task] = {}
    for item, decision in rows:
        if after := _applied(item, decision):
            result.setdefault(after.id, after)
        if after and decision and after.id != decision.id:
            decision.new = after.id
    return list(result.values()), [decision for _, decision in rows if decision]


def to_adjudicate(deck: Sequence[Card], votes: Sequence[Vote]) -> list[Card]:
    """Return the cards of disputed texts, harm first, with the votes on them under aliases."""
    cards = {card.key: card for card in deck}
    decisions = {key: row for key, row in decide(votes).items() if key in cards}
    queue = [(row.how, key) for key, row in decisions.items() if row.action == "open"]
    queue.sort(key=lambda entry: ("harm" in entry[0], len(entry[0])), reverse=True)
    earlier = {key: tuple(map(_summary, decisions[key].group)) for _, key in queue}
    return [cards[key]._replace(reasons=(how,), earlier=earlier[key]) for how, key in queue]


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


def estimate(marks: Mapping, weights: Mapping, *, population: int) -> Estimate:
    """Return the share of the dataset with a mark, from the items read and their sampling weights.

    `marks`: item -> whether it has the mark; `weights`: item -> weight, else 1. The interval is
    Wilson's at the effective sample size (Kish): a mark of no item has an upper bound.

    >>> [round(x, 3) for x in estimate({"a": True, "b": False}, {"b": 3.0}, population=1000)[:3]]
    [0.25, 0.022, 0.831]
    """
    used = [(mark, weights.get(item, 1.0)) for item, mark in marks.items()]
    if not used:
        return Estimate(*[math.nan] * 3, 0)
    total = sum(weight for _, weight in used)
    score = sum(weight for mark, weight in used if mark) / total
    effective = total**2 / sum(weight**2 for _, weight in used)
    return Estimate(score, *_wilson(score, effective, population), len(used))


def shares(votes: Sequence[Vote], deck: Sequence[Card], *, population, least=1) -> pd.DataFrame:
    """Return one row a mark: its share of the dataset (score), low, high, items read.

    `deck` is the weighted sample of a dataset of `population` items. Votes on other items or on
    older texts are left out.
    """
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


def vote_table(votes: Sequence[Vote]) -> pd.DataFrame:
    """Return one row a vote: its fields and its decision."""
    columns = [*Vote.model_fields, "decision"]
    rows = [vote.model_dump() | {"decision": vote.decision} for vote in votes]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(SCALES, float))


def _applied(item: Task | None, decision: Decision | None) -> Task | None:
    """Return an item, or an answer of the chat (None), after its decision; None if not accepted.

    An edited item and an answer of the chat are new items with the earlier one as parent.
    """
    if decision is None or decision.action not in ("accept", "edit"):
        return None if decision else item
    origin = item.provenance if item else Provenance(source="chat")
    update = {"source": f"{origin.source or 'own'}; {decision.action}ed in review"}
    if item and decision.action == "accept":
        return item.model_copy(update={"provenance": origin.model_copy(update=update)})
    if not item:
        update |= {name: decision.vote.sides.get(name, "") for name in ("model", "request")}
    update["parents"] = (decision.id,)
    fields = item.model_dump(exclude={"id", "provenance"}) if item else {}
    fields |= decision.vote.edit | {"provenance": origin.model_copy(update=update)}
    kind = type(item) if item else Example
    return records.parse(kind, fields, where=f"The edit of {decision.id}")


def _difference(group: Sequence[Vote]) -> str:
    """Return the points in which votes on one text differ; empty if none."""
    decisions = sorted(Counter(vote.decision for vote in group).items())
    points = [" / ".join(f"{n} {name}" for name, n in decisions)] if len(decisions) > 1 else []
    if len({tuple(sorted(vote.edit.items())) for vote in group if vote.action == "edit"}) > 1:
        points.append("different edits")
    for name, step in paths.load("review")["disputed_from"].items():
        scores = [score for vote in group if (score := getattr(vote, name)) is not None]
        if scores and max(scores) - min(scores) >= step:
            points.append(f"{name} {min(scores)} to {max(scores)}")
    return "; ".join(points)


def _summary(vote: Vote) -> str:
    scores = [f"{name} {getattr(vote, name)}" for name in SCALES if getattr(vote, name) is not None]
    comment = [f"“{vote.comment}”"] if vote.comment else []
    edits = [f"{name} → {text}" for name, text in vote.edit.items()]
    return visible("; ".join([f"{vote.reviewer}: {vote.action}", *scores, *comment, *edits]))


def _wilson(share: float, read: float, population: int) -> tuple[float, float]:
    """Return Wilson's interval with the finite population correction: no width after all items."""
    if read >= population:
        return share, share
    effective = read * (population - 1) / (population - read)
    return stats.wilson(share * effective, effective)[1:3]
