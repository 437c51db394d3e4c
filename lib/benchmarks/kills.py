"""Kills, and two at once: notebooks 01 to 04 against a local server that counts what it is paid for.

    python lib/benchmarks/kills.py kills    50 SIGKILLs at random moments: about 8 minutes on two idle cores
    python lib/benchmarks/kills.py two      two commands, then two kernels, on one run folder: about 2 minutes
    --quick                                 4 kills, or two kernels alone: about a minute each

A killed run (with its kernels) is started again until all is done, and then from nothing, until all kills are spent. Its
files must be those of an undisturbed run. An answer that the server had sent, or had under way, and that was not yet in
the cache at a kill is asked again; these are counted apart. Everything else that is asked again is paid twice.
"""

import argparse
import asyncio
import hashlib
import json
import os
import queue
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import stand_in_server

ROOT, LATENCY = Path(__file__).parents[2], 0.2
CHANGING = (".sqlite", "-wal", "-shm", ".lock", ".state.json")  # read by rows, or times
NOTEBOOKS = ("01", "02", "03", "04")
KERNELS = """
import sys, papermill, pathlib
for number in ("01", "02", "03", "04"):
    [book] = pathlib.Path("notebooks").glob(f"{number}_*.ipynb")
    given = dict(pair.split("=", 1) for pair in sys.argv[1:])
    inspected = papermill.inspect_notebook(book)
    kinds = {name: (int if given.get(name, "").isdigit() else str) for name in inspected}
    values = {name: kinds[name](text) for name, text in given.items() if name in inspected}
    papermill.execute_notebook(book, None, parameters=values, progress_bar=False)
"""


class Counting(stand_in_server.Service):
    """The stand-in, which counts its answers by request."""

    answered: Counter = Counter()

    def complete(self, content):
        """Answer and count."""
        body = json.loads(content)
        room = body.get("max_tokens"), body.get("seed", 0)
        self.answered[hashed([body["messages"], *room])] += 1
        return super().complete(content)


