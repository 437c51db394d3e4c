"""Messages: requests and replies, servers' JSON, thoughts, streams, chat templates."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from pydantic import BaseModel

from medinstruct import cues, paths
from medinstruct.errors import UserError

AGAIN = ("length", "empty", "refused")  # reasons to repeat a request
TEXTS = paths.load("replies")
REFUSAL = re.compile(TEXTS["refusal"], re.IGNORECASE)
MARKS = paths.load("thoughts")
FINISH = {name: re.compile(text) for name, text in TEXTS["finish"].items()}
PARTS = ("thinking", "reasoning", "summary", "text", "value", "refusal")  # the first one counts
DEEPEST = 9  # levels of nested content
THINKS = re.compile("think|thought|reason", re.IGNORECASE)  # types of content
CUT_OFF = ("length", "content_filter")  # finish reasons of an answer that may have no text
OPEN, CLOSE, AROUND = (re.compile("|".join(MARKS[n])) for n in ("open", "close", "around"))
PLACE = "0answer0"  # stands for the answer in a rendered chat
INVISIBLE = " \t\n\r\f\v\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
THOUGHT = re.compile(f"(?s)(?:{OPEN.pattern})(.*?)(?:{CLOSE.pattern})")
TABLE = paths.load("answer_ends")
ENDS = [
    (verdict, re.compile(re.sub("<([A-Z]+)>", lambda name: TABLE["parts"][name[1]], pattern)))
    for verdict, pattern in TABLE["rules"]
]


class Request(BaseModel, extra="forbid", frozen=True):
    """A request: chat messages, decoding parameters, and the number of the sample."""

    messages: list[dict[str, str]]
    parameters: dict[str, Any] = {}
    sample: int = 0

    @property
    def text(self) -> str:
        """Return the text of all messages: the prompt, unless a chat template is applied."""
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
        """Return an upper estimate: one token for three bytes, and ten per message."""
        return sum(10 + len(message["content"].encode()) // 3 for message in self.messages)

    def least_tokens(self) -> int:
        """Return a lower estimate for any tokenizer: two tokens for three words, or 16 bytes."""
        words = re.sub(r"(?<!\S)(?:[^\w\s]|_)+(?!\S)", "", self.text).split()
        return max(2 * len(words) // 3, len("".join(words).encode()) // 16)

    def max_tokens(self, default: int) -> int:
        """Return the limit of the answer in tokens."""
        return self.parameters.get("max_tokens") or default

    def with_room(self, tokens: int, choose: Callable = max) -> "Request":
        """Return the request with its token limit raised (`max`) or lowered (`min`) to `tokens`."""
        room = choose(self.max_tokens(tokens), tokens)
        limited = self.parameters | {"max_tokens": room}
        is_limited = tokens and "max_tokens" in self.parameters
        return self.model_copy(update={"parameters": limited}) if is_limited else self

    def repeated(self, reply: "Reply") -> "Request":
        """Return a request for a better answer: with 2 or 8 times the tokens, or another sample."""
        if reply.incomplete_reason != "length":
            return self.model_copy(update={"sample": self.sample + 1000})
        room = self.max_tokens(4096) * (2 if reply.text.strip() else 8)
        return self.model_copy(update={"parameters": self.parameters | {"max_tokens": room}})


class Reply(BaseModel, extra="forbid", frozen=True):
    """A reply: `key` is that of its request, `text` excludes the `thought`; `cached` is free."""

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
    error: str = ""  # the server's, in place of an answer

    @property
    def incomplete_reason(self) -> str:
        """Return "length", "content_filter", "refused" or "empty"; "" for a complete answer."""
        if self.finish_reason not in ("stop", "tool_calls"):
            return self.finish_reason
        if self.refused:
            return "refused"
        is_visible = any(sign.isprintable() and not sign.isspace() for sign in self.text)
        return "" if is_visible else "empty"


def is_refusal(text: str) -> bool:
    """Return whether a short answer declines the task."""
    return len(text) < 400 and bool(REFUSAL.match(text.strip()))


def is_unfinished(text: str) -> bool:
    """Return whether the last words show that an answer is cut; never for unknown scripts."""
    end = unicodedata.normalize("NFKC", text[-2000:]).rstrip(INVISIBLE)
    return next((verdict for verdict, rule in ENDS if rule.search(end)), "whole") == "cut"


def split_thought(text: str) -> tuple[str | None, str]:
    """Return answer and thought of a text; the answer is None while a thought is still open."""
    thoughts, after, rest = [], [], text
    if cues.possible((OPEN, CLOSE), text):
        closed = 1 + max((mark.end() for mark in CLOSE.finditer(text)), default=0)
        *before, rest = CLOSE.split(THOUGHT.sub("", text[:closed]) + text[closed:])
        rest, *after = OPEN.split(rest, maxsplit=1)
        thoughts = [part.strip() for part in (*THOUGHT.findall(text[:closed]), *before, *after)]
    answer = AROUND.sub("", rest) if cues.possible([AROUND], rest) else rest
    answer = text if answer == text else answer.strip()
    return None if after else answer, "\n\n".join(filter(None, thoughts))


class NoAnswer(Exception):
    """A response of status 200 without an answer: an error, a web page, nothing."""

    def __init__(self, body: Any, error: Any = None) -> None:
        error = error or body
        fields = error if isinstance(error, dict) else {}
        codes = [str(fields.get(name)) for name in ("code", "status", "status_code")]
        stated = [int(code) for code in codes if re.fullmatch("[45][0-9][0-9]", code)]
        self.status_code = (*stated, 520)[0]  # 520 if none is stated
        page = f"{TEXTS['page']} It begins: {str(body)[:80].strip()!r}"
        super().__init__(page if isinstance(error, str) and error is body else str(error)[:2000])


def read_json(content: bytes) -> Any:
    """Return the data of a JSON text, or the text itself if it is none, as of a web page."""
    text = content.decode("utf-8-sig", "replace")
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return text


def whole(text: str) -> str:
    """Return a text valid in UTF-8: surrogate pairs joined; lone surrogates and NUL replaced."""
    halves = text.encode("utf-16", "surrogatepass")
    return halves.decode("utf-16", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def finish_of(reason: Any) -> str:
    """Return the API's name for a server's finish reason, "" for an unknown one."""
    word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(reason).rpartition(".")[2].strip())
    word = re.sub(r"\W+", "_", word.lower())
    return next((name for name, pattern in FINISH.items() if pattern.fullmatch(word)), "")


def normalize(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer in valid UTF-8, its thought separate, with the API's finish reason."""
    text, thought = split_thought(whole(answer["text"]))
    thoughts = whole("\n\n".join(filter(None, (answer.get("thought"), thought))))
    reason = "length" if text is None else finish_of(answer.get("finish_reason")) or "stop"
    answer = answer | {"text": text or "", "thought": thoughts, "finish_reason": reason}
    return answer | {"model": whole(_flat(answer.get("model")))}


