"""Client: ask one model, with cache, retries and a budget; forecast the cost."""

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
MOST_REFUSED = 10  # a run ends after this many first requests, all refused in the same words


class Client:
    """Ask one model, save every answer, and count usage.

    `fields` are those of `models.Model`; `source` is a page's sentence on it.
    `budget_usd`, never exceeded by one client, needs a price. Incomplete answers are requested once
    more, truncated ones with twice the room, or eight times if thoughts used it all. Without `chat`
    the messages' text is the prompt of /v1/completions. A refused request gets an empty
    reply with the server's error, which is not saved; if all are refused alike, the run ends.
    """

    def __init__(
        self, *, chat=True, cache: str | Path = "", budget_usd: float = 0.0, **fields: Any
    ) -> None:
        entry = records.parse(models.Model, fields, where="The client's model")
        self.entry, self.connection = entry, Connection(entry, chat=chat)
        usd = entry.usd_per_mtok
        known = models.Price(*usd) if usd else models.price(entry.model)
        if budget_usd and not (known or self.connection.transport):
            do = "Give the model `usd_per_mtok: [prompt, completion]` in params/models.yaml."
            raise UserError("budget_usd needs a price.", got=f"none of {entry.model}", do=do)
        self.url, self.model = entry.url, entry.model
        self.price, self.budget_usd = known or models.Price(0.0, 0.0), budget_usd
        self.cache, self.usage, self.reserved = Cache(cache), Counter(), 0.0
        self.chat, self.has_answers = chat, False
        self.most_read = 0  # prompt tokens of one request
        self.hides = bool(entry.thinking)  # a thought may come without its opening mark
        where = f"Written by {self.model} at {self.url or 'the OpenAI API'}."
        self.source = TEXTS["stand_in"] if entry.is_stand_in else where

    def key(self, request: Request) -> str:
        """Return the hash of everything that determines the answer."""
        extra = self.connection.identity
        return request.key(self.url, self.model, *([extra] if extra else []))

    async def ask_all(self, requests: Iterable[Request], *, label: str = "") -> list[Reply]:
        """Return the replies in the order of the requests; cached answers are not repeated."""
        requests = [request.with_room(self.entry.room) for request in requests]
        async with self.cache.turn(map(self.key, requests)):
            return await self._ask_all(requests, label)

    async def _ask_all(self, requests: list[Request], label: str) -> list[Reply]:
        rows = iter(tqdm(list(enumerate(requests)), desc=label, unit="reply", leave=False))
        replies: dict[int, Reply] = {}
        error = None

        async def work(api: Any) -> None:
            for number, request in rows:
                replies[number] = await self._ask(api, request)
                if len(replies) == MOST_REFUSED and all(row.error for row in replies.values()):
                    self._check_refused([*replies.values()])

        try:
            async with self.connection.open() as api, asyncio.TaskGroup() as workers:
                for _ in range(self.entry.concurrency):
                    workers.create_task(work(api))
        except BaseExceptionGroup as errors:
            error = errors.exceptions[0]
        if error:  # not within `except`: IPython shows no message of an error caused by a group
            raise error
        return self._check_refused([replies[number] for number in range(len(requests))])

    def _check_refused(self, replies: list[Reply]) -> list[Reply]:
        """Return the replies and log how many are refused; raise if the server refuses all."""
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

    async def stream(self, request: Request) -> AsyncGenerator[str | Reply, None]:
        """Yield the pieces of one answer, which is not cached, then its reply; closing ends it."""
        from openai import OpenAIError

        request, sent, chunk = request.with_room(self.entry.room), "", None
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

    def _save(self, key: str, request: Request, answer: dict[str, Any]) -> Reply:
        """Count an answer, save it, and return its reply; log once if the server cuts prompts.

        Such a server reports fewer tokens than any tokenizer makes. The largest count so far is
        compared, since some servers leave out the tokens that they have cached.
        """
        usd, least = self._count(answer), request.least_tokens()
        self.most_read = max(self.most_read, answer["prompt_tokens"])
        if 0 < answer["prompt_tokens"] <= self.most_read < least:
            form = {"model": self.model, "read": self.most_read, "least": least}
            logging.getLogger("medinstruct").warning(TEXTS["cut"].format(**form))
            self.most_read = sys.maxsize  # one warning is enough
        return self.cache.put(key, request, answer, usd=usd)

    def _count(self, answer: dict[str, Any]) -> float:
        """Add an answer to the usage and return its cost."""
        tokens = {name: answer[name] for name in ("prompt_tokens", "completion_tokens")}
        usd = self.price.of(**tokens)
        tokens["reasoning_tokens"] = answer.get("reasoning_tokens", 0)
        self.usage.update(asked=1, usd=usd, **tokens)
        return usd

    @asynccontextmanager
    async def _reserve(self, request: Request) -> AsyncIterator[None]:
        """Reserve the most that a request can cost, once requests under way leave room for it."""
        usd = self.price.of(request.prompt_tokens(), request.max_tokens(4096))
        while 0 < self.budget_usd < self.usage["usd"] + self.reserved + usd:
            if self.reserved < 1e-12:
                what = "The budget is used up: the next request could exceed it."
                spent = f"{self.usage['usd']:.4f} of {self.budget_usd:.4f} USD"
                do = "Raise budget_usd and start again: saved answers are not paid for twice."
                raise UserError(what, got=spent, do=do)
            await asyncio.sleep(0.01)
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
                        answer = self._save(key, request, received)
                except Refused as error:
                    form = {"text": "", "model": self.model, "error": error.got}
                    reply = reply or Reply(key=key, finish_reason=error.reason, **form)
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

    def __str__(self) -> str:
        cost = f"{self.usd:.2f} USD" if self.usd else "no cost"
        if self.usd and self.low == self.low:
            cost += f" (95% interval {self.low:.2f} to {self.high:.2f})"
        return f"All {self.requests} requests: {cost} (from a pilot of {self.pilot})."


async def forecast(client: Client, requests: list[Request], *, pilot=30, total=0) -> Forecast:
    """Ask a random pilot, save its answers, and extrapolate the cost of all or `total` requests."""
    sample = random.Random(42).sample(requests, min(pilot, len(requests)))
    replies = await client.ask_all(sample, label="pilot")
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
    return Forecast(total, pilot, usd, usd - reach[0], usd + reach[1])


def _reach(prompts: np.ndarray, answers: np.ndarray, rest: int) -> np.ndarray:
    """Return how far the mean of `rest` requests may lie below and above the pilot's (95 %).

    Prompts: Student's t. Answers have log-normal lengths: Cox's interval (Zhou and Gao 1997),
    limited to the shortest and the longest answer of the pilot.
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
