"""Client: ask one model at one address, with cache, retries, rate limits and a budget."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import openai
from tqdm import tqdm

from medinstruct.errors import UserError
from medinstruct.llm.batch_api import Batches
from medinstruct.llm.messages import INTERRUPTED, Reply, Request, Stream, answer_of, is_refusal
from medinstruct.llm.pricing import Account, Forecast, Price, extrapolate, price
from medinstruct.llm.rate_limit import RateLimiter
from medinstruct.llm.retry import Connection, transport

GIVE_UP_AFTER = 20  # failed requests in a row
STREAM_RETRIES = 2  # before the first piece of a streamed answer
STAND_IN = (
    "Written by the offline stand-in, a rule-based program, "
    "not by a language model and not by a clinician."
)


class Client:
    """Ask one model, save every answer, and count usage.

    `url` is "offline" for the stand-in ("offline?refusal=0.2" sets a failure rate), "" for OpenAI,
    or any OpenAI-compatible address; the key comes from the environment variable `key_env`.
    `budget_usd` is never exceeded; it needs a price: `usd_per_mtok`, US dollars a million (prompt,
    completion) tokens, or a row of the table `prices` or of the shipped one. `rpm` and `tpm` are
    requests and tokens a minute, 0 for the limits in the server's headers. Incomplete answers are
    requested `again` times, truncated ones with twice the room. `mode` "batch" is the OpenAI Batch
    API: answers within a day at half the price, with `poll` seconds between two status polls.
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
        prices: str = "",
        rpm: int = 0,
        tpm: int = 0,
        again: int = 1,
        mode: str = "online",
        poll: float = 30.0,
        key_env: str = "OPENAI_API_KEY",
    ) -> None:
        if concurrency < 1:
            do = "Start with 8."
            raise UserError("concurrency must be at least 1.", got=concurrency, do=do)
        if mode not in ("online", "batch"):
            raise UserError("mode is not known.", got=mode, do="Use online or batch.")
        self.url, self.model, self.concurrency, self.again = url, model, concurrency, again
        self.mode, self.poll, self.rpm, self.tpm = mode, poll, rpm, tpm
        self.connection = Connection(url, model, key_env=key_env)
        if mode == "batch" and self.connection.transport:
            raise UserError("This url has no Batch API.", got=url, do="Set mode: online.")
        known = Price(*usd_per_mtok, 0.5) if any(usd_per_mtok) else price(model, table=prices)
        if budget_usd and not (known or self.connection.transport):
            do = "Give usd_per_mtok_in and usd_per_mtok_out, or a table in `prices`."
            raise UserError(
                "budget_usd needs the model's price.", got=f"no price of {model}", do=do
            )
        self.account = Account(
            url, model, cache=cache, price=known or Price(0.0, 0.0), budget_usd=budget_usd
        )
        self.cache, self.usage = self.account.cache, self.account.usage

    async def ask_all(self, requests: Iterable[Request], *, label: str = "") -> list[Reply]:
        """Return the replies in the order of the requests."""
        requests = list(requests)
        if self.mode == "batch":
            batches = Batches(self.connection, self.account, poll=self.poll)
            return await batches.ask_all(requests, label=label)
        replies = {number: reply async for number, reply in self.ask_each(requests, label=label)}
        return [replies[number] for number in range(len(requests))]

    async def ask_each(
        self, requests: Iterable[Request], *, label: str = ""
    ) -> AsyncIterator[tuple[int, Reply]]:
        """Yield (number of the request, reply) as replies arrive; memory stays flat.

        A request without an answer after all retries is left out; one error at the end counts them.
        """
        total = len(requests) if isinstance(requests, list) else None
        outcomes: asyncio.Queue[tuple[int, Any]] = asyncio.Queue(self.concurrency)
        bar = tqdm(total=total, desc=label, unit="reply", leave=False)
        async with self.connection.open() as api:
            limiter = RateLimiter(self.concurrency, rpm=self.rpm, tpm=self.tpm)
            rows = enumerate(requests)
            coroutines = (
                self._work(api, limiter, rows, outcomes) for _ in range(2 * self.concurrency)
            )
            workers = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
            try:
                async for number, reply in self._successes(outcomes, len(workers)):
                    yield number, reply
                    bar.update()
                    bar.set_postfix(usd=f"{self.usage['usd']:.3f}", refresh=False)
            finally:
                bar.close()
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    def stream(self, request: Request, *, keep: bool = True) -> Stream:
        """Stream one answer within the budget; without `keep` the cache is not used."""
        items = self._items(request, keep=keep)
        return Stream(items, key=self.key(request), model=self.model)

    def key(self, request: Request) -> str:
        """Return the hash of everything that determines the answer."""
        return self.account.key(request)

    async def _work(
        self, api: openai.AsyncOpenAI, limiter: RateLimiter, rows: Any, outcomes: asyncio.Queue
    ) -> None:
        """Ask request after request; put (number, reply or error), and at the end (-1, None)."""
        for number, request in rows:
            try:
                outcome = await self._ask(api, limiter, request)
            except Exception as error:
                outcome = error
            await outcomes.put((number, outcome))
        await outcomes.put((-1, None))

    async def _successes(
        self, outcomes: asyncio.Queue, workers: int
    ) -> AsyncIterator[tuple[int, Reply]]:
        """Yield the replies until all workers have ended; raise where requests got none."""
        answered, failed, in_a_row, error = 0, 0, 0, None
        while workers and in_a_row < GIVE_UP_AFTER:
            number, outcome = await outcomes.get()
            if isinstance(outcome, Reply):
                answered, in_a_row = answered + 1, 0
                yield number, outcome
            elif isinstance(outcome, openai.OpenAIError):
                failed, in_a_row, error = failed + 1, in_a_row + 1, outcome
            elif outcome:
                raise outcome
            else:
                workers -= 1
        if not error:
            return
        problem = self.connection.problem(error)
        if workers or not answered:
            raise problem
        do = "Start again: only these are asked for."
        raise UserError(f"{failed} requests got no answer.", got=problem.got, do=do)

    async def _ask(self, api: openai.AsyncOpenAI, limiter: RateLimiter, request: Request) -> Reply:
        """Return the reply; repeat the request while its answer is incomplete."""
        reply = await self._ask_once(api, limiter, request)
        for _ in range(self.again):
            if reply.incomplete_reason not in ("length", "empty", "refused"):
                break
            request = request.repeated(more_room=reply.incomplete_reason == "length")
            self.usage["retried"] += 1
            reply = await self._ask_once(api, limiter, request)
        return reply

    async def _ask_once(
        self, api: openai.AsyncOpenAI, limiter: RateLimiter, request: Request
    ) -> Reply:
        if reply := self.account.saved(request):
            self.usage["cached"] += 1
            return reply
        async with self.account.reserve(request):
            completion, seconds = await self.connection.complete(api, request, limiter)
            return self.account.save(request, answer_of(completion), seconds=seconds)

    async def _items(self, request: Request, *, keep: bool) -> AsyncGenerator[str | Reply, None]:
        """Yield the pieces of a streamed answer, then its reply."""
        if keep and (reply := self.account.saved(request)):
            self.usage["cached"] += 1
            yield reply.text
            yield reply
            return
        start, account = time.monotonic(), self.account
        answer = {"text": "", "finish_reason": INTERRUPTED, "model": self.model, "refused": False}
        answer |= {"prompt_tokens": request.prompt_tokens(), "completion_tokens": 0}
        async with account.reserve(request), self.connection.open(retries=STREAM_RETRIES) as api:
            try:
                async for piece in self.connection.stream(api, request, answer):
                    yield piece
            except BaseException:
                if answer["text"]:  # the reader stopped it: what has arrived is paid for
                    account.count(answer["prompt_tokens"], answer["completion_tokens"])
                raise
        keep = keep and answer["finish_reason"] != INTERRUPTED
        answer["refused"] = answer["refused"] or is_refusal(answer["text"])
        yield account.save(request, answer, seconds=time.monotonic() - start, keep=keep)


async def forecast(
    client: Client, requests: list[Request], *, pilot: int = 30, total: int = 0, seed: int = 42
) -> Forecast:
    """Ask a random pilot, save its answers, and extrapolate the cost of all requests.

    `total` is the number of requests of the stage where `requests` is only its beginning.
    """
    sample = random.Random(seed).sample(requests, min(pilot, len(requests)))
    replies = await client.ask_all(sample, label="pilot")
    price = client.account.price
    costs = [price.of(reply.prompt_tokens, reply.completion_tokens) for reply in replies]
    return extrapolate(costs, max(total, len(requests)), batch_share=price.batch_share)


def source(url: str, model: str) -> str:
    """Return the sentence that says which model wrote what a page shows."""
    if url.partition("?")[0] == "offline":
        return STAND_IN
    return f"Written by {model} at {url or 'the OpenAI API'}."


def stand_in_prose() -> list[str]:
    """Return the offline transport's medical prose, on which the demo's own student is trained."""
    return transport("offline").prose()
