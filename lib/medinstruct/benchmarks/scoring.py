"""What the results say: scores with intervals beside chance and majority, paired tests, groups, what training may have seen."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import stats
from medinstruct.benchmarks.extraction import rouge_l
from medinstruct.benchmarks.loading import Benchmark, belongs, config, names
from medinstruct.benchmarks.running import Result
from medinstruct.errors import UserError


def scores(benchmarks: Sequence[Benchmark], results: Sequence[Result]) -> pd.DataFrame:
    """One row a benchmark and model: n, score, standard error, 95 % interval, chance, majority; unreachable ones have a status.

    The interval is Wilson's for accuracies and a bootstrap over questions for ROUGE-L. `chance` is guessing at random,
    `majority` the best answer that never looks at the question; for summaries, the question copied as it is.
    """
    rows = []
    for benchmark in benchmarks:
        plain = {
            "task": benchmark.task,
            "benchmark": benchmark.title,
            "variant": benchmark.variant,
            "group": benchmark.group,
        }
        if benchmark.trouble:
            rows.append(plain | {"status": benchmark.trouble})
            continue
        plain |= baselines(benchmark)
        part = f"a quick look: {len(benchmark.questions)} of {benchmark.total}"
        plain |= {
            "status": "all" if len(benchmark.questions) == benchmark.total else part,
            "total": benchmark.total,
        }
        rows += [
            plain | {"model": one.model} | interval(one)
            for one in results
            if one.task == benchmark.task
        ]
    columns = [
        "task",
        "benchmark",
        "variant",
        "group",
        "model",
        "n",
        "total",
        "score",
        "error",
        "low",
        "high",
        "unread",
        "cut",
    ]
    return pd.DataFrame(rows).reindex(columns=[*columns, "chance", "majority", "always", "status"])


def interval(result: Result) -> dict[str, float]:
    """n, mean, standard error and 95 % interval of one result, the share of replies that could not be read, and the
    number of prompts that lost their beginning because the model holds no more."""

    values = result.scores
    if set(values) <= {0.0, 1.0}:
        found = stats.wilson(int(values.sum()), len(values))
        low, high = found.low, found.high
    else:
        low, high = stats.bootstrap_interval(values)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    is_read = result.variant == "generation" and any(
        sample.answer >= 0 for sample in result.samples
    )
    unread = np.mean([sample.choice is None for sample in result.samples]) if is_read else np.nan
    return {
        "n": len(values),
        "score": values.mean(),
        "error": error,
        "low": low,
        "high": high,
        "unread": unread,
        "cut": result.cut,
    }


def baselines(benchmark: Benchmark) -> dict[str, Any]:
    """Guessing at random, and the best answer that never looks at the question, with its name."""
    asked = benchmark.questions
    if not asked[0]["options"]:
        is_summary = "rougeL" in str(benchmark.config["metric_list"])
        copied = (
            np.mean([rouge_l(one["question"], one["target"]) for one in asked])
            if is_summary
            else np.nan
        )
        return {
            "chance": np.nan,
            "majority": copied,
            "always": "the question itself" if is_summary else "",
        }
    by_words = len({tuple(one["options"]) for one in asked}) == 1
    told = [
        one["options"][one["answer"]] if by_words else one["letters"][one["answer"]]
        for one in asked
    ]
    most, count = min(Counter(told).items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "chance": np.mean([1 / len(one["options"]) for one in asked]),
        "majority": count / len(asked),
        "always": most,
    }


def paired(results: Sequence[Result], *, one: str = "base", other: str = "tuned") -> pd.DataFrame:
    """One row a task: the change from one model to another on the same questions, its 95 % bootstrap interval, and a test.

    Right or wrong: McNemar's exact test, with the questions that only one got right. ROUGE-L: Wilcoxon's signed ranks.
    `p_holm` is the p value after Holm's correction over the tasks.
    """
    from scipy.stats import binomtest, wilcoxon

    rows = {}
    for task, before, after in pairs(results, one=one, other=other):
        change = after.scores - before.scores
        low, high = stats.bootstrap_interval(change)
        gained, lost = int((change > 0).sum()), int((change < 0).sum())
        is_counted = set(before.scores) | set(after.scores) <= {0.0, 1.0}
        p = 1.0
        if gained + lost:
            p = binomtest(gained, gained + lost).pvalue if is_counted else wilcoxon(change).pvalue
        rows[task] = {
            "n": len(change),
            "change": change.mean(),
            "low": low,
            "high": high,
            "gained": gained,
            "lost": lost,
            "p": p,
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("task")
    return table.assign(p_holm=stats.holm(table["p"])) if len(table) else table


def pairs(
    results: Sequence[Result], *, one: str = "base", other: str = "tuned"
) -> list[tuple[str, Result, Result]]:
    """(task, result of one, result of the other) for each task that both did on the same questions."""
    by = {(result.task, result.model): result for result in results}
    found = []
    for task in dict.fromkeys(result.task for result in results):
        if (task, one) in by and (task, other) in by:
            before, after = by[task, one], by[task, other]
            if [sample.id for sample in before.samples] != [sample.id for sample in after.samples]:
                raise UserError(
                    f"{one} and {other} answered different questions of {task}.",
                    do="Run both with one limit.",
                )
            found.append((task, before, after))
    return found


def by_group(results: Sequence[Result], *, by: str, least: int = 1) -> pd.DataFrame:
    """One row a model and value of `subject` or `level`: n, score and Wilson's interval; groups below `least` are left out."""
    rows = []
    for result in results:
        groups: dict[Any, list] = {}
        for sample in result.samples:
            groups.setdefault(getattr(sample, by), []).append(sample)
        for value, samples in sorted(groups.items()):
            if value and len(samples) >= least:
                part = interval(result.model_copy(update={"samples": samples}))
                rows.append({"task": result.task, "model": result.model, by: value} | part)
    return pd.DataFrame(
        rows, columns=["task", "model", by, "n", "score", "error", "low", "high", "unread"]
    )


