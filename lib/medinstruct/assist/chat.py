"""Chat: privacy gate, session, streamed answers of several models, widget, static page."""

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from IPython.display import HTML
from pydantic import BaseModel, Field

from medinstruct import llm, paths, plotting, records, review, training
from medinstruct.assist.second_reader import SecondReader
from medinstruct.assist.transcript import Answer, Reading, Transcripts, Turn, before, judge, pages
from medinstruct.assist.use_cases import EMERGENCY, NOTICE, USE_CASES, chat_task
from medinstruct.audits import phi
from medinstruct.errors import UserError, check_choice
from medinstruct.evaluation.answers import ALPACA_STOPS, Models

LONGEST = 20_000  # characters of a question
PAUSE = 0.05  # seconds between two messages to the page about one answer
DECISIONS = ("mask", "none", "kept", "back")
REMEMBERED = 6  # earlier turns that a model with a chat template reads


class Settings(BaseModel, extra="forbid"):
    """Sampling settings of a question."""

    temperature: float = Field(0.0, ge=0.0, le=2.0)
    max_tokens: int = Field(400, ge=1, le=32_000)


class Guard:
    """A privacy gate: texts with possible identifiers wait for the reader; `cleared` words pass."""

    def __init__(self, cleared: Iterable[str] = ()) -> None:
        self.cleared, self.blocked = set(cleared), set[str]()
        self.pending: dict[str, Any] | None = None

    def check(self, what: str, texts: list[str], then: Callable[..., None]) -> None:
        """Call `then(decision, texts, words)`, at once without an identifier, else by `decide`."""
        if hits := [hit for text in texts for hit in self.find(text)]:
            visible = dict.fromkeys((hit.kind, review.visible(hit.text)) for hit in hits)
            self.pending = {"what": what, "hits": list(visible)}
            self._waiting = texts, [hit.text for hit in hits], then
        else:
            then("", texts, [])

    def decide(self, decision: str) -> None:
        """Apply a decision: mask, none (save nothing), kept (no identifier), back (withdraw)."""
        check_choice("decision", decision, DECISIONS)
        if self.pending is None:
            return
        (texts, words, then), self.pending = self._waiting, None
        texts = list(map(self.mask, texts)) if decision == "mask" else texts
        self.cleared.update(words if decision == "kept" else ())
        self.blocked.update(words if decision == "none" else ())
        then(decision, texts, words)

    def find(self, text: str) -> list[phi.Hit]:
        """Return the possible identifiers of a text that are not cleared, in order."""
        hits = phi.find_identifiers(text)
        for word in self.blocked:
            for match in re.finditer(re.escape(word), text):
                hit = phi.Hit("not to be saved", match.start(), word)
                if not any(hit.overlaps(other) for other in hits):
                    hits.append(hit)
        return sorted((hit for hit in hits if hit.text not in self.cleared), key=lambda h: h.start)

    def mask(self, text: str) -> str:
        """Replace each possible identifier by its kind, as in "Mr. [name] came."."""
        for hit in reversed(self.find(text)):
            text = f"{text[: hit.start]}[{hit.kind}]{text[hit.start + len(hit.text) :]}"
        return text