def answer_of(body: Any, request: Request) -> dict[str, Any]:
    """Return the fields of a `Reply` from the API's completion; raises `NoAnswer`."""
    choice = choice_of(body)
    message, reason = choice.get("message"), finish_of(choice.get("finish_reason"))
    message = choice if "text" in choice and not message else message  # of /v1/completions
    thought, text = _read(message)
    answer = {"text": until_stop(whole(text), request.stop), "thought": thought}
    answer = normalize(answer | {"finish_reason": reason, "model": body.get("model")})
    answer |= _counts(body.get("usage"), answer)
    if not reason and 0 < request.max_tokens(0) <= answer["completion_tokens"]:
        answer["finish_reason"] = "length"
    is_bare = not message or (body.get("error") and not answer["text"])
    is_counted = any(map(answer.get, ("text", "thought", "prompt_tokens")))
    is_counted |= answer["finish_reason"] in CUT_OFF
    if not is_counted or (is_bare and reason not in CUT_OFF):
        raise NoAnswer(body, body.get("error"))
    is_declined = isinstance(message, dict) and bool(message.get("refusal"))
    return answer | {"refused": is_declined or is_refusal(answer["text"])}


def choice_of(body: Any) -> dict[str, Any]:
    """Return the first choice of a body, {} without one; raises `NoAnswer` for an error or page."""
    if not isinstance(body, dict):
        raise NoAnswer(body)
    choices = body["choices"] if isinstance(body.get("choices"), list) else ()
    choice = next((choice for choice in choices if isinstance(choice, dict)), {})
    reason = finish_of(choice.get("finish_reason"))
    error = choice.get("error") or ("" if reason else body.get("error"))
    if error or reason == "error":
        raise NoAnswer(body, error or {"finish_reason": reason})
    return choice


def begun(reason: str = "", model: str = "") -> dict[str, Any]:
    """Return the empty completion to which the chunks of a stream are added."""
    message = {"content": "", "reasoning_content": ""}
    return {"choices": [{"message": message, "finish_reason": reason}], "model": model}


