"""Transport: the stand-in behind the OpenAI API, in this process."""

import asyncio
import hashlib
import json
import random
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import httpx2

from medinstruct import models
from medinstruct.offline import responder, writer
from medinstruct.offline.knowledge import language_of

PACE = 0.02  # seconds between two words of a streamed answer
FORMS = responder.RULES["requests"]


def http_client(url: str = "offline") -> httpx2.AsyncClient:
    """Return the HTTP client of an address such as "offline?refusal=0.2&pace=0.1" (seconds)."""
    pairs = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    options = {k: float(v) if re.fullmatch(r"\d+(\.\d+)?", v) else -1.0 for k, v in pairs}
    pace = max(options.pop("pace", PACE), 0.0)
    rate = writer.rates(options)

    async def paced(parts: list[bytes]) -> AsyncIterator[bytes]:
        for part in parts:
            yield part
            await asyncio.sleep(pace)

    def handle(request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/chat/completions"):
            return httpx2.Response(404, json=error_body(f"There is no {request.url.path} here."))
        status, body = complete(request.content, rate=rate)
        form = {"content": paced(body)} if isinstance(body, list) else {"json": body}
        return httpx2.Response(status, **form)

    return httpx2.AsyncClient(transport=httpx2.MockTransport(handle))


def complete(content: bytes, *, rate: writer.Rates) -> tuple[int, Any]:
    """Return status (400 if malformed) and chat completion, as a list of events in a stream."""
    try:
        body = json.loads(content)
        texts = [message["content"] for message in body["messages"]]
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ValueError("`messages` must be a non-empty list of texts")
        completion = respond(body, rate=rate)
        is_stream, usage = body.get("stream"), "stream_options" in body
        return 200, _events(completion, usage=usage) if is_stream else completion
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return 400, error_body(f"Malformed request: {error}")


def respond(body: dict[str, Any], *, rate: writer.Rates = writer.RATES) -> dict[str, Any]:
    """Return a chat completion, deterministic for the request's messages and `seed`."""
    texts = [message["content"] for message in body["messages"]]
    digest = hashlib.sha256(json.dumps([body.get("seed"), texts]).encode())
    form = body.get("response_format")
    as_json = isinstance(form, dict) and form.get("type") in ("json_schema", "json_object")
    chance = random.Random(digest.digest())
    text, is_cut = _reply(texts[-1], chance=chance, rate=rate, as_json=as_json)
    limit = int(body.get("max_completion_tokens") or body.get("max_tokens") or 4096)
    limit = min(limit, int(_tokens(text) * 0.6)) if is_cut else limit
    reason, words = "length" if _tokens(text) > limit else "stop", limit * 3 // 4
    if reason == "length":
        text = re.match(rf"(?:\s*\S+){{{max(words, 0)}}}", text)[0]
    asked, written = sum(map(_tokens, texts)), _tokens(text)
    usage = {"prompt_tokens": asked, "completion_tokens": written, "total_tokens": asked + written}
    head = {"id": f"offline-{digest.hexdigest()[:12]}", "object": "chat.completion", "created": 0}
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return head | {"model": models.STAND_IN, "choices": [choice], "usage": usage}


def _events(completion: dict[str, Any], *, usage: bool) -> list[bytes]:
    """Return a completion as server-sent events, one a word."""
    choice = completion["choices"][0]
    words = re.findall(r"\s*\S+\s*$|\s*\S+", choice["message"]["content"])
    head = completion | {"object": "chat.completion.chunk", "usage": None}
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in words), {}]
    rows = [head | {"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    rows[-1]["choices"][0]["finish_reason"] = choice["finish_reason"]
    if usage:
        rows.append(completion | {"object": "chat.completion.chunk", "choices": []})
    return [f"data: {text}\n\n".encode() for text in [*map(json.dumps, rows), "[DONE]"]]


def _reply(text: str, *, as_json: bool, **form: Any) -> tuple[str, bool]:
    """Return the reply to the last message, and whether it ends too early."""
    chance, rate = form["chance"], form["rate"]
    count, first = re.search(FORMS["count"], text[:4000]), re.search(FORMS["next"], text[-200:])
    if count and first:
        return _tasks(text, int(count[1]), int(first[1]), as_json=as_json, **form), False
    if pair := _fenced(text, "question", "output_a", "output_b"):
        wording = text[: text.find("<question>")]
        return responder.verdict(*pair, wording=wording, **form), False
    if graded := _fenced(text, "answer", "criterion"):
        return responder.grade(*graded), False
    if read := _fenced(text, "question", "answer"):
        return responder.second_reading(*read), False
    if task := _task(text):
        is_refused, rules = chance.random() < rate["answer_refusal"], responder.rules_for(text)
        reply = rules["no_answer"] if is_refused else responder.answer(**task)
        return reply, chance.random() < rate["cut"]
    return responder.rules_for(text)["help"], False


def _tasks(text: str, count: int, first: int, *, as_json: bool, **form: Any) -> str:
    """Return new tasks with the labels that a request names for each."""
    lines = {int(number): line for number, line in re.findall(FORMS["labels"], text)}
    numbers = range(first, first + min(count, 100))
    fields = (re.findall(FORMS["field"], lines.get(number, "")) for number in numbers)
    wanted = [{name.lower(): value.strip() for name, value in pairs} for pairs in fields]
    prompt = text.partition(FORMS["list"])[0]
    tasks = writer.write_tasks(wanted, language=language_of(prompt), **form)
    if tasks is None:
        return responder.rules_for(prompt)["no_tasks"]
    return writer.as_json(tasks) if as_json else writer.as_blocks(tasks, first=first, **form)


def _fenced(text: str, *names: str) -> list[str]:
    """Return the texts between the fences of some names; [] where one is missing."""
    matches = [re.search(rf"<{name}>\n(.*?)\n</{name}>", text, re.DOTALL) for name in names]
    return [match[1] for match in matches] if all(matches) else []


def _task(text: str) -> dict[str, str]:
    """Return the parts of a request for an answer; {} for other requests."""
    head, mark, rest = text.partition("\nInstruction: ")
    fields = dict(line.partition(": ")[::2] for line in head.split("\n"))
    if not mark or not {"Type", "View"} <= set(fields):
        return {}
    instruction, _, context = rest.partition("\nInput:\n")
    form = {"view": fields["View"], "kind": fields["Type"]}
    return {"instruction": instruction, "context": context, **form}


def _tokens(text: str) -> int:
    """Return the tokens of a text, four for three words."""
    return -(-len(text.split()) * 4 // 3)


def error_body(message: str) -> dict[str, Any]:
    """Return the body of an error answer."""
    return {"error": {"message": message, "type": "invalid_request_error"}}
