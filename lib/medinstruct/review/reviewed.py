"""Reviewed dataset: the decisions on its items, edits applied, the next version."""

from collections.abc import Sequence

from medinstruct import records
from medinstruct.records import Example, Provenance, Task
from medinstruct.review.annotators import Decision, decide
from medinstruct.review.review_cards import text_hash
from medinstruct.review.store import Vote


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
