"""The client against a bare `asyncio.gather` over the SDK, its memory, and the forecast against the truth.

    python lib/benchmarks/client.py throughput   128 in flight, 2,000 requests, 200 ms: about 1.5 minutes on two idle cores
    python lib/benchmarks/client.py memory       52,000 requests, 64 in flight: about 4 minutes
    python lib/benchmarks/client.py forecast     seconds
    --quick                                      a tenth of the requests, one round

The server is the stand-in in a process of its own; with trouble it is `troubled_server.py`, at 5 % of each kind.
"""

import argparse
import asyncio
import gc
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openai
import psutil

from medinstruct import llm, models
from medinstruct.llm import client as client_module
from medinstruct.llm.client import extrapolate

TESTS = Path(__file__).parents[1] / "tests"
TROUBLE = "0.05"


@contextmanager
def server(module: str = "stand_in_server", *arguments: str):
    """Yield the address of a stand-in that another process serves."""
    command = [sys.executable, "-m", f"support.{module}", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TESTS)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def asks(count: int) -> list[llm.Request]:
    """Requests that differ."""
    texts = (
        f"Type: chat\nView: nurse\nInstruction: Explain asthma, part {n}." for n in range(count)
    )
    return [
        llm.Request(messages=[{"role": "user", "content": text}], parameters={"max_tokens": 900})
        for text in texts
    ]


async def bare(url: str, requests: list[llm.Request], limit: int) -> None:
    """What one would write without us: gather, a semaphore, no retry, nothing kept."""
    gate = asyncio.Semaphore(limit)
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as api:

        async def one(request: llm.Request):
            async with gate:
                return await api.chat.completions.create(
                    model="m", messages=request.messages, **request.parameters
                )

        await asyncio.gather(*map(one, requests))


def throughput(given: argparse.Namespace) -> None:
    """Print replies a second side by side, without and with trouble of every kind."""
    count, rounds = (given.requests // 10, 1) if given.quick else (given.requests, 3)
    print(f"{count} requests, 200 ms latency; replies a second (median of {rounds})")
    print(f"{'in flight':>10}{'bare':>8}{'ours':>8}{'ratio':>8}{'5% trouble':>12}{'ratio':>8}")
    for limit in [128] if given.quick else given.limits:
        rates: dict[str, list[float]] = {"bare": [], "ours": [], "troubled": []}
        for _ in range(rounds):
            with server("stand_in_server", "--latency", "0.2", "--rate", "cut=0") as url:
                rates["bare"].append(_rate(bare(url, asks(count), limit), count))
                rates["ours"].append(_rate(_ours(url, count, limit), count))
            with server("troubled_server", "--latency", "0.2", "--share", TROUBLE) as url:
                rates["troubled"].append(_rate(_ours(url, count, limit), count))
        alone, ours, troubled = (float(np.median(values)) for values in rates.values())
        print(
            f"{limit:10}{alone:8.0f}{ours:8.0f}{ours / alone:8.2f}{troubled:12.0f}{troubled / alone:8.2f}"
        )


def memory(given: argparse.Namespace) -> None:
    """Print the resident memory of the client's process as requests are answered."""
    count = 5_200 if given.quick else 52_000
    with (
        server("stand_in_server", "--rate", "cut=0") as url,
        tempfile.TemporaryDirectory() as folder,
    ):
        client = llm.Client(url=url, model="m", concurrency=64, cache=Path(folder) / "c.sqlite")
        asyncio.run(_sampled(client, count, every=count // 52 * 10))


async def _sampled(client: llm.Client, count: int, *, every: int) -> None:
    def resident() -> str:
        return f"{psutil.Process().memory_info().rss / 2**20:.0f} MB"

    requests = asks(count)
    print(f"before: {resident()}, with the list of {count} requests")
    start, at = time.perf_counter(), every
    work = asyncio.create_task(client.ask_all(requests))
    while not work.done():
        await asyncio.sleep(0.02)
        if client.usage["asked"] >= at:
            print(f"{client.usage['asked']:7} answered: {resident()}", flush=True)
            at += every
    replies = await work
    rate = count / (time.perf_counter() - start)
    print(f"{len(replies):7} answered: {resident()}, with the list of replies, {rate:.0f} a second")
    del replies, work, requests
    gc.collect()
    print(f"   after letting go of both lists: {resident()}")


def forecast(given: argparse.Namespace) -> None:
    """Print how often the interval holds the true cost, over stages with log-normal answers."""
    chance, hits = np.random.default_rng(0), 0
    for _ in range(given.times):
        count, spread = int(chance.integers(200, 20_000)), chance.uniform(0.2, 1.0)
        prompts = chance.integers(1500, 4500, count) / 4.2 * chance.normal(1, 0.03, count)
        completions = chance.lognormal(5.5, spread, count).clip(1, 4000)
        tokens, price = np.column_stack([prompts, completions]), models.Price(2.0, 8.0)
        cost = extrapolate(chance.choice(tokens, 30, replace=False), count, price=price)
        hits += cost.low <= price.of(*tokens.sum(axis=0)) <= cost.high
    share = f"{hits} of {given.times} simulated stages ({hits / given.times:.0%})"
    print(f"the 95 % interval from a pilot of 30 holds the true cost in {share}")


async def _ours(url: str, count: int, limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        client = llm.Client(url=url, model="m", cache=Path(folder) / "c.sqlite", concurrency=limit)
        assert len(await client.ask_all(asks(count))) == count


def _rate(work, count: int) -> float:
    start = time.perf_counter()
    asyncio.run(work)
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    client_module.tqdm = lambda rows, **form: rows
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["throughput", "memory", "forecast"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--limits", type=int, nargs="+", default=[128])
    arguments = parser.parse_args()
    {"throughput": throughput, "memory": memory, "forecast": forecast}[arguments.what](arguments)
