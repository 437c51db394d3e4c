"""A quiz from the shipped multiple-choice questions: drawn, asked, scored, and shown with its explanations."""

import html
import random
from collections.abc import Mapping, Sequence

from medinstruct import paths, records
from medinstruct.assist.cases import Case
from medinstruct.benchmarks.extraction import LETTERS, extract_choice
from medinstruct.errors import UserError
from medinstruct.records import Consultation, MultipleChoice
from medinstruct.stats import Share, wilson


def draw_quiz(number: int = 12, *, topic: str = "", seed: int = 42) -> list[MultipleChoice]:
    """Some of the shipped questions (not reviewed by clinicians), no two of one topic before every topic had its turn.

    >>> [len(draw_quiz(3)), {one.topic for one in draw_quiz(3, topic="pharmacology")}]
    [3, {'Pharmacology'}]
    """
    every = records.read(paths.data("test_mcq.jsonl"), MultipleChoice)
    pool = [one for one in every if not topic or one.topic.lower() == topic.lower()]
    if not pool:
        topics = ", ".join(sorted({one.topic for one in every}))
        raise UserError(
            "The quiz has no question on this topic.",
            got=topic,
            do=f"Choose from {topics}, or none.",
        )
    random.Random(seed).shuffle(pool)
    turn = {
        one.id: [other.id for other in pool if other.topic == one.topic].index(one.id)
        for one in pool
    }
    return sorted(pool, key=lambda one: turn[one.id])[:number]


def as_case(question: MultipleChoice) -> Case:
    """A question with its lettered options as a case of the way "learning"."""
    options = "\n".join(
        f"{letter}. {text}" for letter, text in zip(LETTERS, question.options, strict=False)
    )
    return Case(
        way="learning", name=question.id, question="", given=f"{question.question}\n{options}"
    )


def chosen(
    questions: Sequence[MultipleChoice], answers: Sequence[Consultation]
) -> dict[str, list[int | None]]:
    """The option that each model's answers end on, in the order of the questions; None where none can be read."""
    found: dict[str, dict[str, int | None]] = {}
    options = {one.id: one.options for one in questions}
    for one in answers:
        if one.case in options:
            found.setdefault(one.model, {})[one.case] = extract_choice(one.text, options[one.case])
    return {
        model: [said.get(question.id) for question in questions] for model, said in found.items()
    }


def score(questions: Sequence[MultipleChoice], picks: Sequence[int | None]) -> Share:
    """The share of right answers with Wilson's interval; what cannot be read is wrong.

    >>> four = draw_quiz(4)
    >>> score(four, [four[0].answer, None, None, None]).share
    0.25
    """
    return wilson(
        sum(pick == one.answer for pick, one in zip(picks, questions, strict=True)), len(questions)
    )


def quiz_html(
    questions: Sequence[MultipleChoice], picks: Mapping[str, Sequence[int | None]]
) -> str:
    """The questions as a page: the reader answers first, then opens the right option, the written explanation, and each model's pick."""
    parts = []
    for n, one in enumerate(questions):
        options = "".join(f"<li>{html.escape(text)}</li>" for text in one.options)
        said = [
            f"{html.escape(name)}: {_letter(of[n])} ({'right' if of[n] == one.answer else 'wrong'})"
            for name, of in picks.items()
        ]
        models = f"<br>Picked by {'; '.join(said)}." if said else ""
        parts.append(
            f'<li style="margin:.7rem 0">{html.escape(one.question)}<ol type="A">{options}</ol><details><summary>Answer and why</summary>'
            f"<b>{LETTERS[one.answer]}. {html.escape(one.options[one.answer])}</b><br>{html.escape(one.rationale)}{models}</details></li>"
        )
    return f'<ol style="max-width:60rem">{"".join(parts)}</ol>'


def _letter(pick: int | None) -> str:
    return "no readable answer" if pick is None else LETTERS[pick]
