"""Scores: intervals, baselines, paired tests, groups, leakage, calibration, option order."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import evaluation, stats
from medinstruct.benchmarks.extraction import rouge_l
from medinstruct.benchmarks.harness import Contestant, Result, run
from medinstruct.benchmarks.question_sets import Benchmark, Question, config, is_named_for, names
from medinstruct.errors import UserError

PAPER_GROUPS = {
    "medical": ("medqa", "headqa", "pubmedqa", "medmcqa", "meqsum"),
    "general": ("mmlu", "bbh", "truthfulqa"),
}


def score_table(benchmarks: Sequence[Benchmark], results: Sequence[Result]) -> pd.DataFrame:
    """Return one row a benchmark and model: n, score, error, 95 % interval, chance, majority.

    A benchmark without questions has one row with its problem as status. `chance` is guessing at
    random, `majority` the best answer that never reads the question, `always` names it.
    """
    rows = []
    for benchmark in benchmarks:
        about = {name: getattr(benchmark, name) for name in ("task", "variant", "group")}
        about["benchmark"] = benchmark.title
        if benchmark.problem:
            rows.append(about | {"status": benchmark.problem})
            continue
        n, total = len(benchmark.questions), benchmark.total
        about |= baselines(benchmark) | {"total": total}
        about["status"] = "all" if n == total else f"a quick look: {n} of {total}"
        own = [result for result in results if result.task == benchmark.task]
        rows += [about | {"model": result.model} | interval(result) for result in own]
    columns = "task benchmark variant group model n total score error low high unread cut"
    columns += " chance majority always status"
    return pd.DataFrame(rows).reindex(columns=columns.split())


def interval(result: Result) -> dict[str, float]:
    """Return n, mean, standard error, 95 % interval, share of unreadable replies, cut prompts.

    Wilson's interval for accuracies, a bootstrap over questions for ROUGE-L.
    """
    values, n = result.scores, len(result.samples)
    if set(values) <= {0.0, 1.0}:
        low, high = stats.wilson(int(values.sum()), n)[1:3]
    else:
        low, high = stats.bootstrap_interval(values)
    has_options = any(sample.answer >= 0 for sample in result.samples)
    unread = np.nan
    if result.variant == "generation" and has_options:
        unread = np.mean([sample.choice is None for sample in result.samples])
    error = values.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    ends = {"low": low, "high": high, "unread": unread, "cut": result.cut}
    return {"n": n, "score": values.mean(), "error": error} | ends


def baselines(benchmark: Benchmark) -> dict[str, Any]:
    """Return guessing at random, and the best answer that never reads the question."""
    questions = benchmark.questions
    if not questions[0]["options"]:
        if "rougeL" not in str(benchmark.config["metric_list"]):
            return {"chance": np.nan, "majority": np.nan, "always": ""}
        copied = np.mean([rouge_l(row["question"], row["target"]) for row in questions])
        return {"chance": np.nan, "majority": copied, "always": "the question itself"}
    by_words = len({tuple(row["options"]) for row in questions}) == 1
    answers = [row["options" if by_words else "letters"][row["answer"]] for row in questions]
    always, count = min(Counter(answers).items(), key=lambda pair: (-pair[1], pair[0]))
    chance = np.mean([1 / len(row["options"]) for row in questions])
    return {"chance": chance, "majority": count / len(questions), "always": always}


def paired(results: Sequence[Result], *, before: str = "base", after: str = "tuned") -> Any:
    """Return one row a task: change between two models, 95 % bootstrap interval, p, Holm's p.

    McNemar's exact test for right or wrong, Wilcoxon's signed ranks for ROUGE-L.
    """
    from scipy.stats import wilcoxon

    by_key = {(result.task, result.model): result for result in results}
    rows = {}
    for task in dict.fromkeys(result.task for result in results):
        first, second = by_key.get((task, before)), by_key.get((task, after))
        if not (first and second):
            continue
        if [sample.id for sample in first.samples] != [sample.id for sample in second.samples]:
            what = f"{before} and {after} answered different questions of {task}."
            raise UserError(what, do="Run both with one limit.")
        change = second.scores - first.scores
        low, high = stats.bootstrap_interval(change)
        gained, lost = int((change > 0).sum()), int((change < 0).sum())
        is_binary = set(first.scores) | set(second.scores) <= {0.0, 1.0}
        p = stats.mcnemar(lost, gained) if is_binary else 1.0
        if not is_binary and gained + lost:
            p = wilcoxon(change).pvalue
        row = {"n": len(change), "change": change.mean(), "low": low, "high": high}
        rows[task] = row | {"gained": gained, "lost": lost, "p": p}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("task")
    return table.assign(p_holm=stats.holm(table["p"])) if len(table) else table


def by_group(results: Sequence[Result], *, by: str, minimum: int = 1) -> pd.DataFrame:
    """Return one row a model and value of `subject` or `level`, with n, score and interval."""
    rows = []
    for result in results:
        groups: dict[Any, list] = {}
        for sample in result.samples:
            groups.setdefault(getattr(sample, by), []).append(sample)
        for value, samples in sorted(groups.items()):
            if value and len(samples) >= minimum:
                part = interval(result.model_copy(update={"samples": samples}))
                rows.append({"task": result.task, "model": result.model, by: value} | part)
    columns = ["task", "model", by, "n", "score", "error", "low", "high", "unread"]
    return pd.DataFrame(rows, columns=columns)


def averages(table: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's macro-averages by model, group and variant, over those that were run."""
    scored = table.dropna(subset=["score"])
    sets = scored["task"].str.replace(r"_(ll|gen)$", "", regex=True)
    rows = []
    for (model, variant), part in scored.groupby(["model", "variant"], sort=False):
        for group, wanted in PAPER_GROUPS.items():
            values = part.loc[sets.loc[part.index].isin(wanted), "score"]
            rows.append((model, variant, group, values.mean(), len(values), len(wanted)))
    return pd.DataFrame(rows, columns=["model", "variant", "group", "average", "run", "of"])


