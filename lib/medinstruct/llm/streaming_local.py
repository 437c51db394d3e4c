"""A local model's answer as it is written: made in a thread, so that the page stays alive, and ended within a token."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from medinstruct.llm.streaming import STOPPED, Stream
from medinstruct.llm.weights import check, ends_of, stops

if TYPE_CHECKING:
    from medinstruct.llm.client import Request
    from medinstruct.llm.local import LocalModel

EVERY = 0.03  # seconds between two pieces


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
        answer = await _in_thread(lambda: _spoken(model, request, tuned, put, stream.halted))
        if keep and answer["finish_reason"] != STOPPED:
            answer = model.cache.put(key, request.model_dump(), answer)
        return Reply(**answer, key=key)

    return Stream(start, stopped)


class Growing:
    """The part of a growing text that will not change: no half signs, no stop string and no beginning of one, no outer blanks."""

    def __init__(
        self, decode: Callable[[list[int]], str], put: Callable[[str], None], stop: list[str]
    ) -> None:
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


def _spoken(
    model: "LocalModel",
    request: "Request",
    tuned: bool,
    put: Callable[[str], None],
    halted: threading.Event,
) -> dict[str, Any]:
    """The answer to one request, once no other one is being made; `put` gets each new piece, `halted` ends it."""
    check(request.parameters)
    while not model.turn.acquire(timeout=0.05):
        if halted.is_set():
            return {"text": "", "finish_reason": STOPPED, "model": model.name}
    try:
        answer = _made(model, request, tuned, put, halted)
    finally:
        model.turn.release()
    model.usage["asked"] += 1
    for name in ("prompt_tokens", "completion_tokens"):
        model.usage[name] += answer[name]
    return answer | {"model": model.name} | ({"finish_reason": STOPPED} if halted.is_set() else {})


def _made(
    model: "LocalModel",
    request: "Request",
    tuned: bool,
    put: Callable[[str], None],
    halted: threading.Event,
) -> dict[str, Any]:
    ends, start = ends_of(model.model, model.tokenizer), list[int]()
    growing = Growing(
        lambda ids: model.tokenizer.decode(ids, skip_special_tokens=True),
        put,
        stops(request.parameters),
    )

    def after_token(ids: Any, scores: Any, **more: Any) -> Any:
        start.append(ids.shape[1] - 1)  # at the first call exactly one token is new
        growing.grow([token for token in ids[0, start[0] :].tolist() if token not in ends])
        return ids.new_full((ids.shape[0],), halted.is_set(), dtype=bool)

    answer = model.made(
        [model.text_of(request)], request.parameters, request.sample, tuned, [after_token]
    )[0]
    growing.end(answer["text"])
    return answer


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
