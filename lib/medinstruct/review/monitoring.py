"""Two versions of a dataset, or of a model, axis by axis, with alarms at stated thresholds; and the log of all versions."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import labels, records, stats
from medinstruct.records import content_hash
from medinstruct.review import proportions

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
    a, b = (np.array([counts.get(name, 0) + 0.5 for name in names]) for counts in (before, after))
    a, b = a / a.sum(), b / b.sum()
    return float(((b - a) * np.log(b / a)).sum())


def psi_limit(labels: int, before: int, after: int, *, limit: float = PSI_LIMIT) -> float:
    """The threshold for so many labels and items: never below what chance alone reaches once in twenty (Yurdakul, Naranjo 2020).

    >>> psi_limit(10, 10_000, 10_000), psi_limit(60, 100, 100) > 1
    (0.2, True)
    """
    from scipy.stats import chi2

    return max(limit, float(chi2.ppf(0.95, max(labels - 1, 1))) * (1 / max(before, 1) + 1 / max(after, 1)))


def ks_limit(before: int, after: int, *, limit: float = KS_LIMIT) -> float:
    """The threshold for two samples of these sizes: never below what chance alone reaches once in a hundred.

    >>> ks_limit(10_000, 10_000), round(ks_limit(100, 100), 2)
    (0.1, 0.23)
    """
    return max(limit, 1.628 * (1 / max(before, 1) + 1 / max(after, 1)) ** 0.5)


def compare_versions(before: Sequence[Any], after: Sequence[Any]) -> pd.DataFrame:
    """One row an axis of two lists of tasks or examples: the measure, its value and threshold, labels that are new or gone, alarm.

    Labels by PSI, the lengths of the texts by Kolmogorov and Smirnov. A label that is gone is an alarm if it had 1 % or more before.
    """
    rows = []
    for axis in AXES:
        a, b = (Counter(str(labels.canonical(axis, getattr(one, axis))) for one in version) for version in (before, after))
        value, limit = psi(a, b), psi_limit(len({*a, *b}), len(before), len(after))
        new, gone = sorted({*b} - {*a}), sorted({*a} - {*b})
        lost = [name for name in gone if a[name] >= 0.01 * len(before)]
        rows.append((axis, "PSI", value, limit, "", ", ".join(new), ", ".join(gone), value > limit or bool(lost)))
    for name in LENGTHS:
        a, b = ([len(getattr(one, name, "").split()) for one in version] for version in (before, after))
        statistic, p = _ks(a, b)
        limit = ks_limit(len(before), len(after))
        rows.append((f"words of {name}", "KS", statistic, limit, p, "", "", statistic > limit))
    return pd.DataFrame(rows, columns=["axis", "measure", "value", "limit", "p", "new", "gone", "alarm"]).set_index("axis")


def compare_rates(before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """One row a rate that both versions have, (hits, n) each, such as flags or accepted reviews: both shares, their difference with
    Newcombe's interval, and an alarm where it lies wholly beyond 0 and is larger than the threshold."""
    rows = {}
    for name in [name for name in before if name in after]:
        a, b = proportions.wilson(*before[name]), proportions.wilson(*after[name])
        gap = b.share - a.share
        low = gap - ((b.share - b.low) ** 2 + (a.high - a.share) ** 2) ** 0.5
        high = gap + ((b.high - b.share) ** 2 + (a.share - a.low) ** 2) ** 0.5
        rows[name] = {"before": a.share, "after": b.share, "change": gap, "low": low, "high": high, "limit": RATE_LIMIT,
                      "alarm": bool(abs(gap) > RATE_LIMIT and (low > 0 or high < 0))}  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("rate")


def compare_scores(before: Mapping[str, float], after: Mapping[str, float], *, seed: int = 42) -> dict[str, Any]:
    """Scores of two model versions on the same items, such as wins: the paired difference with its bootstrap interval, and an alarm
    where the later version is worse and the interval does not hold 0."""
    shared = [name for name in before if name in after]
    gap = np.array([after[name] - before[name] for name in shared])
    low, high = stats.bootstrap_interval(gap, seed=seed)
    return {"items": len(shared), "before": _mean(before[name] for name in shared), "after": _mean(after[name] for name in shared),
            "change": _mean(gap), "low": low, "high": high, "alarm": bool(high < 0)}  # fmt: skip


def version_line(examples: Sequence[Any], *, name: str, **more: Any) -> dict[str, Any]:
    """One line of the growth log: the version's own id (a hash of its examples), its size, words, and evenness of labels."""
    counts = {axis: Counter(str(labels.canonical(axis, getattr(one, axis))) for one in examples) for axis in AXES}
    words = sum(len(getattr(one, field, "").split()) for one in examples for field in LENGTHS)
    bits = {f"{axis}_bits": round(stats.entropy(of.values()), 3) for axis, of in counts.items()}
    return {
        "version": content_hash(*sorted(one.id for one in examples)),
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
    places = [n for n, one in enumerate(known) if (one.get("version"), one.get("name")) == key]
    rows = [dict(line) if n in places else one for n, one in enumerate(known)] + ([] if places else [dict(line)])
    records.write_text(path, "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows))
    return pd.DataFrame(rows)


def _ks(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    from scipy.stats import ks_2samp

    if not a or not b:
        return float("nan"), float("nan")
    found = ks_2samp(a, b, method="asymp")
    return float(found.statistic), float(found.pvalue)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else float("nan")
