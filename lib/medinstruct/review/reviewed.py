"""Reviewed dataset: a decision for each item from its votes, edits applied, the next version."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from medinstruct import records
from medinstruct.records import Example, Provenance, Task
from medinstruct.review.annotators import by_text, disputes
from medinstruct.review.review_cards import text_hash
from medinstruct.review.store import Vote


class Decision(BaseModel):
    """The decision on a reviewed text: accept, edit, reject or open, and how it came about.

    `new` is the id after an edit, `reviewers` are aliases, `votes` uids, `vote` carries the edit.
    """

    id: str
    action: str
    new: str = ""
    how: str = ""
    reviewers: tuple[str, ...] = ()
    votes: tuple[str, ...] = ()
    vote: Vote | None = Field(None, exclude=True)


def decide(votes: Sequence[Vote], *, least: int = 1) -> dict[tuple[str, str], Decision]:
    """Return (item, hash) -> decision on that text.

    No majority decides a tie: if the reviewers differ (`annotators.disputes`), or are fewer than
    `least`, the item stays open until an adjudicator votes; the adjudicator's last vote decides.
    """
    disputed, decisions = disputes(votes), {}
    for key, group in by_text(votes).items():
        adjudicated = [vote for vote in group if vote.role == "adjudicator"]
        vote = (adjudicated or group)[-1]
        action, how = vote.action, f"{len(group)} reviewer{'s' * (len(group) > 1)}"
        if adjudicated:
            how = "adjudicated"
        elif key in disputed or len(group) < least:
            action, how = "open", disputed.get(key, f"{len(group)} of {least} reviewers")
        how = f"chat, {how}" if vote.kind == "chat" else how
        fields = {"reviewers": tuple(dict.fromkeys(vote.reviewer for vote in group))}
        fields |= {"votes": tuple(vote.uid for vote in group), "vote": vote}
        decisions[key] = Decision(id=vote.item, action=action, how=how, **fields)
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
