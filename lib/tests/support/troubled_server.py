"""Troubled server: the stand-in behind a gateway that misbehaves in all ways seen in the wild.

Passing trouble and odd shapes are rolled for each request; what a prompt always meets is decided by its hash.

python lib/tests/support/troubled_server.py --port 8000 --share 0.2
"""

import argparse
import asyncio
import hashlib
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from typing import Any

from support import stand_in_server

from medinstruct import offline

WORDS = "injected trouble"  # is part of every error
PAGE = f"<!doctype html><html><title>502 Bad Gateway</title><body>{WORDS}</body></html>"
THOUGHT = "Is Output (b) longer? Type: rewrite, I think. ### 4."
REFUSED = ("temperature", "presence_penalty", "seed", "system")  # what `refused` may name
SLOW = 0.1  # seconds
BLANKS = 20_000


@dataclass
class Wire:
    """What goes over the line: status, bytes, headers; `lost` bytes are announced and never sent."""

    status: int = 200
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    lost: int = 0
    is_dropped: bool = False
    is_good: bool = False
    wait: float = 0.0

    async def send(self, handler: Any) -> None:
        """Send it by a handler of tornado."""
        await asyncio.sleep(self.wait)
        if self.is_dropped:
            handler.request.connection.stream.close()
            return
        handler.set_status(self.status, "injected")
        for name, value in ({"Content-Type": "application/json"} | self.headers).items():
            handler.set_header(name, value)
        handler.set_header("Content-Length", str(len(self.content) + self.lost))
        handler.write(self.content)
        if not self.lost:
            handler.finish()
            return
        await handler.flush()
        handler.request.connection.stream.close()


def _error(status: int, kind: str = "", **headers: str) -> Wire:
    body = {
        "error": {"message": f"{WORDS}: {kind or status}", "type": kind or None, "code": status}
    }
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Wire(status, json.dumps(body).encode(), named)


def _page(status: int) -> Wire:
    return Wire(status, PAGE.encode(), {"Content-Type": "text/html"})


def _body(**changes: Any) -> Wire:
    head = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
    return Wire(200, json.dumps(head | changes).encode())


def _choice(**changes: Any) -> Wire:
    message = {"role": "assistant", "content": ""}
    return _body(choices=[{"index": 0, "message": message, "finish_reason": "stop"} | changes])


def _problem(code: int) -> dict[str, Any]:
    return {"message": WORDS, "code": code, "metadata": {"provider_name": "p"}}


