"""What was said, kept in the run: one line a turn, only ever added, whole or not at all, by several kernels at once."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from medinstruct.errors import UserError

FILE = "transcripts.jsonl"


class Said(BaseModel):
    """One model's answer in a turn: which model on which data, its text, and how it ended ("stop", "length", "stopped", …)."""

    model_config = ConfigDict(extra="ignore")
    name: str
    model: str = ""
    data: str = ""
    text: str = ""
    finish_reason: str = "stop"
    tokens: int = 0
    seconds: float = 0.0
    request: str = ""
    samples: tuple[str, ...] = ()


class Turn(BaseModel):
    """One question with the answers to it. `instruction` and `input` are what the models were asked, `replaces` the turn that was
    edited, in whose place this one stands.

    `privacy` says what was decided about what looked like an identifier: "masked", "no identifier", or "" where there was none;
    `cleared` are the words that somebody said are no identifiers.
    """

    model_config = ConfigDict(extra="ignore")
    id: str
    conversation: str
    at: str
    question: str
    instruction: str = ""
    input: str = ""
    way: str = ""
    reader: str = ""
    settings: dict[str, Any] = {}
    answers: tuple[Said, ...] = ()
    replaces: str = ""
    privacy: str = ""
    cleared: tuple[str, ...] = ()


class Transcripts:
    """The turns of a run, in `transcripts.jsonl`."""

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / FILE
        self._read: tuple[int, list[Turn]] = (0, [])

    def add(self, turn: Turn) -> None:
        """Keep a turn; it is on the disk when this returns, or nothing of it is."""
        line = (turn.model_dump_json(exclude_defaults=True) + "\n").encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file, _alone(file):
                _append(file, line)
        except OSError as error:
            do = "Free some space on the disk; the answers stay on the page, and earlier turns are kept."
            raise UserError(
                f"This turn is NOT saved: {self.path} cannot be written.", got=error.strerror, do=do
            ) from None

    def turns(self) -> list[Turn]:
        """All turns that were ever kept, in order; a line that a crash has torn is left out."""
        size = self.path.stat().st_size if self.path.exists() else 0  # the file only grows
        if size != self._read[0]:
            found = []
            for line in self.path.read_bytes().split(b"\n"):
                with contextlib.suppress(ValidationError, UnicodeDecodeError):
                    found.append(Turn.model_validate_json(line))
            self._read = size, found
        return list(self._read[1])

    def conversations(self) -> dict[str, list[Turn]]:
        """Conversation -> its turns as they stand after all edits; the one that was last spoken in comes last."""
        found: dict[str, list[Turn]] = {}
        for turn in self.turns():
            before = found.pop(turn.conversation, [])
            at = next((n for n, one in enumerate(before) if one.id == turn.replaces), len(before))
            found[turn.conversation] = [*before[:at], turn]
        return found


def as_markdown(turns: Sequence[Turn], *, notice: str = "") -> str:
    """Turns as a page to read; what was said stands in fences, so that nothing in it is Markdown, a link or HTML."""
    parts = [f"# Conversation\n\n{notice}".rstrip()]
    for turn in turns:
        about = " · ".join(filter(None, (turn.at, turn.way, turn.privacy)))
        parts.append(f"## {about}\n\n{_fenced(turn.question)}")
        parts += [f"**{_plain(_who(said))}**\n\n{_fenced(said.text)}" for said in turn.answers]
    return "\n\n".join(parts) + "\n"


def as_jsonl(turns: Sequence[Turn]) -> str:
    """Turns as they are kept, one JSON object a line."""
    return "".join(turn.model_dump_json(exclude_defaults=True) + "\n" for turn in turns)


def _who(said: Said) -> str:
    ended = {"stop": "", "length": "cut at its room", "stopped": "stopped by the reader"}.get(
        said.finish_reason, said.finish_reason
    )
    return " · ".join(filter(None, (said.name, said.model, said.data, ended)))


def _plain(text: str) -> str:
    return " ".join(text.split()).translate({ord(sign): f"\\{sign}" for sign in "\\`*_{}[]<>#|!"})


def _fenced(text: str) -> str:
    """A block whose fence is longer than any in the text."""
    ticks = "`" * max(3, *(1 + len(run) for run in re.findall(r"`+", text)), 3)
    return f"{ticks}text\n{text}\n{ticks}"


def _append(file: IO[bytes], line: bytes) -> None:
    """Add a line at the end, after a torn one on a new line; what does not fit on the disk is taken away again."""
    size = file.seek(0, os.SEEK_END)
    if size:
        file.seek(size - 1)
        line = line if file.read(1) == b"\n" else b"\n" + line
    try:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            os.truncate(file.fileno(), size)
        raise


@contextlib.contextmanager
def _alone(file: IO[bytes]) -> Iterator[None]:
    """Nobody else writes meanwhile, where the system knows such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with contextlib.suppress(OSError):  # some network folders know no locks
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
