"""Pricing: price table, the account of a model with its budget, cost forecast."""

import asyncio
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import yaml
from pydantic import TypeAdapter

from medinstruct import paths, stats
from medinstruct.errors import UserError
from medinstruct.llm.cache import Cache
from medinstruct.llm.messages import Reply, Request

TOKENS = ("prompt_tokens", "completion_tokens")


@dataclass(frozen=True)
class Price:
    """US dollars a million tokens, and the share of it that a batch costs."""

    prompt: float
    completion: float
    batch_share: float = 1.0

    def of(self, prompt_tokens: float, completion_tokens: float, *, batch: bool = False) -> float:
        """Return the cost in US dollars."""
        usd = (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6
        return usd * (self.batch_share if batch else 1.0)


def price(model: str, *, table: str = "") -> Price | None:
    """Return the price of a model from the user's table, else from the shipped one, else None.

    A dated name such as "gpt-4o-2024-08-06" has the price of its undated name.
    """
    for path in (*([paths.resolve(table)] if table else []), paths.data("prices.yaml")):
        try:
            models = yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
            rows = TypeAdapter(dict[str, Price]).validate_python(models)
        except (yaml.YAMLError, LookupError, TypeError, ValueError) as error:
            do = "Give each model `prompt` and `completion`, as the shipped prices.yaml does."
            raise UserError(f"{path} is not a price table.", got=str(error)[:200], do=do) from None
        if known := [key for key in rows if re.match(rf"{re.escape(key)}(-[20]|$)", model)]:
            return rows[max(known, key=len)]
    return None


@dataclass
class Account:
    """The saved answers of a model, its usage, and a budget that is never exceeded."""

    url: str
    model: str
    cache: Cache
    price: Price
    budget_usd: float
    reserved: float = 0.0
    usage: Counter[str] = field(default_factory=Counter)

    def key(self, request: Request) -> str:
        """Return the hash of everything that determines the answer."""
        return request.key(self.url, self.model)

    def saved(self, request: Request) -> Reply | None:
        """Return the saved reply, or None."""
        answer = self.cache.get(self.key(request))
        return Reply(**answer, key=self.key(request), cached=True) if answer else None

    def save(
        self, request: Request, answer: dict[str, Any], *, keep: bool = True, **form: Any
    ) -> Reply:
        """Count an answer, save it, and return the reply; `form` has `seconds` and `batch`."""
        key, tokens = self.key(request), {name: answer[name] for name in TOKENS}
        usd = self.price.of(*tokens.values(), batch=form.pop("batch", False))
        self.usage.update(asked=1, usd=usd, **tokens)
        if keep:
            answer = self.cache.put(key, request.model_dump(), answer, usd=usd, **form)
        return Reply(**answer, key=key)

    def highest_cost(self, request: Request, *, batch: bool = False) -> float:
        """Return the most that a request can cost."""
        return self.price.of(request.prompt_tokens(), request.max_tokens(4096), batch=batch)

    def exceeds(self, usd: float) -> bool:
        """Return whether this amount would exceed the budget."""
        return 0 < self.budget_usd < self.usage["usd"] + self.reserved + usd

    @asynccontextmanager
    async def reserve(self, request: Request) -> AsyncIterator[None]:
        """Reserve the most that a request can cost while it is under way.

        Where the budget is short, wait until other requests have returned their reserves.
        """
        usd = self.highest_cost(request)
        while self.exceeds(usd):
            if self.reserved <= 1e-12:
                raise self.problem("the next request")
            await asyncio.sleep(0.01)
        self.reserved += usd
        try:
            yield
        finally:
            self.reserved -= usd

    def problem(self, what: str) -> UserError:
        """Return the error for a budget that is used up."""
        spent = f"{self.usage['usd']:.4f} of {self.budget_usd:.4f} USD"
        do = "Raise budget_usd and start again: saved answers are not paid for twice."
        return UserError(f"The budget is used up: {what} could exceed it.", got=spent, do=do)


class Forecast(NamedTuple):
    """Cost in US dollars of all requests of a stage, with a 95 % interval from a pilot."""

    requests: int
    pilot: int
    usd: float
    low: float
    high: float
    batch_usd: float

    def __str__(self) -> str:
        cost = f"{self.usd:.2f} USD (95 % interval {self.low:.2f} to {self.high:.2f})"
        batch = f"about {self.batch_usd:.2f} USD by the Batch API"
        return f"{self.requests} requests: {cost}; {batch}. From a pilot of {self.pilot}."


def extrapolate(costs: Sequence[float], total: int, *, batch_share: float = 1.0) -> Forecast:
    """Return the cost of `total` requests from those of a random pilot (Student's t)."""
    pilot, rest, spent = len(costs), total - len(costs), sum(costs)
    usd = spent + rest * float(np.mean(costs or [0.0]))
    deviation = float(np.std(costs, ddof=1)) if pilot > 1 else 0.0
    half = deviation * math.sqrt(rest + rest**2 / max(pilot, 1))
    half *= stats.t_quantile(0.975, max(pilot - 1, 1))
    return Forecast(total, pilot, usd, max(spent, usd - half), usd + half, usd * batch_share)
