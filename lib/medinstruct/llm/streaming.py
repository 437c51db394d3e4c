"""Answers as they are written, piece by piece, which the reader can stop at any moment; from a server or from a local model."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import httpx2
import openai

from medinstruct.errors import Problem
from medinstruct.llm import trouble

if TYPE_CHECKING:
    from medinstruct.llm.client import Client, Reply, Request
    from medinstruct.llm.local import LocalModel

STOPPED = "stopped"
BROKEN = "interrupted"  # the server ended in the middle and did not say why
TRIES = 3  # before the first piece; after it an answer is not begun again
EVERY = 0.03  # seconds between two pieces of a local model


class Stream:
    """An answer on its way: `async for piece in stream`, `stop()` at any moment, and then `reply`.

    Whoever stops it, or stops listening because it was cancelled, gets what was written so far as `reply`, with the finish
    reason "stopped"; such an answer is never kept as if it were whole. `reply` is None until the end.
    """

    def __init__(self, start: Callable[["Stream"], Coroutine[Any, Any, "Reply"]], stopped: Callable[[str], "Reply"]) -> None:
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
        ended = self._stopped(self._sent) if task.cancelled() or self.halted.is_set() else error or task.result()
        self._pieces.put_nowait(ended)


async def whole(stream: Stream) -> "Reply":
    """The reply of a stream, read to its end."""
    async for _ in stream:
        pass
    assert stream.reply is not None  # noqa: S101  (the stream ends with it)
    return stream.reply


def from_server(client: "Client", request: "Request", *, keep: bool) -> Stream:
    """An answer of a server; with `keep` a kept answer comes at once, and a whole one is kept."""
    from medinstruct.llm.client import Reply

    def stopped(text: str) -> Reply:
        return Reply(key=client.key(request), text=text, finish_reason=STOPPED, model=client.model)

    return Stream(lambda stream: _served(client, request, stream, keep), stopped)


def from_model(model: "LocalModel", request: "Request", *, tuned: bool, keep: bool) -> Stream:
    """An answer of a local model, made in a thread; base and tuned wait for one another, since they share the weights."""
    from medinstruct.llm.client import Reply

    key = model.key(request, tuned=tuned)

    def stopped(text: str) -> Reply:
        return Reply(key=key, text=text.strip(), finish_reason=STOPPED, model=model.name)

    async def start(stream: Stream) -> Reply:
        kept = model.cache.get(key) if keep else None
        if kept:
            model.usage["cached"] += 1
            stream.put(kept["text"])
            return Reply(**kept, key=key, cached=True)
        put = _threadsafe(stream.put)
        answer = await _in_thread(lambda: model.spoken(request, tuned=tuned, put=put, halted=stream.halted))
        if keep and answer["finish_reason"] != STOPPED:
            answer = model.cache.put(key, request.model_dump(), answer)
        return Reply(**answer, key=key)

    return Stream(start, stopped)


class Growing:
    """The part of a growing text that will not change: no half signs, no stop string and no beginning of one, no outer blanks."""

    def __init__(self, decode: Callable[[list[int]], str], put: Callable[[str], None], stop: list[str]) -> None:
        self.decode, self.put, self.stop = decode, put, stop
        self.said, self.last = "", 0.0

    def grow(self, tokens: list[int]) -> None:
        """Say what is new, at most every few hundredths of a second."""
        if time.monotonic() - self.last >= EVERY:
            self.last = time.monotonic()
            self._say(settled(self.decode(tokens), self.stop))

    def end(self, text: str) -> None:
        """Say the rest of the whole text."""
        self._say(text)

    def _say(self, text: str) -> None:
        if text.startswith(self.said) and len(text) > len(self.said):
            self.put(text[len(self.said) :])
            self.said = text


def settled(text: str, stop: list[str]) -> str:
    """What of a text that still grows can be shown already.

    >>> settled(" Rest helps.\\n\\n###", ["### Instruction"]), settled("Rest. ### Instruction: x", ["### Instruction"])
    ('Rest helps.', 'Rest.')
    """
    cuts = [text.index(mark) for mark in stop if mark in text]
    text = text[: min(cuts)] if cuts else text.rstrip("\ufffd")
    held = [n for mark in stop for n in range(1, len(mark)) if text.endswith(mark[:n])]
    return text[: len(text) - max(held, default=0)].strip()


async def _served(client: "Client", request: "Request", stream: Stream, keep: bool) -> "Reply":
    if keep and (reply := client.kept(request)):
        client.usage["cached"] += 1
        stream.put(reply.text)
        return reply
    api = client.connected()
    try:
        async with client.afforded(request):
            return await _tried(client, api, request, stream, keep)
    finally:
        await api.close()


async def _tried(client: "Client", api: openai.AsyncOpenAI, request: "Request", stream: Stream, keep: bool) -> "Reply":
    """Ask, and ask again only while nothing has been shown."""
    attempt, shown = 0, []
    while True:
        body = client.sent(request, stream=True, stream_options={"include_usage": True})
        try:
            answer, seconds = await _read(client, api, body, stream, shown)
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            if shown:
                raise Problem("The answer broke off.", got=str(error)[:200], do="Send the question again.") from None
            if isinstance(error, httpx2.HTTPError):
                error = openai.APIConnectionError(request=error.request)
            if client.learn(error, body):
                continue
            attempt += 1
            if not trouble.is_passing(error) or attempt >= TRIES:
                raise client.problem(error) from None
            await asyncio.sleep(trouble.pause(error, attempt)[0])
        else:
            return client.keep_answer(request, answer, seconds=seconds, keep=keep and answer["finish_reason"] != BROKEN)


async def _read(
    client: "Client", api: openai.AsyncOpenAI, body: dict[str, Any], stream: Stream, shown: list[str]
) -> tuple[dict[str, Any], float]:
    """The answer from its pieces; what was stopped is counted as well, by its length, since it was paid for."""
    from medinstruct.llm.client import is_refusal

    start, reason, name, usage, refused = time.monotonic(), "", client.model, None, False
    try:
        async for chunk in await api.chat.completions.create(**body):
            usage, name = getattr(chunk, "usage", None) or usage, chunk.model or name
            for choice in chunk.choices[:1]:
                refused = refused or bool(getattr(choice.delta, "refusal", None))
                piece = choice.delta.content or getattr(choice.delta, "refusal", None) or ""
                reason = choice.finish_reason or reason
                shown.extend([piece] if piece else [])
                stream.put(piece)
    except (asyncio.CancelledError, openai.OpenAIError, httpx2.HTTPError):
        if shown:
            client.count(*client.guessed(body, "".join(shown)))
        raise
    text = "".join(shown)
    sent, written = (usage.prompt_tokens, usage.completion_tokens) if usage else client.guessed(body, text)
    found = {"text": text, "finish_reason": reason or BROKEN, "model": name, "refused": refused or is_refusal(text)}
    return found | {"prompt_tokens": sent, "completion_tokens": written}, time.monotonic() - start


def _threadsafe(put: Callable[[str], None]) -> Callable[[str], None]:
    loop = asyncio.get_running_loop()

    def call(piece: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before the thread
            loop.call_soon_threadsafe(put, piece)

    return call


async def _in_thread(work: Callable[[], Any]) -> Any:
    """The result of some work in a thread that does not hold up the end of the program."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(result)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="answering", daemon=True).start()
    return await done
