"""Chat: session, streamed answers of several models, widget."""

import asyncio
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from medinstruct import llm, paths, plotting, review
from medinstruct.assist import feedback
from medinstruct.assist.privacy import Guard
from medinstruct.assist.transcript import Answer, Transcripts, Turn, before, pages, show_turns
from medinstruct.assist.use_cases import EMERGENCY, NOTICE, USE_CASES, chat_task
from medinstruct.errors import UserError
from medinstruct.evaluation.answers import ALPACA_STOPS
from medinstruct.training import message as chat_prompt
from medinstruct.training import prompt as alpaca_prompt

Model = llm.Client | llm.LocalModel
LIMITS = {"temperature": (0.0, 2.0), "max_tokens": (1, 32_000)}
DEFAULTS = {"temperature": 0.0, "max_tokens": 400}
LONGEST = 20_000  # characters of a question
PAUSE = 0.05  # seconds between two messages to the page about one answer
REMEMBERED = 6  # earlier turns that a model with a chat template reads


class Session:
    """A chat with models by name: `act` handles a message of the page, `send` sends one to it.

    `dataset` names the data that the tuned models learned from.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        *,
        folder: str | Path,
        send: Callable[[dict[str, Any]], None],
        reviewer: str = "",
        settings: Mapping[str, Any] | None = None,
        dataset: str = "",
    ) -> None:
        if not models:
            raise UserError("`models` is empty.", do='Give models={"tuned": model}.')
        self.models, self.folder, self.send = models, Path(folder), send
        self.reviewer, self.dataset = reviewer.strip(), dataset
        self.settings = check_settings(DEFAULTS | dict(settings or {}))
        self.transcripts = Transcripts(folder)
        self.running: asyncio.Task[None] | None = None
        self.note = self.error = ""
        saved = self.transcripts.conversations()
        cleared = [word for turns in saved.values() for turn in turns for word in turn.cleared]
        self.guard = Guard(cleared)
        self.on_open({"id": next(reversed(saved), "")})

    def act(self, message: Mapping[str, Any]) -> None:
        """Handle a message; an error is shown on the page, and nothing that was typed is lost."""
        self.note = self.error = ""
        try:
            getattr(self, f"on_{message.get('act')}", self._unknown)(message)
        except UserError as error:
            self.error = str(error)
        self.show(message.get("nonce"))

    def show(self, nonce: Any = None) -> None:
        """Send the whole page; `nonce` names the message that it answers."""
        self.send({"event": "view", "view": self.view(), "nonce": nonce})

    def view(self) -> dict[str, Any]:
        """Return the page as data, without the reviewer's name."""
        earlier = self.transcripts.conversations().items()
        return {
            "models": [self._answer_of(name).model_dump() for name in self.models],
            "use_cases": [vars(use_case) for use_case in USE_CASES.values()],
            "emergency": EMERGENCY,
            "notice": NOTICE,
            "settings": self.settings,
            "limits": LIMITS,
            "turns": pages(self.turns),
            "earlier": [
                {"id": id, "title": review.visible(turns[0].question[:90]), "at": turns[-1].at}
                for id, turns in reversed(earlier)
            ],
            "conversation": self.conversation,
            "busy": self.running is not None,
            "error": self.error,
            "note": self.note,
            "pending": self.guard.pending,
            "named": bool(self.reviewer),
        }

    def on_look(self, message: Mapping[str, Any]) -> None:
        """Show the page as it is."""

    def on_open(self, message: Mapping[str, Any]) -> None:
        """Open an earlier conversation, or begin a new one."""
        self._require_idle()
        self.turns = self.transcripts.conversations().get(message.get("id", ""), [])
        self.conversation = message["id"] if self.turns else uuid.uuid4().hex[:12]

    def on_ask(self, message: Mapping[str, Any]) -> None:
        """Send a new or edited question to the models once it passes the privacy gate."""
        self._require_idle()
        question, names = str(message.get("text", "")).strip(), message.get("models")
        if not 0 < len(question) <= LONGEST:
            problem = f"Question is empty or longer than {LONGEST:,} characters."
            raise UserError(problem, got=f"{len(question):,} characters", do="Change its length.")
        if not names or set(names) - set(self.models):
            do = f"Choose from {', '.join(self.models)}."
            raise UserError("No model, or an unknown model, is selected.", got=names, do=do)
        self.settings = check_settings(self.settings | (message.get("settings") or {}))

        def begin(decision: str, texts: list[str], words: list[str]) -> None:
            if decision == "back":
                self.note = "Withdrawn: nothing was sent or saved."
                return
            use_case, reader = message.get("way") or "", message.get("reader") or ""
            instruction, given = chat_task(use_case, texts[0], reader=reader)
            task = {"question": texts[0], "instruction": instruction, "input": given}
            turn = Turn(**task, way=use_case, reader=reader, settings=self.settings, saved="no")
            turn.conversation, turn.replaces = self.conversation, message.get("replaces") or ""
            turn.answers = [self._answer_of(name) for name in names]
            _record(turn, decision, words)
            self.turns = [*before(self.turns, turn.replaces), turn]
            self._start(turn)

        self.guard.check("question", [question], begin)

    def on_stop(self, message: Mapping[str, Any]) -> None:
        """End all answers that are being written."""
        if self.running:
            self.running.cancel()

    def on_decide(self, message: Mapping[str, Any]) -> None:
        """Apply the reader's decision about a possible identifier."""
        self.guard.decide(message.get("decision", ""))

    def on_save(self, message: Mapping[str, Any]) -> None:
        """Save a turn again after a failed attempt."""
        self._save(self._turn(message))

    def on_judge(self, message: Mapping[str, Any]) -> None:
        """Save a judgment of a saved answer once its own words pass the privacy gate."""
        self._require_idle()
        turn = self._turn(message)
        answer = next(answer for answer in turn.answers if answer.name == message.get("name"))
        self.reviewer = str(message.get("reviewer", "")).strip() or self.reviewer
        if not self.reviewer:
            raise UserError("Enter your name to submit feedback.")
        if turn.saved != "yes":
            raise UserError("Feedback needs a saved turn; this one is not saved.", do="Ask again.")

        def judge(decision: str, texts: list[str], words: list[str]) -> None:
            self.note = "The feedback was not saved."
            if decision in ("", "mask", "kept"):
                form = {"correction": texts[0], "comment": texts[1]}
                form["verdict"] = message.get("verdict", "")
                with closing(review.Store(self.folder / "reviews.sqlite")) as store:
                    feedback.judge(store, self.reviewer, turn, answer, **form)
                self.transcripts.add(turn)
                self.note = "The feedback was saved for review."

        texts = [str(message.get(name, "")) for name in ("correction", "comment")]
        self.guard.check("correction", texts, judge)

    def on_export(self, message: Mapping[str, Any]) -> None:
        """Send the saved turns of the conversation as JSON Lines."""
        text = "".join(turn.line() for turn in self.turns if turn.saved == "yes")
        self.send({"event": "file", "text": text, "nonce": message.get("nonce")})

    def _unknown(self, message: Mapping[str, Any]) -> None:
        got = str(message)[:80]
        raise UserError("The page sent an unknown message.", got=got, do="Run the cell again.")

    def _require_idle(self) -> None:
        if self.running:
            raise UserError("An answer is being written.", do="Stop it, or wait.")
        if self.guard.pending:
            raise UserError("A possible identifier waits for your decision.", do="Decide first.")

    def _turn(self, message: Mapping[str, Any]) -> Turn:
        turn = next((turn for turn in self.turns if turn.id == message.get("turn")), None)
        if turn is None:
            raise UserError("This turn is no longer shown.", do="Open its conversation again.")
        return turn

    def _answer_of(self, name: str) -> Answer:
        """Return an empty answer that says which model gives it and what the model learned from."""
        model = self.models[name]
        if not isinstance(model, llm.LocalModel):
            return Answer(name=name, model=llm.source(model.url, model.model), state="waiting")
        adapter = "with its adapter" if model.is_tuned else "without adapter"
        history = "" if model.chat else ", reads no earlier turns"
        about = f"{model.name}, {adapter}, in this process{history}"
        data = self.dataset if model.is_tuned else ""
        form = {"data": data, "reads_history": model.chat, "state": "waiting"}
        return Answer(name=name, model=about, **form)

    def _start(self, turn: Turn) -> None:
        """Let all models answer; the turn is saved when the last one ends or is stopped."""

        async def run() -> None:
            await asyncio.gather(*(self._answer(turn, answer) for answer in turn.answers))

        def end(task: asyncio.Task[None]) -> None:
            self.running = None
            for answer in turn.answers:
                if answer.state != "done":
                    answer.state, answer.finish_reason = "done", llm.STOPPED
            self._save(turn)
            self.show()

        self.running = asyncio.get_running_loop().create_task(run())
        self.running.add_done_callback(end)

    async def _answer(self, turn: Turn, answer: Answer) -> None:
        """Stream one model's answer to the page; an error is shown in its place."""
        try:
            request = self._request(turn, answer.name)
            stream = self.models[answer.name].stream(request, keep=False)
            await self._show_pieces(turn, answer, stream)
            reply = await stream.result()
            answer.text, answer.finish_reason = reply.text, reply.finish_reason
            answer.request, answer.tokens = reply.key, reply.completion_tokens
        except Exception as error:  # one model's failure leaves the others running
            problem = str(error) if isinstance(error, UserError) else repr(error)
            answer.finish_reason, answer.error = "error", problem[:500]
        answer.state = "done"
        self.send({"event": "turn", "turn": pages(self.turns)[-1]})

    async def _show_pieces(self, turn: Turn, answer: Answer, stream: llm.Stream) -> None:
        fresh, sent, begun = "", 0.0, time.monotonic()
        async for piece in stream:
            if not answer.text:
                begun = time.monotonic()  # a local model may have waited for its turn
            answer.state, answer.text, fresh = "writing", answer.text + piece, fresh + piece
            answer.seconds = round(time.monotonic() - begun, 2)
            if time.monotonic() - sent > PAUSE:
                text = review.visible(fresh)
                self.send({"event": "piece", "turn": turn.id, "name": answer.name, "text": text})
                fresh, sent = "", time.monotonic()

    def _request(self, turn: Turn, name: str) -> llm.Request:
        """Return the request of a turn; a model without chat template gets no earlier turns."""
        if not getattr(self.models[name], "chat", True):
            text = alpaca_prompt(turn.instruction, turn.input)
            settings = turn.settings | {"stop": list(ALPACA_STOPS)}
            return llm.Request(messages=[{"role": "user", "content": text}], parameters=settings)
        messages = []
        for earlier in before(self.turns, turn.id)[-REMEMBERED:]:
            for answer in earlier.answers:
                if answer.name == name and answer.is_good:
                    text = chat_prompt(earlier.instruction, earlier.input)
                    messages.append({"role": "user", "content": text})
                    messages.append({"role": "assistant", "content": answer.text})
        text = chat_prompt(turn.instruction, turn.input)
        messages.append({"role": "user", "content": text})
        return llm.Request(messages=messages, parameters=turn.settings)

    def _save(self, turn: Turn) -> None:
        """Save a turn once its answers pass the privacy gate."""
        good = [answer for answer in turn.answers if answer.is_good]
        if turn.saved != "no" or self.running or not good:
            return

        def save(decision: str, texts: list[str], words: list[str]) -> None:
            for answer, text in zip(good, texts, strict=True):
                answer.text = text
            turn.saved = "no"
            _record(turn, decision, words)
            if turn.saved == "no":
                self.transcripts.add(turn)
                turn.saved = "yes"

        turn.saved = "asks"
        try:
            self.guard.check("answer", [answer.text for answer in good], save)
        except UserError as error:
            self.error = str(error)