def add_chunk(body: dict[str, Any], chunk: Any, sent: str = "", stop: Sequence[str] = ()) -> str:
    """Add a server's chunk to a completion; return the new text that can be shown.

    A server that does not stream sends one chunk, the completion. The text is parsed again when
    it has grown by 0.5 %, so the time is linear. Raises `NoAnswer` for an error.
    """
    choice, whole = choice_of(chunk), body["choices"][0]
    thought, text = _read(choice.get("delta") or choice.get("message") or choice)
    whole["message"]["reasoning_content"] += thought
    whole["message"]["content"] += text
    whole["finish_reason"] = choice.get("finish_reason") or whole["finish_reason"]
    body |= {name: chunk.get(name) or body.get(name) for name in ("model", "usage")}
    size = sum(map(len, whole["message"].values()))
    if 200 * (size - body.get("read", 0)) < size:
        return ""
    body["read"] = size
    return rest(settled(whole["message"]["content"], stop), sent)


def streamed(body: dict[str, Any], request: Request) -> dict[str, Any]:
    """Return a streamed answer as `answer_of` does; an upper estimate of tokens if uncounted."""
    written = "".join(body["choices"][0]["message"].values()).encode(errors="replace")
    above = {"prompt_tokens": request.prompt_tokens(), "completion_tokens": 1 + len(written) // 3}
    answer = answer_of(body | {"usage": body.get("usage") or above}, request)
    return answer | {"text": answer["text"].strip()}


def _read(message: Any) -> tuple[str, str]:
    """Return thought and text of a message, or of a chunk's delta."""
    get = message.get if isinstance(message, dict) else {"content": message}.get
    thought = get("reasoning_content") or get("reasoning")
    return _flat(thought), _flat(get("content")) or _flat(get("text") or get("refusal"))


def _flat(content: Any, depth: int = 0) -> str:
    """Return the text of a message's content, or of its parts; thoughts in <think> tags."""
    if isinstance(content, list) and depth < DEEPEST:
        return "".join(_flat(part, depth + 1) for part in content)
    if not isinstance(content, dict) or depth >= DEEPEST:
        return content if isinstance(content, str) else ""
    texts = {name: text for name in PARTS if (text := _flat(content.get(name), depth + 1))}
    name, text = next(iter(texts.items()), ("", ""))
    is_thought = content.get("thought") is True or THINKS.search(f"{content.get('type')} {name}")
    return f"<think>{text}</think>" if text and is_thought else text


def _counts(usage: Any, answer: dict[str, Any]) -> dict[str, int]:
    """Return token counts; those of thoughts may be reported, hidden in the total, or estimated."""
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    read, wrote, total = (_count(usage, name) for name in names)
    hidden, thought = max(0, total - read - wrote), len(answer["thought"])
    guess = round(wrote * thought / max(1, thought + len(answer["text"])))
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    thought = _count(details, "reasoning_tokens") or hidden or guess
    return {"prompt_tokens": read, "completion_tokens": wrote + hidden, "reasoning_tokens": thought}


def _count(usage: Any, name: str) -> int:
    """Return a count of tokens, 0 if it is missing or no number."""
    with suppress(LookupError, TypeError, ValueError, OverflowError):
        return min(max(0, int(usage[name])), 10**9)
    return 0


def render_chat(tokenizer: Any, messages: Sequence[dict[str, str]]) -> tuple[str, str]:
    """Return the text of a chat up to its answer, and the text that ends the answer's turn.

    Thinking is off: a thought that the template opens is closed. A last assistant's message begins
    the answer.
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
    open_end = before.rstrip(" ")  # a space before the answer belongs to its first token
    begun = before.removeprefix(open_end) + begun if begun else ""
    return open_end + begun, after or tokenizer.eos_token


def without_system(messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return messages with the system text before the user's, for models without that role."""
    texts = [m["content"] for m in messages if m["role"] == "system"]
    first, *rest = [m for m in messages if m["role"] != "system"]
    return [first | {"content": "\n\n".join([*texts, first["content"]])}, *rest]


def until_stop(text: str, stop: Sequence[str]) -> str:
    """Return a text up to its first stop string, which some servers include."""
    return text[: min((text.index(mark) for mark in stop if mark in text), default=len(text))]


def settled(text: str, stop: Sequence[str] = ()) -> str:
    """Return the part of a growing text that later tokens cannot change, without thoughts."""
    held = max(map(len, [*stop, "half"]))  # a stop string, mark or character may have begun
    text = whole(text)
    text = re.sub(MARKS["begun"], "", until_stop(text, stop)[: max(0, len(text) - held)])
    return (split_thought(text)[0] or "").strip()


def rest(text: str, sent: str) -> str:
    """Return the part of a text after what was sent; "" if that has turned into a thought."""
    return text.removeprefix(sent) if text.startswith(sent) else ""
