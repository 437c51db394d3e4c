"""A chat at work: what each press on the page does. The page only draws; texts go to it as messages and never into a notebook."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from medinstruct import review
from medinstruct.assist import feedback, ruled
from medinstruct.assist.answering import Round
from medinstruct.assist.beginning import ROOM, START, again, asked, given, settings_of
from medinstruct.assist.live import Answer, Live, shown
from medinstruct.assist.privacy import Found, Guard, masked
from medinstruct.assist.speaking import Models, speakers
from medinstruct.assist.transcript import Transcripts, as_jsonl, as_markdown
from medinstruct.assist.ways import NOTICE
from medinstruct.errors import UserError

LONGEST = 20_000  # characters of a question


class Talk:
    """Models, a folder and a reader. `act` does what the page asks; `tell` gets what the page is to show."""

    def __init__(
        self,
        models: Models,
        *,
        folder: str | Path,
        tell: Callable[[dict[str, Any]], None],
        reviewer: str = "",
        settings: Mapping[str, Any] = START,
        engine: str = "rules",
    ) -> None:
        self.speakers = {one.name: one for one in speakers(models, folder=folder)}
        self.kept, self.folder, self.reviewer = Transcripts(folder), Path(folder), reviewer.strip()
        self.tell, self.settings = tell, settings_of(settings, START)
        self.turns: list[Live] = []
        self.round: Round | None = None
        self.running: asyncio.Task[None] | None = None
        self.note = self.error = self.conversation = ""
        self._full: set[str] = set()
        said = self.kept.conversations()
        self.guard = Guard(
            (word for turns in said.values() for turn in turns for word in turn.cleared),
            engine=engine,
        )
        self._open({"id": next(reversed(said), "")})

    def act(self, message: Mapping[str, Any]) -> None:
        """Do what the page asks; a mistake or a full disk is told on the page, and nothing that was typed is lost."""
        self.note = self.error = ""
        message = {
            name: _text(value) if isinstance(value, str) else value
            for name, value in message.items()
        }
        steps = {
            "ask": self._ask,
            "stop": self._stop,
            "decide": self._decide,
            "judge": self._judge,
            "open": self._open,
            "new": self._open,
            "export": self._export,
            "all": self._all,
            "keep": self._keep_again,
            "look": lambda _: None,
        }
        try:
            steps.get(str(message.get("act")), self._unknown)(message)
        except UserError as problem:
            self.error = str(problem)
        self.show(message.get("nonce"))

    def show(self, nonce: Any = None) -> None:
        """Send the whole page; `nonce` tells it which of its messages this answers."""
        self.tell({"event": "view", "view": self.view(), "nonce": nonce})

    def view(self) -> dict[str, Any]:
        """The page as data; the reader's name is not in it."""
        said = [
            {
                "id": name,
                "title": review.visible(turns[0].question[:90]),
                "at": turns[-1].at,
                "turns": len(turns),
            }
            for name, turns in reversed(self.kept.conversations().items())
        ]
        return {
            "models": [one._asdict() | {"model": None} for one in self.speakers.values()],
            "ways": ruled.ways(),
            "notice": NOTICE,
            "settings": self.settings,
            "room": ROOM,
            "turns": self._turns(),
            "earlier": said,
            "conversation": self.conversation,
            "busy": self.busy,
            "error": self.error,
            "note": self.note,
            "pending": self.guard.pending,
            "named": bool(self.reviewer),
        }

    @property
    def busy(self) -> bool:
        """Whether an answer is being written."""
        return self.running is not None and not self.running.done()

    def _ask(self, message: Mapping[str, Any]) -> None:
        """A new question, or an earlier one in other words: it is looked through before any model reads it."""
        self._free()
        text, names = (
            str(message.get("text", "")).strip(),
            [str(name) for name in message.get("models") or []],
        )
        if not text or len(text) > LONGEST:
            raise UserError(
                "This is no question.",
                got=f"{len(text):,} characters",
                do=f"Write one of at most {LONGEST:,}.",
            )
        if not names or set(names) - set(self.speakers):
            raise UserError(
                "No model is chosen.", got=names, do=f"Choose among {', '.join(self.speakers)}."
            )
        self.settings = settings_of(message.get("settings") or {}, self.settings)

        def begin(decision: str, hits: Found) -> None:
            if decision == "back":
                self.note = "Taken back: nothing was asked, and nothing was kept."
            else:
                self._begin(
                    masked(text, hits[0]) if decision == "mask" else text,
                    names,
                    message,
                    decision,
                    hits,
                )

        self.guard.check("question", [text], begin)

    def _begin(
        self, text: str, names: list[str], message: Mapping[str, Any], decision: str, hits: Found
    ) -> None:
        """Put the question on the page and let the models answer; after an edit the talk goes on from there."""
        way, reader, replaces = (
            str(message.get(name) or "") for name in ("way", "reader", "replaces")
        )
        at = next((n for n, live in enumerate(self.turns) if live.id == replaces), len(self.turns))
        live = asked(
            text,
            [self.speakers[name] for name in names],
            way=way,
            reader=reader,
            settings=self.settings,
        )
        live.conversation, live.replaces = (
            self.conversation,
            replaces if at < len(self.turns) else "",
        )
        live.given = given(self.turns[:at])
        _mark(live, decision, hits)
        past, self.turns = self.turns[:at], [*self.turns[:at], live]
        self.round = Round(
            live,
            self.speakers,
            past,
            piece=lambda *of: self._piece(live, *of),
            changed=lambda: self._changed(live),
        )
        self.running = asyncio.get_running_loop().create_task(self._run(self.round))

    async def _run(self, round: Round) -> None:
        """Until all have answered; then the turn is kept, or the page asks about it."""
        self.note = self.error = ""
        try:
            await round.run()
        finally:
            self.running = None
            self._keep(round.live)
            self.show()

    def _keep(self, live: Live) -> None:
        """Keep a turn, once nothing in its answers looks like an identifier."""
        good = [answer for answer in live.answers if answer.good]
        texts = [text for answer in good for text in (answer.text, *answer.samples)]
        if live.saved == "never" or not good:
            return

        def keep(decision: str, hits: Found) -> None:
            if decision == "mask":
                clean = iter([masked(text, found) for text, found in zip(texts, hits, strict=True)])
                for answer in good:
                    answer.text, answer.samples = next(clean), [next(clean) for _ in answer.samples]
                    ruled.look(live, answer)
            _mark(live, "none" if decision == "back" else decision, hits)
            if live.saved != "never":
                live.saved = "no"
                self.kept.add(live.turn())
                live.saved = "yes"

        live.saved = "asks"
        try:
            self.guard.check("answer", texts, keep)
        except UserError as problem:
            self.error = str(problem)

    def _judge(self, message: Mapping[str, Any]) -> None:
        """Keep what the reader says about an answer, once its own words hold no identifier."""
        live = self._live(message)
        answer = live.answer(str(message.get("name", "")))
        self.reviewer = str(message.get("reviewer", "")).strip() or self.reviewer
        if not self.reviewer:
            raise UserError(
                "Who says so?",
                do="Write your name or initials; they do not leave the review database.",
            )
        if live.saved != "yes" or answer is None:
            raise UserError(
                "This turn is not kept, so that nothing can be kept about it.",
                do="Ask again, and keep it.",
            )
        verdict = str(message.get("verdict", ""))
        texts = [str(message.get("correction", "")), str(message.get("comment", ""))]

        def give(decision: str, hits: Found) -> None:
            if decision in ("back", "none"):
                self.note = "Nothing was kept of what you said about the answer."
                return
            words = (
                [masked(text, found) for text, found in zip(texts, hits, strict=True)]
                if decision == "mask"
                else texts
            )
            with closing(feedback.store_of(self.folder)) as store:
                told = {"verdict": verdict, "correction": words[0], "comment": words[1]}
                feedback.give(store, self.reviewer, live.turn(), answer.said(), **told)
            self.note = (
                f"Kept for review: {verdict}{', with a correction' if words[0].strip() else ''}."
            )

        self.guard.check("correction", texts, give)

    def _decide(self, message: Mapping[str, Any]) -> None:
        self.guard.decide(str(message.get("decision", "")))

    def _stop(self, message: Mapping[str, Any]) -> None:
        if self.round:
            self.round.stop()

    def _keep_again(self, message: Mapping[str, Any]) -> None:
        """Another try for a turn that the disk did not take."""
        if (live := self._live(message)).saved == "no" and not live.busy:
            self._keep(live)

    def _open(self, message: Mapping[str, Any]) -> None:
        """An earlier conversation, which can be gone on with, or a new one."""
        self._free()
        name = str(message.get("id", ""))
        turns = self.kept.conversations().get(name, [])
        self.conversation = name if turns else uuid.uuid4().hex[:12]
        self.turns = again(turns, self.speakers)

    def _export(self, message: Mapping[str, Any]) -> None:
        """The conversation as a file for the reader: only what is kept."""
        turns = [live.turn() for live in self.turns if live.saved == "yes"]
        if not turns:
            raise UserError(
                "There is nothing to export.", do="Only turns that are kept can be exported."
            )
        as_rows = message.get("form") == "jsonl"
        text = as_jsonl(turns) if as_rows else as_markdown(turns, notice=NOTICE)
        self.tell(
            {
                "event": "file",
                "name": f"conversation-{self.conversation}.{'jsonl' if as_rows else 'md'}",
                "text": text,
                "nonce": message.get("nonce"),
            }
        )

    def _all(self, message: Mapping[str, Any]) -> None:
        self._full.add(f"{message.get('turn', '')}/{message.get('name', '')}")

    def _unknown(self, message: Mapping[str, Any]) -> None:
        raise UserError(
            "The page sent something that is not known.",
            got=str(message)[:80],
            do="Run the cell again.",
        )

    def _free(self) -> None:
        if self.busy:
            raise UserError("An answer is being written.", do="Stop it first, or wait.")
        if getattr(self, "guard", None) and self.guard.pending:
            raise UserError(
                "Something that looks like an identifier waits for your word.",
                do="Say first what it is.",
            )

    def _live(self, message: Mapping[str, Any]) -> Live:
        found = next((live for live in self.turns if live.id == message.get("turn")), None)
        if found is None:
            raise UserError(
                "This turn is not on the page any more.", do="Open its conversation again."
            )
        return found

    def _piece(self, live: Live, answer: Answer, text: str) -> None:
        self.tell(
            {
                "event": "piece",
                "turn": live.id,
                "name": answer.name,
                "text": review.visible(text),
                "length": len(answer.text),
            }
        )

    def _changed(self, live: Live) -> None:
        self.tell(
            {"event": "turn", "turn": next(turn for turn in self._turns() if turn["id"] == live.id)}
        )

    def _turns(self) -> list[dict[str, Any]]:
        """All turns as data, with what people said about the answers."""
        said: dict[tuple[str, str], list[dict[str, str]]] = {}
        if (self.folder / "reviews.sqlite").exists() and any(
            live.saved == "yes" for live in self.turns
        ):
            with closing(feedback.store_of(self.folder)) as store:
                said = feedback.given(store)
        return [
            shown(live, feedback=feedback.of(live, said), full=self._full) for live in self.turns
        ]


def _text(text: str) -> str:
    """Text that can be kept: half of a surrogate pair, which a browser may send, becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def _mark(live: Live, decision: str, hits: Found) -> None:
    """Note in a turn what was decided about it."""
    live.privacy = {"mask": "masked", "kept": "no identifier"}.get(decision, live.privacy)
    live.saved = "never" if decision == "none" else live.saved
    live.cleared += [hit.text for found in hits for hit in found] if decision == "kept" else []
