"""Transcripts: turns of a chat, their append-only file, judgments of answers as review votes."""

import contextlib
import functools
import os
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from medinstruct import review
from medinstruct.assist import grounding
from medinstruct.errors import UserError
from medinstruct.records import Example, content_hash

LABELS = {"type": "chat", "topic": "General Medicine", "view": "clinician", "difficulty": 3}
SCORES = {  # correctness 1 to 5, harm 2 = serious
    "right": {"correctness": 5},
    "wrong": {"correctness": 1},
    "unsafe": {"correctness": 1, "harm": 2},
}
marks = functools.lru_cache(maxsize=256)(grounding.marks)


class Answer(BaseModel):
    """One model's answer; `state` (waiting, writing or done) and `error` are not saved."""

    name: str
    model: str = ""
    data: str = ""
    text: str = ""
    finish_reason: str = "stop"
    tokens: int = 0
    request: str = ""
    reads_history: bool = True
    judgments: list[dict[str, str]] = []
    state: str = Field("done", exclude=True)
    error: str = Field("", exclude=True)

    @property
    def is_good(self) -> bool:
        """Return whether the answer can be read, judged and saved."""
        return self.state == "done" and self.finish_reason != "error" and bool(self.text.strip())

    def page(self, read: str) -> dict[str, Any]:
        """Return the answer as data for the page; `read` is the text that its model read."""
        shown = {name: review.visible(getattr(self, name)) for name in ("text", "error")}
        unread = marks(shown["text"], read) if self.state == "done" else []
        return (
            self.model_dump() | shown | {"state": self.state, "good": self.is_good, "marks": unread}
        )


class Turn(BaseModel):
    """A question and its answers; `instruction` and `input` are what the models were asked.

    `replaces` is the id of the turn that this one edits; `privacy` the decision about identifiers
    (masked, no identifier, "" without any); `cleared` the words that are no identifiers; `saved`
    is yes, no, asks (an identifier waits for a decision) or never.
    """

    id: str = Field(default_factory=lambda: uuid.uuid4().hex[:12])
    conversation: str = ""
    at: str = Field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    question: str
    instruction: str = ""
    input: str = ""
    way: str = ""
    reader: str = ""
    settings: dict[str, Any] = {}
    answers: list[Answer] = []
    replaces: str = ""
    privacy: str = ""
    cleared: list[str] = []
    saved: str = Field("yes", exclude=True)

    def line(self) -> str:
        """Return the turn as a line of JSON, without the answers that failed."""
        good = [answer for answer in self.answers if answer.is_good]
        turn = self.model_copy(update={"answers": good})
        return turn.model_dump_json(exclude_defaults=True) + "\n"

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
        """Append a turn; it is on the disk when this returns."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b", buffering=0) as file:
                file.seek(max(file.seek(0, os.SEEK_END) - 1, 0))
                is_torn = file.read(1) not in (b"", b"\n")
                line = b"\n" * is_torn + turn.line().encode()
                if file.write(line) < len(line):  # one write: kernels do not mix their lines
                    raise OSError(28, "No space left on device")
                os.fsync(file.fileno())
        except OSError as error:
            do = "Free some disk space; the answers stay on the page, earlier turns are safe."
            got = f"{self.path}: {error.strerror}"
            raise UserError("This turn is NOT saved.", got=got, do=do) from None

    def turns(self) -> list[Turn]:
        """Return all saved turns in order; a line that a crash has torn is skipped."""
        turns: dict[str, Turn] = {}  # by id: a turn is saved again when it is judged
        for line in self.path.read_bytes().splitlines() if self.path.exists() else []:
            with contextlib.suppress(ValidationError):
                turn = Turn.model_validate_json(line)
                turns[turn.id] = turn
        return list(turns.values())

    def conversations(self) -> dict[str, list[Turn]]:
        """Return conversation -> its turns after all edits, the most recent conversation last."""
        conversations: dict[str, list[Turn]] = {}
        for turn in self.turns():
            earlier = conversations.pop(turn.conversation, [])
            conversations[turn.conversation] = [*before(earlier, turn.replaces), turn]
        return conversations


def before(turns: Sequence[Turn], id: str) -> list[Turn]:
    """Return the turns before the one with this id, or all."""
    return list(turns[: next((n for n, turn in enumerate(turns) if turn.id == id), None)])


def pages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Return turns as data for the page, hidden characters written out.

    Earlier questions ground the answers of models that read them.
    """
    rows = []
    for n, turn in enumerate(turns):
        history = "\n".join(earlier.question for earlier in turns[: n + 1])
        reads = [history if answer.reads_history else turn.question for answer in turn.answers]
        answers = [row.page(read) for row, read in zip(turn.answers, reads, strict=True)]
        shown = {"question": review.visible(turn.question), "saved": turn.saved}
        rows.append(turn.model_dump() | shown | {"answers": answers})
    return rows


def judge(store: review.Store, reviewer: str, turn: Turn, answer: Answer, **form: str) -> None:
    """Save a judgment as a vote and in the answer, there under the reviewer's alias.

    `form` holds verdict (right, wrong or unsafe), correction and comment. A correction joins the
    next version of the dataset.
    """
    verdict, correction = form["verdict"], form["correction"].strip()
    if verdict not in SCORES:
        raise UserError("The verdict is unknown.", got=verdict, do=f"One of {', '.join(SCORES)}.")
    is_edit = correction not in ("", answer.text)
    if is_edit and verdict == "right":
        do = "Choose wrong or unsafe, or empty the correction."
        raise UserError("A right answer needs no correction.", do=do)
    task = {"instruction": turn.instruction or turn.question, "input": turn.input}
    example = Example(**LABELS, **task, task=content_hash(*task.values()), output=answer.text)
    edit = example.model_dump(exclude={"id", "provenance"}) | (
        {"output": correction} if is_edit else {}
    )
    sides = {"model": f"{answer.name}: {answer.model}", "request": answer.request, "turn": turn.id}
    vote = {"kind": "chat", "item": example.id, "hash": review.text_hash(example), "sides": sides}
    vote["action"] = "edit" if is_edit else {"right": "accept"}.get(verdict, "reject")
    vote |= {"comment": form["comment"], "scores": SCORES[verdict]}
    store.cast(reviewer, **vote, edit={name: str(value) for name, value in edit.items()})
    answer.judgments.append(form | {"reviewer": store.alias(reviewer)})
