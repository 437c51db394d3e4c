"""Steered against unsteered generation at equal numbers of requests to the same offline teacher.

Measured on the tasks that survive exact ROUGE-L novelty, of the instruction alone as published or of instruction and input: the share of feasible pairs of labels with at least one task, the entropy
of each axis, the Jensen-Shannon divergence of each axis to the even target, and the tasks kept a request. Feasible are the
topics that the stand-in knows anything about.

    python lib/benchmarks/steering.py --requests 150 600
"""

import argparse
import asyncio
from collections import Counter
from itertools import combinations, product

import numpy as np
from scipy.spatial.distance import jensenshannon

from medinstruct import filtering, labels, llm, paths, records, stats, tasks
from medinstruct.offline import writer
from medinstruct.records import Task
from medinstruct.tasks import steering


def main() -> None:
    """Print one table a number of requests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, nargs="+", default=[150, 600])
    for fields, count in product(
        ("instruction", "instruction+input"), parser.parse_args().requests
    ):
        plain, steered = (
            asyncio.run(measured(steer, count, fields)) for steer in ("none", "coverage")
        )
        print(
            f"\n{count} requests of 9 tasks, novelty of {fields}\n{'':38} unsteered   steered   ratio"
        )
        for name in plain:
            print(
                f"{name:38}{plain[name]:>10.3f}{steered[name]:>10.3f}{steered[name] / max(plain[name], 1e-9):>8.2f}"
            )


async def measured(steer: str, count: int, fields: str) -> dict[str, float]:
    """All measures of one way to generate."""
    seeds = records.read(paths.data("seeds.jsonl"), Task)
    client = llm.Client(url="offline", model="offline-stand-in")
    made = await tasks.generate(client, seeds, requests=count, steer=steer, novelty_fields=fields)
    novel = filtering.keep_novel(
        filtering.compared_texts(made.tasks, fields), pool=filtering.compared_texts(seeds, fields)
    )
    kept = [task for task, is_new in zip(made.tasks, novel, strict=True) if is_new]
    rows = [
        {axis: labels.canonical(axis, getattr(task, axis)) for axis in labels.VALUES}
        for task in kept
    ]
    able = labels.VALUES | {"topic": writer.topics()}
    pairs = [
        (a, b, x, y)
        for a, b in combinations(labels.VALUES, 2)
        for x, y in product(able[a], able[b])
        if steering.is_plausible({a: x, b: y})
    ]
    seen = {(a, b, row[a], row[b]) for row in rows for a, b in combinations(labels.VALUES, 2)}
    found = {
        "tasks kept a request": len(kept) / count,
        "feasible pairs of labels filled": np.mean([pair in seen for pair in pairs]),
    }
    for axis in labels.VALUES:
        counts = Counter(row[axis] for row in rows)
        found[f"entropy of {axis}, bits"] = stats.entropy(counts.values())
        share = np.array([counts[value] for value in able[axis]], dtype=float)
        found[f"divergence of {axis} to even, bits"] = (
            jensenshannon(share, np.ones(len(share)), base=2) ** 2
        )
    return found


if __name__ == "__main__":
    main()
