"""Client: ask one model at one address, with cache, retries, rate limits and a budget."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from functools import partial
from itertools import islice
from pathlib import Path

import httpx2
import openai
from tqdm import tqdm

from medinstruct.errors import UserError
from medinstruct.llm.batch_api import Batches
from medinstruct.llm.cache import Cache
from medinstruct.llm.messages import (
    Reply,
    Request,
    Stream,
    add_chunk,
    answer_of,
    is_refusal,
    replayed,
)
from medinstruct.llm.pricing import Account, Forecast, Price, extrapolate, price
from medinstruct.llm.rate_limit import RateLimiter
from medinstruct.llm.retry import Connection, transport

INTERRUPTED = "interrupted"  # finish reason of a stream that broke off
STAND_IN = (
    "Written by the offline stand-in, a rule-based program, "
    "not by a language model and not by a clinician."
)


class Client:
    """Ask one model, save every answer, and count usage.

    `url` is "offline" for the stand-in ("offline?refusal=0.2" sets a failure rate), "" for OpenAI,
    or any OpenAI-compatible address; the key comes from the environment variable OPENAI_API_KEY.
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
    ) -> None:
        if concurrency < 1 or mode not in ("online", "batch"):
            do = "Start with concurrency 8; mode is online or batch."
            raise UserError("concurrency or mode is wrong.", got=f"{concurrency}, {mode}", do=do)
        self.url, self.model, self.concurrency, self.again = url, model, concurrency, again
        self.mode, self.poll, self.rpm, self.tpm = mode, poll, rpm, tpm
        self.connection = Connection(url, model)
        if mode == "batch" and self.connection.transport:
            raise UserError("This url has no Batch API.", got=url, do="Set mode: online.")
        known = Price(*usd_per_mtok, 0.5) if any(usd_per_mtok) else price(model, table=prices)
        if budget_usd and not (known or self.connection.transport):
            do = "Give usd_per_mtok_in and usd_per_mtok_out, or a table in `prices`."
            raise UserError("budget_usd needs the model's price.", got=f"none of {model}", do=do)
        self.cache = Cache(cache)
        self.account = Account(url, model, self.cache, known or Price(0.0, 0.0), budget_usd)
        self.usage = self.account.usage

    async def ask_all(self, requests: Iterable[Request], *, label: str = "") -> list[Reply]:
        """Return the replies in the order of the requests."""
        requests = list(requests)
        if self.mode == "batch":
            batches = Batches(self.connection, self.account, poll=self.poll)
            return await batches.ask_all(requests)
        replies = {number: reply async for number, reply in self.ask_each(requests, label=label)}
        return [replies[number] for number in range(len(requests))]

    async def ask_each(
        self, requests: Iterable[Request], *, label: str = ""
    ) -> AsyncIterator[tuple[int, Reply]]:
        """Yield (number of the request, reply) as replies arrive; memory stays flat."""
        limiter = RateLimiter(self.concurrency, rpm=self.rpm, tpm=self.tpm)
        rows, done, pending = enumerate(requests), set(), set()
        total = len(requests) if isinstance(requests, list) else None
        async with self.connection.open() as api:
            ask = partial(self._ask, api, limiter)
            try:
                with tqdm(total=total, desc=label, unit="reply", leave=False) as bar:
                    while True:
                        free = islice(rows, 2 * self.concurrency - len(pending))
                        pending |= {asyncio.ensure_future(ask(*row)) for row in free}
                        if not pending:
                            return
                        done, pending = await asyncio.wait(pending, return_when="FIRST_COMPLETED")
                        for task in done:
                            yield task.result()
                            bar.update()
            finally:
                for task in pending:
                    task.cancel()
                await asyncio.gather(*done, *pending, return_exceptions=True)

    def stream(self, request: Request, *, keep: bool = True) -> Stream:
        """Stream one answer within the budget; without `keep` the cache is not used."""
        reply = self._saved(request) if keep else None
        items = replayed(reply) if reply else self._pieces(request, keep=keep)
        return Stream(items, key=self.key(request), model=self.model)

    def key(self, request: Request) -> str:
        """Return the hash of everything that determines the answer."""
        return self.account.key(request)

    def _saved(self, request: Request) -> Reply | None:
        reply = self.account.saved(request)
        self.usage["cached"] += reply is not None
        return reply

    async def _ask(
        self, api: openai.AsyncOpenAI, limiter: RateLimiter, number: int, request: Request
    ) -> tuple[int, Reply]:
        """Return number and reply; repeat the request while its answer is incomplete."""
        for left in range(self.again, -1, -1):
            reply = self._saved(request)
            if not reply:
                async with self.account.reserve(request):
                    start = time.monotonic()
                    answer = answer_of(await self.connection.send(api, request, limiter))
                    form = {"seconds": time.monotonic() - start}
                    reply = self.account.save(request, answer, **form)
            if not left or reply.incomplete_reason not in ("length", "empty", "refused"):
                break
            request = request.repeated(more_room=reply.incomplete_reason == "length")
        return number, reply

    async def _pieces(self, request: Request, *, keep: bool) -> AsyncGenerator[str | Reply, None]:
        """Yield the pieces of a streamed answer, then its reply."""
        start, account = time.monotonic(), self.account
        answer = {"text": "", "finish_reason": INTERRUPTED, "model": self.model, "refused": False}
        answer |= {"prompt_tokens": request.prompt_tokens(), "completion_tokens": 0}
        form = {"stream": True, "stream_options": {"include_usage": True}}
        async with account.reserve(request), self.connection.open() as api:
            try:
                async for chunk in await self.connection.send(api, request, RateLimiter(1), **form):
                    if piece := add_chunk(answer, chunk):
                        yield piece
            except BaseException as error:
                if answer["text"]:  # what has arrived is paid for
                    account.save(request, answer, keep=False)
                if isinstance(error, openai.OpenAIError | httpx2.HTTPError):
                    raise self.connection.problem(error) from None
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
    is_stand_in = url.partition("?")[0] == "offline"
    return STAND_IN if is_stand_in else f"Written by {model} at {url or 'the OpenAI API'}."


def stand_in_prose() -> list[str]:
    """Return the offline transport's medical prose, on which the demo's own student is trained."""
    return transport("offline").prose()
