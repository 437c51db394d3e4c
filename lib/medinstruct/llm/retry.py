"""Retry: connection to a server, retries, refused parameters, error texts."""

import asyncio
import logging
import os
import random
import re
import time
from collections.abc import AsyncGenerator
from importlib.metadata import entry_points
from typing import Any

import httpx2
import openai

from medinstruct.errors import UserError
from medinstruct.llm.messages import LIMITS, Request, add_chunk
from medinstruct.llm.rate_limit import RateLimiter

LOG = logging.getLogger("medinstruct")
TRIES = 12
FIRST_TRIES = 5  # while the server has not answered at all
PASSING = (
    openai.RateLimitError,
    openai.InternalServerError,
    openai.APITimeoutError,
    openai.APIConnectionError,
)
RENAMED = dict(zip(LIMITS, reversed(LIMITS), strict=True))
UNSUPPORTED = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed"
    r"|deprecated",
    re.IGNORECASE,
)
REFUSED = "The server refuses this request: check the model and the decoding parameters."
ADVICE = {
    401: "The key in {key_env} was refused: set a valid one.",
    403: "The key in {key_env} may not use this model.",
    404: "Check the model name `{model}` and the address.",
    400: REFUSED,
    422: REFUSED,
    429: "The limit or quota is used up: wait, lower `concurrency`, or raise the quota.",
    None: "Check the address, the network, and that the server is running.",
}


