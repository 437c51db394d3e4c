"""Client: ask one model, with cache, retries, rate limits and a budget; forecast the cost."""

import asyncio
import logging
import math
import random
import re
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import numpy as np
from tqdm import tqdm

from medinstruct import models, records, stats
from medinstruct.errors import UserError
from medinstruct.llm import messages
from medinstruct.llm.cache import Cache
from medinstruct.llm.messages import AGAIN, TEXTS, NoAnswer, Reply, Request
from medinstruct.llm.retry import REFUSALS, Connection, Refused

REPEATS = 1  # of a request whose answer is incomplete
MOST_REFUSED = 10  # first requests, all refused in the same words, after which a run ends


class Client:
    """Ask one model, save every answer, and count usage.

    `fields` are those of `models.Model`; `source` says which model wrote what a page shows.
    `budget_usd`, never exceeded by one client, needs a price. Incomplete answers are requested once
    more, truncated ones in twice the room, or eight times where thoughts took all. Without `chat`
    the messages' text is the prompt of /v1/completions. A refused request has a reply without a
    text, with the server's words, that is not saved; where all are refused alike, the run ends.
    """

    def __init__(
        self, *, chat=True, cache: str | Path = "", budget_usd: float = 0.0, **fields: Any
    ) -> None:
        entry = records.parse(models.Model, fields, where="The client's model")
        self.entry, self.connection = entry, Connection(entry, chat=chat)
        if entry.mode == "batch" and (self.connection.transport or not chat):
            raise UserError("This url has no Batch API.", got=entry.url, do="Set mode: online.")
        usd = entry.usd_per_mtok
        known = models.Price(*usd, entry.batch_share) if usd else models.price(entry.model)
        if budget_usd and not (known or self.connection.transport):
            do = "Give the model `usd_per_mtok: [prompt, completion]` in params/models.yaml."
            raise UserError("budget_usd needs a price.", got=f"none of {entry.model}", do=do)
        self.url, self.model, self.mode = entry.url, entry.model, entry.mode
        self.concurrency, self.room = entry.concurrency, entry.room
        self.batch_tokens = entry.batch_tokens
        self.price, self.budget_usd = known or models.Price(0.0, 0.0), budget_usd
        self.cache, self.usage, self.reserved = Cache(cache), Counter(), 0.0
        self.chat, self.most_read = chat, 0  # prompt tokens of one request
        self.has_answers = False
        self.declined, self.failed = {}, {}  # replies to rows of a batch without an answer, by key
        self.hides = bool(entry.thinking)  # whether a thought may come without its opening mark
        where = f"Written by {self.model} at {self.url or 'the OpenAI API'}."
        self.source = TEXTS["stand_in"] if entry.is_stand_in else where

    def key(self, request: Request) -> str:
        """Return the hash of everything that determines the answer."""
        extra = self.connection.identity
        return request.key(self.url, self.model, *([extra] if extra else []))

    async def ask_all(
        self, requests: Iterable[Request], *, label: str = "", online: bool = False
    ) -> list[Reply]:
        """Return the replies in the order of the requests; `online`, as for a pilot, at once."""
        requests = [request.with_room(self.room) for request in requests]
        async with self.cache.turn(map(self.key, requests)):
            if self.mode == "batch" and not online:
                from medinstruct.llm import batch_api

                return await batch_api.ask_all(self, requests)
            return await self._ask_all(requests, label)

    async def _ask_all(self, requests: list[Request], label: str) -> list[Reply]:
        rows = iter(tqdm(list(enumerate(requests)), desc=label, unit="reply", leave=False))
        replies: dict[int, Reply] = {}
        error = None

        async def work(api: Any) -> None:
            for number, request in rows:
                replies[number] = await self._ask(api, request)
                if len(replies) == MOST_REFUSED and all(row.error for row in replies.values()):
                    self.check_refused([*replies.values()])

        try:
            async with self.connection.open() as api, asyncio.TaskGroup() as workers:
                for _ in range(self.concurrency):
                    workers.create_task(work(api))
        except BaseExceptionGroup as errors:
            error = errors.exceptions[0]
        if error:  # out here, since IPython shows no message of an error behind a group
            raise error
        return self.check_refused([replies[number] for number in range(len(requests))])

    def check_refused(self, replies: list[Reply]) -> list[Reply]:
        """Return the replies and log how many are refused; raise where that can only be all."""
        refused = [reply for reply in replies if reply.error]
        self.has_answers |= len(refused) < len(replies)
        if not refused:
            return replies
        words = {re.sub(r"\S*\d\S*", "", reply.error) for reply in refused}
        reasons = Counter(reply.finish_reason for reply in refused)
        form = {"model": self.model, "refused": len(refused), "asked": len(replies)}
        text = REFUSALS["logged"].format(**form, reasons=", ".join(reasons))
        is_sure = len(refused) >= MOST_REFUSED or "content_filter" not in reasons
        if len(words) == 1 and is_sure and not self.has_answers:
            do = REFUSALS["advice"][refused[0].finish_reason]
            raise UserError(text, got=refused[0].error, do=do)
        logging.getLogger("medinstruct").warning(f"{text} It wrote: {refused[0].error}")
        return replies

    def decline(self, key: str, refused: UserError, reason: str) -> Reply:
        """Return the reply without a text to a request that the server refuses."""
        form = {"text": "", "model": self.model, "error": refused.got}
        return Reply(key=key, finish_reason=reason, **form)

    async def stream(self, request: Request) -> AsyncGenerator[str | Reply, None]:
        """Yield the pieces of one answer, which is not cached, then its reply; closing ends it."""
        from openai import OpenAIError

        request, sent, chunk = request.with_room(self.room), "", None
        body = messages.begun("interrupted", self.model)
        [choice] = body["choices"]
        form = {"stream": True, "stream_options": {"include_usage": True}}
        async with self._reserve(request), self.connection.open() as api:
            try:
                async for chunk in await self.connection.send(api, request, **form):
                    piece = messages.add_chunk(body, chunk, sent, request.stop)
                    if piece and (choice["message"]["reasoning_content"] or not self.hides):
                        sent += piece
                        yield piece
                if choice["finish_reason"] == "interrupted" and not choice["message"]["content"]:
                    raise NoAnswer(chunk)
            except (OpenAIError, httpx2.HTTPError, NoAnswer) as error:
                raise self.connection.problem(self.connection.read(error)) from None
            finally:
                reply = messages.streamed(body, request)
                if chunk is not None:
                    self._count(reply)
        text = messages.THOUGHT.sub("", choice["message"]["content"])
        self.hides |= bool(messages.CLOSE.search(text))
        if piece := messages.rest(reply["text"], sent):
            yield piece
        yield Reply(**reply, key=self.key(request))

    def save(self, key: str, request: Request, answer: dict, *, batch: bool = False) -> Reply:
        """Count an answer, save it, and return its reply; log once if the server cuts prompts.

        Then it reports fewer tokens than any tokenizer makes; the largest so far are compared, as
        some servers leave out what they have cached.
        """
        usd, least = self._count(answer, batch=batch), request.least_tokens()
        self.most_read = max(self.most_read, answer["prompt_tokens"])
        if 0 < answer["prompt_tokens"] <= self.most_read < least:
            form = {"model": self.model, "read": self.most_read, "least": least}
            logging.getLogger("medinstruct").warning(TEXTS["cut"].format(**form))
            self.most_read = sys.maxsize  # one warning is enough
        return self.cache.put(key, request, answer, usd=usd)

    def highest_cost(self, request: Request, *, batch: bool = False) -> float:
        """Return the most that a request can cost."""
        return self.price.of(request.prompt_tokens(), request.max_tokens(4096), batch=batch)

    def check_budget(self, usd: float, what: str) -> None:
        """Raise if the budget, less what is spent and reserved, has no room for this cost."""
        if self._exceeds(usd):
            spent = f"{self.usage['usd']:.4f} of {self.budget_usd:.4f} USD"
            do = "Raise budget_usd and start again: saved answers are not paid for twice."
            raise UserError(f"The budget is used up: {what} could exceed it.", got=spent, do=do)

    def _exceeds(self, usd: float) -> bool:
        return 0 < self.budget_usd < self.usage["usd"] + self.reserved + usd

    def _count(self, answer: dict[str, Any], *, batch: bool = False) -> float:
        """Add an answer to the usage and return its cost."""
        tokens = {name: answer[name] for name in ("prompt_tokens", "completion_tokens")}
        usd = self.price.of(**tokens, batch=batch)
        tokens["reasoning_tokens"] = answer.get("reasoning_tokens", 0)
        self.usage.update(asked=1, usd=usd, **tokens)
        return usd

    @asynccontextmanager
    async def _reserve(self, request: Request) -> AsyncIterator[None]:
        """Reserve the most that a request can cost; where that is too much, wait for others."""
        usd = self.highest_cost(request)
        while self.reserved > 1e-12 and self._exceeds(usd):
            await asyncio.sleep(0.01)
        self.check_budget(usd, "the next request")
        self.reserved += usd
        try:
            yield
        finally:
            self.reserved -= usd

    async def _ask(self, api: Any, request: Request) -> Reply:
        """Return the reply; repeat the request while its answer is incomplete."""
        reply, least, tokens = None, 0, np.zeros(2, dtype=int)
        for left in range(REPEATS, -1, -1):
            answer = self.cache.get(key := self.key(request))
            self.usage["cached"] += answer is not None
            if not answer:
                try:
                    async with self._reserve(request):
                        received = await self.connection.send(api, request, least=least)
                        answer = self.save(key, request, received)
                except Refused as refused:
                    reply = reply or self.decline(key, refused, refused.reason)
                    break
            reply = answer
            tokens += (reply.prompt_tokens, reply.completion_tokens)
            if not left or reply.incomplete_reason not in AGAIN:
                break
            least = request.max_tokens(1) if reply.incomplete_reason == "length" else 0
            request = request.repeated(reply)
        return reply.model_copy(update={"all_tokens": tuple(tokens.tolist())})