@dataclass(eq=False)
class Session:
    """A chat: `act` handles a page's message, `send` sends one; `dataset` taught tuned models."""

    models: Models
    folder: str | Path
    send: Callable[[dict[str, Any]], None]
    reviewer: str = field(default_factory=lambda: os.environ.get("MEDINSTRUCT_REVIEWER", ""))
    settings: dict[str, Any] = field(default_factory=dict)
    dataset: str = ""
    second: SecondReader | None = None  # reads saved turns, which have passed the privacy gate

    def __post_init__(self) -> None:
        self.running: asyncio.Future[Any] | None = None
        self.readings: list[asyncio.Future[Any]] = []  # asyncio keeps weak references
        self.settings = Settings(**self.settings).model_dump()
        self.transcripts, self.error = Transcripts(self.folder), ""
        self.guard = Guard(word for turn in self.transcripts.turns() for word in turn.cleared)
        self.turns = self.transcripts.last_conversation()

    def act(self, message: Mapping[str, Any]) -> None:
        """Handle a message and send the page, which shows an error and keeps typed text."""
        self.error, is_busy = "", self.running or self.guard.pending
        try:
            match message.get("act"):
                case "new" | "ask" | "judge" if is_busy:
                    do = "Wait for the answers or stop them, and decide about possible identifiers."
                    raise UserError("The last question or judgment is not finished.", do=do)
                case "new":
                    self.turns = []
                case "ask":
                    self._ask(message)
                case "judge":
                    self._judge(message)
                case "decide":
                    self.guard.decide(message.get("decision", ""))
                case "stop" if self.running:
                    self.running.cancel()
                case act if act not in ("look", "stop"):
                    raise UserError("The page sent an unknown message.", do="Run the cell again.")
        except UserError as error:
            self.error = str(error)
        self.send({"event": "view", "view": self.view(), "nonce": message.get("nonce")})

    def view(self) -> dict[str, Any]:
        """Return the page as data, without the reviewer's name."""
        view = {"emergency": EMERGENCY, "notice": NOTICE, "busy": self.running is not None}
        view |= {"settings": self.settings, "pending": self.guard.pending, "error": self.error}
        view |= {"turns": pages(self.turns), "named": bool(self.reviewer)}
        view["limits"] = Settings.model_json_schema()["properties"]
        view["conversation"] = self.turns[0].conversation if self.turns else ""
        view["use_cases"] = [use_case.model_dump() for use_case in USE_CASES.values()]
        view["models"] = [self._empty_answer(name).model_dump() for name in self.models]
        return view

    def _ask(self, message: Mapping[str, Any]) -> None:
        """Send a new or edited question to the models once it passes the privacy gate."""
        question, names = str(message.get("text", "")).strip(), message.get("models")
        if not 0 < len(question) <= LONGEST:
            got, do = f"{len(question):,} characters", f"Write 1 to {LONGEST:,} characters."
            raise UserError("The question is empty or too long.", got=got, do=do)
        if not names or set(names) - set(self.models):
            do = f"Choose from {', '.join(self.models)}."
            raise UserError("No model, or an unknown model, is selected.", got=names, do=do)
        settings = self.settings | (message.get("settings") or {})
        self.settings = records.parse(Settings, settings, where="settings").model_dump()
        form = {name: message.get(name) or "" for name in ("way", "reader", "replaces")}
        form |= {"answers": [self._empty_answer(name) for name in names], "saved": "no"}
        turn = Turn(question="", settings=self.settings, **form)
        turn.conversation = self.turns[0].conversation if self.turns else turn.id

        def start(decision: str, texts: list[str], words: list[str]) -> None:
            if decision != "back":
                turn.question = texts[0]
                turn.instruction, turn.input = chat_task(turn.way, texts[0], reader=turn.reader)
                turn.record(decision, words)
                self.turns = [*before(self.turns, turn.replaces), turn]
                self.running = asyncio.gather(*(self._answer(turn, row) for row in turn.answers))
                self.running.add_done_callback(lambda _: self._end(turn))

        self.guard.check("question", [question], start)

    def _empty_answer(self, name: str) -> Answer:
        """Return an answer that has not begun, with its model and that model's dataset."""
        model, data = self.models[name], ""
        if isinstance(model, llm.LocalModel):
            adapter, data = ("with its", self.dataset) if model.is_tuned else ("without", "")
            about = f"{model.name}, {adapter} adapter, in this process"
            about += "" if model.chat else ", reads no earlier turns"
        else:
            about = model.source
        form = {"model": about, "data": data, "reads_history": model.chat}
        return Answer(name=name, state="waiting", finish_reason="stopped", **form)

    async def _answer(self, turn: Turn, answer: Answer) -> None:
        """Stream one model's answer to the page; an error is shown in its place."""
        fresh, sent, place = "", 0.0, {"turn": turn.id, "name": answer.name}
        try:
            async for item in self.models[answer.name].stream(self._request(turn, answer)):
                if isinstance(item, llm.Reply):
                    answer.text, answer.finish_reason = item.text, item.finish_reason
                    answer.request, answer.tokens = item.key, item.completion_tokens
                    continue
                answer.state, answer.text, fresh = "writing", answer.text + item, fresh + item
                if time.monotonic() - sent > PAUSE:
                    self.send({"event": "piece", **place, "text": review.visible(fresh)})
                    fresh, sent = "", time.monotonic()
        except Exception as error:  # one model's failure leaves the others running
            answer.finish_reason, answer.error = "error", _problem(error)
        answer.state = "done"
        self._show(turn)

    def _request(self, turn: Turn, answer: Answer) -> llm.Request:
        """Return the request of a turn; a model without chat template gets no earlier turns."""
        earlier, wording, settings = before(self.turns, turn.id), training.message, turn.settings
        if not answer.reads_history:
            earlier, wording = [], training.prompt
            settings = settings | {"stop": list(ALPACA_STOPS)}
        messages = []
        pairs = [(row, other) for row in earlier[-REMEMBERED:] for other in row.good_answers]
        for row, other in [pair for pair in pairs if pair[1].name == answer.name]:
            messages.append({"role": "user", "content": wording(row.instruction, row.input)})
            messages.append({"role": "assistant", "content": other.text})
        messages.append({"role": "user", "content": wording(turn.instruction, turn.input)})
        return llm.Request(messages=messages, parameters=settings)

    def _end(self, turn: Turn) -> None:
        """Save a turn that has ended or was stopped, once its answers pass the privacy gate."""
        self.running = None
        for answer in turn.answers:
            answer.state = "done"

        def save(decision: str, texts: list[str], words: list[str]) -> None:
            for answer, text in zip(turn.good_answers, texts, strict=True):
                answer.text = text
            turn.record(decision, words)
            if turn.saved != "never":
                turn.saved = "no"
                self.transcripts.add(turn)
                turn.saved = "yes"
                if self.second:
                    self.readings.append(asyncio.ensure_future(self._read(turn)))

        if turn.saved == "no" and turn.good_answers:
            turn.saved = "asks"
            try:
                self.guard.check("answer", [answer.text for answer in turn.good_answers], save)
            except UserError as error:
                self.error = str(error)
        self.send({"event": "view", "view": self.view()})

    async def _read(self, turn: Turn) -> None:
        """Add the second reader's lists, without identifiers, to a saved turn and save it again."""
        earlier = [row for row in before(self.turns, turn.id) if row.saved != "never"]
        for answer in (answers := turn.good_answers):
            answer.reading = Reading(state="reading")
        self._show(turn)
        try:
            await self.second.read([turn], earlier=earlier)
            for row in (row for answer in answers for row in answer.reading.lists):
                row["items"] = list(map(self.guard.mask, row["items"]))
            self.transcripts.add(turn)
        except Exception as error:  # the answers and their notices stay
            for answer in answers:
                answer.reading = Reading(state="unreadable", error=_problem(error))
        self._show(turn)

    def _show(self, turn: Turn) -> None:
        """Send a turn to the page, if it is still there."""
        for page in (page for page in pages(self.turns) if page["id"] == turn.id):
            self.send({"event": "turn", "turn": page})

    def _judge(self, message: Mapping[str, Any]) -> None:
        """Save a judgment of a saved answer once its own words pass the privacy gate."""
        turn = next(turn for turn in self.turns if turn.id == message["turn"])
        answer = next(answer for answer in turn.answers if answer.name == message.get("name"))
        self.reviewer = str(message.get("reviewer", "")).strip() or self.reviewer
        names = ("verdict", "correction", "comment")
        if turn.saved != "yes":
            raise UserError("Feedback needs a saved turn; this one is not saved.", do="Ask again.")

        def save(decision: str, texts: list[str], words: list[str]) -> None:
            if decision not in ("none", "back"):
                form = dict(zip(names, texts, strict=True))
                with closing(review.Store(Path(self.folder) / "reviews.sqlite")) as store:
                    judge(store, self.reviewer, turn, answer, **form)
                self.transcripts.add(turn)

        self.guard.check("correction", [str(message.get(name, "")) for name in names], save)


