"""What a reader says about an answer, kept as a review record: from there it flows into the next version of the dataset."""

from collections.abc import Mapping
from pathlib import Path

from medinstruct import review
from medinstruct.assist.live import Live
from medinstruct.assist.transcript import Said, Turn
from medinstruct.errors import UserError
from medinstruct.records import Example, content_hash

VERDICTS = ("right", "wrong", "unsafe")
HARM = 2  # "serious" on the scale of harm, for an answer that somebody calls unsafe
VIEW = "clinician"


def as_example(turn: Turn, said: Said) -> Example:
    """A question of the chat and an answer to it, as a row of a dataset; the labels are those of any chat."""
    labels = {"type": "chat", "topic": "General Medicine", "view": VIEW, "difficulty": 3}
    asked = (turn.instruction or turn.question, turn.input)
    return Example(
        **labels, instruction=asked[0], input=asked[1], task=content_hash(*asked), output=said.text
    )


def give(
    store: review.Store,
    reviewer: str,
    turn: Turn,
    said: Said,
    *,
    verdict: str,
    correction: str = "",
    comment: str = "",
) -> str:
    """Keep what somebody says of an answer; the vote's uid. A correction stands in the record in place of the answer."""
    if verdict not in VERDICTS:
        raise UserError("This is not known.", got=verdict, do=f"One of {', '.join(VERDICTS)}.")
    if not said.text.strip():
        raise UserError("There is no answer to judge.", do="Ask again.")
    was, better = as_example(turn, said), correction.strip()
    if verdict == "right" and better and better != was.output:
        raise UserError(
            "A right answer needs no correction.",
            do="Choose wrong or unsafe, or empty the correction.",
        )
    action = (
        "accept" if verdict == "right" else "edit" if better and better != was.output else "reject"
    )
    whole = was.model_dump(exclude={"id", "provenance"}) | (
        {"output": better} if action == "edit" else {}
    )
    return store.cast(
        reviewer,
        kind="chat",
        item=was.id,
        hash=review.text_hash(was),
        action=action,
        comment=comment,
        scores={
            "correctness": 5 if verdict == "right" else 1,
            "harm": HARM if verdict == "unsafe" else None,
        },
        edit={name: str(value) for name, value in whole.items()},
        sides={
            "model": said.name if not said.model else f"{said.name}: {said.model}",
            "request": said.request,
            "turn": turn.id,
        },
    )


def given(store: review.Store) -> dict[tuple[str, str], list[dict[str, str]]]:
    """(item, hash) -> what was said of it: verdict, correction, comment, and the alias of who said so."""
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    for vote in store.votes("chat"):
        verdict = (
            "right"
            if vote.action == "accept"
            else "unsafe"
            if (vote.harm or 0) >= HARM
            else "wrong"
        )
        better = vote.edit.get("output", "") if vote.action == "edit" else ""
        told = {
            "verdict": verdict,
            "correction": better,
            "comment": vote.comment,
            "who": vote.reviewer,
        }
        found.setdefault((vote.item, vote.hash), []).append(told)
    return found


def of(
    live: Live, said: Mapping[tuple[str, str], list[dict[str, str]]]
) -> dict[str, list[dict[str, str]]]:
    """Model -> what was said of its answer in this turn."""
    if live.saved != "yes" or not said:
        return {}
    rows = {
        answer.name: as_example(live.turn(), answer.said())
        for answer in live.answers
        if answer.good
    }
    return {name: said.get((row.id, review.text_hash(row)), []) for name, row in rows.items()}


def store_of(folder: str | Path) -> review.Store:
    """The run's file of votes, the same that notebook 06 reads."""
    return review.Store(Path(folder) / "reviews.sqlite")