def open_chat(
    models: Mapping[str, Model],
    *,
    folder: str | Path,
    reviewer: str = "",
    example: Sequence[Turn] = (),
    is_live: bool | None = None,
    **settings: Any,
) -> Any:
    """Return a chat widget on a live page, else the run's last conversation or `example`.

    Turns are saved in `folder`/transcripts.jsonl, judgments in `folder`/reviews.sqlite under the
    name `reviewer` (else MEDINSTRUCT_REVIEWER, else the page asks). Further settings are those of
    `Session`. Texts go to the widget as messages, so that no saved notebook holds them.
    """
    if not (plotting.live() if is_live is None else is_live):
        saved = list(Transcripts(folder).conversations().values())
        about = "The last conversation of this run." if saved else "A worked case of this page."
        return show_turns(saved[-1] if saved else example, about=about)
    import anywidget

    class Chat(anywidget.AnyWidget):
        _esm = paths.data("chat_panel.js")
        _css = paths.data("chat_panel.css")

    widget = Chat()
    reviewer = reviewer or os.environ.get("MEDINSTRUCT_REVIEWER", "")
    session = Session(models, folder=folder, send=widget.send, reviewer=reviewer, **settings)
    widget.on_msg(lambda _, message, __: session.act(message))
    widget.session = session
    return widget


def check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return temperature and max_tokens as numbers within their limits."""
    numbers: dict[str, Any] = {}
    for name, (low, high) in LIMITS.items():
        try:
            numbers[name] = type(low)(float(settings[name]))
            is_valid = low <= numbers[name] <= high
        except (TypeError, ValueError):
            is_valid = False
        if not is_valid:
            raise UserError(f"{name} must be between {low:g} and {high:g}.", got=settings[name])
    return numbers


def _record(turn: Turn, decision: str, words: list[str]) -> None:
    """Record the decision about possible identifiers in a turn."""
    turn.privacy = {"mask": "masked", "kept": "no identifier"}.get(decision, turn.privacy)
    turn.saved = "never" if decision in ("none", "back") else turn.saved
    turn.cleared += words if decision == "kept" else []
