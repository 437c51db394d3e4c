"""Messages: requests, replies, refusals, the chunks of a streamed reply."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from medinstruct import paths

LIMITS = ("max_tokens", "max_completion_tokens")
AGAIN = ("length", "empty", "refused")  # reasons to request an answer once more
TEXTS = paths.load("replies")
REFUSAL = re.compile(TEXTS["refusal"], re.IGNORECASE)
MARKS = paths.load("thoughts")
OPEN, CLOSE = (re.compile("|".join(MARKS[name])) for name in ("open", "close"))
THOUGHT = re.compile(f"(?s)(?:{OPEN.pattern})(.*?)(?:{CLOSE.pattern})")


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

    def repeated(self, *, more_room: int) -> "Request":
        """Return a request for a better answer: a further sample, or so many times the room."""
        if not more_room:
            return self.model_copy(update={"sample": self.sample + 1000})
        own, times = self.parameters, max(2, more_room)
        limits = {name: times * own[name] for name in LIMITS if name in own}
        return self.model_copy(update={"parameters": own | (limits or {"max_tokens": 8192})})


class Reply(BaseModel, extra="forbid", frozen=True):
    """A reply; `key` names its request, and `cached` replies cost nothing this time.

    `thought` is what a reasoning model wrote before its answer; it never is part of `text`.
    """

    key: str
    text: str
    finish_reason: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    thought: str = ""
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

    @property
    def more_room(self) -> int:
        """Return how many times the room a better answer needs: 2 if cut, 8 if only thought."""
        is_cut = self.incomplete_reason == "length"
        return 0 if not is_cut else 2 if self.text.strip() else 8


def is_refusal(text: str) -> bool:
    """Return whether a short answer declines the task.

    >>> is_refusal("I'm sorry, but I can't help with that."), is_refusal("Sorry to hear it. Rest.")
    (True, False)
    """
    return len(text) < 400 and bool(REFUSAL.match(text.strip()))


def split_thought(text: str) -> tuple[str | None, str]:
    """Return the answer in a text, None while its thought is not closed, and the thought.

    >>> split_thought("<think>Gout?</think> Rest."), split_thought("Gout?</think>Rest.")
    (('Rest.', 'Gout?'), ('Rest.', 'Gout?'))
    >>> split_thought("<think>Gout or"), split_thought(" Rest.")
    ((None, 'Gout or'), (' Rest.', ''))
    """
    if not (OPEN.search(text) or CLOSE.search(text)):
        return text, ""
    *before, rest = CLOSE.split(THOUGHT.sub("", text))
    rest, *after = OPEN.split(rest, maxsplit=1)
    thoughts = [part.strip() for part in (*THOUGHT.findall(text), *before, *after)]
    answer = re.sub(MARKS["around"], "", rest).strip()
    return None if after else answer, "\n\n".join(filter(None, thoughts))


def part_thought(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with its thought apart; one that only thinks is empty, cut at its length."""
    text, thought = split_thought(answer["text"])
    if text is None and answer["finish_reason"] == "stop":
        answer = answer | {"finish_reason": "length"}
    thoughts = "\n\n".join(filter(None, (answer.get("thought"), thought)))
    return answer | {"text": text or "", "thought": thoughts}


def answer_of(completion: Any) -> dict[str, Any]:
    """Return text, thought, finish reason, model, tokens and refusal of the API's completion."""
    choice = completion.choices[0]
    thought, text = _read(choice.message)
    refusal = getattr(choice.message, "refusal", None) or ""
    answer = {"text": text or refusal, "thought": thought, "model": completion.model or ""}
    answer = part_thought(answer | {"finish_reason": choice.finish_reason or "stop"})
    answer["refused"] = bool(refusal) or is_refusal(answer["text"])
    return answer | _counts(completion.usage, answer)


def add_chunk(answer: dict[str, Any], chunk: Any, sent: str) -> str:
    """Add the server's chunk to an answer and return what of its text is settled and not sent.

    Completion tokens are estimated from above until the last chunk counts them.
    """
    for choice in (chunk.choices or [])[:1]:
        thought, text = _read(choice.delta)
        answer["thought"] += thought
        answer["text"] += text or getattr(choice.delta, "refusal", None) or ""
        answer["finish_reason"] = choice.finish_reason or answer["finish_reason"]
    answer["model"] = chunk.model or answer["model"]
    answer["completion_tokens"] = 1 + len((answer["thought"] + answer["text"]).encode()) // 3
    if usage := getattr(chunk, "usage", None):
        answer.update(_counts(usage, part_thought(answer)))
    return rest(settled(answer["text"]), sent)


def _read(message: Any) -> tuple[str, str]:
    """Return thought and text of a message, or of the change that a chunk brings to it."""
    fields = (getattr(message, name, None) for name in ("reasoning_content", "reasoning"))
    return _flat(next(filter(None, fields), "")), _flat(getattr(message, "content", ""))


def _flat(content: Any) -> str:
    """Return the text of a message's content, which may come in parts; thoughts are marked."""
    if isinstance(content, list):
        return "".join(map(_flat, content))
    if isinstance(content, dict):
        thought = _flat(content.get("thinking"))
        return f"<think>{thought}</think>" if thought else _flat(content.get("text"))
    return content if isinstance(content, str) else ""


def _counts(usage: Any, answer: dict[str, Any]) -> dict[str, int]:
    """Return the tokens of an answer; those of thoughts are estimated where none are reported.

    Some servers count thoughts in the total alone: they are paid for as completion tokens.
    """
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    asked, written, total = (getattr(usage, name, None) or 0 for name in names)
    hidden = max(0, total - asked - written)
    length = len(answer["thought"] + answer["text"])
    thought = hidden or round(written * len(answer["thought"]) / max(1, length))
    details = getattr(usage, "completion_tokens_details", None)
    thought = getattr(details, "reasoning_tokens", None) or thought
    tokens = {"prompt_tokens": asked, "completion_tokens": written + hidden}
    return tokens | {"reasoning_tokens": thought}


def settled(text: str, stop: Sequence[str] = ()) -> str:
    """Return the part of a growing text that no later token changes, without thoughts.

    >>> settled(" Rest helps. And sleep", ["###"]), settled("<think>Gout?</think>Rest it <")
    ('Rest helps. And s', 'Rest')
    """
    held = max(map(len, [*stop, "half"]))  # a stop string may have begun, or a half character
    ends = [len(text) - held, *(text.index(mark) for mark in stop if mark in text)]
    text = re.sub(MARKS["begun"], "", text[: max(0, min(ends))])
    return (split_thought(text)[0] or "").strip()


def rest(text: str, sent: str) -> str:
    """Return what of a text is not sent yet; "" where what was sent has become a thought."""
    return text.removeprefix(sent) if text.startswith(sent) else ""
