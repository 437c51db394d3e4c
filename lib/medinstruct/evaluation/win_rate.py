"""Win rates: by reference and label, between models, at equal lengths, and in weak slices."""

import warnings
from collections.abc import Callable, Iterable
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import labels, stats
from medinstruct.evaluation.verdicts import ORDERS, PAIR, single_judge_table
from medinstruct.filtering import count_words
from medinstruct.records import Answer, TestItem, Verdict

Verdicts = Iterable[Verdict | dict[str, Any]]  # a dict needs id, reference, order, winner
PRIOR = 4.0  # items: a label with this many is pulled half way to the mean


def win_rates(verdicts: Verdicts, *, by_model: bool = False) -> pd.DataFrame:
    """Return one row per reference, or a (model, reference) for several models or `by_model`.

    n: items readable in all orders, which alone enter scores. score: mean over items of both
    orders, a tie being a half (paper.md, 5.1). win_rate: share of items won in all orders;
    win_rate_non_tied: of those won or lost in all; half_ties: win_rate plus a half for the others.
    consistency: share of items with equal verdicts. position_bias: score in first place minus that
    in second. score_worst, score_best: score with unreadable items lost or won. low, high, *_low,
    *_high: 95% intervals.
    """
    rates = by_pair(single_judge_table(verdicts), _rates)
    if not by_model and rates.index.get_level_values("model").nunique() == 1:
        return rates.droplevel("model")
    return rates


def by_pair(frame: pd.DataFrame, rates: Callable) -> pd.DataFrame:
    """Return one row per model and reference: the dict that `rates` returns for its verdicts."""
    rows = {pair: rates(group) for pair, group in frame.groupby(PAIR, sort=False)}
    index = pd.MultiIndex.from_tuples(list(rows), names=PAIR)
    return pd.DataFrame(list(rows.values()), index=index)


def item_scores(verdicts: Verdicts) -> pd.DataFrame:
    """Return the mean score of both orders, nan if one is unreadable: one row per item, by pair."""
    frame = single_judge_table(verdicts)
    wide = frame.pivot(index="id", columns=[*PAIR, "order"], values="score").sort_index(axis=1)
    pairs = pd.MultiIndex.from_frame(frame[PAIR].drop_duplicates())
    scores = {pair: wide[pair].mean(axis=1, skipna=False) for pair in pairs}
    return pd.DataFrame(scores, index=frame["id"].unique(), columns=pairs).rename_axis("id")


def compare(verdicts: Verdicts) -> pd.DataFrame:
    """Return differences of every two models by item: interval, permutation p, Holm's p."""
    scores, rows = item_scores(verdicts), []
    models = scores.columns.unique("model")  # one that is also a reference is in `win_rates`
    for first, second in combinations(models, 2):
        shared = [name for name in scores[first] if name in scores[second] and name not in models]
        gaps = scores[first][shared] - scores[second][shared]
        if len(shared) > 1:
            gaps["mean of all"] = gaps.mean(axis=1)
        for reference, gap in gaps.items():
            interval = stats.mean_interval(gap.dropna(), limits=(-1, 1))
            row = (first, second, reference, gap.count(), *interval)
            rows.append((*row, stats.sign_flip_test(gap.dropna())))
    columns = ["model", "other", "reference", "n", "difference", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_holm=stats.holm(table["p"]))


def length_controlled(verdicts: Verdicts, answers: Iterable[Answer]) -> pd.DataFrame:
    """Return lc_score (at equal lengths), length slope and position effect with 95% intervals.

    A logistic regression for each pair: log odds of a win = strength + length * log ratio of words
    + position (½ in first place, -½ in second), errors clustered by item. nan where nothing can be
    fitted. `answers` include the references.
    """
    frame = with_lengths(verdicts, answers).dropna(subset=["score", "log_ratio"])
    ends = product(("lc_score", "length", "position"), ("", "_low", "_high"))
    return by_pair(frame, _regression).reindex(columns=["".join(pair) for pair in ends])


def with_lengths(verdicts: Verdicts, answers: Iterable[Answer]) -> pd.DataFrame:
    """Return the table of one judge with log_ratio, the log of model's over reference's words."""
    frame = single_judge_table(verdicts)
    words = {(answer.model, answer.item): count_words(answer.text) + 1 for answer in answers}
    keys = [zip(frame[side], frame["id"], strict=True) for side in PAIR]
    own, other = ([words.get(key, np.nan) for key in side] for side in keys)
    return frame.assign(log_ratio=np.log(own) - np.log(other))


