"""Retry: connection to a server, rate limits, retries, refused parameters, error texts."""

import asyncio
import logging
import os
import random
import re
import time
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from medinstruct import models
from medinstruct.errors import UserError
from medinstruct.llm.messages import MARKS, TEXTS, Request, without_system

RETRIES = 20
FIRST_RETRIES = 4  # while the server has not answered at all
REPLACEMENTS = {"max_tokens": "max_completion_tokens"}
UNSUPPORTED, SCHEMA, THINKING, SYSTEM, *ROOM = (
    re.compile(text, re.IGNORECASE | re.DOTALL)
    for name in ("unsupported", "schema", "thinking", "system", "room")
    for text in ([TEXTS[name]] if isinstance(TEXTS[name], str) else TEXTS[name])
)


class RateLimiter:
    """Even rates of requests and tokens a minute, with bursts of at most one second's worth.

    Where `rpm` or `tpm` is 0, the server's headers set the limit; without them there is none.
    """

    def __init__(self, rpm: float = 0, tpm: float = 0) -> None:
        self._given = {"requests": rpm, "tokens": tpm}
        self._per_minute = dict(self._given)
        self._free_at = {"requests": 0.0, "tokens": 0.0}

    async def wait(self, tokens: int) -> None:
        """Wait until a request that uses about this number of tokens fits into the minute."""
        for name, amount in (("requests", 1), ("tokens", tokens)):
            if per_minute := self._per_minute[name]:
                start = max(self._free_at[name], time.monotonic() - 1.0)
                self._free_at[name] = start + amount * 60 / per_minute
                await asyncio.sleep(start - time.monotonic())

    def read_limits(self, headers: Mapping[str, str]) -> None:
        """Adopt the limits in the server's headers, unless the user gave their own."""
        for name, given in self._given.items():
            text = headers.get(f"x-ratelimit-limit-{name}", "")
            if text.isdigit() and int(text) and not given:
                self._per_minute[name] = float(text)