def without_seen(results: Sequence[Result], path: str | Path) -> pd.DataFrame:
    """Scores on all questions and on those that filtering did not find in the training tasks; empty where nothing was found.

    `path` is contamination.json of notebook 03, whose `sets` hold the ids of the items that were hit.
    """
    columns = ["task", "model", "seen", "n", "score", "score_without"]
    found, rows = _hits(path), []
    for result in results:
        seen = _seen(found, result.set) or set()
        left = [sample.score for sample in result.samples if sample.id not in seen]
        count = len(result.samples) - len(left)
        plain = {
            "task": result.task,
            "model": result.model,
            "seen": count,
            "n": len(result.samples),
        }
        rows += (
            [
                plain
                | {
                    "score": result.scores.mean(),
                    "score_without": np.mean(left) if left else np.nan,
                }
            ]
            if count
            else []
        )
    return pd.DataFrame(rows, columns=columns)


def searched(results: Sequence[Result], path: str | Path) -> list[str]:
    """The tasks whose questions filtering has looked for among the training tasks, by the same file."""
    found = _hits(path)
    return list(
        dict.fromkeys(result.task for result in results if _seen(found, result.set) is not None)
    )


def _hits(path: str | Path) -> dict[str, list[str]]:
    """Test set -> the ids of its items that were found; empty where nothing was looked for."""
    told = (
        json.loads(Path(path).read_text(encoding="utf-8")) if Path(path).exists() else {"sets": {}}
    )
    return {name: entry["hit"] for name, entry in told["sets"].items()}


def _seen(found: Mapping[str, Sequence[str]], name: str) -> set[str] | None:
    """The ids for a set, under its own name or one that others give it; None where it was not looked for."""
    about = next(
        config(task)["metadata"] for task in names() if config(task)["metadata"]["set"] == name
    )
    known = {name, *about.get("aliases", [])}
    mine = [items for key, items in found.items() if any(belongs(Path(key), one) for one in known)]
    return {str(item) for items in mine for item in items} if mine else None


def plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as rows for a JSON file: numbers rounded, what is missing as null."""
    flat = table.reset_index() if table.index.name else table
    return flat.round(4).astype(object).where(flat.notna(), None).to_dict("records")