class Connection:
    """One model at one address: its key, the bodies it accepts, and its errors.

    `notes` lists the parameters that the model refuses.
    """

    def __init__(self, url: str, model: str, *, key_env: str = "OPENAI_API_KEY") -> None:
        self.url, self.model, self.key_env = url, model, key_env
        self.transport = transport(url)
        self.notes: list[str] = []
        self._refused: set[str] = set()
        self._key = self._read_key()

    def open(self, *, retries: int = 0) -> openai.AsyncOpenAI:
        """Return the SDK's client, to be closed after use."""
        form: dict[str, Any] = {"base_url": self.url or None}
        if self.transport:
            client = self.transport.http_client(self.url)
            form = {"base_url": "http://offline.invalid/v1", "http_client": client}
        return openai.AsyncOpenAI(api_key=self._key, max_retries=retries, timeout=600, **form)

    def body(self, request: Request, **more: Any) -> dict[str, Any]:
        """Return the body of a request, without refused parameters; samples differ by seed."""
        parameters = request.parameters | more
        if request.sample:
            parameters["seed"] = parameters.get("seed", 0) + request.sample
        names = {name: self._accepted(name) for name in parameters}
        accepted = {names[name]: value for name, value in parameters.items() if names[name]}
        return {"model": self.model, "messages": request.messages, **accepted}

    def learn(self, error: openai.OpenAIError, body: dict[str, Any]) -> bool:
        """Remember the parameter that an error refuses; return False for any other error."""
        name = refused_parameter(error, body)
        if name in (None, "model", "messages"):
            return False
        if name not in self._refused:
            self._refused.add(name)
            other = self._accepted(name)
            change = f"sent as `{other}`" if other else "left out"
            self.notes.append(f"`{self.model}` does not take `{name}`: it is {change} from now on.")
            LOG.warning(self.notes[-1])
        return True

    async def complete(
        self, api: openai.AsyncOpenAI, request: Request, limiter: RateLimiter
    ) -> tuple[Any, float]:
        """Return the completion and its seconds; retry with growing, jittered waits."""
        attempt = 0
        while True:
            body = self.body(request)
            try:
                async with limiter.slot(request.prompt_tokens() + request.max_tokens(500) // 2):
                    start = time.monotonic()
                    raw = await api.chat.completions.with_raw_response.create(**body)
                    limiter.record(good=True)
                    limiter.read_limits(raw.headers)
                    return raw.parse(), time.monotonic() - start
            except openai.OpenAIError as error:
                if self.learn(error, body):
                    continue
                if not is_passing(error):
                    raise self.problem(error) from None
                attempt += 1
                if attempt >= (TRIES if limiter.answered else FIRST_TRIES):
                    raise
                too_many, after = isinstance(error, openai.RateLimitError), retry_after(error)
                limiter.record(good=False, too_many=too_many, after=after)
                longest = 0.4 if limiter.is_healthy else 60.0
                await asyncio.sleep(after + random.uniform(0, min(longest, 0.25 * 2**attempt)))

    async def stream(
        self, api: openai.AsyncOpenAI, request: Request, answer: dict[str, Any]
    ) -> AsyncGenerator[str, None]:
        """Yield the pieces of an answer and add them to it; retry only before the first piece."""
        while True:
            body = self.body(request, stream=True, stream_options={"include_usage": True})
            try:
                async for chunk in await api.chat.completions.create(**body):
                    if piece := add_chunk(answer, chunk):
                        yield piece
                return
            except openai.OpenAIError as error:
                if not answer["text"] and self.learn(error, body):
                    continue
                raise self.problem(error) from None
            except httpx2.HTTPError as error:
                got, do = str(error)[:200], "Send the question again."
                raise UserError("The answer broke off.", got=got, do=do) from None

    def problem(self, error: openai.OpenAIError) -> UserError:
        """Return the message for an error that ends the run, without the key."""
        got = " ".join(str(error).replace(self._key, "[key]").split())[:400]
        advice = ADVICE.get(getattr(error, "status_code", None), "Try again later.")
        do = advice.format(key_env=self.key_env, model=self.model)
        what = f"{self.url or 'The OpenAI API'} gave no answer for `{self.model}`."
        return UserError(what, got=got, do=f"{do} Answers so far are saved.")

    def _accepted(self, name: str) -> str:
        """Return the name under which a parameter is sent, "" where it is left out."""
        names = (name, RENAMED.get(name, ""))
        return next((one for one in names if one not in self._refused), "")

    def _read_key(self) -> str:
        key = os.environ.get(self.key_env, "")
        is_local = self.url.startswith(("http://localhost", "http://127.0.0.1"))
        if self.transport or (is_local and not key):
            return "none-needed"
        if not key:
            got = f"{self.key_env} is not set ({self.url or 'OpenAI'})"
            do = f"Set the environment variable {self.key_env}; never write a key into a notebook."
            raise UserError("There is no API key for a paid address.", got=got, do=do)
        return key


def transport(url: str) -> Any:
    """Return the module registered for a url such as "offline?cut=0"; None for an address."""
    name = url.partition("?")[0]
    if not name or "://" in name:
        return None
    for point in entry_points(group="medinstruct.transports", name=name):
        return point.load()
    do = 'Write "offline" or http://…; after an update, install the package again.'
    raise UserError("The url is neither an address nor a registered transport.", got=url, do=do)


def is_passing(error: openai.OpenAIError) -> bool:
    """Return whether a retry can help; a quota that is used up does not come back."""
    return isinstance(error, PASSING) and getattr(error, "code", None) != "insufficient_quota"


def refused_parameter(error: openai.OpenAIError, body: dict[str, Any]) -> str | None:
    """Return the parameter of a body that a 400 answer refuses, or None."""
    text = str(error)
    if getattr(error, "status_code", None) not in (400, 422) or not UNSUPPORTED.search(text):
        return None
    name = str(getattr(error, "param", None) or "").split(".")[0]
    if name in body:
        return name
    names = sorted(body, key=len, reverse=True)
    return next((name for name in names if re.search(rf"\b{re.escape(name)}\b", text)), None)


def retry_after(error: openai.OpenAIError) -> float:
    """Return the seconds that a server asks to wait, at most 120."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if re.fullmatch(r"\d+(\.\d+)?", headers.get(name, "")):
            return min(float(headers[name]) * unit, 120.0)
    return 0.0
