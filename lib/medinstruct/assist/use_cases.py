"""Use cases: five tasks of a clinician, worked cases, the models' answers to them."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from medinstruct import paths
from medinstruct.assist.transcript import Answer, Turn
from medinstruct.errors import check_choice
from medinstruct.evaluation.answers import Models, ask_models
from medinstruct.records import content_hash

TEXTS = paths.load("use_cases")
NOTICE, EMERGENCY = TEXTS["notice"], TEXTS["emergency"]
HEADING = re.compile(r"(?<!\s)(\A|[^\S\n]*+\n)\s*+#{2,}")


class UseCase(BaseModel, extra="forbid", frozen=True):
    """A use case: prompt, readers (name -> what this reader needs), the clinician's part."""

    name: str
    title: str
    responsibility: str
    instruction: str
    question: str
    readers: dict[str, str] = {}

    def task(self, text: str, *, reader: str = "") -> tuple[str, str]:
        """Return (instruction, input) for a text, without marks of headings in it."""
        check_choice("reader", reader, ["", *self.readers])
        instruction = " ".join(filter(None, [self.instruction, self.readers.get(reader)]))
        return instruction, HEADING.sub(r"\1", text.strip())


USE_CASES = {row["name"]: UseCase(**row) for row in TEXTS["use_cases"]}


def load_cases(way: str = "") -> list[list[Turn]]:
    """Return all worked cases, or one use case's, as turns; not reviewed by clinicians."""
    cases = []
    for case in (row for row in paths.load("assist_cases") if way in ("", row["way"])):
        turns, question = [], f"{case['question']}\n\n{case['given']}"
        about = {"way": case["way"], "case": case["name"], "question": question, "at": ""}
        for reader, text in case["written"].items():
            task = USE_CASES[case["way"]].task(question, reader=reader)
            asked = {"instruction": task[0], "input": task[1], "id": content_hash(*task)}
            by_hand = Answer(name="by hand", model="not reviewed by clinicians", text=text)
            turns.append(Turn(**about, **asked, reader=reader, answers=[by_hand]))
        cases.append(turns)
    return cases


def chat_task(use_case: str, text: str, *, reader: str = "") -> tuple[str, str]:
    """Return (instruction, input) of a chat message; add the use case's question if it has none."""
    if not (case := USE_CASES.get(use_case)):
        return HEADING.sub(r"\1", text), ""
    return case.task(text if "?" in text else f"{case.question}\n\n{text}", reader=reader)


async def consult(cases: Iterable, models: Models, *, dataset="", **form: Any) -> list[Turn]:
    """Return worked cases with each model's greedy answer; all but base learned from `dataset`."""
    turns = [turn.model_copy(update={"answers": []}) for case in cases for turn in case]
    tasks = [(turn.instruction, turn.input) for turn in turns]
    for name, replies in (await ask_models(models, tasks, **form)).items():
        fields = {"name": name, "data": "" if name == "base" else dataset, "reads_history": False}
        for turn, reply in zip(turns, replies, strict=True):
            fields |= reply.model_dump(include={"model", "text", "finish_reason"})
            turn.answers.append(Answer(**fields, request=reply.key))
    return turns