class Forecast(NamedTuple):
    """Cost in US dollars of a stage with a 95% interval, nan where the pilot is small."""

    requests: int
    pilot: int
    usd: float
    low: float
    high: float
    batch_usd: float

    def __str__(self) -> str:
        cost, batch = f"{self.usd:.2f} USD", f"about {self.batch_usd:.2f} USD by the Batch API"
        if self.low == self.low:
            cost += f" (95% interval {self.low:.2f} to {self.high:.2f})"
        price = f"{cost}; {batch}" if self.usd else "no cost"
        return f"All {self.requests} requests: {price} (from a pilot of {self.pilot})."


async def forecast(client: Client, requests: list[Request], *, pilot=30, total=0) -> Forecast:
    """Ask a random pilot, save its answers, and extrapolate the cost of all or `total` requests."""
    sample = random.Random(42).sample(requests, min(pilot, len(requests)))
    replies = await client.ask_all(sample, label="pilot", online=True)
    tokens = [reply.all_tokens for reply in replies]
    return extrapolate(tokens, max(total, len(requests)), price=client.price)


def extrapolate(tokens: Sequence, total: int, *, price: models.Price) -> Forecast:
    """Return the cost of `total` requests from (prompt, completion) tokens of a random pilot."""
    parts = np.reshape(tokens, (-1, 2)) * [price.prompt / 1e6, price.completion / 1e6]
    pilot, rest = len(parts), total - len(parts)
    usd = float(parts.sum() + rest * parts.sum() / max(pilot, 1))
    reach = [math.nan if rest else 0.0] * 2
    if rest and pilot >= stats.LEAST:
        reach = rest * _reach(*parts.T, rest)
    return Forecast(total, pilot, usd, usd - reach[0], usd + reach[1], usd * price.batch_share)


def _reach(prompts: np.ndarray, answers: np.ndarray, rest: int) -> np.ndarray:
    """Return how far below and above the pilot's mean that of `rest` requests can be.

    Prompts: Student's t. Answers have log-normal lengths: Cox's interval (Zhou and Gao 1997),
    within those of the pilot.
    """
    n, logs = len(answers), np.log(np.maximum(answers, 1e-9))
    t, variance = stats.t_quantile(0.975, n - 1), logs.var(ddof=1)
    wide = t * math.sqrt(variance / n + variance**2 / (2 * (n - 1)))
    bounds = np.exp(logs.mean() + variance / 2 + np.array([-wide, wide]))
    mean = [answers.mean()] - np.clip(bounds, answers.min(), answers.max())
    further = prompts.std(ddof=1) * math.sqrt(1 / n + 1 / rest), answers.std(ddof=1) / rest**0.5
    return np.hypot(np.maximum(mean * [1, -1], 0), t * math.hypot(*further))


def connect(name: str, **settings: Any) -> Client:
    """Return a client of a model by its name in params/models.yaml, or from "model@url"."""
    return Client(**models.load(name).model_dump() | settings)
