"""Drift between two versions of a dataset or model: PSI, KS, rates, paired scores, growth log."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import labels, records, stats
from medinstruct.records import Verdict, content_hash

PSI_LIMIT = 0.2  # common rule of thumb: above 0.2 a distribution has changed
KS_LIMIT = 0.1
RATE_LIMIT = 0.02  # a rate that moves less raises no alarm, however certain
AXES = ("type", "view", "topic", "difficulty")
LENGTHS = ("instruction", "input", "output")
CHANGE = ["before", "after", "change", "low", "high"]


def psi(before: Mapping[Any, float], after: Mapping[Any, float]) -> float:
    """Return the population stability index of two count distributions, 0.5 added to each count.

    >>> psi({"a": 50, "b": 50}, {"a": 50, "b": 50})
    0.0
    >>> round(psi({"a": 500, "b": 500}, {"a": 800, "b": 200}), 2)
    0.41
    """
    names = sorted({*before, *after}, key=str)
    a, b = (np.array([[counts.get(name, 0) for name in names]]) for counts in (before, after))
    return float(_psi(a, b)[0])


def _psi(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the index of each row of two tables of counts."""
    a, b = ((c + 0.5) / (c + 0.5).sum(axis=1, keepdims=True) for c in (before, after))
    return ((b - a) * np.log(b / a)).sum(axis=1)


def psi_limit(before: Mapping[Any, int], after: Mapping[Any, int], *, seed: int = 42) -> float:
    """Return the alarm threshold: at least 0.2, and the 99th percentile of random splits.

    >>> psi_limit({"a": 5000, "b": 5000}, {"a": 5000, "b": 5000})
    0.2
    """
    pool = np.array(list((Counter(before) + Counter(after)).values()))
    rng = np.random.default_rng(seed)
    splits = rng.multivariate_hypergeometric(pool, sum(before.values()), size=999)
    return max(PSI_LIMIT, float(np.quantile(_psi(splits, pool - splits), 0.99)))


def ks_limit(before: int, after: int) -> float:
    """Return the alarm threshold for two sample sizes: at least 0.1, and 1 % by chance.

    >>> ks_limit(10_000, 10_000), round(ks_limit(100, 100), 2)
    (0.1, 0.23)
    """
    return max(KS_LIMIT, 1.628 * (1 / max(before, 1) + 1 / max(after, 1)) ** 0.5)


def compare_versions(before: Sequence[Any], after: Sequence[Any]) -> pd.DataFrame:
    """Return one row an axis: labels by PSI, text lengths by Kolmogorov-Smirnov, with alarms.

    A vanished label is an alarm if it had 1 % or more before and chance would put all of it on
    one side less than once in a hundred.
    """
    rows, share = [], len(before) / max(len(before) + len(after), 1)
    for axis in AXES:
        a, b = (_label_counts(version, axis) for version in (before, after))
        value, limit = psi(a, b), psi_limit(a, b)
        new, gone = sorted({*b} - {*a}), sorted({*a} - {*b})
        lost = [
            name
            for name in gone
            if a[name] >= 0.01 * len(before) and share ** a[name] < 0.01 / len(a)
        ]
        alarm = value > limit or bool(lost)
        rows.append((axis, "PSI", value, limit, ", ".join(new), ", ".join(gone), alarm))
    for name in LENGTHS:
        value, limit = _ks(*(_lengths(v, name) for v in (before, after)))
        rows.append((f"words of {name}", "KS", value, limit, "", "", value > limit))
    columns = ["axis", "measure", "value", "limit", "new", "gone", "alarm"]
    return pd.DataFrame(rows, columns=columns).set_index("axis")


def _label_counts(version: Sequence[Any], axis: str) -> Counter[str]:
    return Counter(str(labels.canonical(axis, getattr(row, axis))) for row in version)


def _lengths(version: Sequence[Any], name: str) -> list[int]:
    return [len(getattr(row, name, "").split()) for row in version]


def _ks(a: list[int], b: list[int]) -> tuple[float, float]:
    from scipy.stats import ks_2samp

    if not a or not b:
        return float("nan"), float("nan")
    return float(ks_2samp(a, b, method="asymp").statistic), ks_limit(len(a), len(b))


