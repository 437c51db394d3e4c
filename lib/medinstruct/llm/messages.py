"""Messages: requests, replies, refusals, thoughts, streamed chunks, rendered chats."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from pydantic import BaseModel

from medinstruct import paths
from medinstruct.errors import UserError

AGAIN = ("length", "empty", "refused")  # reasons to request an answer once more
TEXTS = paths.load("replies")
REFUSAL = re.compile(TEXTS["refusal"], re.IGNORECASE)
MARKS = paths.load("thoughts")
OPEN, CLOSE = (re.compile("|".join(MARKS[name])) for name in ("open", "close"))
PLACE = "0answer0"  # of an answer in a rendered chat
THOUGHT = re.compile(f"(?s)(?:{OPEN.pattern})(.*?)(?:{CLOSE.pattern})")


class Request(BaseModel, extra="forbid", frozen=True):
    """A request: chat messages, decoding parameters, and the number of the sample."""

    messages: list[dict[str, str]]
    parameters: dict[str, Any] = {}
    sample: int = 0

    @property
    def text(self) -> str:
        """Return the text of all messages, which is the prompt where no template is applied."""
        return "\n\n".join(message["content"] for message in self.messages)

    @property
    def stop(self) -> list[str]:
        """Return the stop strings."""
        stop = self.parameters.get("stop") or []
        return [stop] if isinstance(stop, str) else list(stop)

    def key(self, *context: Any) -> str:
        """Return the hash of the request and its context, such as address and model."""
        parts = [*context, self.messages, self.parameters, self.sample]
        text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def prompt_tokens(self) -> int:
        """Return an upper estimate: one token for three bytes, and ten a message."""
        return sum(10 + len(message["content"].encode()) // 3 for message in self.messages)

    def least_tokens(self) -> int:
        """Return a lower estimate for any tokenizer: two tokens for three words, or 16 bytes."""
        words = [word for word in self.text.split() if re.search(r"[^\W_]", word)]
        return max(2 * len(words) // 3, len("".join(words).encode()) // 16)

    def max_tokens(self, default: int) -> int:
        """Return the limit of the answer in tokens."""
        return self.parameters.get("max_tokens") or default

    def with_room(self, tokens: int, choose: Callable = max) -> "Request":
        """Return the request with room for at least (`max`) or at most (`min`) so many tokens."""
        room = choose(self.max_tokens(tokens), tokens)
        limited = self.parameters | {"max_tokens": room}
        is_limited = tokens and "max_tokens" in self.parameters
        return self.model_copy(update={"parameters": limited}) if is_limited else self

    def repeated(self, reply: "Reply") -> "Request":
        """Return a request for a better answer: with 2 or 8 times the room, or a further sample."""
        if reply.incomplete_reason != "length":
            return self.model_copy(update={"sample": self.sample + 1000})
        room = self.max_tokens(4096) * (2 if reply.text.strip() else 8)
        return self.model_copy(update={"parameters": self.parameters | {"max_tokens": room}})


class Reply(BaseModel, extra="forbid", frozen=True):
    """A reply; `key` names its request, `cached` cost nothing, `text` is without its `thought`."""

    key: str
    text: str
    finish_reason: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    all_tokens: tuple[int, int] = (0, 0)  # prompt and completion, of repeated requests too
    thought: str = ""
    refused: bool = False
    cached: bool = False
    error: str = ""  # what the server wrote in place of an answer

    @property
    def incomplete_reason(self) -> str:
        """Return "length", "content_filter", "refused" or "empty"; "" for a complete answer."""
        if self.finish_reason not in ("stop", "tool_calls"):
            return self.finish_reason
        if self.refused:
            return "refused"
        return "" if self.text.strip() else "empty"


def is_refusal(text: str) -> bool:
    """Return whether a short answer declines the task."""
    return len(text) < 400 and bool(REFUSAL.match(text.strip()))


def split_thought(text: str) -> tuple[str | None, str]:
    """Return the answer in a text, None while its thought is not closed, and the thought."""
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
    thoughts = "\n\n".join(filter(None, (answer.get("thought"), thought)))
    reason = "length" if text is None else answer["finish_reason"]
    return answer | {"text": text or "", "thought": thoughts, "finish_reason": reason}


def answer_of(completion: Any, stop: Sequence[str] = ()) -> dict[str, Any]:
    """Return text, thought, finish reason, model, tokens and refusal of the API's completion."""
    choice, model = completion.choices[0], completion.model or ""
    message = getattr(choice, "message", choice)  # a completion of /v1/completions has none
    (thought, text), reason = _read(message), choice.finish_reason or "stop"
    answer = {"text": until_stop(text, stop), "thought": thought, "finish_reason": reason}
    answer = part_thought(answer) | {"model": model}
    refused = getattr(message, "refusal", None) or is_refusal(answer["text"])
    return answer | {"refused": bool(refused)} | _counts(completion.usage, answer)