def _problem(error: Exception) -> str:
    """Return what a page shows of an error."""
    return review.visible(str(error) if isinstance(error, UserError) else repr(error))[:500]


def show_turns(turns: Sequence[Turn], *, about: str = "") -> HTML:
    """Return turns as a static page, with all text escaped."""
    names = {"use_cases": USE_CASES, "notice": NOTICE, "emergency": EMERGENCY, "about": about}
    return HTML(plotting.display.render("conversation.html", turns=pages(turns), **names))


def open_chat(models: Models, *, folder: Path, example: Sequence[Turn] = (), **session: Any) -> Any:
    """Return a chat widget on a live page, else the run's last conversation or `example`.

    Turns and judgments are saved in `folder`; `session` is what `Session` takes. Texts go to the
    widget as messages, so that no saved notebook holds them.
    """
    if not plotting.display.live():
        saved = Transcripts(folder).last_conversation()
        about = "The last conversation of this run." if saved else "An example from this page."
        return show_turns(saved or example, about=about)
    import anywidget

    class Chat(anywidget.AnyWidget):
        _esm, _css = paths.data("chat_panel.js"), paths.data("chat_panel.css")

    widget = Chat()
    widget.session = Session(models, folder, widget.send, **session)
    widget.on_msg(lambda _, message, __: widget.session.act(message))
    return widget
