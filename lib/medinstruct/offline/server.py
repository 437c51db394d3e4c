"""The stand-in behind the OpenAI API: requests in, JSON out, in this process or (see `serving`) over a socket."""

import asyncio
import hashlib
import json
import random
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import httpx2

from medinstruct.offline import slips, writing
from medinstruct.offline.answering import answer
from medinstruct.offline.batches import Batches
from medinstruct.offline.judging import grade, say

MODEL = "offline-stand-in"
EVENT = b"data: "
PACE = 0.02  # seconds between two words of a streamed answer
COUNT = re.compile(r"Write (\d+) new medical tasks")
NEXT = re.compile(r"(?:### |number )(\d+)\.\s*$")
ORDERED = re.compile(r"^(\d{1,6})\. ((?:Type|Topic|View|Difficulty): .*)$", re.MULTILINE)
HELP = "I am an offline stand-in for a language model. I write medical tasks, answer them, and compare two answers; nothing else."
SORRY = "I'm sorry, but I can't help with creating medical content."


def http_client(url: str = "offline") -> httpx2.AsyncClient:
    """The client to hand to the `openai` SDK; `offline?refusal=0.2` changes the rates of `slips.RATES`, `pace=0.1` the seconds
    between two words of a streamed answer."""
    given = {
        name: _share(value)
        for name, value in parse_qsl(url.partition("?")[2], keep_blank_values=True)
    }
    pace = max(given.pop("pace", PACE), 0.0)
    service = Service(rate=slips.rates(given))

    def handle(request: httpx2.Request) -> httpx2.Response:
        status, content = service.handle(
            request.method, request.url.path, request.headers, request.content
        )
        if content.startswith(EVENT):
            return httpx2.Response(
                status, content=paced(content, pace), headers={"content-type": "text/event-stream"}
            )
        return httpx2.Response(
            status, content=content, headers={"content-type": "application/json"}
        )

    return httpx2.AsyncClient(transport=httpx2.MockTransport(handle))


class Service:
    """The answers to all addresses of the API that the stand-in knows: chat completions, models, files and batches."""

    def __init__(
        self, *, rate: Mapping[str, float] = slips.RATES, refused: tuple[str, ...] = ()
    ) -> None:
        self.rate, self.refused = rate, refused
        self.batches = Batches(lambda body: self.complete(body))

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes
    ) -> tuple[int, bytes]:
        """Status and body for one request; a malformed one gets the API's 400 and never an exception."""
        place = re.sub(r"^.*?/v1/", "", path)
        try:
            if place == "chat/completions" and method == "POST":
                status, value = self.complete(json.loads(content))
            elif place.startswith("models"):
                one = {"id": MODEL, "object": "model", "created": 0, "owned_by": "medinstruct"}
                status, value = 200, {"object": "list", "data": [one]}
            elif place.startswith(("files", "batches")):
                status, value = self.batches.handle(method, place, headers, content)
            else:
                status, value = 404, _error(f"There is no {method} {path} here.", "not_found_error")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            status, value = 400, _error(f"Malformed request: {error}", "invalid_request_error")
        return status, value if isinstance(value, bytes) else json.dumps(value).encode()

    def complete(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and chat completion for a request body; its events as bytes where it is to be streamed."""
        if wrong := self._wrong(body):
            return 400, wrong
        completion = respond(body, rate=self.rate)
        return 200, events(completion, usage=_wants_usage(body)) if body.get(
            "stream"
        ) else completion

    def _wrong(self, body: dict[str, Any]) -> dict[str, Any] | None:
        if (
            not isinstance(body, dict)
            or not isinstance(body.get("messages"), list)
            or not body["messages"]
        ):
            return _error(
                "`messages` must be a non-empty list.", "invalid_request_error", param="messages"
            )
        if not all(
            isinstance(message, dict) and isinstance(message.get("content"), str)
            for message in body["messages"]
        ):
            return _error(
                "Every message must have `content` that is text.",
                "invalid_request_error",
                param="messages",
            )
        for name in self.refused:
            if name in body:
                hint = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
                text = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
                return _error(
                    text, "invalid_request_error", param=name, code="unsupported_parameter"
                )
        return None


def respond(body: dict[str, Any], *, rate: Mapping[str, float] = slips.RATES) -> dict[str, Any]:
    """A chat completion for a request body; deterministic for the request's content and its `seed`."""
    text = body["messages"][-1]["content"]
    whole = json.dumps([body.get("seed"), [message["content"] for message in body["messages"]]])
    chance = random.Random(hashlib.sha256(whole.encode()).digest())
    said, early = _say(text, chance=chance, rate=rate, as_json=_wants_json(body))
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or 4096
    said, reason = _cut(said, min(int(limit), int(_count(said) * 0.6)) if early else int(limit))
    asked = sum(_count(message["content"]) for message in body["messages"])
    usage = {
        "prompt_tokens": asked,
        "completion_tokens": _count(said),
        "total_tokens": asked + _count(said),
    }
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": said},
        "finish_reason": reason,
    }
    name = hashlib.sha256(whole.encode()).hexdigest()[:12]
    about = {"id": f"offline-{name}", "object": "chat.completion", "created": 0, "model": MODEL}
    return about | {"choices": [choice], "usage": usage}


