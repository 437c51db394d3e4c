"""The rows of each published set, as they are published, as questions of one form."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medinstruct import records
from medinstruct.benchmarks.extraction import LETTERS
from medinstruct.errors import UserError

Row = dict[str, Any]
Question = dict[
    str, Any
]  # id, question, context, options, letters, answer, target, said, subject, level


def question(
    text: str, *, options: Sequence[str] = (), answer: int = -1, target: str = "", **more: Any
) -> Question:
    """One question: with options and the index of the right one, or with a free target."""
    options = [str(option).strip() for option in options]
    letters = list(LETTERS[: len(options)])
    right = options[answer] if 0 <= answer < len(options) else target
    found = {
        "id": str(more.get("id") or records.content_hash(text, options)),
        "question": str(text).strip(),
        "options": options,
        "context": more.get("context", ""),
        "letters": letters,
        "answer": answer,
        "target": right or target,
        "subject": str(more.get("subject") or ""),
        "level": int(more.get("level") or 0),
    }
    said = (
        f"({letters[answer]})" if 0 <= answer < len(options) and not more.get("by_words") else right
    )
    return found | {"said": f"The answer is {said}." if options or more.get("by_words") else target}


def own(row: Row) -> Question:
    """Our questions (`records.MultipleChoice`)."""
    more = {"id": row.get("id"), "subject": row["topic"], "level": row["difficulty"]}
    return question(row["question"], options=row["options"], answer=row["answer"], **more)


def medqa(row: Row) -> Question:
    """MedQA: options by letter, and the letter of the right one."""
    options = row["options"]
    pairs = (
        sorted(options.items())
        if isinstance(options, Mapping)
        else [(o["key"], o["value"]) for o in options]
    )
    pairs = [(key, value) for key, value in pairs if value is not None]
    return question(
        row["question"],
        options=[value for _, value in pairs],
        answer=_index([key for key, _ in pairs], row["answer_idx"]),
    )


def medmcqa(row: Row) -> Question:
    """MedMCQA: four columns, and the number of the right one from 0."""
    more = {"id": row.get("id"), "subject": row.get("subject_name")}
    return question(
        row["question"],
        options=[row[key] for key in ("opa", "opb", "opc", "opd")],
        answer=int(row["cop"]),
        **more,
    )


def pubmedqa(row: Row) -> Question:
    """PubMedQA, as its authors' file names the columns or as the hub does."""
    context = row["CONTEXTS"] if "CONTEXTS" in row else row["context"]
    texts = context["contexts"] if isinstance(context, Mapping) else context
    options = ["yes", "no", "maybe"]
    more = {"id": row.get("pubid") or row.get("id"), "context": "\n".join(texts), "by_words": True}
    text = row["QUESTION"] if "QUESTION" in row else row["question"]
    return question(text, options=options, answer=_index(options, row["final_decision"]), **more)


def headqa(row: Row) -> Question:
    """HEAD-QA: answers with numbers, and the number of the right one."""
    answers = row["answers"]
    if isinstance(answers, Mapping):
        answers = [
            {"aid": aid, "atext": text}
            for aid, text in zip(answers["aid"], answers["atext"], strict=True)
        ]
    right = _index([str(answer["aid"]) for answer in answers], str(row["ra"]))
    return question(
        row["qtext"],
        options=[answer["atext"] for answer in answers],
        answer=right,
        subject=row.get("category"),
    )


def mmlu(row: Row) -> Question:
    """MMLU: a list of choices, the index of the right one, the subject."""
    return question(
        row["question"],
        options=row["choices"],
        answer=int(row["answer"]),
        subject=row.get("subject"),
    )


def truthfulqa(row: Row) -> Question:
    """TruthfulQA MC1: the right one stands first, so the options are shuffled by a rule that depends on the question alone."""
    targets = row["mc1_targets"]
    order = list(range(len(targets["choices"])))
    random.Random(row["question"]).shuffle(order)
    options = [targets["choices"][n] for n in order]
    return question(
        row["question"], options=options, answer=[targets["labels"][n] for n in order].index(1)
    )


def meqsum(row: Row) -> Question:
    """MeQSum: the question as it was sent, without the heading of the message, and its summary."""
    subject, mark, message = row["CHQ"].partition("MESSAGE:")
    return question(message if mark else subject, target=row["Summary"].strip(), id=row.get("File"))


def bbh(row: Row) -> Question:
    """BIG-Bench Hard: an input and a target."""
    return question(row["input"], target=row["target"], subject=row.get("subject"))


FORMS: dict[str, Callable[[Row], Question]] = {
    "own": own,
    "medqa": medqa,
    "medmcqa": medmcqa,
    "pubmedqa": pubmedqa,
    "headqa": headqa,
    "mmlu": mmlu,
    "mmlu_medical": mmlu,
    "truthfulqa": truthfulqa,
    "meqsum": meqsum,
    "bbh": bbh,
}


def questions(
    name: str, rows: Sequence[tuple[Any, Row]], *, options: Sequence[int], where: str
) -> list[Question]:
    """The rows of a set as questions; a bad row is a UserError that names the set, the row and the remedy."""
    if not rows:
        raise UserError(
            f"Benchmark {name} has no rows.",
            got=where,
            do="Give the split that holds the test questions.",
        )
    return [_checked(name, row, options=options, place=f"{where}, row {n}") for n, row in rows]


def _checked(name: str, row: Row, *, options: Sequence[int], place: str) -> Question:
    try:
        found = FORMS[name](row)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = (
            f"has no column {error}" if isinstance(error, KeyError) else f"cannot be read: {error}"
        )
        do = f"Give {name} as it is published; this row has {', '.join(map(str, row))[:200]}."
        raise UserError(f"Benchmark {name}: {place} {what}.", got=str(row)[:120], do=do) from None
    if len(found["options"]) not in options:
        do = f"{name} has {' or '.join(map(str, options))}: take that variant of the set."
        raise UserError(
            f"Benchmark {name}: {place} has {len(found['options'])} options.",
            got=found["options"],
            do=do,
        )
    if found["options"] and not 0 <= found["answer"] < len(found["options"]):
        do = f"The label must be one of {', '.join(found['letters'])} (or 0 to {len(found['options']) - 1})."
        raise UserError(
            f"Benchmark {name}: {place} has a label outside its options.", got=_label(row), do=do
        )
    if not found["question"] or not found["target"]:
        raise UserError(
            f"Benchmark {name}: {place} is empty.",
            got=str(row)[:120],
            do="Fill it in or take the row out.",
        )
    return found


def _index(keys: Sequence[str], label: Any) -> int:
    return list(keys).index(str(label)) if str(label) in keys else -1


def _label(row: Row) -> Any:
    return next(
        (row[key] for key in ("answer_idx", "cop", "final_decision", "ra", "answer") if key in row),
        None,
    )
