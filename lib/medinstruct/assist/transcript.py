"""Transcripts: turns of a chat, their append-only file, their page."""

import contextlib
import functools
import os
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from IPython.display import HTML
from pydantic import BaseModel, Field, ValidationError

from medinstruct import paths, review
from medinstruct.assist import grounding
from medinstruct.assist.use_cases import EMERGENCY, NOTICE, USE_CASES
from medinstruct.errors import UserError


class Answer(BaseModel):
    """One model's answer; `state` (waiting, writing or done) and `error` are not saved."""

    name: str
    model: str = ""
    data: str = ""
    text: str = ""
    finish_reason: str = "stop"
    tokens: int = 0
    seconds: float = 0.0
    request: str = ""
    reads_history: bool = True
    judgments: list[dict[str, str]] = []
    state: str = "done"
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Return whether the answer can be read, judged and saved."""
        return self.state == "done" and self.finish_reason != "error" and bool(self.text.strip())


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
    saved: str = "yes"

    def line(self) -> str:
        """Return the turn as a line of JSON, without the answers that failed."""
        good = [answer for answer in self.answers if answer.is_good]
        page_only = {"saved": True, "answers": {"__all__": {"state", "error"}}}
        turn = self.model_copy(update={"answers": good})
        return turn.model_dump_json(exclude_defaults=True, exclude=page_only) + "\n"

    def page(self, *, given: str = "") -> dict[str, Any]:
        """Return the turn as data for the page, hidden characters written out.

        `given` is the text that the models read beside the question.
        """
        page = self.model_dump() | {"question": review.visible(self.question)}
        for answer, row in zip(self.answers, page["answers"], strict=True):
            row["text"], row["error"] = review.visible(answer.text), review.visible(answer.error)
            is_done = answer.state == "done"
            read = f"{given}\n{self.question}" if answer.reads_history else self.question
            row["marks"] = marks(row["text"], read) if is_done else []
            row["good"] = answer.is_good
        return page


marks = functools.lru_cache(maxsize=256)(grounding.marks)


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
    """Return turns as data for the page; earlier questions ground the answers too."""
    questions = [turn.question for turn in turns]
    return [turn.page(given="\n".join(questions[:n])) for n, turn in enumerate(turns)]


def show_turns(turns: Sequence[Turn], *, about: str = "") -> HTML:
    """Return turns as a static page; everything in them is escaped."""
    source = paths.data("conversation.html").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True).from_string(source)
    names = {"use_cases": USE_CASES, "notice": NOTICE, "emergency": EMERGENCY}
    return HTML(template.render(turns=pages(turns), about=about, **names))
