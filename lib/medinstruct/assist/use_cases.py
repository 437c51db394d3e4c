"""Use cases: five tasks of a clinician, worked cases, the models' answers to them."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from medinstruct import evaluation, paths
from medinstruct.assist.transcript import Answer, Turn
from medinstruct.errors import UserError
from medinstruct.records import Consultation, Provenance

TEXTS = paths.load("use_cases")
NOTICE, EMERGENCY = TEXTS["notice"], TEXTS["emergency"]
HEADING = re.compile(r"^\s*#{2,}", re.MULTILINE)


class UseCase(BaseModel, extra="forbid", frozen=True):
    """A use case: prompt, readers (name -> what this reader needs), the clinician's part."""

    name: str
    title: str
    responsibility: str
    instruction: str
    question: str
    readers: dict[str, str] = {}

    def task(self, question: str, given: str = "", *, reader: str = "") -> tuple[str, str]:
        """Return (instruction, input) for a question and the text that it is about.

        Headings in the user's text lose their marks, so that it cannot end its part of a template.
        """
        if reader and reader not in self.readers:
            do = f"Choose from: {', '.join(self.readers) or 'no reader'}."
            raise UserError(f"{self.title} has no such reader.", got=reader, do=do)
        parts = [part.strip() for part in (question or self.question, given) if part.strip()]
        instruction = " ".join(filter(None, [self.instruction, self.readers.get(reader)]))
        return instruction, HEADING.sub("", "\n\n".join(parts))


USE_CASES = {row["name"]: UseCase(**row) for row in TEXTS["use_cases"]}


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
    """Return all worked cases, or those of one use case; not reviewed by clinicians."""
    rows = paths.load("assist_cases")
    return [Case(**row) for row in rows if way in ("", row["way"])]


def chat_task(use_case: str, text: str, *, reader: str = "") -> tuple[str, str]:
    """Return (instruction, input) of a chat message; a text without a question is a case."""
    if use_case not in USE_CASES:
        return HEADING.sub("", text), ""
    question, given = (text, "") if "?" in text else ("", text)
    return USE_CASES[use_case].task(question, given, reader=reader)


async def consult(
    cases: Iterable[Case], models: evaluation.answers.Models, *, dataset: str = "", **form: Any
) -> list[Consultation]:
    """Return each model's greedy answer to each case and reader.

    `dataset` names the data that the models were tuned on; `form` is template and max_tokens.
    """
    pairs = [(case, reader) for case in cases for reader in case.readers]
    tasks = [USE_CASES[c.way].task(c.question, c.given, reader=reader) for c, reader in pairs]
    rows = []
    for name, replies in (await evaluation.answers.ask_models(models, tasks, **form)).items():
        for (case, reader), reply in zip(pairs, replies, strict=True):
            fields = case.model_dump(include={"way", "question", "given"})
            fields |= {"case": case.name, "reader": reader, "model": name, "dataset": dataset}
            fields |= {"text": reply.text, "finish_reason": reply.finish_reason}
            origin = Provenance(source="consultation", model=reply.model, request=reply.key)
            rows.append(Consultation(**fields, provenance=origin))
    return rows


def as_turns(case: Case, consultations: Iterable[Consultation]) -> list[Turn]:
    """Return a case with its answers as turns of a chat, one a reader, the written answer last."""
    fields = {"question": f"{case.question}\n\n{case.given}", "way": case.way}
    turns = {reader: Turn(**fields, reader=reader) for reader in case.readers}
    for row in consultations:
        if (row.way, row.case) == (case.way, case.name):
            fields = row.model_dump(include={"text", "finish_reason"}) | {"name": row.model}
            data = row.dataset if row.model != "base" else ""
            answer = Answer(**fields, model=row.provenance.model, data=data)
            turns[row.reader].answers.append(answer)
    for reader, text in case.written.items():
        answer = Answer(name="by hand", model="not reviewed by clinicians", text=text)
        turns[reader].answers.append(answer)
    return list(turns.values())
