"""Win rates of the published protocol with all that it leaves out, each with its interval; by label; between models."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import labels, records, stats
from medinstruct.evaluation.verdicts import of_one_judge
from medinstruct.records import TestItem, Verdict

# measure -> (what is summed above, what below); both are columns of `_per_item`.
RATIOS = {
    "win_rate": ("won", "all"),
    "win_rate_non_tied": ("won", "decided"),
    "half_ties": ("won_half", "all"),
    "consistency": ("same", "both"),
}


def win_rates(
    verdicts: Iterable[Verdict | dict],
    *,
    seed: int = 42,
    rounds: int = 2000,
    by_model: bool = False,
) -> pd.DataFrame:
    """One row a model and reference (by reference alone where there is one model, unless `by_model`); verdicts of one judge.

    n: items with a readable verdict; score: mean of the two orders, ties a half, mean over items (paper.md, 5.1); low and
    high: its 95 % bootstrap interval over items, as every other `_low` and `_high`. win_rate: share of items whose readable orders
    all say model; win_rate_non_tied: of those where they all say model or all say reference; half_ties: win_rate and a half for
    the rest; consistency: share of items whose orders agree; position_bias: score when the model stands first less score when
    it stands second; invalid: verdicts that could not be read; score_worst and score_best: the score with these lost and won.
    """
    frame = of_one_judge(verdicts)
    rows = {
        key: _rates(group, seed=seed, rounds=rounds)
        for key, group in frame.groupby(["model", "reference"], sort=False)
    }
    found = pd.DataFrame(
        list(rows.values()),
        index=pd.MultiIndex.from_tuples(list(rows), names=["model", "reference"]),
    )
    return (
        found.droplevel("model")
        if not by_model and found.index.get_level_values("model").nunique() == 1
        else found
    )


def item_scores(verdicts: Iterable[Verdict | dict]) -> pd.DataFrame:
    """One row an item, one column a (model, reference): the mean score of its readable orders."""
    frame = of_one_judge(verdicts)
    return frame.pivot_table(
        index="id", columns=["model", "reference"], values="score", aggfunc="mean", sort=False
    )


def by_label(
    verdicts: Iterable[Verdict], items: Iterable[TestItem], axis: str, *, seed: int = 42
) -> pd.DataFrame:
    """Scores within each difficulty, type, topic or view: columns model, reference, the label, n, score, low, high."""
    label = {item.id: labels.canonical(axis, getattr(item, axis)) for item in items}
    scores = item_scores(verdicts)
    rows = []
    for (model, reference), column in scores.items():
        for value, group in column.dropna().groupby(scores.index.map(label)[column.notna()]):
            low, high = stats.bootstrap_interval(group.to_numpy(), seed=seed)
            rows.append((model, reference, value, len(group), group.mean(), low, high))
    found = pd.DataFrame(rows, columns=["model", "reference", axis, "n", "score", "low", "high"])
    return found.astype({"n": int, "score": float, "low": float, "high": float})


def compare(verdicts: Iterable[Verdict], *, seed: int = 42) -> pd.DataFrame:
    """Every two models on the items that both were judged on: difference of scores, interval, permutation p, p after Holm.

    One row a reference, and one for the mean over all references that both met.
    """
    scores = item_scores(verdicts)
    models = list(dict.fromkeys(scores.columns.get_level_values("model")))
    rows = []
    for n, first in enumerate(models):
        for second in models[n + 1 :]:
            shared = [r for r in scores[first].columns if r in scores[second].columns]
            gaps = {r: (scores[first][r] - scores[second][r]).dropna() for r in shared}
            if len(shared) > 1:
                gaps["mean of all"] = (
                    pd.concat([scores[first][r] - scores[second][r] for r in shared], axis=1)
                    .mean(axis=1)
                    .dropna()
                )
            rows += [
                (first, second, r, *_difference(gap.to_numpy(), seed))
                for r, gap in gaps.items()
                if len(gap)
            ]
    found = pd.DataFrame(
        rows, columns=["model", "other", "reference", "n", "difference", "low", "high", "p"]
    )
    return found.assign(p_holm=stats.holm(found["p"]))


def write_results(
    path: str | Path, numbers: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]
) -> Path:
    """Write numbers and tables (as rows, their index as columns; nan as null) to one JSON file, which the report reads."""
    rows = {}
    for name, table in tables.items():
        flat = table.reset_index() if table.index.names != [None] else table.reset_index(drop=True)
        rows[name] = flat.round(4).astype(object).where(flat.notna(), None).to_dict("records")
    return records.write_json(path, {**numbers, **rows})


def _difference(gap: np.ndarray, seed: int) -> tuple[int, float, float, float, float]:
    interval = stats.bootstrap_interval(gap, seed=seed)
    return len(gap), float(gap.mean()), *interval, stats.sign_flip_test(gap, seed=seed)


def _rates(group: pd.DataFrame, *, seed: int, rounds: int) -> dict[str, float]:
    item = _per_item(group)
    found = {"n": int(item["all"].sum()), "score": _share(item["score"].sum(), item["all"].sum())}
    found["low"], found["high"] = _interval(item, "score", "all", seed, rounds)
    for name, (above, below) in RATIOS.items():
        found[name] = _share(item[above].sum(), item[below].sum())
        found[f"{name}_low"], found[f"{name}_high"] = _interval(item, above, below, seed, rounds)
    sums = stats.resampled(
        item[["first", "has_first", "second", "has_second"]].to_numpy(), seed=seed, rounds=rounds
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        found["position_bias"] = _share(item["first"].sum(), item["has_first"].sum()) - _share(
            item["second"].sum(), item["has_second"].sum()
        )
        gaps = sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3]
    found["position_bias_low"], found["position_bias_high"] = stats.interval(gaps, n=len(item))
    unread = int(group["score"].isna().sum())
    worst, best = (
        group["score"].fillna(value).groupby(group["id"]).mean().mean() for value in (0.0, 1.0)
    )
    return found | {"invalid": unread, "score_worst": worst, "score_best": best}


def _per_item(group: pd.DataFrame) -> pd.DataFrame:
    """One row an item: the sums that every rate is a ratio of."""
    wide = group.pivot(index="id", columns="order", values="score")
    first, second = (
        wide.get(order, pd.Series(np.nan, index=wide.index))
        for order in ("model_first", "reference_first")
    )
    both, known = first.notna() & second.notna(), first.notna() | second.notna()
    mean = pd.concat([first, second], axis=1).mean(axis=1)
    won, lost = (
        (mean == 1.0).astype(float),
        (pd.concat([first, second], axis=1).max(axis=1) == 0.0).astype(float),
    )
    return pd.DataFrame(
        {
            "all": known.astype(float),
            "score": mean.fillna(0),
            "won": won,
            "decided": won + lost,
            "won_half": won + (known - won - lost) / 2,
            "same": (both & (first == second)).astype(float),
            "both": both.astype(float),
            "first": first.fillna(0),
            "has_first": first.notna().astype(float),
            "second": second.fillna(0),
            "has_second": second.notna().astype(float),
        }
    )


def _interval(
    item: pd.DataFrame, above: str, below: str, seed: int, rounds: int
) -> tuple[float, float]:
    return stats.bootstrap_ratio(
        item[above].to_numpy(), item[below].to_numpy(), seed=seed, rounds=rounds
    )


def _share(above: float, below: float) -> float:
    return float(above / below) if below else float("nan")
