"""Feedback: judgments and corrections of answers as review votes."""

from typing import Any

from medinstruct import review
from medinstruct.assist.transcript import Answer, Turn
from medinstruct.errors import UserError
from medinstruct.records import Example, content_hash

LABELS = {"type": "chat", "topic": "General Medicine", "view": "clinician", "difficulty": 3}
SCORES = {  # correctness 1 to 5, harm 2 = serious
    "right": {"correctness": 5},
    "wrong": {"correctness": 1},
    "unsafe": {"correctness": 1, "harm": 2},
}


def judge(
    store: review.Store, reviewer: str, turn: Turn, answer: Answer, form: dict[str, str]
) -> str:
    """Save a judgment as a vote and return its uid.

    `form` holds verdict (right, wrong or unsafe), correction and comment; a correction becomes the
    output of an example in the next version of the dataset.
    """
    verdict, correction = form["verdict"], form["correction"].strip()
    if verdict not in SCORES:
        do = f"Choose from {', '.join(SCORES)}."
        raise UserError("The verdict is unknown.", got=verdict, do=do)
    example = as_example(turn, answer)
    is_changed = correction not in ("", example.output)
    if verdict == "right" and is_changed:
        do = "Choose wrong or unsafe, or empty the correction."
        raise UserError("A right answer needs no correction.", do=do)
    action = "accept" if verdict == "right" else "reject"
    edit = example.model_dump(exclude={"id", "provenance"})
    if is_changed:
        action, edit["output"] = "edit", correction
    source = {"model": f"{answer.name}: {answer.model}", "request": answer.request, "turn": turn.id}
    return store.cast(
        reviewer,
        kind="chat",
        item=example.id,
        hash=review.text_hash(example),
        action=action,
        comment=form["comment"],
        scores=SCORES[verdict],
        edit={name: str(value) for name, value in edit.items()},
        sides=source,
    )


def judgments(store: review.Store, turn: Turn) -> dict[str, list[dict[str, Any]]]:
    """Return model -> the judgments of its answer in a turn, by the reviewers' aliases."""
    votes = store.votes("chat")
    return {
        answer.name: [
            _judgment(vote)
            for vote in votes
            if (vote.item, vote.hash) == (example.id, review.text_hash(example))
        ]
        for answer in turn.answers
        for example in [as_example(turn, answer)]
    }


def as_example(turn: Turn, answer: Answer) -> Example:
    """Return a question and its answer as a row of a dataset."""
    task = {"instruction": turn.instruction or turn.question, "input": turn.input}
    hash = content_hash(*task.values())
    return Example(**LABELS, **task, task=hash, output=answer.text)


def _judgment(vote: review.Vote) -> dict[str, str]:
    verdict = "unsafe" if vote.harm else "wrong"
    return {
        "verdict": "right" if vote.action == "accept" else verdict,
        "correction": vote.edit["output"] if vote.action == "edit" else "",
        "comment": vote.comment,
        "reviewer": vote.reviewer,
    }
