"""Pricing: prices of models, cost forecast."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medinstruct import models, stats


class Price(NamedTuple):
    """US dollars a million tokens, and the share of it that a batch costs."""

    prompt: float
    completion: float
    batch_share: float = 1.0

    def of(self, prompt_tokens: float, completion_tokens: float, *, batch: bool = False) -> float:
        """Return the cost in US dollars."""
        usd = (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6
        return usd * (self.batch_share if batch else 1.0)


def price(model: str) -> Price | None:
    """Return the price of a model in params/models.yaml, or None; dates in its name do not matter."""
    known = models.price(model)
    return Price(*known[0], known[1]) if known else None


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
