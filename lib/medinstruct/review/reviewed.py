"""Reviewed dataset: a decision for each text from its votes, edits applied, disputes to settle."""

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, Field

from medinstruct import paths, records
from medinstruct.filtering import contamination
from medinstruct.records import Example, Provenance, Task
from medinstruct.review.review_cards import Card, text_hash, visible
from medinstruct.review.store import SCALES, Vote


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


def decide(votes: Sequence[Vote], *, least: int = 1) -> dict[tuple[str, str], Decision]:
    """Return (item, hash) -> decision on that text.

    A majority does not decide: where reviewers differ in their decisions or edits, or in scores by
    `disputed_from` steps (data/review.yaml), or are fewer than `least`, the item stays open. An
    adjudicator's last vote decides.
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
    items: Sequence[Task], votes: Sequence[Vote], *, least=1, chat=(), questions=None
) -> tuple[list[Task], list[Decision]]:
    """Return the next version of a dataset or of seeds, and the decisions that led to it.

    Unread and accepted items stay, rejected ones go, open ones are held back. A vote counts only
    for the text that was voted on. Answers of the `chat` that were accepted or corrected are added.
    A new text that repeats one of the test `questions` is refused.
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
    joined = {d.new: d for _, d in rows if d and d.new}
    new = [] if questions is None else [result[id] for id in joined]
    for hit in contamination.find(new, questions).itertuples() if new else ():
        joined[hit.task].action, joined[hit.task].new = "refused", ""
        joined[hit.task].how += f"; repeats test question {hit.id} of {hit.set} ({hit.how})"
        del result[hit.task]
    return list(result.values()), [decision for _, decision in rows if decision]


def to_adjudicate(deck: Sequence[Card], votes: Sequence[Vote]) -> list[Card]:
    """Return the cards of disputed texts, harm first, with the votes on them under aliases."""
    cards = {card.key: card for card in deck}
    decisions = {key: row for key, row in decide(votes).items() if key in cards}
    queue = [(row.how, key) for key, row in decisions.items() if row.action == "open"]
    queue.sort(key=lambda entry: ("harm" in entry[0], len(entry[0])), reverse=True)
    earlier = {key: tuple(map(_summary, decisions[key].group)) for _, key in queue}
    return [cards[key]._replace(reasons=(how,), earlier=earlier[key]) for how, key in queue]


def _applied(item: Task | None, decision: Decision | None) -> Task | None:
    """Return an item (None for one of the chat) after its decision; an edit names its parent."""
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
