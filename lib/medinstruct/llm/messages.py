"""Messages: requests, replies, streamed replies, refusals."""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

STOPPED = "stopped"  # finish reason of an answer that the reader ended
LIMITS = ("max_tokens", "max_completion_tokens")
REFUSAL = re.compile(
    r"^\W*(?:(?:i(?:'m|’m| am)? (?:very |truly )?(?:sorry|afraid)|sorry|i apologi[sz]e"
    r"|as an ai[^.]*|unfortunately)\b[^.]{0,40}?\b)?(?:but |that )*i(?:'m|’m| am)? ?"
    r"(?:can(?:no|'|’)t|won(?:'|’)t|will not|(?:not |un)able to|must decline|decline)\b",
    re.IGNORECASE,
)


class Request(BaseModel):
    """A request: chat messages, decoding parameters, and the number of the sample."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    messages: list[dict[str, str]]
    parameters: dict[str, Any] = {}
    sample: int = 0

    def key(self, *context: Any) -> str:
        """Return the hash of the request and its context, such as address and model."""
        parts = [*context, self.messages, self.parameters, self.sample]
        text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def prompt_tokens(self) -> int:
        """Return an upper estimate: one token for three bytes, and ten a message."""
        return sum(10 + len(message["content"].encode()) // 3 for message in self.messages)

    def max_tokens(self, default: int) -> int:
        """Return the limit of the answer in tokens."""
        limits = [self.parameters[name] for name in LIMITS if self.parameters.get(name)]
        return limits[0] if limits else default

    def repeated(self, *, more_room: bool) -> "Request":
        """Return a request for a better answer: a further sample, or twice the room."""
        if not more_room:
            return self.model_copy(update={"sample": self.sample + 1000})
        limits = {name: 2 * self.parameters[name] for name in LIMITS if name in self.parameters}
        parameters = self.parameters | (limits or {"max_tokens": 8192})
        return self.model_copy(update={"parameters": parameters})


class Reply(BaseModel):
    """A reply; `key` names its request, and `cached` replies cost nothing this time."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    key: str
    text: str
    finish_reason: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    refused: bool = False
    cached: bool = False

    @property
    def incomplete_reason(self) -> str:
        """Return "length", "content_filter", "refused" or "empty"; "" for a complete answer."""
        if self.finish_reason not in ("stop", "tool_calls"):
            return self.finish_reason
        if self.refused:
            return "refused"
        return "" if self.text.strip() else "empty"


class Stream:
    """A reply in progress: `async for piece in stream`, `stop()` at any time, then `reply`.

    `items` yields pieces of text and then the Reply. A stopped stream has a reply with the text so
    far; `reply` is None until the end. Nothing is sent before the first iteration.
    """

    def __init__(self, items: AsyncGenerator[str | Reply, None], *, key: str, model: str) -> None:
        self.text, self.reply = "", None
        self._items, self._key, self._model = items, key, model
        self._pending: asyncio.Future[str | Reply] | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """End the answer at once."""
        self._is_stopped = True
        if self._pending:
            self._pending.cancel()

    async def result(self) -> Reply:
        """Read the stream to its end and return the reply."""
        async for _ in self:
            pass
        return self.reply

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        item = self.reply or await self._next()
        if isinstance(item, str):
            self.text += item
            return item
        self.reply = item
        raise StopAsyncIteration

    async def _next(self) -> str | Reply:
        try:
            if not self._is_stopped:
                self._pending = asyncio.ensure_future(anext(self._items))
                return await self._pending
        except asyncio.CancelledError:
            if not self._is_stopped:
                raise
        await self._items.aclose()
        return Reply(key=self._key, text=self.text, finish_reason=STOPPED, model=self._model)


def is_refusal(text: str) -> bool:
    """Return whether a short answer declines the task.

    >>> is_refusal("I'm sorry, but I can't help with that."), is_refusal("Sorry to hear it. Rest.")
    (True, False)
    """
    return len(text) < 400 and bool(REFUSAL.match(text.strip()))


def answer_of(completion: Any) -> dict[str, Any]:
    """Return text, finish reason, model, tokens and refusal of the API's chat completion."""
    choice, usage = next(iter(completion.choices), None), completion.usage
    text = choice and choice.message.content or ""
    refusal = choice and getattr(choice.message, "refusal", None) or ""
    return {
        "text": text or refusal,
        "finish_reason": choice and choice.finish_reason or "stop",
        "model": completion.model,
        "prompt_tokens": usage.prompt_tokens if usage else 0,
        "completion_tokens": usage.completion_tokens if usage else 0,
        "refused": bool(refusal) or is_refusal(text),
    }


async def replayed(reply: Reply) -> AsyncGenerator[str | Reply, None]:
    """Yield a saved answer in one piece, then its reply."""
    yield reply.text
    yield reply


def add_chunk(answer: dict[str, Any], chunk: Any) -> str:
    """Add the server's chunk to an answer and return its text.

    Completion tokens are estimated from above until the last chunk counts them.
    """
    piece = ""
    for choice in chunk.choices[:1]:
        refusal = getattr(choice.delta, "refusal", None) or ""
        piece = choice.delta.content or refusal
        answer["text"] += piece
        answer["refused"] |= bool(refusal)
        answer["finish_reason"] = choice.finish_reason or answer["finish_reason"]
    answer["model"] = chunk.model or answer["model"]
    answer["completion_tokens"] = 1 + len(answer["text"].encode()) // 3
    if usage := getattr(chunk, "usage", None):
        answer["prompt_tokens"] = usage.prompt_tokens
        answer["completion_tokens"] = usage.completion_tokens
    return piece


def settled(text: str, stop: Sequence[str]) -> str:
    """Return the part of a growing text that no later token changes.

    >>> settled(" Rest helps. And sleep", ["###"])
    'Rest helps. And s'
    """
    held = max(map(len, [*stop, "half"]))  # a stop string may have begun, or a half character
    ends = [len(text) - held, *(text.index(mark) for mark in stop if mark in text)]
    return text[: max(0, min(ends))].strip()