def hashed(content) -> str:
    """Return the hash of what determines an answer."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def serve(service) -> str:
    """Serve in a thread and return the address."""

    async def work():
        faults = stand_in_server.Faults(latency=LATENCY)
        places.put(stand_in_server.listen(service=service, faults=faults))
        await asyncio.Event().wait()

    places = queue.Queue()
    threading.Thread(target=lambda: asyncio.run(work()), daemon=True).start()
    return places.get()


class Bench:
    """A server, a folder, and the command that runs the notebooks."""

    def __init__(self, requests: int) -> None:
        self.service, self.folder = Counting(rate={"cut": 0.0}), Path(tempfile.mkdtemp())
        model = f"m@{serve(self.service)}"
        self.values = ["run=case", f"teacher={model}", f"responder={model}", f"requests={requests}"]

    def start(self, name: str, *, kernels=False) -> subprocess.Popen:
        """Start notebooks 01 to 04 in a session of their own."""
        given = ["run", "demo", *NOTEBOOKS, "--set", *self.values]
        own = [*self.values, "steer=coverage"] if kernels else given
        program = ["-c", KERNELS] if kernels else ["-m", "medinstruct"]
        (self.folder / name).mkdir(exist_ok=True)
        environment = os.environ | {"MEDINSTRUCT_OUTPUTS": str(self.folder / name)}
        environment |= {"PYTHONPATH": str(ROOT / "lib"), "PYTHONDONTWRITEBYTECODE": ""}
        log = (self.folder / f"{name}.log").open("a")
        form = {"cwd": ROOT, "env": environment, "stdout": log, "stderr": log}
        return subprocess.Popen([sys.executable, *program, *own], **form, start_new_session=True)

    def kill(self, name: str) -> None:
        """Kill every process of a run, its kernels too, which are in sessions of their own."""
        place = str(self.folder / name)
        for _ in range(2):  # a kernel may have been on its way
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    if process.environ().get("MEDINSTRUCT_OUTPUTS") == place:
                        process.kill()
        time.sleep(LATENCY + 0.3)  # what is under way at the server is answered, and lost

    def kept(self, name: str) -> dict[str, str]:
        """Return the answers in a run's cache by request."""
        path = self.folder / name / "case/answers.sqlite"
        if not path.exists():
            return {}
        base = sqlite3.connect(path, timeout=60)
        with closing(base), suppress(sqlite3.OperationalError):  # killed before it had its tables
            rows = base.execute("SELECT request, answer FROM answers").fetchall()
            pairs = ((json.loads(request), answer) for request, answer in rows)
            return {self._name(request): answer for request, answer in pairs}
        return {}

    def _name(self, request: dict) -> str:
        parameters = request["parameters"]
        seed = parameters.get("seed", 0) + request["sample"]
        return hashed([request["messages"], parameters.get("max_tokens"), seed])

    def differing(self, name: str) -> list[str]:
        """Return the files, and `answers`, in which a run differs from the undisturbed one."""
        first, second = (contents(self.folder / place / "case") for place in ("whole", name))
        names = [file for file in first if first[file] != second.get(file)]
        return names + ["answers"] * (self.kept("whole") != self.kept(name))


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the files that must be the same."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    files = [path for path in files if not path.name.endswith(CHANGING)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def kills(given: argparse.Namespace) -> None:
    """Print how runs end that are killed at random moments."""
    bench, chance, times = Bench(20), random.Random(given.seed), 4 if given.quick else given.times
    started = time.perf_counter()
    whole = bench.start("whole").wait()
    undisturbed = time.perf_counter() - started
    print(
        f"undisturbed: exit {whole}, {undisturbed:.0f} s, {sum(bench.service.answered.values())} answers"
    )
    killed = starts = lives = lost_answers = twice = 0
    differing: Counter = Counter()
    while killed < times:
        lives, name, lost, is_done = lives + 1, f"life{lives}", {}, False
        bench.service.answered.clear()
        while not is_done:
            process, starts = bench.start(name), starts + 1
            with suppress(subprocess.TimeoutExpired):
                wait = chance.uniform(1, 0.45 * undisturbed) if killed < times else None
                is_done = process.wait(wait) == 0
                if not is_done:
                    sys.exit(f"{name} ended with an error; see {bench.folder}/{name}.log")
            if not is_done:
                bench.kill(name)
                process.wait()
                killed, kept = killed + 1, bench.kept(name)
                lost |= {key: n for key, n in bench.service.answered.items() if key not in kept}
        extra = {key: n - 1 - lost.get(key, 0) for key, n in bench.service.answered.items()}
        twice += sum(n for n in extra.values() if n > 0)
        lost_answers += sum(lost.values())
        differing.update(bench.differing(name))
        shutil.rmtree(bench.folder / name)
    print(
        f"{killed} kills, {starts} starts, {lives} runs brought to their end, {time.perf_counter() - started:.0f} s"
    )
    print(f"files that differ from the undisturbed run: {dict(differing) or 'none'}")
    print(
        f"answers lost in flight at a kill and asked again: {lost_answers} ({lost_answers / max(killed, 1):.1f} a kill)"
    )
    print(f"paid twice: {twice}")


def two(given: argparse.Namespace) -> None:
    """Print how two runs at once on one folder end."""
    bench = Bench(20)
    print(f"one alone: exit {bench.start('whole').wait()}")
    for name in ["kernels"] if given.quick else ["commands", "kernels"]:
        bench.service.answered.clear()
        started = [bench.start(name, kernels=name == "kernels") for _ in range(2)]
        codes = [process.wait() for process in started]
        twice = sum(n - 1 for n in bench.service.answered.values())
        differing = [
            file
            for file in bench.differing(name)
            if name == "commands" or not file.endswith(("ipynb", "html"))
        ]
        print(
            f"two {name}: exits {codes}, files that differ from one alone: {differing or 'none'}, paid twice: {twice}"
        )
        if any(codes):
            print((bench.folder / f"{name}.log").read_text()[-1500:])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["kills", "two"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    {"kills": kills, "two": two}[options.what](options)
