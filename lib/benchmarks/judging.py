"""Judging: time of the analysis of simulated verdicts, and coverage of its 95 % intervals.

    python lib/benchmarks/judging.py --verdicts 10000 --rounds 1000

Prints seconds (wall and CPU) for all rates, intervals and the bias panel, and over `rounds` simulated
studies how often intervals hold the truth. No model is asked.
"""

import argparse
import time

import numpy as np

from medinstruct import evaluation, stats
from medinstruct.records import Answer, Verdict

ORDERS = (("model_first", 0.5), ("reference_first", -0.5))


def main() -> None:
    """Print time and coverage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verdicts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=1000)
    options = parser.parse_args()
    verdicts, answers = simulated(options.verdicts // 8, seed=1, references=4)
    wall, cpu = time.perf_counter(), time.process_time()
    rates = evaluation.win_rates(verdicts)
    evaluation.judge_checks.bias_panel(verdicts, answers)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"{len(verdicts)} verdicts, {len(rates)} rows, all intervals and the bias panel: {wall:.2f} s wall, {cpu:.2f} s CPU (floor 20 s)"
    )
    for name, share in coverage(options.rounds).items():
        print(f"{name:44}{share:8.1%}")


def simulated(
    items: int,
    *,
    seed: int,
    references: int = 1,
    strength: float = -0.3,
    length: float = 1.5,
    position: float = 0.8,
):
    """Return verdicts of a judge with known length and position effects, and the answers."""
    chance = np.random.default_rng(seed)
    answers, verdicts = [], []
    for item in map(str, range(items)):
        own = int(chance.integers(20, 300))
        answers.append(Answer(item=item, model="m", text="w " * own))
        for n in range(references):
            other = int(chance.integers(20, 300))
            answers.append(Answer(item=item, model=f"r{n}", text="w " * other))
            for order, side in ORDERS:
                odds = strength + length * np.log((own + 1) / (other + 1)) + position * side
                winner = "model" if chance.random() < 1 / (1 + np.exp(-odds)) else "reference"
                fields = {"id": item, "model": "m", "reference": f"r{n}", "order": order}
                verdicts.append(Verdict(**fields, winner=winner))
    return verdicts, answers


def coverage(rounds: int) -> dict[str, float]:
    """Return how often each kind of 95 % interval holds the truth, over studies of 216 items."""
    hits: dict[str, list[bool]] = {}
    middle = float(np.mean([1 / (1 + np.exp(0.3 - side)) for side in (0.4, -0.4)]))
    for seed in range(rounds):
        chance = np.random.default_rng(seed)
        for share in (0.05, 0.2, 0.5):
            first, second = chance.random(216) < share, chance.random(216) < share
            _, low, high = stats.mean_interval((first * 1.0 + second) / 2)
            hits.setdefault(f"score, truth {share}", []).append(low <= share <= high)
        if seed < rounds // 5:
            row = evaluation.win_rate.length_controlled(*simulated(216, seed=seed)).iloc[0]
            for name, truth in (("lc_score", middle), ("length", 1.5), ("position", 0.8)):
                hits.setdefault(f"{name}, planted {truth:.2f}", []).append(
                    row[f"{name}_low"] <= truth <= row[f"{name}_high"]
                )
    return {name: float(np.mean(held)) for name, held in hits.items()}


if __name__ == "__main__":
    main()