def add_chunk(answer: dict[str, Any], chunk: Any, sent: str, stop: Sequence[str] = ()) -> str:
    """Add the server's chunk to an answer and return what of its text is settled and not sent.

    Completion tokens are estimated from above until the last chunk counts them.
    """
    for choice in (chunk.choices or [])[:1]:
        thought, text = _read(getattr(choice, "delta", choice))
        answer["thought"] += thought
        answer["text"] += text
        answer["finish_reason"] = choice.finish_reason or answer["finish_reason"]
    answer["model"] = chunk.model or answer["model"]
    answer["completion_tokens"] = 1 + len((answer["thought"] + answer["text"]).encode()) // 3
    if usage := getattr(chunk, "usage", None):
        answer.update(_counts(usage, part_thought(answer)))
    return rest(settled(answer["text"], stop), sent)


def _read(message: Any) -> tuple[str, str]:
    """Return thought and text of a message, or of the change that a chunk brings to it."""
    get = partial(getattr, message)
    thought = get("reasoning_content", "") or get("reasoning", "")
    text = get("content", get("text", ""))
    return _flat(thought), _flat(text) or get("refusal", None) or ""


def _flat(content: Any) -> str:
    """Return the text of a message's content, which may come in parts; thoughts are marked."""
    if isinstance(content, dict):
        thought = _flat(content.get("thinking"))
        return f"<think>{thought}</think>" if thought else _flat(content.get("text"))
    parts = map(_flat, content) if isinstance(content, list) else ()
    return content if isinstance(content, str) else "".join(parts)


def _counts(usage: Any, answer: dict[str, Any]) -> dict[str, int]:
    """Return the tokens of an answer; those of thoughts may be in the total alone, or estimated."""
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    read, wrote, total = (getattr(usage, name, None) or 0 for name in names)
    hidden, thought = max(0, total - read - wrote), len(answer["thought"])
    guess = round(wrote * thought / max(1, thought + len(answer["text"])))
    details = getattr(usage, "completion_tokens_details", None)
    thought = getattr(details, "reasoning_tokens", None) or hidden or guess
    return {"prompt_tokens": read, "completion_tokens": wrote + hidden, "reasoning_tokens": thought}


def render_chat(tokenizer: Any, messages: Sequence[dict[str, str]]) -> tuple[str, str]:
    """Return the text of a chat up to its answer, and the text that ends the answer's turn.

    Thinking is off: a thought that the template opens is closed. A last assistant's message begins
    the answer. Training, answering and benchmarks use this text alike.
    """
    if not tokenizer.chat_template:
        got, do = Path(tokenizer.name_or_path).name, "Choose another template, such as alpaca."
        raise UserError("The model has no chat template.", got=got, do=do)
    *turns, last = messages
    turns, begun = (turns, last["content"]) if last["role"] == "assistant" else (messages, "")
    answered = [*turns, {"role": "assistant", "content": PLACE}]
    parts = [m | {"content": [{"type": "text", "text": m["content"]}]} for m in answered]
    render = partial(tokenizer.apply_chat_template, tokenize=False, **MARKS["template"])
    for form in (answered, without_system(answered), parts):
        with suppress(TemplateError, TypeError):
            asked = render(form[:-1], add_generation_prompt=True)
            before, place, after = render(form).rpartition(PLACE)
            if place and all(m["content"].strip() in before for m in turns):
                break
    else:
        do = "Choose another template, or another base model."
        raise UserError("The chat template cannot render this chat.", got=list(messages), do=do)
    before = before if before.startswith(asked) else asked
    if mark := re.search(f"(?:{OPEN.pattern})\\s*\\Z", before):
        before += f"\n{mark[0].strip().replace('<', '</')}\n\n"
    open_end = before.rstrip(" ")  # a blank before the answer is a part of its first token
    begun = before.removeprefix(open_end) + begun if begun else ""
    return open_end + begun, after or tokenizer.eos_token


def without_system(messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return messages whose system text begins the user's, for models without that role."""
    texts = [m["content"] for m in messages if m["role"] == "system"]
    first, *rest = [m for m in messages if m["role"] != "system"]
    return [first | {"content": "\n\n".join([*texts, first["content"]])}, *rest]


def until_stop(text: str, stop: Sequence[str]) -> str:
    """Return a text up to its first stop string, which some servers leave in."""
    return text[: min((text.index(mark) for mark in stop if mark in text), default=len(text))]


def settled(text: str, stop: Sequence[str] = ()) -> str:
    """Return the part of a growing text that no later token changes, without thoughts."""
    held = max(map(len, [*stop, "half"]))  # a stop string may have begun, or a half character
    text = re.sub(MARKS["begun"], "", until_stop(text, stop)[: max(0, len(text) - held)])
    return (split_thought(text)[0] or "").strip()


def rest(text: str, sent: str) -> str:
    """Return what of a text is not sent yet; "" where what was sent has become a thought."""
    return text.removeprefix(sent) if text.startswith(sent) else ""
