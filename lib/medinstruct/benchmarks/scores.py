"""Scores: intervals, baselines, paired tests, groups, option order."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import evaluation, stats
from medinstruct.benchmarks.extraction import LETTERS, rouge_l
from medinstruct.benchmarks.harness import Contestant, Result, Sample, run
from medinstruct.benchmarks.question_sets import Benchmark, Question
from medinstruct.errors import UserError

DRAWS = 2000  # of the permutation test


def frame(results: Sequence[Result]) -> pd.DataFrame:
    """Return one row per answer: task, model, variant, cut and a `Sample` (no choice is nan)."""
    rows = [dict(result) | dict(sample) for result in results for sample in result.samples]
    columns = ["task", "model", "variant", "cut", *Sample.model_fields]
    return pd.DataFrame(rows, columns=columns).astype({"choice": float})


def score_table(benchmarks: Sequence[Benchmark], results: Sequence[Result]) -> pd.DataFrame:
    """Return one row per benchmark and model: n, score, 95% interval, `baselines` and more."""
    samples, rows = frame(results), []
    for benchmark in benchmarks:
        about = {name: getattr(benchmark, name) for name in ("task", "variant", "group")}
        about |= {"benchmark": benchmark.title, "status": benchmark.problem}
        own = samples[samples["task"] == benchmark.task].groupby("model", sort=False)
        if not benchmark.problem:
            n, total = len(benchmark.questions), len(benchmark.whole)
            status = "all" if n == total else f"a quick look: {n} of {total}"
            about |= baselines(benchmark) | {"total": total, "status": status}
        rows += [about | {"model": model} | interval(part) for model, part in own] or [about]
    columns = "task benchmark variant group model n total score error low high unread cut"
    columns += " chance majority always status"
    return pd.DataFrame(rows).reindex(columns=columns.split())


def interval(samples: pd.DataFrame) -> dict[str, float]:
    """Return n, mean, error, 95% interval (`stats.mean_interval`), unread and cut."""
    score, low, high = stats.mean_interval(samples["score"])
    is_read = samples["variant"].eq("generation").all() and (samples["answer"] >= 0).any()
    unread = samples["choice"].isna().mean() if is_read else np.nan
    ends = {"low": low, "high": high, "unread": unread, "cut": samples["cut"].iloc[0]}
    return {"n": len(samples), "score": score, "error": samples["score"].sem()} | ends


def baselines(benchmark: Benchmark) -> dict[str, Any]:
    """Return chance (guessing), majority (the best answer that ignores the question), its name."""
    questions = benchmark.whole
    if "rougeL" in str(benchmark.config["metric_list"]):
        copied = np.mean([rouge_l(row["question"], row["target"]) for row in questions])
        return {"chance": np.nan, "majority": copied, "always": "the question itself"}
    if not questions[0]["options"]:
        return {"chance": np.nan, "majority": np.nan, "always": ""}
    by_words = len({tuple(row["options"]) for row in questions}) == 1
    answers = [row["options" if by_words else "letters"][row["answer"]] for row in questions]
    always, count = Counter(sorted(answers)).most_common(1)[0]
    chance = np.mean([1 / len(row["options"]) for row in questions])
    return {"chance": chance, "majority": count / len(questions), "always": always}


def paired(results: Sequence[Result]) -> pd.DataFrame:
    """Return `stats.paired_change` with Holm's p of each model minus base, aligned minus tuned."""
    rows = []
    for task, part in frame(results).groupby("task", sort=False):
        scores = part.pivot(index="id", columns="model", values="score")
        if scores.isna().any(axis=None):
            do = "Run all with one limit."
            raise UserError(f"The models answered different questions of {task}.", do=do)
        pairs = [(name, "base") for name in part["model"].unique() if name != "base"]
        for model, minus in [*pairs, ("aligned", "tuned")]:
            if {model, minus} <= {*scores}:
                change = stats.paired_change(scores[minus], scores[model])
                rows.append({"task": task, "model": model, "minus": minus} | change)
    columns = ["task", "model", "minus", "n", "gained", "lost", "p", "change", "low", "high"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_holm=stats.holm(table["p"]))