class Connection:
    """One model at one address: its key, rate limits, the bodies it accepts, and its errors."""

    def __init__(self, entry: models.Model, *, chat: bool = True) -> None:
        self.url, self.model, self.extra, self.chat = entry.url, entry.model, entry.extra, chat
        self.transport, self.limiter = transport(self.url), RateLimiter(entry.rpm, entry.tpm)
        self.has_answered, self.health = False, 0.0
        self.refused: set[str] = set()  # parameters that the model does not take
        self.has_system, self.notes = True, set()
        forms = thinking_forms(entry) if chat and not self.transport else []
        self.form, self.forms = 0, [*forms, {}]
        about = {"include": {"thinking", "reasoning_effort"}, "exclude_defaults": True}
        self.identity = entry.extra | entry.model_dump(**about) | ({} if chat else {"chat": False})
        is_free = self.transport or self.url.startswith(models.FREE)
        self._key = os.environ.get(entry.key) or ("none-needed" if is_free else "")
        if not self._key:
            got, do = f"no {entry.key} for {self.url or 'OpenAI'}", "Set it outside the notebook."
            raise UserError("There is no API key for a paid address.", got=got, do=do)

    @property
    def fields(self) -> dict[str, Any]:
        """Return the fields of a request beyond the API's own, with the form of thinking."""
        fields = (self.forms[self.form] | self.extra).items()
        return {name: value for name, value in fields if name not in self.refused}

    def open(self) -> Any:
        """Return the SDK's client, an `AsyncOpenAI`, to be closed after use."""
        import openai  # here and below, since its import takes two seconds

        form: dict[str, Any] = {"base_url": self.url or None}
        if self.transport:
            client = self.transport.http_client(self.url)
            form = {"base_url": "http://offline.invalid/v1", "http_client": client}
        return openai.AsyncOpenAI(api_key=self._key, timeout=600, **form)

    def body(self, request: Request, **more: Any) -> dict[str, Any]:
        """Return the body of a request, without refused parameters; samples differ by seed."""
        parameters = request.parameters | more
        if request.sample:
            parameters["seed"] = parameters.get("seed", 0) + request.sample
        accepted = {self._accepted(name): value for name, value in parameters.items()}
        accepted.pop("", None)
        messages = request.messages if self.has_system else without_system(request.messages)
        asked = {"messages": messages} if self.chat else {"prompt": request.text}
        return {"model": self.model, **asked, **accepted}

    def learn(self, error: object, status: int | None, sent: Mapping[str, Any]) -> bool:
        """Remember what of a request a 400 or 422 error refuses; return False for other errors."""
        change = self._change(words(error), sent) if status in (400, 422) else ""
        if change and change not in self.notes:
            self.notes.add(change)
            logging.getLogger("medinstruct").warning(f"`{self.model}` {change} from now on.")
        return bool(change)

    def _change(self, text: str, sent: Mapping[str, Any]) -> str:
        """Send no more what an error refuses, and return what changes; "" for other errors."""
        if SYSTEM.search(text) and any(m["role"] == "system" for m in sent.get("messages", ())):
            self.has_system = False
            return "has no system role: that text begins the user's message"
        for number, form in enumerate(self.forms[:-1]):
            is_named = THINKING.search(text) or any(name in text for name in form)
            if is_named and form.items() <= sent.items():
                self.form = max(self.form, number + 1)
                return f"does not take {form}: it is left out"
        name = refused_name(text, sent) if UNSUPPORTED.search(text) else ""
        if not name and "response_format" in sent and SCHEMA.search(text):
            name = "response_format"
        self.refused.add(name)
        change = f"sent as `{self._accepted(name)}`" if self._accepted(name) else "left out"
        return name and f"does not take `{name}`: it is {change}"

    async def send(self, api: Any, request: Request, *, least: int = 0, **more: Any) -> Any:
        """Return the completion or its chunks after retries; None if at most `least` tokens fit."""
        import openai

        api, attempt = api.with_options(max_retries=0), 0
        completions = api.chat.completions if self.chat else api.completions
        while True:
            body = self.body(request, **more)
            await self.limiter.wait(request.prompt_tokens() + request.max_tokens(500) // 2)
            try:
                fields = self.fields
                raw = await completions.with_raw_response.create(**body, extra_body=fields)
                completion = raw.parse()
                if not more.get("stream"):
                    check_body(completion, raw.http_response)
            except openai.OpenAIError as error:
                self.health *= 0.9
                if (status := getattr(error, "status_code", None)) in (400, 422):
                    room = request.max_tokens(0)
                    if least < (left := room_left(words(error), room)) < room:
                        request = request.with_room(left, min)
                        continue
                    if self.learn(error, status, body | fields):
                        continue
                    if least:
                        return None
                attempt += 1
                most = RETRIES if self.has_answered else FIRST_RETRIES
                if attempt > most or not is_passing(error):
                    raise self.problem(error) from None
                await asyncio.sleep(self._pause(error, attempt))
            else:
                self.health, self.has_answered = 0.9 * self.health + 0.1, True
                self.limiter.read_limits(raw.headers)
                return completion

    def _pause(self, error: Exception, attempt: int) -> float:
        """Return the seconds to wait: what the server asks for, and a growing, jittered share.

        It stays short while a third of the latest answers are good: the place is held meanwhile.
        """
        text = getattr(getattr(error, "response", None), "headers", {}).get("retry-after", "")
        after = min(float(text), 120.0) if re.fullmatch(r"\d+(\.\d+)?", text) else 0.0
        first, longest = (0.05, 0.4) if self.health > 1 / 3 and attempt < 8 else (0.25, 30.0)
        return after + random.uniform(0, min(longest, first * 2**attempt))

    def problem(self, error: object, status: int | None = None) -> UserError:
        """Return the message for an error that ends the run, without the key."""
        got = " ".join(words(error).replace(self._key, "[key]").split())[:400]
        do = TEXTS["advice"].get(status or getattr(error, "status_code", None), "Try again later.")
        what = f"{self.url or 'The OpenAI API'} gave no answer for `{self.model}`."
        return UserError(what, got=got, do=f"{do} Answers so far are saved.")

    def _accepted(self, name: str) -> str:
        """Return the name under which a parameter is sent, "" where it is left out."""
        names = (name, REPLACEMENTS.get(name, ""))
        return next((name for name in names if name not in self.refused), "")


def thinking_forms(entry: models.Model) -> list[dict[str, Any]]:
    """Return the fields that ask a model's server to think or not, in the order to try them."""
    effort = {"reasoning_effort": entry.reasoning_effort} if entry.reasoning_effort else {}
    server = next(row for row in MARKS["servers"] if re.search(row["url"], entry.url))
    forms = [form | effort for form in server.get(entry.thinking, [])]  # on is True in YAML
    forms = [form for form in [*forms, effort] if form and not form.keys() & entry.extra.keys()]
    return [form for n, form in enumerate(forms) if form not in forms[:n]]


def refused_name(text: str, sent: Mapping[str, Any]) -> str:
    """Return the parameter that an error names first; a penalty may be named without its kind."""
    places = []
    for name in sent.keys() - {"model", "messages", "prompt"}:
        loose = re.sub("^(.*)_(?=penalty)", r"(\1_)?", name).replace("_", "[_ ]?")
        if match := re.search(rf"\b{loose}\b", text, re.IGNORECASE):
            places.append((f"'param': '{name}'" not in text, match.start(), name))
    return min(places, default=("",))[-1]


def room_left(text: str, room: int) -> int:
    """Return the room for a reply that an error names, 0 for none; `room` was asked for."""
    match = next(filter(None, (pattern.search(text) for pattern in ROOM)), None)
    number = {name: int(n) for name, n in match.groupdict().items() if n} if match else {}
    if "limit" in number:
        return number["limit"] - number.get("input", number.get("asked", 0) - room)
    return min(number.values(), default=0)


def words(error: object) -> str:
    """Return an error's text; the SDK leaves out a body of an unusual shape."""
    is_bare = re.fullmatch(r"Error code: \d+", str(error))
    return f"{error}: {error.response.text}" if is_bare else str(error)


def check_body(completion: Any, response: Any) -> None:
    """Raise the error that a body of status 200 holds in place of an answer (as OpenRouter's)."""
    from openai import APIStatusError

    choice = next(iter(getattr(completion, "choices", None) or []), None)
    problem = getattr(choice or completion, "error", None)
    if problem or not choice:
        is_page, body = isinstance(completion, str), problem if isinstance(problem, dict) else {}
        text = TEXTS["page"] if is_page else str(problem or completion)
        error, code = APIStatusError(text, response=response, body=body), body.get("code")
        error.status_code = 404 if is_page else code if isinstance(code, int) else 502
        raise error


async def list_models(entry: models.Model, *, timeout: float) -> list[dict[str, Any]]:
    """Return what a server says of each of its models; raises the SDK's errors."""
    async with Connection(entry).open() as api:
        page = await api.with_options(timeout=timeout, max_retries=0).models.list()
        return [model.model_dump() for model in page.data]


def is_passing(error: Exception) -> bool:
    """Return whether an error may pass by itself; a quota that is used up does not."""
    from openai import APIConnectionError

    status = getattr(error, "status_code", 0)
    is_busy = status in (408, 409, 429) or status >= 500
    has_quota = getattr(error, "code", None) != "insufficient_quota"
    return isinstance(error, APIConnectionError) or (is_busy and has_quota)


def transport(url: str) -> Any:
    """Return the module registered for a url such as "offline?cut=0"; None for an address."""
    name = url.partition("?")[0]
    if not name or "://" in name:
        return None
    for point in entry_points(group="medinstruct.transports", name=name):
        return point.load()
    do = 'Write "offline" or http://…; after an update, install the package again.'
    raise UserError("The url is neither an address nor a registered transport.", got=url, do=do)
