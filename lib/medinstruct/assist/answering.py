"""One question while the models answer it: each piece is told as it comes, and everything stops at once when asked to."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from medinstruct import llm
from medinstruct.assist import ruled
from medinstruct.assist.live import Answer, Live
from medinstruct.assist.speaking import Speaker
from medinstruct.errors import UserError

EVERY = 0.05  # seconds between two messages to the page about one answer
WARM = 0.7  # temperature of further samples where none was asked for


class Round:
    """The answers to one question. `piece` is told each new piece of a text, `changed` each change of the turn."""

    def __init__(
        self,
        live: Live,
        speakers: Mapping[str, Speaker],
        past: Sequence[Live],
        *,
        piece: Callable[[Answer, str], None],
        changed: Callable[[], None],
    ) -> None:
        self.live, self.speakers, self.past, self.piece, self.changed = (
            live,
            speakers,
            list(past),
            piece,
            changed,
        )
        self._streams: set[llm.Stream] = set()

    async def run(self) -> None:
        """Let all models answer: servers side by side, the models of this process one after the other."""
        try:
            await asyncio.gather(*(self._answer(answer) for answer in self.live.answers))
        finally:
            self.stop()
            for answer in self.live.answers:
                answer.state = "done"

    def stop(self) -> None:
        """End every answer that is being written, at once."""
        self.live.halted = self.live.halted or self.live.busy
        for stream in list(self._streams):
            stream.stop()

    async def _answer(self, answer: Answer) -> None:
        try:
            reply = await self._listened(answer)
            answer.text, answer.finish, answer.request = reply.text, reply.finish_reason, reply.key
            answer.tokens = reply.completion_tokens
            await self._sample(answer)
        except UserError as problem:
            answer.finish, answer.trouble = "error", str(problem)
        except Exception as error:  # whatever goes wrong in one model is told, and the others go on
            answer.finish, answer.trouble = "error", f"{type(error).__name__}: {error}"[:500]
        await asyncio.to_thread(ruled.look, self.live, answer)
        answer.state = "done"
        self.changed()

    async def _listened(self, answer: Answer, sample: int = 0) -> llm.Reply:
        """One stream to its end; the first one is shown as it grows."""
        settings = dict(self.live.settings)
        if sample:
            settings["temperature"] = settings["temperature"] or WARM
        pairs = [
            ((one.instruction, one.input), said.text)
            for one in self.past
            if (said := one.answer(answer.name)) and said.good
        ]
        stream = self.speakers[answer.name].stream(
            (self.live.instruction, self.live.input), settings=settings, past=pairs, sample=sample
        )
        self._streams.add(stream)
        if self.live.halted:
            stream.stop()
        try:
            await (stream.result() if sample else self._shown(answer, stream))
        finally:
            self._streams.discard(stream)
        assert stream.reply is not None  # noqa: S101  (a stream ends with it)
        return stream.reply

    async def _shown(self, answer: Answer, stream: llm.Stream) -> None:
        fresh, last, begun = "", 0.0, time.monotonic()
        async for piece in stream:
            if not answer.text:
                begun = time.monotonic()  # a model of this process may have waited for its turn
            answer.seconds = time.monotonic() - begun
            answer.state, answer.text, fresh = "writing", answer.text + piece, fresh + piece
            if time.monotonic() - last > EVERY:
                self.piece(answer, fresh)
                fresh, last = "", time.monotonic()

    async def _sample(self, answer: Answer) -> None:
        """Further answers to the same question, to see whether they agree."""
        for number in range(1, int(self.live.settings["samples"])):
            if self.live.halted or answer.finish == llm.STOPPED:
                return
            answer.state = "sampling"
            self.changed()
            reply = await self._listened(answer, number)
            if reply.finish_reason != llm.STOPPED and reply.text.strip():
                answer.samples.append(reply.text)
