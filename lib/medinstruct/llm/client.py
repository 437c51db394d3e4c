"""One client for every server that speaks the OpenAI API, and for the offline stand-in."""

import asyncio
import hashlib
import json
import os
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import openai
from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from medinstruct import offline
from medinstruct.errors import Problem
from medinstruct.llm.cache import Cache

TRIES = 6
WORTH_RETRYING = (openai.RateLimitError, openai.InternalServerError, openai.APITimeoutError, openai.APIConnectionError)


class Request(BaseModel):
    """What is sent: chat messages, decoding parameters, and which sample of several this is."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    messages: list[dict[str, str]]
    parameters: dict[str, Any] = {}
    sample: int = 0


class Reply(BaseModel):
    """What came back; `key` names the request and `cached` says that nothing was paid for it this time."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    key: str
    text: str
    finish_reason: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached: bool = False


class Client:
    """Asks one model at one address, keeps every answer, and counts what was used.

    `url` is "offline" for the stand-in, "" for OpenAI itself, or any OpenAI-compatible address. The key comes from the
    environment variable `key_env` and from nowhere else. `budget_usd` needs `usd_per_mtok`, (input, output) in US dollars
    a million tokens; 0 means no limit.
    """

    def __init__(
        self,
        *,
        url: str,
        model: str,
        cache: str | Path = "",
        concurrency: int = 8,
        budget_usd: float = 0.0,
        usd_per_mtok: tuple[float, float] = (0.0, 0.0),
        key_env: str = "OPENAI_API_KEY",
    ) -> None:
        self.url, self.model, self.concurrency = url, model, concurrency
        self.budget_usd, self.usd_per_mtok = budget_usd, usd_per_mtok
        self.usage = {"asked": 0, "cached": 0, "prompt_tokens": 0, "completion_tokens": 0, "usd": 0.0}
        if budget_usd and not any(usd_per_mtok):
            raise Problem("A budget needs prices.", got=f"budget_usd={budget_usd}", do="Give the prices of the model too.")
        self._key_env = key_env
        self._key = _key(url, key_env)
        self._cache = Cache(cache)

    async def ask_all(self, requests: Iterable[Request], *, label: str = "") -> list[Reply]:
        """The replies in the order of the requests; at most `concurrency` are under way at once."""
        requests = list(requests)
        gate = asyncio.Semaphore(self.concurrency)
        async with self._connected() as api:
            with tqdm(total=len(requests), desc=label, unit="reply", leave=False) as bar:
                tasks = [asyncio.ensure_future(self._one(api, request, gate, bar)) for request in requests]
                try:
                    return list(await asyncio.gather(*tasks))
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

    def key(self, request: Request) -> str:
        """The hash of everything that determines the answer."""
        whole = [self.url, self.model, request.messages, request.parameters, request.sample]
        return hashlib.sha256(json.dumps(whole, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]

    async def _one(self, api: openai.AsyncOpenAI, request: Request, gate: asyncio.Semaphore, bar: Any) -> Reply:
        key = self.key(request)
        async with gate:
            kept = self._cache.get(key)
            reply = Reply(**kept, key=key, cached=True) if kept else await self._paid(api, request, key)
        self.usage["cached"] += reply.cached
        bar.update()
        return reply

    async def _paid(self, api: openai.AsyncOpenAI, request: Request, key: str) -> Reply:
        if self.budget_usd and self.usage["usd"] >= self.budget_usd:
            do = "Raise budget_usd and start again: every answer so far is kept and is not asked for twice."
            raise Problem("The budget is used up.", got=f"{self.usage['usd']:.2f} of {self.budget_usd:.2f} USD", do=do)
        answer = _read(await self._tried(api, request))
        self._cache.put(key, request.model_dump(), answer)
        self._count(answer)
        return Reply(**answer, key=key)

    async def _tried(self, api: openai.AsyncOpenAI, request: Request) -> Any:
        """Ask, and ask again with growing, jittered pauses where another try can help."""
        for attempt in range(TRIES):
            try:
                return await api.chat.completions.create(model=self.model, messages=request.messages, **_sampled(request))
            except WORTH_RETRYING as error:
                if attempt == TRIES - 1:
                    raise self._problem(error) from None
                await asyncio.sleep(_pause(error, attempt))
            except openai.OpenAIError as error:
                raise self._problem(error) from None

    def _connected(self) -> openai.AsyncOpenAI:
        is_offline = self.url.partition("?")[0] == "offline"
        transport = {"http_client": offline.http_client(self.url)} if is_offline else {}
        base = "http://offline.invalid/v1" if is_offline else self.url or None
        return openai.AsyncOpenAI(api_key=self._key, base_url=base, max_retries=0, timeout=600, **transport)

    def _count(self, answer: dict[str, Any]) -> None:
        paid = answer["prompt_tokens"] * self.usd_per_mtok[0] + answer["completion_tokens"] * self.usd_per_mtok[1]
        self.usage["asked"] += 1
        self.usage["prompt_tokens"] += answer["prompt_tokens"]
        self.usage["completion_tokens"] += answer["completion_tokens"]
        self.usage["usd"] += paid / 1e6

    def _problem(self, error: openai.OpenAIError) -> Problem:
        where = self.url or "the OpenAI API"
        message = str(error).replace(self._key, "[key]")[:400]
        status = getattr(error, "status_code", None)
        do = {
            401: f"The key in {self._key_env} was refused: set a valid one.",
            403: f"The key in {self._key_env} may not use this model.",
            404: f"Check the model name `{self.model}` and the address.",
            400: "The server refuses this request: check the model and the decoding parameters.",
            429: "The limit or quota is used up: wait, lower `concurrency`, or raise the quota.",
            None: "Check the address, the network, and that the server is running.",
        }.get(status, "Try again later; every answer so far is kept.")
        return Problem(f"{where} gave no answer for `{self.model}`.", got=message, do=do)


def _key(url: str, key_env: str) -> str:
    key = os.environ.get(key_env, "")
    if url.partition("?")[0] == "offline" or (not key and url.startswith(("http://localhost", "http://127.0.0.1"))):
        return "none-needed"
    if not key:
        do = f"Set the environment variable {key_env}; never write a key into a notebook or a profile."
        raise Problem("There is no API key for a paid address.", got=f"{key_env} is not set ({url or 'OpenAI'})", do=do)
    return key


def _sampled(request: Request) -> dict[str, Any]:
    """The parameters; further samples of one request differ by their seed, where one is given."""
    parameters = dict(request.parameters)
    if request.sample and "seed" in parameters:
        parameters["seed"] += request.sample
    return parameters


def _pause(error: openai.OpenAIError, attempt: int) -> float:
    headers = getattr(getattr(error, "response", None), "headers", {})
    try:
        return min(float(headers.get("retry-after", "")), 120.0)
    except ValueError:
        return random.uniform(0, min(60.0, 2.0**attempt))


def _read(completion: Any) -> dict[str, Any]:
    choice, usage = completion.choices[0], completion.usage
    return {
        "text": choice.message.content or "",
        "finish_reason": choice.finish_reason or "stop",
        "model": completion.model,
        "prompt_tokens": usage.prompt_tokens if usage else 0,
        "completion_tokens": usage.completion_tokens if usage else 0,
    }
