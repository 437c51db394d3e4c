"""Answers as they are written, piece by piece, which the reader can stop at any moment."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medinstruct.llm.client import Reply

STOPPED = "stopped"


class Stream:
    """An answer on its way: `async for piece in stream`, `stop()` at any moment, and then `reply`.

    Whoever stops it, or stops listening because it was cancelled, gets what was written so far as `reply`, with the finish
    reason "stopped"; such an answer is never kept as if it were whole. `reply` is None until the end.
    """

    def __init__(
        self,
        start: Callable[["Stream"], Coroutine[Any, Any, "Reply"]],
        stopped: Callable[[str], "Reply"],
    ) -> None:
        self.text = ""
        self.reply: Reply | None = None
        self.halted = threading.Event()
        self._pieces: asyncio.Queue[str | Reply | BaseException] = asyncio.Queue()
        self._stopped, self._sent = stopped, ""
        self._task = asyncio.get_running_loop().create_task(start(self))
        self._task.add_done_callback(self._end)

    def put(self, piece: str) -> None:
        """Hand on a piece; what comes after a stop is not shown any more."""
        if piece and not self.halted.is_set():
            self._sent += piece
            self._pieces.put_nowait(piece)

    def stop(self) -> None:
        """End the answer here."""
        if not self.halted.is_set():
            self.halted.set()
            self._task.cancel()

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> str:
        if self.reply is not None:
            raise StopAsyncIteration
        try:
            got = await self._pieces.get()
        except asyncio.CancelledError:
            self.stop()
            raise
        if isinstance(got, BaseException):
            raise got
        if not isinstance(got, str):
            self.reply = got
            raise StopAsyncIteration
        self.text += got
        return got

    def _end(self, task: "asyncio.Task[Reply]") -> None:
        error = None if task.cancelled() else task.exception()
        ended = (
            self._stopped(self._sent)
            if task.cancelled() or self.halted.is_set()
            else error or task.result()
        )
        self._pieces.put_nowait(ended)


async def whole(stream: Stream) -> "Reply":
    """The reply of a stream, read to its end."""
    async for _ in stream:
        pass
    assert stream.reply is not None  # noqa: S101  (the stream ends with it)
    return stream.reply