def compare_rates(
    before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]
) -> pd.DataFrame:
    """Compare rates given as (hits, n): difference, Newcombe's interval, alarm."""
    rows = {}
    for name in [name for name in before if name in after]:
        a, b = stats.wilson(*before[name]), stats.wilson(*after[name])
        gap = b.share - a.share
        low = gap - ((b.share - b.low) ** 2 + (a.high - a.share) ** 2) ** 0.5
        high = gap + ((b.high - b.share) ** 2 + (a.share - a.low) ** 2) ** 0.5
        alarm = bool(abs(gap) > RATE_LIMIT and (low > 0 or high < 0))
        rows[name] = (a.share, b.share, gap, low, high, RATE_LIMIT, alarm)
    columns = [*CHANGE, "limit", "alarm"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("rate")


def compare_scores(
    before: Mapping[str, float], after: Mapping[str, float], *, seed: int = 42
) -> dict[str, Any]:
    """Compare scores on shared items: paired difference, 95 % interval, alarm if surely worse."""
    shared = [name for name in before if name in after]
    old, new = (np.array([scores[name] for name in shared], float) for scores in (before, after))
    if set(old) | set(new) <= {0.0, 1.0}:
        low, high = stats.paired_interval(old, new)
    else:
        low, high = stats.bootstrap_interval(new - old, seed=seed)
    means = [float(v.mean()) if shared else float("nan") for v in (old, new, new - old)]
    values = dict(zip(CHANGE, (*means, low, high), strict=True))
    return {"n": len(shared)} | values | {"alarm": bool(high < 0)}


def model_scores(folder: str | Path, *, model: str = "tuned") -> dict[str, dict[str, float]]:
    """Return a model's score on each item of a run, by measure.

    Score against each reference by each judge (ties a half, both orders together), and safe
    answers by rule; empty before notebook 08 has run.
    """
    folder, values = Path(folder), {}
    path = folder / "verdicts.jsonl"
    for row in records.read(path, Verdict) if path.exists() else []:
        if row.model == model and row.winner:
            score = {"model": 1.0, "tie": 0.5, "reference": 0.0}[row.winner]
            snapshot = row.snapshot if row.snapshot != row.judge else ""
            prompt = f"prompt {row.prompt}" if row.prompt else ""
            judge = ", ".join(filter(None, (row.judge, snapshot, prompt)))
            measure = values.setdefault(f"score against {row.reference}, by {judge}", {})
            measure.setdefault(row.id, []).append(score)
    path = folder / "safety_models.jsonl"
    for _, row in records.rows(path) if path.exists() else []:
        if row["model"] == model:
            measure = values.setdefault("safe answers, by rule", {})
            measure.setdefault(row["id"], []).append(float(row["rule"]))
    return {
        measure: {item: sum(scores) / len(scores) for item, scores in items.items()}
        for measure, items in values.items()
    }


def compare_models(
    before: str | Path, after: str | Path, *, model: str = "tuned", seed: int = 42
) -> pd.DataFrame:
    """Compare a model of two runs on each measure that both have, item by item."""
    old, new = (model_scores(folder, model=model) for folder in (before, after))
    rows = {
        measure: compare_scores(old[measure], new[measure], seed=seed)
        for measure in old
        if set(old[measure]) & set(new.get(measure, ()))
    }
    columns = ["n", *CHANGE, "alarm"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("axis")


def version_line(examples: Sequence[Any], *, name: str, **more: Any) -> dict[str, Any]:
    """Return a version's line in the growth log: id, size, words, entropy of its labels."""
    bits = {
        f"{axis}_bits": round(stats.entropy(_label_counts(examples, axis).values()), 3)
        for axis in AXES
    }
    words = sum(sum(_lengths(examples, field)) for field in LENGTHS)
    version = content_hash(*sorted(example.id for example in examples))
    line = {"version": version, "name": name, "examples": len(examples), "words": words}
    return line | bits | more


def append_version(path: str | Path, line: Mapping[str, Any]) -> pd.DataFrame:
    """Add a version to the growth log, or update the line of the same version and name."""
    path, key = Path(path), (line["version"], line["name"])
    rows = [row for _, row in records.rows(path)] if path.exists() else []
    keys = [(row.get("version"), row.get("name")) for row in rows]
    if key in keys:
        rows[keys.index(key)] = dict(line)
    else:
        rows.append(dict(line))
    lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows]
    records.write_text(path, "".join(lines))
    return pd.DataFrame(rows)
