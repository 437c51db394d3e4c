"""Transcripts: turns of a chat, their append-only file, judgments of answers as review votes."""

import contextlib
import os
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from medinstruct import paths, review
from medinstruct.assist.grounding import marks
from medinstruct.errors import UserError, check_choice
from medinstruct.records import Example, content_hash

FEEDBACK = paths.load("use_cases")["feedback"]  # labels of an example, verdict -> action, scores


class Reading(BaseModel):
    """What a second reader lists (title, items, note); `state`: done, reading, unreadable."""

    reader: str = ""
    state: str = "done"
    about: str = ""
    lists: list[dict[str, Any]] = []
    error: str = ""


class Answer(BaseModel):
    """One model's answer; `state` is waiting, writing or done."""

    name: str
    model: str = ""
    data: str = ""
    text: str = ""
    finish_reason: str = "stop"
    tokens: int = 0
    request: str = ""
    reads_history: bool = True
    judgments: list[dict[str, str]] = []
    reading: Reading | None = None
    state: str = "done"
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Return whether the answer can be read, judged and saved."""
        return self.state == "done" and self.finish_reason != "error" and bool(self.text.strip())


class Turn(BaseModel):
    """A question and its answers; `instruction` and `input` are what the models were asked.

    `way` is the use case, `replaces` the id of the edited turn, `privacy` the decision about
    identifiers, `cleared` the words that are not; `saved` is yes, no, asks (pending) or never.
    """

    id: str = Field(default_factory=lambda: uuid.uuid4().hex[:12])
    conversation: str = ""
    at: str = Field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    question: str
    instruction: str = ""
    input: str = ""
    way: str = ""
    case: str = ""
    reader: str = ""
    settings: dict[str, Any] = {}
    answers: list[Answer] = []
    replaces: str = ""
    privacy: str = ""
    cleared: list[str] = []
    saved: str = "yes"

    @property
    def good_answers(self) -> list[Answer]:
        """Return the answers that can be read, judged and saved."""
        return [answer for answer in self.answers if answer.is_good]

    def record(self, decision: str, words: list[str]) -> None:
        """Record the decision about possible identifiers."""
        self.privacy = {"mask": "masked", "kept": "no identifier"}.get(decision, self.privacy)
        self.saved = "never" if decision in ("none", "back") else self.saved
        self.cleared += words if decision == "kept" else []


class Transcripts:
    """The turns of a run in its append-only `transcripts.jsonl`."""

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / "transcripts.jsonl"

    def add(self, turn: Turn) -> None:
        """Append a turn without failed or unfinished answers; it is on disk on return."""
        saved = turn.model_copy(update={"answers": turn.good_answers, "saved": "yes"}, deep=True)
        for answer in saved.answers:
            if answer.reading and answer.reading.state == "reading":
                answer.reading = None
        line = saved.model_dump_json(exclude_defaults=True).encode() + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b", buffering=len(line) + 2) as file:
                file.seek(max(file.seek(0, os.SEEK_END) - 1, 0))
                is_torn = file.read(1) not in (b"", b"\n")
                file.write(b"\n" * is_torn + line)  # one write: lines of two kernels do not mix
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            do = "Free some disk space; the answers stay on the page, earlier turns are safe."
            got = f"{self.path}: {error.strerror}"
            raise UserError("This turn is NOT saved.", got=got, do=do) from None

    def turns(self) -> list[Turn]:
        """Return all saved turns in order; a line cut short by a crash is skipped."""
        turns: dict[str, Turn] = {}  # by id: a turn is saved again when it is judged
        for line in self.path.read_bytes().splitlines() if self.path.exists() else []:
            with contextlib.suppress(ValidationError):
                turn = Turn.model_validate_json(line)
                turns[turn.id] = turn
        return list(turns.values())

    def last_conversation(self) -> list[Turn]:
        """Return the turns of the most recent conversation after all edits."""
        rows, turns = self.turns(), []
        for turn in rows:
            if turn.conversation == rows[-1].conversation:
                turns = [*before(turns, turn.replaces), turn]
        return turns


def before(turns: Sequence[Turn], id: str) -> list[Turn]:
    """Return the turns before the one with this id, or all."""
    return list(takewhile(lambda turn: turn.id != id, turns))


def given_to(turns: Sequence[Turn], answer: Answer) -> str:
    """Return the questions that the model of an answer to the last turn has read."""
    return "\n".join(turn.question for turn in turns[0 if answer.reads_history else -1 :])


def pages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Return turns as data for the page, with marks, hidden characters written out."""
    rows = []
    for n, turn in enumerate(turns, 1):
        row = turn.model_dump() | {"question": review.visible(turn.question)}
        for answer, page in zip(turn.answers, row["answers"], strict=True):
            given = given_to(turns[:n], answer)
            page |= {"text": review.visible(answer.text), "error": review.visible(answer.error)}
            page["marks"] = marks(page["text"], given) if answer.state == "done" else []
            page["good"] = answer.is_good
        rows.append(row)
    return rows


def judge(store: review.Store, reviewer: str, turn: Turn, answer: Answer, **form: str) -> None:
    """Save a judgment (verdict, correction, comment) as a vote and, under an alias, in `answer`."""
    check_choice("verdict", form["verdict"], FEEDBACK["verdicts"])
    vote, correction = dict(FEEDBACK["verdicts"][form["verdict"]]), form["correction"].strip()
    instruction = turn.instruction or turn.question
    edit = FEEDBACK["labels"] | {"instruction": instruction, "input": turn.input}
    edit |= {"task": content_hash(instruction, turn.input), "output": answer.text}
    example = Example(**edit)
    if correction not in ("", answer.text):
        if vote["action"] == "accept":
            do = "Choose wrong or unsafe, or empty the correction."
            raise UserError("A right answer needs no correction.", do=do)
        vote["action"], edit["output"] = "edit", correction
    vote |= {"item": example.id, "hash": review.text_hash(example), "comment": form["comment"]}
    sides = {"model": f"{answer.name}: {answer.model}", "request": answer.request, "turn": turn.id}
    store.cast(reviewer, kind="chat", **vote, sides=sides, edit=edit)
    answer.judgments.append(form | {"reviewer": store.alias(reviewer)})
