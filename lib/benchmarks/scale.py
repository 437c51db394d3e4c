"""Notebooks 01 to 06 at the paper's size, in a fresh outputs folder: wall time, CPU time and peak memory of each and of all.

Offline, 6,500 requests make about 55,000 tasks. The targets hold for two idle cores: 8 minutes and 2 GB in all. The memory is the
proportional set size (pages that processes share are counted once) of the run with its kernel and all that the kernel starts,
twice a second; it needs Linux.

    python lib/benchmarks/scale.py
    python lib/benchmarks/scale.py --requests 64 --only 03 05
    python lib/benchmarks/scale.py --folder /tmp/big --only 06    # on the files that an earlier call left there
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from medinstruct import paths

NUMBERS = ["01", "02", "03", "04", "05", "06"]
MINUTES, GIGABYTES = 8, 2


def memory(root: int) -> float:
    """The proportional set size of a process and all that it started, in MB."""
    parents, sizes = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            after = (folder / "stat").read_text().rpartition(") ")[2].split()
            parents[int(folder.name)] = int(after[1])
            rows = (folder / "smaps_rollup").read_text().splitlines()
            sizes[int(folder.name)] = next(int(row.split()[1]) for row in rows if row[:4] == "Pss:")
        except (OSError, StopIteration):  # it has ended, or is another user's
            continue
    family = {root}
    while new := {child for child, parent in parents.items() if parent in family} - family:
        family |= new
    return sum(sizes.get(member, 0) for member in family) / 1024


def cpu() -> float:
    """The CPU seconds of all child processes that have ended, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(number: str, requests: int) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MB of one notebook; raises if it fails."""
    command = [sys.executable, "-m", "medinstruct", "run", str(paths.root() / "params/demo.yaml")]
    command += [number, "--set", "run=scale", f"requests={requests}"]
    start, spent, peak = time.perf_counter(), cpu(), 0.0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"notebook {number} failed")
    return time.perf_counter() - start, cpu() - spent, peak


def main() -> None:
    """Print a line a notebook, and one of all beside the targets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=6500)
    parser.add_argument("--only", nargs="+", default=NUMBERS)
    parser.add_argument("--folder", default="", help="The outputs folder; empty for a new one.")
    given = parser.parse_args()
    folder = given.folder or tempfile.mkdtemp(prefix="medinstruct-scale-")
    os.environ["MEDINSTRUCT_OUTPUTS"] = folder
    print(
        f"{given.requests:,} requests, in {folder}\nnotebook  wall s   CPU s  peak MB", flush=True
    )
    rows = []
    for number in given.only:
        rows.append(measure(number, given.requests))
        print("{:8} {:7.1f} {:7.1f} {:8.0f}".format(number, *rows[-1]), flush=True)
    wall, spent, peak = (
        fold(column) for fold, column in zip((sum, sum, max), zip(*rows, strict=True), strict=True)
    )
    print(f"{'all':8} {wall:7.1f} {spent:7.1f} {peak:8.0f}")
    tasks = Path(folder) / "scale" / "raw_tasks.jsonl"
    count = sum(1 for _ in tasks.open(encoding="utf-8")) if tasks.exists() else 0
    print(
        f"{count:,} raw tasks; {wall / 60:.1f} of {MINUTES} minutes, {peak / 1024:.2f} of {GIGABYTES} GB"
    )


if __name__ == "__main__":
    main()
