"""Retry: connection to a server, retries, refused parameters, error texts."""

import asyncio
import logging
import os
import random
import re
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

import openai

from medinstruct.errors import UserError
from medinstruct.llm.messages import LIMITS, Request
from medinstruct.llm.rate_limit import RateLimiter

TRIES = 12
FIRST_TRIES = 5  # while the server has not answered at all
PASSING = (openai.RateLimitError, openai.InternalServerError, openai.APIConnectionError)
REPLACEMENTS = dict(zip(LIMITS, reversed(LIMITS), strict=True))
UNSUPPORTED = re.compile(
    r"(?i)un(supported|recogni[sz]ed|known|expected)|not (support|permitted|allowed)|deprecated"
)
REFUSED = "The server refuses this request: check the model and the decoding parameters."
ADVICE = {
    **dict.fromkeys((400, 422), REFUSED),
    **dict.fromkeys((401, 403), "OPENAI_API_KEY was refused: set a valid one for this model."),
    404: "Check the model name and the address.",
    429: "The limit or quota is used up: wait, lower `concurrency`, or raise the quota.",
    None: "Check the address, the network, and that the server is running.",
}


class Connection:
    """One model at one address: its key, the bodies it accepts, and its errors.

    `notes` lists the parameters that the model refuses.
    """

    def __init__(self, url: str, model: str) -> None:
        self.url, self.model = url, model
        self.transport = transport(url)
        self.notes: list[str] = []
        self._refused: set[str] = set()
        is_free = self.transport or url.startswith(("http://localhost", "http://127.0.0.1"))
        self._key = os.environ.get("OPENAI_API_KEY") or ("none-needed" if is_free else "")
        if not self._key:
            got, do = (
                f"OPENAI_API_KEY is not set ({url or 'OpenAI'})",
                "Set it outside the notebook.",
            )
            raise UserError("There is no API key for a paid address.", got=got, do=do)

    def open(self) -> openai.AsyncOpenAI:
        """Return the SDK's client, to be closed after use."""
        form: dict[str, Any] = {"base_url": self.url or None}
        if self.transport:
            client = self.transport.http_client(self.url)
            form = {"base_url": "http://offline.invalid/v1", "http_client": client}
        return openai.AsyncOpenAI(api_key=self._key, max_retries=0, timeout=600, **form)

    def body(self, request: Request, **more: Any) -> dict[str, Any]:
        """Return the body of a request, without refused parameters; samples differ by seed."""
        parameters = request.parameters | more
        if request.sample:
            parameters["seed"] = parameters.get("seed", 0) + request.sample
        names = {name: self._accepted(name) for name in parameters}
        accepted = {names[name]: value for name, value in parameters.items() if names[name]}
        return {"model": self.model, "messages": request.messages, **accepted}

    def learn(self, error: object, status: int | None, names: Iterable[str]) -> bool:
        """Remember the parameter that an error refuses; return False for any other error."""
        name = refused_parameter(str(error), status, names)
        if name and name not in self._refused:
            self._refused.add(name)
            other = self._accepted(name)
            change = f"sent as `{other}`" if other else "left out"
            self.notes.append(f"`{self.model}` does not take `{name}`: it is {change} from now on.")
            logging.getLogger("medinstruct").warning(self.notes[-1])
        return bool(name)

    async def send(
        self, api: openai.AsyncOpenAI, request: Request, limiter: RateLimiter, **more: Any
    ) -> Any:
        """Return the completion or its chunks; retry with growing, jittered waits."""
        attempt = 0
        while True:
            body = self.body(request, **more)
            try:
                async with limiter.slot(request.prompt_tokens() + request.max_tokens(500) // 2):
                    raw = await api.chat.completions.with_raw_response.create(**body)
                    limiter.record(good=True)
                    limiter.read_limits(raw.headers)
                    return raw.parse()
            except openai.OpenAIError as error:
                if self.learn(error, getattr(error, "status_code", None), body):
                    continue
                attempt += 1
                is_last = attempt >= (TRIES if limiter.answered else FIRST_TRIES)
                is_used_up = getattr(error, "code", None) == "insufficient_quota"
                if is_last or is_used_up or not isinstance(error, PASSING):
                    raise self.problem(error) from None
                too_many, after = isinstance(error, openai.RateLimitError), retry_after(error)
                limiter.record(good=False, too_many=too_many, after=after)
                longest = 0.4 if limiter.health > 1 / 3 else 60.0
                await asyncio.sleep(after + random.uniform(0, min(longest, 0.25 * 2**attempt)))

    def problem(self, error: object, status: int | None = None) -> UserError:
        """Return the message for an error that ends the run, without the key."""
        got = " ".join(str(error).replace(self._key, "[key]").split())[:400]
        do = ADVICE.get(status or getattr(error, "status_code", None), "Try again later.")
        what = f"{self.url or 'The OpenAI API'} gave no answer for `{self.model}`."
        return UserError(what, got=got, do=f"{do} Answers so far are saved.")

    def _accepted(self, name: str) -> str:
        """Return the name under which a parameter is sent, "" where it is left out."""
        names = (name, REPLACEMENTS.get(name, ""))
        return next((name for name in names if name not in self._refused), "")


def transport(url: str) -> Any:
    """Return the module registered for a url such as "offline?cut=0"; None for an address."""
    name = url.partition("?")[0]
    if not name or "://" in name:
        return None
    for point in entry_points(group="medinstruct.transports", name=name):
        return point.load()
    do = 'Write "offline" or http://…; after an update, install the package again.'
    raise UserError("The url is neither an address nor a registered transport.", got=url, do=do)


def refused_parameter(text: str, status: int | None, names: Iterable[str]) -> str:
    """Return which of the parameters a 400 or 422 answer refuses, "" for any other answer."""
    if status not in (400, 422) or not UNSUPPORTED.search(text):
        return ""
    own = "|".join(re.escape(name) for name in names if name not in ("model", "messages"))
    match = re.search(rf"'param': '({own})\b", text) or re.search(rf"\b({own})\b", text)
    return match[1] if match else ""


def retry_after(error: openai.OpenAIError) -> float:
    """Return the seconds that a server asks to wait, at most 120."""
    text = getattr(getattr(error, "response", None), "headers", {}).get("retry-after", "")
    return min(float(text), 120.0) if re.fullmatch(r"\d+(\.\d+)?", text) else 0.0