def events(completion: dict[str, Any], *, usage: bool = False) -> bytes:
    """A completion as the events of a stream, one for each word."""
    choice = completion["choices"][0]
    words = re.findall(r"\s*\S+\s*$|\s*\S+", choice["message"]["content"])
    parts = [
        ({"role": "assistant", "content": ""}, None),
        *(({"content": word}, None) for word in words),
        ({}, choice["finish_reason"]),
    ]
    head = {name: completion[name] for name in ("id", "created", "model")} | {
        "object": "chat.completion.chunk"
    }
    rows = [
        head | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        for delta, reason in parts
    ]
    rows += [head | {"choices": [], "usage": completion["usage"]}] if usage else []
    return (
        b"".join(EVENT + json.dumps(row).encode() + b"\n\n" for row in rows) + EVENT + b"[DONE]\n\n"
    )


async def paced(content: bytes, pace: float) -> AsyncIterator[bytes]:
    """The events one after the other, at the pace of somebody who writes."""
    for event in content.split(b"\n\n")[:-1]:
        yield event + b"\n\n"
        await asyncio.sleep(pace)


def _say(
    text: str, *, chance: random.Random, rate: Mapping[str, float], as_json: bool
) -> tuple[str, bool]:
    """What it says to the last message, and whether it ends too early."""
    if (found := COUNT.search(text[:4000])) and (last := NEXT.search(text[-200:])):
        return _tasks(
            text, int(found.group(1)), int(last.group(1)), chance=chance, rate=rate, as_json=as_json
        ), False
    if pair := _fenced(text, "question", "output_a", "output_b"):
        return say(
            *pair, chance=chance, rate=rate, bracketed="[[A]]" in text[: text.find("<question>")]
        ), False
    if graded := _fenced(text, "answer", "criterion"):
        return grade(*graded), False
    if task := _task(text):
        is_refused = chance.random() < rate["answer_refusal"]
        return (
            "I'm sorry, but I can't help with that." if is_refused else answer(**task)
        ), chance.random() < rate["cut"]
    return HELP, False


def _tasks(
    text: str,
    count: int,
    first: int,
    *,
    chance: random.Random,
    rate: Mapping[str, float],
    as_json: bool,
) -> str:
    lines = {int(number): rest for number, rest in ORDERED.findall(text)}
    wanted = [_labels(lines.get(number, "")) for number in range(first, first + min(count, 100))]
    tasks = writing.write_tasks(len(wanted), chance=chance, wanted=wanted, rate=rate)
    if tasks is None:
        return SORRY
    return (
        writing.as_json(tasks)
        if as_json
        else writing.as_blocks(tasks, first=first, chance=chance, rate=rate)
    )


def _labels(line: str) -> dict[str, str]:
    pairs = (part.partition(": ") for part in line.split("; "))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if value.strip()}


def _fenced(text: str, *names: str) -> list[str]:
    """What stands between the fences of some names, in order; empty where one is missing."""
    found = []
    for name in names:
        start, end = text.find(f"<{name}>\n"), text.find(f"\n</{name}>")
        if not 0 <= start < end:
            return []
        found.append(text[start + len(name) + 3 : end])
    return found


def _task(text: str) -> dict[str, str]:
    """The parts of a request for an answer; empty where it is none."""
    head, sign, rest = text.partition("\nInstruction: ")
    fields = dict(line.partition(": ")[::2] for line in head.split("\n"))
    if not sign or not {"Type", "View"} <= set(fields):
        return {}
    instruction, _, context = rest.partition("\nInput:\n")
    return {
        "instruction": instruction,
        "context": context,
        "view": fields["View"],
        "kind": fields["Type"],
    }


def _wants_json(body: dict[str, Any]) -> bool:
    form = body.get("response_format")
    return isinstance(form, dict) and form.get("type") in ("json_schema", "json_object")


def _wants_usage(body: dict[str, Any]) -> bool:
    option = body.get("stream_options")
    return isinstance(option, dict) and bool(option.get("include_usage"))


def _count(text: str) -> int:
    """Tokens, taken as four for three words."""
    return -(-len(text.split()) * 4 // 3)


def _cut(text: str, limit: int) -> tuple[str, str]:
    if _count(text) <= limit:
        return text, "stop"
    words = list(re.finditer(r"\S+", text))
    return text[: words[limit * 3 // 4 - 1].end()] if limit * 3 // 4 > 0 else "", "length"


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def _error(
    message: str, kind: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