def without_leaked(results: Sequence[Result], path: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """Return scores with and without leaked questions, and the tasks that were searched.

    `path` is contamination.json of notebook 03, whose `sets` list the ids of leaked items.
    """
    path, rows, searched = Path(path), [], []
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"sets": {}}
    for result in results:
        leaked = _leaked(content["sets"], result.set)
        if leaked is None:
            continue
        searched.append(result.task)
        scores = [sample.score for sample in result.samples if sample.id not in leaked]
        if count := len(result.samples) - len(scores):
            without = np.mean(scores) if scores else np.nan
            row = (result.task, result.model, count, len(result.samples), result.scores.mean())
            rows.append((*row, without))
    columns = ["task", "model", "seen", "n", "score", "score_without"]
    return pd.DataFrame(rows, columns=columns), list(dict.fromkeys(searched))


def _leaked(sets: dict[str, Any], name: str) -> set[str] | None:
    """Return the leaked ids of a set under any of its names, or None if it was not searched."""
    about = next(config(task)["metadata"] for task in names() if task.startswith(f"{name}_"))
    known = [name, *about.get("aliases", [])]
    own = [key for key in sets if any(is_named_for(key, alias) for alias in known)]
    return {str(item) for key in own for item in sets[key]["hit"]} if own else None


def calibration(result: Result, *, bins: int = 10) -> tuple[float, pd.DataFrame]:
    """Return the expected calibration error and a table of accuracy by confidence.

    The mean gap between the chosen option's probability and accuracy over bins of equal width,
    weighted by their size (Naeini et al. 2015).
    """
    confidence = np.array([max(sample.probabilities) for sample in result.samples])
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = []
    for place in np.unique(places):
        inside, right = confidence[places == place], result.scores[places == place]
        low, high = stats.wilson(int(right.sum()), len(right))[1:3]
        rows.append((place / bins, len(right), inside.mean(), right.mean(), low, high))
    columns = ["from", "n", "confidence", "accuracy", "low", "high"]
    table = pd.DataFrame(rows, columns=columns)
    gaps = (table["confidence"] - table["accuracy"]).abs()
    return float((table["n"] * gaps).sum() / table["n"].sum()), table


def order_sensitivity(
    benchmark: Benchmark,
    models: Sequence[Contestant],
    *,
    items: int,
    folder: str | Path,
    **settings: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return how far answers depend on the order of the options, and how often each place wins.

    same: share of questions whose chosen option survives every rotation; score: accuracy over all
    rotations; spread: accuracy at the right option's best place minus that at its worst.
    """
    chosen = evaluation.evenly(benchmark.questions, items)
    rotated = [rotate(row, n) for row in chosen for n in range(len(row["options"]))]
    asked = benchmark._replace(questions=rotated, total=len(rotated))
    letters = max((row["letters"] for row in rotated), key=len)
    rows, places = {}, {}
    for result in run([asked], models, folder=folder, **settings):
        frame = pd.DataFrame(map(_choice, result.samples, rotated))
        by_place = frame.groupby("answer")["score"].mean()
        same = frame.groupby("question")["option"].nunique() == 1
        row = {"questions": len(same), "same": same.mean(), "score": frame["score"].mean()}
        rows[result.model] = row | {"spread": by_place.max() - by_place.min()}
        shares = frame["place"].value_counts(normalize=True)
        places[result.model] = shares.reindex(letters, fill_value=0.0)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
    return table, pd.DataFrame(places).fillna(0.0).rename_axis("place")


def rotate(question: Question, steps: int) -> Question:
    """Rotate the options, the right one with them.

    >>> question = {"id": "q", "options": ["a", "b", "c"], "answer": 2}
    >>> rotate(question, 1)["options"], rotate(question, 1)["answer"]
    (['c', 'a', 'b'], 0)
    """
    size = len(question["options"])
    options = [question["options"][(n - steps) % size] for n in range(size)]
    answer = (question["answer"] + steps) % size
    return question | {"id": f"{question['id']}+{steps}", "options": options, "answer": answer}


def _choice(sample: Any, question: Question) -> dict[str, Any]:
    has_choice = sample.choice is not None
    return {
        "question": sample.id.rpartition("+")[0],
        "option": question["options"][sample.choice] if has_choice else "",
        "place": question["letters"][sample.choice] if has_choice else "none",
        "answer": question["letters"][sample.answer],
        "score": sample.score,
    }


def to_json(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table as rows for a JSON file: rounded numbers, null for missing ones."""
    flat = table.reset_index() if table.index.name else table
    return flat.round(4).astype(object).where(flat.notna(), None).to_dict("records")