def weak_slices(verdicts: Verdicts, items: Iterable[TestItem]) -> pd.DataFrame:
    """Return the label combinations that score worst, at most 40, the weakest first.

    expected: mean score plus the deviations of each label and of the combination, shrunk toward 0
    (`PRIOR`); weight: share of the missing score.
    """
    frame = pd.DataFrame({"score": item_scores(verdicts).mean(axis=1).dropna()})
    of_id = {item.id: item for item in items}
    for axis in labels.VALUES:  # an item has no style
        frame[axis] = [labels.canonical(axis, getattr(of_id[id], axis, "")) for id in frame.index]
    frame = frame.dropna(axis=1, how="all").dropna()
    axes = [axis for axis in labels.VALUES if axis in frame]
    if not axes:
        return pd.DataFrame(columns=["n", "score", "expected", "weight"])
    mean = frame["score"].mean()
    frame["expected"] = mean + sum(_shrunk(frame["score"] - mean, frame, [axis]) for axis in axes)
    frame["expected"] += _shrunk(frame["score"] - frame["expected"], frame, axes)
    frame["expected"] = frame["expected"].clip(0, 1)
    groups = frame.groupby(axes, sort=False)[["score", "expected"]]
    slices = groups.mean().assign(n=groups.size()).query("expected < @mean").reset_index()
    slices = slices.sort_values(["expected", "score"], kind="stable", ignore_index=True).head(40)
    missing = mean - slices["expected"]
    return slices.assign(weight=missing / (missing.sum() or 1.0))


def _rates(group: pd.DataFrame) -> dict[str, float]:
    wide = group.pivot(index="id", columns="order", values="score")
    scores, known = wide.mean(axis=1, skipna=False), wide.notna().all(axis=1)
    won, lost, wide = scores == 1.0, scores == 0.0, wide.reindex(columns=ORDERS)
    both = wide.notna().all(axis=1)
    measures = {
        "score": scores[known],
        "win_rate": won[known],
        "win_rate_non_tied": won[won | lost],
        "half_ties": (won + (~won & ~lost) / 2)[known],
        "consistency": (wide[ORDERS[0]] == wide[ORDERS[1]])[both],
    }
    estimates = {name: stats.mean_interval(values) for name, values in measures.items()}
    sums = np.hstack([wide.fillna(0), wide.notna()]).astype(float)
    estimates["position_bias"] = stats.jackknife(
        sums, lambda rows: rows[:, 0] / rows[:, 2] - rows[:, 1] / rows[:, 3]
    )
    ties = group["score"].dropna().eq(0.5)
    rates: dict[str, float] = {"n": int(known.sum()), "tie": ties.mean()}
    for name, estimate in estimates.items():
        ends = ("low", "high") if name == "score" else (f"{name}_low", f"{name}_high")
        rates |= dict(zip((name, *ends), estimate, strict=True))
    bounds = {"score_worst": scores.fillna(0).mean(), "score_best": scores.fillna(1).mean()}
    return rates | {"invalid": int(group["score"].isna().sum())} | bounds


def _regression(group: pd.DataFrame) -> dict[str, float]:
    """Return lc_score, length slope and position effect of one pair, each with its interval."""
    import statsmodels.api as sm

    place = np.where(group["order"] == "model_first", 0.5, -0.5)
    terms = pd.DataFrame({"one": 1.0, "length": group["log_ratio"], "position": place})
    terms = terms.loc[:, (terms.nunique() > 1) | (terms.columns == "one")]
    items = pd.factorize(group["id"])[0]
    if group["score"].nunique() < 2 or items.max() < 2 * terms.shape[1]:
        return {}
    model = sm.GLM(group["score"], terms, family=sm.families.Binomial())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = model.fit(cov_type="cluster", cov_kwds={"groups": items})
    except (np.linalg.LinAlgError, sm.tools.sm_exceptions.PerfectSeparationError):
        return {}
    if fit.params.abs().max() > 15:  # separated: one side always wins
        return {}
    table = fit.conf_int().set_axis(["_low", "_high"], axis=1).assign(**{"": fit.params})
    orders = pd.DataFrame({"one": 1.0, "length": 0.0, "position": [0.5, -0.5]})[terms.columns]
    equal = fit.get_prediction(orders, which="mean", average=True)  # by the delta method
    table.loc["lc_score"] = [*np.clip(equal.conf_int()[0], 0, 1), float(equal.predicted)]
    return {f"{name}{end}": value for (name, end), value in table.stack().items()}


def _shrunk(deviation: pd.Series, frame: pd.DataFrame, axes: list[str]) -> pd.Series:
    """Return the mean deviation of each item's label, shrunk toward 0 for labels with few items."""
    groups = deviation.groupby([frame[axis] for axis in axes])
    count = groups.transform("size")
    return groups.transform("mean") * count / (count + PRIOR)