# what passes when the request is sent again, in three kinds
TROUBLES = {
    "status": {
        "500": lambda good: _error(500, "server_error"),
        "502": lambda good: _page(502),
        "503 with seconds": lambda good: _error(503, Retry_After="0"),
        "503 with a date": lambda good: _error(503, Retry_After=formatdate(0, usegmt=True)),
        "408": lambda good: _error(408),
        "429": lambda good: _error(429, "rate_limit_exceeded", Retry_After="0.05", x_ratelimit_remaining_requests="0"),
        "524": lambda good: _page(524),
        "529": lambda good: _error(529, "overloaded_error"),
    },
    "connection": {
        "dropped": lambda good: Wire(is_dropped=True),
        "body cut": lambda good: Wire(200, good[: len(good) // 2], lost=len(good) - len(good) // 2),
        "JSON cut": lambda good: Wire(200, good[: len(good) // 2]),
        "empty body": lambda good: Wire(200, b""),
    },
    "no answer": {
        "error 429": lambda good: _body(error=_problem(429), choices=None, model=None),
        "error 502": lambda good: _body(error=_problem(502)),
        "error in the choice": lambda good: _choice(error=_problem(502), finish_reason="error"),
        "page": lambda good: _page(200),
        "choices null": lambda good: _body(choices=None),
        "choices empty": lambda good: _body(choices=[]),
        "message null": lambda good: _choice(message=None),
    },
}  # fmt: skip


def _set(body: dict, change: Any) -> None:
    message = body["choices"][0]["message"]
    message["content"] = change(message["content"])


def _part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _after_thinking(content: Any) -> list[dict[str, Any]]:
    parts = content if isinstance(content, list) else [_part(content)]
    return [{"type": "thinking", "thinking": [_part(THOUGHT)]}, *parts]


def _end(body: dict, *reasons: str) -> None:
    choice = body["choices"][0]
    if choice["finish_reason"] == "stop":
        choice["finish_reason"] = reasons[int(_hash(body["id"]) * len(reasons))]


def _hash(*parts: str) -> float:
    """Return a number from 0 to 1 for a text, always the same."""
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return int(digest[:12], 16) / 16**12


def _beside(extra: str, after: str = "") -> Any:
    """Return the change that puts a text where no task and no answer is: before tasks, else last."""
    return lambda text: f"{extra}\n{text}" if "\nTopic:" in text else text + (after or extra)


# answers in odd shapes
SHAPES = {
    "half an emoji": lambda body: _set(body, _beside("\ud83d", " \ud83d")),
    "blanks": lambda body: _set(body, _beside(f"###{' ' * BLANKS}x", " " * BLANKS)),
    "thought": lambda body: _set(body, f"<think>\n{THOUGHT}\n</think>\n\n{{}}".format),
    "thought not opened": lambda body: _set(body, f"{THOUGHT}\n</think>\n\n{{}}".format),
    "parts": lambda body: _set(body, lambda text: [_part(text[:9]), _part(text[9:])]),
    "thinking part": lambda body: _set(body, _after_thinking),
    "reason": lambda body: _end(body, "eos", "STOP", "end_turn", "eos_token", "stop_sequence"),
    "no usage": lambda body: body.update(usage=None),
    "no model": lambda body: body.update(model=None),
}
# what a prompt always meets
ITEMS = ("filter", "context", "cut", "empty")
REFUSALS = {
    "filter": "The response was filtered due to the prompt triggering the content management policy.",
    "context": "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens.",
    "second": "This model's maximum context length is 4096 tokens. Please reduce the length of the messages.",
    "temperature": "invalid temperature: only 1 is allowed for this model",
    "presence_penalty": "Argument not supported on this model: presencePenalty",
    "seed": "Unrecognized request argument supplied: seed",
    "system": "System role not supported",
}  # fmt: skip


class Troubled(stand_in_server.Service):
    """The stand-in, which reads no seed, with trouble at a share each.

    `share` is of each kind of passing trouble, of each odd shape and of slow answers; `items` of
    each kind of prompts that get no whole answer; `only` names the trouble there is; `refused` are
    parameters and the role that are never taken. `met` counts trouble, `paid` whole answers.
    """

    def __init__(self, share=0.0, *, items=0.0, refused=(), only=(), seed=0) -> None:
        super().__init__(rate={"cut": 0.0, "refusal": 0.0, "answer_refusal": 0.0})
        self.share, self.items, self.never, self.only = share, items, refused, only
        self.chance, self.met, self.paid = random.Random(seed), Counter(), Counter()
        self.systems: set[str] = set()
        self.rooms: dict[str, int] = {}

    def complete(self, content: bytes) -> tuple[int, Any]:
        """Return status and chat completion, or a `Wire` in place of it."""
        sent = json.loads(content)
        self.systems |= {m["content"] for m in sent["messages"] if m["role"] == "system"}
        if name := next(filter(partial(self._refuses, sent), self.never), ""):
            return self._refuse(400, name)
        sent["messages"], _ = self._unfolded(sent["messages"]), sent.pop("seed", None)
        room = sent.get("max_completion_tokens") or sent.get("max_tokens") or 4096
        prompt = json.dumps(sent["messages"])
        kind = next(
            (name for name in ITEMS if self._has(name, _hash(name, prompt), self.items)), ""
        )
        if kind in ("filter", "context"):
            return self._refuse(400, kind)
        status, body = offline.complete(json.dumps(sent).encode(), rate=self.rate)
        if status != 200 or isinstance(body, list):
            return status, body
        if kind == "cut" and room > self.rooms.setdefault(prompt, room) and len(prompt) % 2:
            return self._refuse(400, "second")  # twice the room passes the context
        if kind:
            _set(body, lambda text: text[: len(text) * 3 // 5] if kind == "cut" else "")
            body["choices"][0]["finish_reason"] = "length" if kind == "cut" else "stop"
        wire = self._spoiled(body, is_whole=not kind)
        if wire.is_good and not kind:
            self.paid[f"{room} {prompt}"] += 1
        return 200, wire

    def _has(self, name: str, roll: float, share: float) -> bool:
        """Return whether a roll brings a kind of trouble, and count it."""
        is_met = roll < share and (not self.only or name in self.only)
        self.met[name] += is_met
        return is_met

    def _refuses(self, sent: dict[str, Any], name: str) -> bool:
        """Return whether a request has what is never taken."""
        if name == "system":
            return any(message["role"] == "system" for message in sent["messages"])
        return name in sent and (name, sent[name]) != ("temperature", 1)

    def _refuse(self, status: int, name: str) -> tuple[int, Any]:
        self.met[name] += name not in ITEMS
        error = {"message": f"{REFUSALS[name]} ({WORDS})", "type": "invalid_request_error"}
        code = {"filter": "content_filter", "context": "context_length_exceeded"}.get(name)
        return status, {"error": error | {"code": code, "param": None}}

    def _unfolded(self, messages: list[dict[str, str]]) -> list[dict[str, str]]:
        """Return messages with the system text apart that begins the user's."""
        text = messages[0]["content"]
        for system in self.systems:
            if messages[0]["role"] == "user" and text.startswith(f"{system}\n\n"):
                user = {"role": "user", "content": text.removeprefix(f"{system}\n\n")}
                return [{"role": "system", "content": system}, user, *messages[1:]]
        return messages

    def _spoiled(self, body: dict[str, Any], *, is_whole: bool) -> Wire:
        """Return the answer as it is sent: with trouble in its place, or in an odd shape."""
        good, wait = json.dumps(body).encode(), 0.0
        rolls = {kind: self.chance.random() for kind in [*TROUBLES, *SHAPES, "slow"]}
        for kind, forms in TROUBLES.items():
            names = [name for name in forms if not self.only or name in self.only]
            if names and rolls[kind] < self.share:
                name = min(names, key=self.met.__getitem__)
                self.met[name] += 1
                return forms[name](good)
        for name, change in SHAPES.items():
            if self._has(name, rolls[name], self.share) and (is_whole or name.startswith("no ")):
                change(body)
        wait = SLOW * self._has("slow", rolls["slow"], self.share)
        return Wire(200, json.dumps(body).encode(), is_good=True, wait=wait)


def main() -> None:
    """Serve with trouble at a share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--items", type=float, default=0.0)
    parser.add_argument("--latency", type=float, default=0.0)
    given = parser.parse_args()
    faults = stand_in_server.Faults(latency=given.latency)
    service = Troubled(given.share, items=given.items)
    asyncio.run(stand_in_server.serve(given.port, service=service, faults=faults))


if __name__ == "__main__":
    main()
