"""The client against a bare `asyncio.gather` over the SDK, the forecast against the truth, and a killed run against an undisturbed one.

The server is the offline stand-in in a process of its own, with 200 ms of latency.

    python lib/benchmarks/client.py throughput --requests 2000
    python lib/benchmarks/client.py forecast
    python lib/benchmarks/client.py kills --times 50
"""

import argparse
import asyncio
import hashlib
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openai

from medinstruct import llm, models
from medinstruct.llm.client import extrapolate

SERVER = Path(__file__).parents[1] / "tests/support/stand_in_server.py"


@contextmanager
def server(*arguments: str):
    """Yield the address of a stand-in that another process serves."""
    command = [sys.executable, str(SERVER), "--port", "0", "--rate", "cut=0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
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
    """Replies a second at 16, 64 and 128 in flight, without and with 30 % of the answers going wrong; peak memory."""
    print(f"{given.requests} requests, 200 ms latency; replies a second (three runs, median)")
    for limit in given.limits:
        rates: dict[str, list[float]] = {"bare gather": [], "ours": [], "ours, 30 % faults": []}
        for _ in range(3):
            with server("--latency", "0.2") as url:
                rates["bare gather"].append(
                    _rate(bare(url, asks(given.requests), limit), given.requests)
                )
                rates["ours"].append(_rate(_ours(url, given.requests, limit), given.requests))
            faults = ("--errors", "0.1", "--limited", "0.1", "--drops", "0.1")
            with server("--latency", "0.2", *faults) as url:
                rates["ours, 30 % faults"].append(
                    _rate(_ours(url, given.requests, limit), given.requests)
                )
        middle = {name: float(np.median(values)) for name, values in rates.items()}
        allowed = middle["bare gather"] * 0.7
        print(
            f"{limit:4} in flight: "
            + ", ".join(f"{name} {rate:.0f}" for name, rate in middle.items())
            + f"; ours/bare {middle['ours'] / middle['bare gather']:.2f}; with faults/(0.7 bare) {middle['ours, 30 % faults'] / allowed:.2f}"
        )
    for count in (2_000, 20_000):
        code = f"import asyncio, sys; sys.argv = ['x']; from lib.benchmarks import client as c; asyncio.run(c.flat({count}))"
        print(
            subprocess.run(
                [sys.executable, "-c", code],
                capture_output=True,
                text=True,
                cwd=Path(__file__).parents[2],
            ).stdout.strip()
        )


async def flat(count: int) -> None:
    """Peak memory while requests are answered in the process."""
    client = llm.Client(
        url="offline", model="m", concurrency=64, cache=Path(tempfile.mkdtemp()) / "c.sqlite"
    )
    requests = (
        llm.Request(messages=[{"role": "user", "content": f"Hello {n}"}]) for n in range(count)
    )
    replies = await client.ask_all(requests)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(replies)} requests: peak memory {peak:.0f} MB")


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


WORKER = """
import asyncio, sys
from pathlib import Path
from medinstruct import llm, records
sys.path.insert(0, {here!r})
import client as c
replies = asyncio.run(llm.Client(url={url!r}, model="m", cache={cache!r}, concurrency=16).ask_all(c.asks({count})))
records.write_text({out!r}, "".join(r.text + "\\n" for r in replies))
"""


def kills(given: argparse.Namespace) -> None:
    """Kill a run at random moments until it ends by itself; its file must be that of an undisturbed run, and nothing paid twice."""
    chance, folder = random.Random(0), Path(tempfile.mkdtemp())
    with server("--latency", "0.02") as url:
        whole = _run(url, folder / "whole", given.requests)
        whole.wait()
        killed, started = 0, 0
        while not (folder / "killed.txt").exists():
            process, started = _run(url, folder / "killed", given.requests), started + 1
            if killed < given.times:
                time.sleep(chance.uniform(0.8, 1.6))
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    killed += 1
                if killed < given.times and (folder / "killed.txt").exists():
                    (folder / "killed.txt").unlink()
                    (folder / "killed.sqlite").unlink()
            process.wait()
    same = _hash(folder / "whole.txt") == _hash(folder / "killed.txt")
    rows = (
        sqlite3.connect(folder / "killed.sqlite")
        .execute("SELECT count(*) FROM answers")
        .fetchone()[0]
    )
    print(
        f"{killed} kills in {started} starts of {given.requests} requests: files identical: {same}; answers kept {rows}"
    )


def _run(url: str, name: Path, count: int) -> subprocess.Popen:
    code = WORKER.format(
        here=str(Path(__file__).parent),
        url=url,
        cache=f"{name}.sqlite",
        out=f"{name}.txt",
        count=count,
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


async def _ours(url: str, count: int, limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        client = llm.Client(url=url, model="m", cache=Path(folder) / "c.sqlite", concurrency=limit)
        assert len(await client.ask_all(asks(count))) == count


def _rate(work, count: int) -> float:
    start = time.perf_counter()
    asyncio.run(work)
    return count / (time.perf_counter() - start)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    os.environ["TQDM_DISABLE"] = "1"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["throughput", "forecast", "kills"])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--limits", type=int, nargs="+", default=[16, 64, 128])
    arguments = parser.parse_args()
    {"throughput": throughput, "forecast": forecast, "kills": kills}[arguments.what](arguments)
