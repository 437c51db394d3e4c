"""Seconds to start: `python lib/benchmarks/startup.py [repeats]` prints medians of fresh processes."""

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import medinstruct": ["-c", "import medinstruct"],
    "medinstruct --version": ["-m", "medinstruct", "--version"],
    "medinstruct --help": ["-m", "medinstruct", "--help"],
    "import medinstruct.pipeline": ["-c", "import medinstruct.pipeline"],
}


def seconds(arguments: list[str]) -> float:
    """Return how long one process of this Python takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def main(repeats: int = 9) -> None:
    """Print the median and the range of each command; their rounds alternate."""
    for arguments in COMMANDS.values():
        seconds(arguments)  # from the disk
    rounds = [[seconds(arguments) for arguments in COMMANDS.values()] for _ in range(repeats)]
    for name, times in zip(COMMANDS, zip(*rounds, strict=True), strict=True):
        print(f"{name:28} {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
