"""Feedback: judgments and corrections of answers as review votes."""

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


def judge(store: review.Store, reviewer: str, turn: Turn, answer: Answer, **form: str) -> None:
    """Save a judgment as a vote and in the answer, there under the reviewer's alias.

    `form` holds verdict (right, wrong or unsafe), correction and comment. A correction joins the
    next version of the dataset.
    """
    verdict, correction = form["verdict"], form["correction"].strip()
    if verdict not in SCORES:
        raise UserError("The verdict is unknown.", got=verdict, do=f"One of {', '.join(SCORES)}.")
    task = {"instruction": turn.instruction or turn.question, "input": turn.input}
    hash = content_hash(*task.values())
    example = Example(**LABELS, **task, task=hash, output=answer.text)
    action = "accept" if verdict == "right" else "reject"
    if correction not in ("", answer.text):
        if verdict == "right":
            do = "Choose wrong or unsafe, or empty the correction."
            raise UserError("A right answer needs no correction.", do=do)
        action = "edit"
    edit = example.model_dump(exclude={"id", "provenance"})
    edit["output"] = correction if action == "edit" else answer.text
    store.cast(
        reviewer,
        kind="chat",
        item=example.id,
        hash=review.text_hash(example),
        action=action,
        comment=form["comment"],
        scores=SCORES[verdict],
        edit={name: str(value) for name, value in edit.items()},
        sides={
            "model": f"{answer.name}: {answer.model}",
            "request": answer.request,
            "turn": turn.id,
        },
    )
    answer.judgments.append(form | {"reviewer": store.alias(reviewer)})
