"""The stand-in behind the OpenAI API: an in-process HTTP transport, so that no socket is opened and no key is needed."""

import hashlib
import json
import random
import re
from typing import Any

import httpx2

from medinstruct.offline.answering import answer
from medinstruct.offline.judging import judge
from medinstruct.offline.writing import write_tasks

MODEL = "offline-stand-in"
TASKS = re.compile(r"Write (\d+) new medical tasks.*?### (\d+)\.\s*$", re.DOTALL)
TASK = re.compile(
    r"^Type: (?P<kind>.*)\nView: (?P<view>.*)\nInstruction: (?P<instruction>.*?)(?:\nInput:\n(?P<context>.*))?$", re.DOTALL
)
PAIR = re.compile(
    r"<question>\n(?P<question>.*)\n</question>\n+<output_a>\n(?P<a>.*)\n</output_a>\n+<output_b>\n(?P<b>.*)\n</output_b>",
    re.DOTALL,
)
HELP = (
    "I am an offline stand-in for a language model. I write medical tasks, answer them, and compare two answers; nothing else."
)


def http_client() -> httpx2.AsyncClient:
    """The client to hand to the `openai` SDK."""
    return httpx2.AsyncClient(transport=httpx2.MockTransport(_handle))


def respond(body: dict[str, Any]) -> dict[str, Any]:
    """A chat completion for a request body; deterministic for the request's content."""
    text = _say(body["messages"], seed=body.get("seed", 0))
    text, reason = _cut(text, body.get("max_completion_tokens") or body.get("max_tokens") or 4096)
    asked = sum(_count(message["content"]) for message in body["messages"])
    usage = {"prompt_tokens": asked, "completion_tokens": _count(text), "total_tokens": asked + _count(text)}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
    return {"id": "offline", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice], "usage": usage}


def _handle(request: httpx2.Request) -> httpx2.Response:
    try:
        body = json.loads(request.content)
        if not all(isinstance(message["content"], str) for message in body["messages"]):
            raise TypeError("content must be text")
    except (ValueError, KeyError, TypeError) as error:
        return httpx2.Response(400, json={"error": {"message": f"Malformed request: {error}", "type": "invalid_request_error"}})
    return httpx2.Response(200, json=respond(body))


def _say(messages: list[dict[str, str]], *, seed: int) -> str:
    text = messages[-1]["content"] if messages else ""
    if found := TASKS.search(text):
        chance = random.Random(hashlib.sha256(f"{seed}{text}".encode()).digest())
        return write_tasks(int(found.group(1)), first=int(found.group(2)), chance=chance)
    if found := PAIR.search(text):
        return {"a": "Output (a)", "b": "Output (b)", "tie": "Tie"}[judge(found["question"], found["a"], found["b"])]
    if found := TASK.match(text):
        return answer(found["instruction"], context=found["context"] or "", view=found["view"], kind=found["kind"])
    return HELP


def _count(text: str) -> int:
    """Tokens, taken as four for three words."""
    return -(-len(text.split()) * 4 // 3)


def _cut(text: str, limit: int) -> tuple[str, str]:
    if _count(text) <= limit:
        return text, "stop"
    words = list(re.finditer(r"\S+", text))
    return text[: words[limit * 3 // 4 - 1].end()] if limit * 3 // 4 else "", "length"