def by_group(results: Sequence[Result], *, by: str, minimum: int = 1) -> pd.DataFrame:
    """Return one row per model and value of `subject` or `level`, with n, score and interval."""
    rows = [
        {"task": result.task, "model": result.model, by: value} | interval(part)
        for result in results
        for value, part in frame([result]).groupby(by)
        if value and len(part) >= minimum
    ]
    columns = ["task", "model", by, "n", "score", "error", "low", "high", "unread"]
    return pd.DataFrame(rows, columns=columns)


def rotated_choices(
    benchmark: Benchmark, models: Sequence[Contestant], *, items: int, **settings: Any
) -> pd.DataFrame:
    """Return one row per model, question and rotation of its options, for `items` questions.

    Beside `frame`: question (its id), steps, size (options), letter (chosen). `settings` as in
    `run`.
    """
    chosen = evaluation.evenly(benchmark.questions, items)
    pairs = [(row, len(row["options"])) for row in chosen]
    turns = [(row["id"], size, n, rotate(row, n)) for row, size in pairs for n in range(size)]
    about = pd.DataFrame(turns, columns=["question", "size", "steps", "row"])
    about["id"], asked = about["row"].str["id"], about.pop("row")[about["steps"] > 0]
    both = [benchmark, benchmark._replace(questions=list(asked))]
    choices = frame(run(both, models, **settings)).merge(about, on="id")
    return choices.assign(letter=choices["choice"].map(dict(enumerate(LETTERS))))


def order_sensitivity(choices: pd.DataFrame, *, seed=0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return by model how far its choices follow the options, and how often it chose each letter.

    `choices` of `rotated_choices`. same: share of questions whose option survives every rotation;
    score: accuracy over all; spread: accuracy at the right option's best place minus its worst;
    letter: the most frequent, chosen in `share`. agreement: share of pairs of rotations with one
    option; by_chance, p: of a permutation of the letters over questions of one size. reads_options
    (p < 0.05): false for a model that prefers a letter, guesses, or reads in too few questions.
    """
    chance, rows = np.random.default_rng(seed), {}
    for model, part in choices.groupby("model", sort=False):
        alike = _pairs_alike(part.sort_values("size", kind="stable"), chance)
        agreement, *null = alike.mean(axis=1)
        p = (1 + sum(value >= agreement for value in null)) / (1 + len(null))
        share = part["letter"].value_counts(normalize=True, dropna=False)
        by_place = part.groupby("answer")["score"].mean()
        kept = alike.iloc[0].groupby(level=0).all()
        row = {"questions": len(kept), "same": kept.mean(), "score": part["score"].mean()}
        row |= {"spread": by_place.max() - by_place.min(), "letter": share.idxmax()}
        row |= {"share": share.max(), "agreement": agreement, "by_chance": np.mean(null)}
        rows[model] = row | {"p": p, "reads_options": bool(p < 0.05)}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
    groups = choices.groupby("model", sort=False)["letter"]
    places = groups.value_counts(normalize=True, dropna=False).unstack("model")
    index = pd.Index(list(LETTERS[: choices["size"].max()]), name="place")
    return table, places.reindex(index=index, columns=table.index).fillna(0.0)


def _pairs_alike(part: pd.DataFrame, chance: np.random.Generator) -> pd.DataFrame:
    """Return whether a pair of rotations (column) has one option, then the same for each draw."""
    question, cells = part["question"].to_numpy(), np.arange(len(part))
    first, second = np.triu(question[:, None] == question, 1).nonzero()
    letters, size = (part[name].fillna(-1).to_numpy(dtype=int) for name in ("choice", "size"))
    dealt = letters[np.argsort(chance.random((DRAWS, len(part))) + size, axis=1)]
    every = np.vstack([letters, dealt])
    options = np.where(every < 0, -1 - cells, (every - part["steps"].to_numpy()) % size)
    return pd.DataFrame(options[:, first] == options[:, second], columns=question[first])


def rotate(question: Question, steps: int) -> Question:
    """Rotate the options, the right one with them."""
    size = len(question["options"])
    options = [question["options"][(n - steps) % size] for n in range(size)]
    answer, turned = (question["answer"] + steps) % size, f"+{steps}" if steps else ""
    return question | {"id": question["id"] + turned, "options": options, "answer": answer}


def to_json(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table as rows for a JSON file: rounded numbers, null for missing ones."""
    flat = table.reset_index() if table.index.name else table
    return flat.round(4).astype(object).where(flat.notna(), None).to_dict("records")
