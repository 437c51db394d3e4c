"""Worked cases: questions, written answers, the models' answers to them."""

from collections.abc import Iterable, Mapping, Sequence

import yaml
from pydantic import BaseModel

from medinstruct import evaluation, llm, paths
from medinstruct.assist.transcript import Answer, Turn
from medinstruct.assist.use_cases import USE_CASES
from medinstruct.records import Consultation, Provenance


class Case(BaseModel, extra="forbid", frozen=True):
    """An invented case of one use case (`way`); `points` and `written` are by reader."""

    way: str
    name: str
    question: str
    given: str
    points: dict[str, list[dict[str, str]]] = {}
    written: dict[str, str] = {}

    @property
    def readers(self) -> list[str]:
        """Return the readers of the use case, [""] without any."""
        return [*USE_CASES[self.way].readers] or [""]


def load_cases(way: str = "") -> list[Case]:
    """Return all worked cases, or those of one use case; not reviewed by clinicians.

    >>> [case.name for case in load_cases("decision")]
    ['Breathless after a long flight', 'An old man confused since last night']
    """
    rows = yaml.safe_load(paths.data("assist_cases.yaml").read_text(encoding="utf-8"))
    return [Case(**row) for row in rows if way in ("", row["way"])]


async def consult(
    cases: Iterable[Case],
    models: Mapping[str, llm.Client | llm.LocalModel],
    *,
    template: str = "alpaca",
    max_tokens: int = 400,
    dataset: str = "",
) -> list[Consultation]:
    """Return each model's greedy answer to each case and reader.

    `template` is alpaca or chat; `dataset` names the data that the models were tuned on.
    """
    asked = [(case, reader) for case in cases for reader in case.readers]
    tasks = [
        USE_CASES[case.way].task(case.question, case.given, reader=reader) for case, reader in asked
    ]
    form = {"template": template, "max_tokens": max_tokens}
    replies = await evaluation.answers.ask_models(models, tasks, **form)
    return [
        Consultation(
            **case.model_dump(include={"way", "question", "given"}),
            case=case.name,
            reader=reader,
            model=name,
            text=reply.text,
            finish_reason=reply.finish_reason,
            dataset=dataset,
            provenance=Provenance(source="consultation", model=reply.model, request=reply.key),
        )
        for name, answers in replies.items()
        for (case, reader), reply in zip(asked, answers, strict=True)
    ]


def as_turns(case: Case, consultations: Sequence[Consultation]) -> list[Turn]:
    """Return a case with its answers as turns of a chat, one a reader, the written answer last."""
    pages = []
    for reader in case.readers:
        answers = [
            Answer(
                name=row.model,
                model=row.provenance.model,
                data=row.dataset if row.model != "base" else "",
                text=row.text,
                finish_reason=row.finish_reason,
            )
            for row in consultations
            if (row.way, row.case, row.reader) == (case.way, case.name, reader)
        ]
        if text := case.written.get(reader, ""):
            answers.append(Answer(name="by hand", model="not reviewed by clinicians", text=text))
        question = f"{case.question}\n\n{case.given}"
        pages.append(Turn(question=question, way=case.way, reader=reader, answers=answers))
    return pages
