"""A turn while it is alive: what has been written so far, by whom, how it ended, and all that the page shows of it."""

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from medinstruct import review
from medinstruct.assist.transcript import Said, Turn

FIRST = 6_000  # characters of an answer that the page shows until somebody asks for all
ENDS = {
    "stop": ("", ""),
    "length": (
        "cut",
        "Cut: the room for the answer was used up. Allow more tokens and send it again.",
    ),
    "stopped": ("stopped", "Stopped by you: this answer is not whole."),
    "interrupted": ("cut", "Cut: the server ended it without saying why."),
    "content_filter": ("cut", "Cut by the server's content filter."),
    "error": ("failed", ""),
}


@dataclass
class Answer:
    """One model's answer: `state` is waiting, writing, sampling or done; `spans` and `lines` are what the rules found."""

    name: str
    about: str = ""
    data: str = ""
    text: str = ""
    state: str = "waiting"
    finish: str = ""
    trouble: str = ""
    request: str = ""
    tokens: int = 0
    seconds: float = 0.0
    samples: list[str] = field(default_factory=list)
    alone: bool = False
    spans: list[tuple[int, int, str, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    agreement: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether there is an answer that can be read, judged and kept."""
        return self.state == "done" and self.finish != "error" and bool(self.text.strip())

    def said(self) -> Said:
        """The answer as it is kept."""
        return Said(
            name=self.name,
            model=self.about,
            data=self.data,
            text=self.text,
            finish_reason=self.finish,
            tokens=self.tokens,
            seconds=round(self.seconds, 2),
            request=self.request,
            samples=tuple(self.samples),
        )


@dataclass
class Live:
    """One question on the page. `saved` is no, yes, asks (whether something is an identifier) or never."""

    question: str
    instruction: str
    input: str
    way: str
    settings: dict[str, Any]
    answers: list[Answer]
    conversation: str = ""
    replaces: str = ""
    reader: str = ""
    given: str = ""
    privacy: str = ""
    saved: str = "no"
    alarms: list[dict[str, str]] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)
    at: str = field(
        default_factory=lambda: (
            datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        )
    )
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    begun: float = field(default_factory=time.monotonic)
    halted: bool = False

    def turn(self) -> Turn:
        """The turn as it is kept: what failed is left out."""
        return Turn(
            id=self.id,
            conversation=self.conversation,
            at=self.at,
            question=self.question,
            instruction=self.instruction,
            input=self.input,
            way=self.way,
            reader=self.reader,
            settings=self.settings,
            answers=tuple(answer.said() for answer in self.answers if answer.good),
            replaces=self.replaces,
            privacy=self.privacy,
            cleared=tuple(self.cleared),
        )

    def answer(self, name: str) -> Answer | None:
        """The answer of one model."""
        return next((answer for answer in self.answers if answer.name == name), None)

    @property
    def busy(self) -> bool:
        """Whether something is still being written."""
        return any(answer.state != "done" for answer in self.answers)


def revived(turn: Turn) -> Live:
    """A kept turn on the page again."""
    answers = [
        Answer(
            name=said.name,
            about=said.model,
            data=said.data,
            text=said.text,
            state="done",
            finish=said.finish_reason,
            request=said.request,
            tokens=said.tokens,
            seconds=said.seconds,
            samples=list(said.samples),
        )
        for said in turn.answers
    ]
    return Live(
        question=turn.question,
        instruction=turn.instruction,
        input=turn.input,
        way=turn.way,
        reader=turn.reader,
        settings=turn.settings,
        answers=answers,
        conversation=turn.conversation,
        replaces=turn.replaces,
        privacy=turn.privacy,
        saved="yes",
        cleared=list(turn.cleared),
        at=turn.at,
        id=turn.id,
    )


def shown(
    live: Live, *, feedback: dict[str, list[dict[str, str]]], full: set[str] = frozenset()
) -> dict[str, Any]:
    """A turn as data for the page: plain texts in which nothing hides, long ones cut."""
    return {
        "id": live.id,
        "at": live.at,
        "question": _cut(live.question, True),
        "way": live.way,
        "reader": live.reader,
        "settings": live.settings,
        "alarms": live.alarms,
        "saved": live.saved,
        "privacy": live.privacy,
        "busy": live.busy,
        "answers": [
            _shown(answer, feedback.get(answer.name, []), f"{live.id}/{answer.name}" in full)
            for answer in live.answers
        ],
    }


def _shown(answer: Answer, feedback: list[dict[str, str]], full: bool) -> dict[str, Any]:
    badge, ended = (
        ENDS.get(answer.finish, ("", f"Ended as “{answer.finish}”.")) if answer.finish else ("", "")
    )
    return {
        "name": answer.name,
        "about": answer.about,
        "data": answer.data,
        "state": answer.state,
        "badge": badge,
        "ended": ended,
        "trouble": review.visible(answer.trouble),
        "tokens": answer.tokens,
        "seconds": round(answer.seconds, 1),
        "good": answer.good,
        "feedback": feedback,
        "lines": answer.lines,
        "agreement": answer.agreement,
        **_cut(answer.text, full),
        "spans": [span for span in answer.spans if full or span[1] <= FIRST],
        "samples": [_cut(text, False) for text in answer.samples],
    }


def _cut(text: str, full: bool) -> dict[str, Any]:
    whole = review.visible(text)
    part = whole if full or len(whole) <= FIRST else whole[:FIRST]
    return {"text": part, "length": len(text), "cut": len(part) < len(whole)}
