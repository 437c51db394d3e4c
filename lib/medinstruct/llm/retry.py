"""Retry: connection to a server, rate limits, retries, refused parameters, error texts."""

import asyncio
import logging
import os
import random
import re
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any

from medinstruct import models
from medinstruct.errors import UserError
from medinstruct.llm.messages import LIMITS, TEXTS, Request

RETRIES = 20
FIRST_RETRIES = 4  # while the server has not answered at all
REPLACEMENTS = dict(zip(LIMITS, reversed(LIMITS), strict=True))
UNSUPPORTED = re.compile(TEXTS["unsupported"], re.IGNORECASE)


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

    def __init__(self, entry: models.Model) -> None:
        self.url, self.model, self.extra = entry.url, entry.model, entry.extra
        self.transport, self.limiter = transport(self.url), RateLimiter(entry.rpm, entry.tpm)
        self.has_answered, self.health = False, 0.0
        self.refused: set[str] = set()  # parameters that the model does not take
        is_free = self.transport or self.url.startswith(models.FREE)
        self._key = os.environ.get(entry.key) or ("none-needed" if is_free else "")
        if not self._key:
            got, do = f"no {entry.key} for {self.url or 'OpenAI'}", "Set it outside the notebook."
            raise UserError("There is no API key for a paid address.", got=got, do=do)

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
        return {"model": self.model, "messages": request.messages, **accepted}

    def learn(self, error: object, status: int | None, names: Iterable[str]) -> bool:
        """Remember the parameter that a 400 or 422 error refuses; return False for other errors."""
        text = str(error)
        if status not in (400, 422) or not UNSUPPORTED.search(text):
            return False
        own = "|".join(re.escape(name) for name in names if name not in ("model", "messages"))
        match = re.search(rf"'param': '({own})\b", text) or re.search(rf"\b({own})\b", text)
        name = match[1] if match else ""
        if name and name not in self.refused:
            self.refused.add(name)
            other = self._accepted(name)
            change = f"sent as `{other}`" if other else "left out"
            note = f"`{self.model}` does not take `{name}`: it is {change} from now on."
            logging.getLogger("medinstruct").warning(note)
        return bool(name)

    async def send(self, api: Any, request: Request, **more: Any) -> Any:
        """Return the completion or its chunks, after retries and without refused parameters."""
        import openai

        completions, attempt = api.with_options(max_retries=0).chat.completions, 0
        while True:
            body = self.body(request, **more)
            await self.limiter.wait(request.prompt_tokens() + request.max_tokens(500) // 2)
            try:
                raw = await completions.with_raw_response.create(**body, extra_body=self.extra)
                completion = raw.parse()
                if not more.get("stream"):
                    check_body(completion, raw.http_response)
            except openai.OpenAIError as error:
                self.health *= 0.9
                if self.learn(error, getattr(error, "status_code", None), body):
                    continue
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
        got = " ".join(str(error).replace(self._key, "[key]").split())[:400]
        do = TEXTS["advice"].get(status or getattr(error, "status_code", None), "Try again later.")
        what = f"{self.url or 'The OpenAI API'} gave no answer for `{self.model}`."
        return UserError(what, got=got, do=f"{do} Answers so far are saved.")

    def _accepted(self, name: str) -> str:
        """Return the name under which a parameter is sent, "" where it is left out."""
        names = (name, REPLACEMENTS.get(name, ""))
        return next((name for name in names if name not in self.refused), "")


def check_body(completion: Any, response: Any) -> None:
    """Raise the error that a body of status 200 holds in place of an answer (as OpenRouter's)."""
    import openai

    choice = next(iter(getattr(completion, "choices", None) or []), None)
    problem = getattr(choice or completion, "error", None)
    if choice and not problem:
        return
    is_page = isinstance(completion, str)
    what = TEXTS["page"] if is_page else problem or completion
    error = openai.APIStatusError(str(what), response=response, body=problem)
    code = problem.get("code") if isinstance(problem, dict) else 0
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
