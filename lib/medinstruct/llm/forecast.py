"""What a stage will cost, before it is paid for: a small pilot, and an interval from it."""

import math
import random
from dataclasses import dataclass

import numpy as np

from medinstruct import stats
from medinstruct.llm.client import Client
from medinstruct.llm.messages import Request


@dataclass(frozen=True)
class Forecast:
    """Cost in US dollars of all requests of a stage, with a 95 % interval; `pilot` of them are asked and kept already."""

    requests: int
    pilot: int
    usd: float
    low: float
    high: float
    batch_usd: float

    def __str__(self) -> str:
        online = f"{self.usd:.2f} USD (95 % interval {self.low:.2f} to {self.high:.2f})"
        return f"{self.requests} requests: {online}; about {self.batch_usd:.2f} USD by the Batch API. From a pilot of {self.pilot}."


async def forecast(
    client: Client,
    requests: list[Request],
    *,
    pilot: int = 30,
    cap_usd: float = 1.0,
    total: int = 0,
    seed: int = 42,
) -> Forecast:
    """Ask a few requests drawn at random, whose answers are kept, and reckon from them what all will cost.

    The pilot ends early where it would pass `cap_usd`. Prompts are known in length, so that only their tokens a character are
    estimated; completions are not, and their spread makes the interval. `total` is the number of requests of the stage where
    `requests` holds only the first of them.
    """
    drawn = random.Random(seed).sample(range(len(requests)), min(pilot, len(requests)))
    prompts, completions, numbers = [], [], []
    for start in range(0, len(drawn), client.concurrency):
        some = drawn[start : start + client.concurrency]
        replies = await client.ask_all([requests[n] for n in some], label="pilot")
        numbers += some
        prompts += [reply.prompt_tokens for reply in replies]
        completions += [reply.completion_tokens for reply in replies]
        if client.price.of(sum(prompts), sum(completions)) >= cap_usd:
            break
    sizes = [sum(len(message["content"]) for message in request.messages) for request in requests]
    sizes += [round(sum(sizes) / max(len(sizes), 1))] * max(0, total - len(sizes))
    return reckoned(client, sizes, numbers, prompts, completions)


def reckoned(
    client: Client, sizes: list[int], numbers: list[int], prompts: list[int], completions: list[int]
) -> Forecast:
    """The forecast from the characters of all prompts and the tokens of those in the pilot."""
    known = np.array([sizes[n] for n in numbers], dtype=float)
    ratio = sum(prompts) / max(known.sum(), 1)
    rest, rest_size = len(sizes) - len(numbers), sum(sizes) - known.sum()
    mean = float(np.mean(completions or [0]))
    costs = np.array([client.price.of(*pair) for pair in zip(prompts, completions, strict=True)])
    spread = (
        float(np.std(costs - client.price.of(ratio, 0) * known, ddof=1)) if len(costs) > 1 else 0.0
    )
    wide = (
        stats.t_quantile(0.975, max(len(costs) - 1, 1))
        * spread
        * math.sqrt(rest + rest**2 / max(len(costs), 1))
    )
    tokens = (sum(prompts) + ratio * rest_size, sum(completions) + mean * rest)
    usd, spent = client.price.of(*tokens), float(costs.sum())
    return Forecast(
        len(sizes),
        len(numbers),
        usd,
        max(spent, usd - wide),
        usd + wide,
        client.price.of(*tokens, batch=True),
    )
