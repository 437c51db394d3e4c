"""Messages: requests, replies, refusals, the chunks of a streamed reply."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from medinstruct import paths

LIMITS = ("max_tokens", "max_completion_tokens")
TEXTS = paths.load("replies")
REFUSAL = re.compile(TEXTS["refusal"], re.IGNORECASE)


class Request(BaseModel, extra="forbid", frozen=True):
    """A request: chat messages, decoding parameters, and the number of the sample."""

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

    def with_room(self, tokens: int) -> "Request":
        """Return the request with room for at least so many tokens in its reply."""
        own = self.parameters
        limits = {name: max(own[name], tokens) for name in LIMITS if name in own}
        return self.model_copy(update={"parameters": own | limits}) if tokens else self

    def repeated(self, *, more_room: bool) -> "Request":
        """Return a request for a better answer: a further sample, or twice the room."""
        if not more_room:
            return self.model_copy(update={"sample": self.sample + 1000})
        limits = {name: 2 * self.parameters[name] for name in LIMITS if name in self.parameters}
        parameters = self.parameters | (limits or {"max_tokens": 8192})
        return self.model_copy(update={"parameters": parameters})


class Reply(BaseModel, extra="forbid", frozen=True):
    """A reply; `key` names its request, and `cached` replies cost nothing this time."""

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


def add_chunk(answer: dict[str, Any], chunk: Any) -> str:
    """Add the server's chunk to an answer and return its text.

    Completion tokens are estimated from above until the last chunk counts them.
    """
    piece = ""
    for choice in chunk.choices[:1]:
        refusal = getattr(choice.delta, "refusal", None) or ""
        piece = choice.delta.content or refusal
        answer["text"] += piece
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
