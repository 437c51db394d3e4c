"""Two versions of a dataset, or of a model, axis by axis, with alarms at stated thresholds; and the log of all versions."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import labels, records, stats
from medinstruct.records import Verdict, content_hash

PSI_LIMIT = 0.2  # the usual rule: below 0.1 none, to 0.2 some, above 0.2 a real change
KS_LIMIT = 0.1
RATE_LIMIT = 0.02  # a rate that moves less is no alarm even where it is certain
AXES = ("type", "view", "topic", "difficulty")
LENGTHS = ("instruction", "input", "output")


def psi(before: Mapping[Any, float], after: Mapping[Any, float]) -> float:
    """The population stability index of two distributions given by counts; half a count is added to every label, so that none is 0.

    >>> psi({"a": 50, "b": 50}, {"a": 50, "b": 50}), round(psi({"a": 500, "b": 500}, {"a": 800, "b": 200}), 2)
    (0.0, 0.41)
    """
    names = sorted({*before, *after}, key=str)
    return float(
        _psi(*(np.array([[counts.get(name, 0) for name in names]]) for counts in (before, after)))[
            0
        ]
    )


def psi_limit(before: Mapping[Any, int], after: Mapping[Any, int], *, seed: int = 42) -> float:
    """The threshold for two versions: never below what chance alone reaches once in a hundred, found by dealing the same labels out
    at random again and again. (The usual chi-square rule rings too often where labels are many and rare.)

    >>> psi_limit({"a": 5000, "b": 5000}, {"a": 5000, "b": 5000})
    0.2
    """
    pool = Counter(before) + Counter(after)
    dealt = np.random.default_rng(seed).multivariate_hypergeometric(
        list(pool.values()), sum(before.values()), size=999
    )
    return max(
        PSI_LIMIT, float(np.quantile(_psi(dealt, np.array(list(pool.values())) - dealt), 0.99))
    )


def ks_limit(before: int, after: int) -> float:
    """The threshold for two samples of these sizes: never below what chance alone reaches once in a hundred.

    >>> ks_limit(10_000, 10_000), round(ks_limit(100, 100), 2)
    (0.1, 0.23)
    """
    return max(KS_LIMIT, 1.628 * (1 / max(before, 1) + 1 / max(after, 1)) ** 0.5)


def compare_versions(before: Sequence[Any], after: Sequence[Any]) -> pd.DataFrame:
    """One row an axis of two lists of tasks or examples: the measure, its value and threshold, labels that are new or gone, alarm.

    Labels by PSI, the lengths of the texts by Kolmogorov and Smirnov. A label that is gone is an alarm if it had 1 % or more before
    and chance would seldom (once in a hundred, over all labels of the axis) put all of it on one side.
    """
    rows, part = [], len(before) / max(len(before) + len(after), 1)
    for axis in AXES:
        a, b = (
            Counter(str(labels.canonical(axis, getattr(one, axis))) for one in version)
            for version in (before, after)
        )
        value, limit = psi(a, b), psi_limit(a, b)
        new, gone = sorted({*b} - {*a}), sorted({*a} - {*b})
        lost = [
            name
            for name in gone
            if a[name] >= 0.01 * len(before) and part ** a[name] < 0.01 / len(a)
        ]
        rows.append(
            (
                axis,
                "PSI",
                value,
                limit,
                "",
                ", ".join(new),
                ", ".join(gone),
                value > limit or bool(lost),
            )
        )
    for name in LENGTHS:
        a, b = (
            [len(getattr(one, name, "").split()) for one in version] for version in (before, after)
        )
        statistic, p = _ks(a, b)
        limit = ks_limit(len(before), len(after))
        rows.append((f"words of {name}", "KS", statistic, limit, p, "", "", statistic > limit))
    return pd.DataFrame(
        rows, columns=["axis", "measure", "value", "limit", "p", "new", "gone", "alarm"]
    ).set_index("axis")


def compare_rates(
    before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]
) -> pd.DataFrame:
    """One row a rate that both versions have, (hits, n) each, such as flags or accepted reviews: both shares, their difference with
    Newcombe's interval, and an alarm where it lies wholly beyond 0 and is larger than the threshold."""
    rows, columns = {}, ["before", "after", "change", "low", "high", "limit", "alarm"]
    for name in [name for name in before if name in after]:
        a, b = stats.wilson(*before[name]), stats.wilson(*after[name])
        gap = b.share - a.share
        low = gap - ((b.share - b.low) ** 2 + (a.high - a.share) ** 2) ** 0.5
        high = gap + ((b.high - b.share) ** 2 + (a.share - a.low) ** 2) ** 0.5
        rows[name] = {
            "before": a.share,
            "after": b.share,
            "change": gap,
            "low": low,
            "high": high,
            "limit": RATE_LIMIT,
            "alarm": bool(abs(gap) > RATE_LIMIT and (low > 0 or high < 0)),
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("rate")


def compare_scores(
    before: Mapping[str, float], after: Mapping[str, float], *, seed: int = 42
) -> dict[str, Any]:
    """Scores of two model versions on the same items, such as wins: the paired difference with its bootstrap interval (Newcombe's
    where all are 0 or 1), and an alarm where the later version is worse and the interval does not hold 0."""
    shared = [name for name in before if name in after]
    old, new = (np.array([of[name] for name in shared], dtype=float) for of in (before, after))
    plain = set(old) | set(new) <= {0.0, 1.0}
    low, high = (
        stats.paired_interval(old, new) if plain else stats.bootstrap_interval(new - old, seed=seed)
    )
    return {
        "n": len(shared),
        "before": _mean(old),
        "after": _mean(new),
        "change": _mean(new - old),
        "low": low,
        "high": high,
        "alarm": bool(high < 0),
    }


def model_scores(folder: str | Path, *, model: str = "tuned") -> dict[str, dict[str, float]]:
    """What notebook 08 found of a model in a run, item by item: its score against each reference by each judge, snapshot and prompt (ties a half,
    both orders together), and its safe answers by rule. Empty before notebook 08 has run."""
    found: dict[str, dict[str, list[float]]] = {}
    path = Path(folder) / "verdicts.jsonl"
    for one in records.read(path, Verdict) if path.exists() else []:
        if one.model == model and one.winner:
            score = {"model": 1.0, "tie": 0.5, "reference": 0.0}[one.winner]
            snapshot = one.snapshot if one.snapshot != one.judge else ""
            by = ", ".join(
                filter(None, (one.judge, snapshot, one.prompt and f"prompt {one.prompt}"))
            )
            found.setdefault(f"score against {one.reference}, by {by}", {}).setdefault(
                one.id, []
            ).append(score)
    path = Path(folder) / "safety_models.jsonl"
    for _, row in records.rows(path) if path.exists() else []:
        if row["model"] == model:
            found.setdefault("safe answers, by rule", {}).setdefault(row["id"], []).append(
                float(row["rule"])
            )
    return {
        axis: {item: sum(of) / len(of) for item, of in items.items()}
        for axis, items in found.items()
    }


def compare_models(
    before: str | Path, after: str | Path, *, model: str = "tuned", seed: int = 42
) -> pd.DataFrame:
    """One row an axis on which a model was measured in two runs, on the same items by the same judge: both scores, the paired
    difference with its interval, and the alarm of `compare_scores`."""
    old, new = (model_scores(folder, model=model) for folder in (before, after))
    rows = {
        axis: compare_scores(old[axis], new[axis], seed=seed)
        for axis in old
        if set(old[axis]) & set(new.get(axis, ()))
    }
    columns = ["n", "before", "after", "change", "low", "high", "alarm"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("axis")


def version_line(examples: Sequence[Any], *, name: str, **more: Any) -> dict[str, Any]:
    """One line of the growth log: the version's own id (a hash of its examples), its size, words, and evenness of labels."""
    counts = {
        axis: Counter(str(labels.canonical(axis, getattr(one, axis))) for one in examples)
        for axis in AXES
    }
    words = sum(len(getattr(one, field, "").split()) for one in examples for field in LENGTHS)
    bits = {f"{axis}_bits": round(stats.entropy(of.values()), 3) for axis, of in counts.items()}
    version = content_hash(*sorted(one.id for one in examples))
    return {
        "version": version,
        "name": name,
        "examples": len(examples),
        "words": words,
        **bits,
        **more,
    }


def grow_log(path: str | Path, line: Mapping[str, Any]) -> pd.DataFrame:
    """Enter a version into the growth log at `path`; the same version under the same name is entered once and brought up to date."""
    path = Path(path)
    known = [fields for _, fields in records.rows(path)] if path.exists() else []
    key = (line["version"], line["name"])
    same = [(one.get("version"), one.get("name")) == key for one in known]
    rows = [dict(line) if is_same else one for one, is_same in zip(known, same, strict=True)] + [
        dict(line)
    ] * (not any(same))
    records.write_text(
        path, "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    )
    return pd.DataFrame(rows)


def _psi(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The index of each row of two tables of counts, half a count added."""
    a, b = ((of + 0.5) / (of + 0.5).sum(axis=1, keepdims=True) for of in (before, after))
    return ((b - a) * np.log(b / a)).sum(axis=1)


def _ks(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    from scipy.stats import ks_2samp

    if not a or not b:
        return float("nan"), float("nan")
    found = ks_2samp(a, b, method="asymp")
    return float(found.statistic), float(found.pvalue)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
