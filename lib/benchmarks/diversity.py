"""How long 52,000 instructions take: verbs and nouns, and with `notebook` the whole of notebook 05.

    python lib/benchmarks/diversity.py            # the engine, beside its target of 30 seconds
    python lib/benchmarks/diversity.py notebook   # notebook 05 on 52,000 tasks with 52,000 different topics, beside 2 minutes

The tasks are the shipped seeds and test questions with words exchanged, so that no text occurs twice.
"""

import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from medinstruct import diversity, paths, records

SIZE = 52_000


def tasks(size: int, *, seed: int = 1) -> list[dict[str, str]]:
    """Different tasks made from the shipped ones: the words of one in the place of some words of another."""
    chance = random.Random(seed)
    rows = [
        row
        for name in ("seeds.jsonl", "test_freeform.jsonl")
        for _, row in records.rows(paths.data(name))
    ]
    words = [word for row in rows for word in row["instruction"].split() if word.islower()]
    made = []
    for n in range(size):
        row = chance.choice(rows)
        text = [
            chance.choice(words) if word.islower() and chance.random() < 0.2 else word
            for word in row["instruction"].split()
        ]
        labels = {
            "type": row["type"],
            "view": row["view"],
            "difficulty": row["difficulty"],
            "topic": f"{row['topic']} {n}",
        }
        made.append(
            labels
            | {
                "instruction": " ".join(text),
                "input": row.get("input", ""),
                "output": row["instruction"] * 4,
            }
        )
    return made


def engine() -> None:
    """The rules alone, on instructions that are all different."""
    texts = [row["instruction"] for row in tasks(SIZE)]
    wall, cpu = time.perf_counter(), time.process_time()
    found = diversity.verb_noun(texts)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    share = sum(noun is not None for _, noun in found) / len(found)
    print(
        f"{len(set(texts)):,} different instructions: {wall:.1f} s wall, {cpu:.1f} s CPU, one process; {share:.0%} with a pair"
    )
    print(f"ratio to the target of 30 s: {wall / 30:.2f}")


def notebook() -> None:
    """The whole page, in a run folder of its own."""
    from medinstruct.pipeline import runner

    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDINSTRUCT_OUTPUTS"] = folder
        profile = str(paths.root() / "params" / "demo.yaml")
        runner.run(profile, only=["01"], sets=["run=big"])
        records.write_text(
            Path(folder) / "big" / "dataset.jsonl",
            "".join(f"{json.dumps(row)}\n" for row in tasks(SIZE)),
        )
        wall, cpu = time.perf_counter(), _children()
        runner.run(profile, only=["05"], sets=["run=big"])
        wall, cpu = time.perf_counter() - wall, _children() - cpu
    print(f"notebook 05 on {SIZE:,} tasks: {wall:.0f} s wall, {cpu:.0f} s CPU of its kernel")
    print(f"ratio to the target of 120 s: wall {wall / 120:.2f}, CPU {cpu / 120:.2f}")


def _children() -> float:
    """CPU seconds of the processes that this one has started and that have ended."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    notebook() if sys.argv[1:] == ["notebook"] else engine()
