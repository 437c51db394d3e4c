"""Where a model loses, as cells of type, topic, view and level: a file that the next round of task writing aims at."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from medinstruct import labels, records
from medinstruct.evaluation.winrates import item_scores
from medinstruct.records import TestItem, Verdict

AXES = ("type", "topic", "view", "difficulty")
PRIOR = 4.0  # items: a label with so few is pulled half way to the mean


def weak_cells(
    verdicts: Iterable[Verdict],
    items: Sequence[TestItem],
    *,
    model: str,
    references: Sequence[str] = (),
    top: int = 40,
) -> pd.DataFrame:
    """The cells in which `model` scores worst against `references` (all where none are named), the weakest first.

    A cell is what the labels of one or more items say. Single items are noise: `expected` is the mean score plus what each label of the
    cell is above or below it, each pulled toward nothing where there are few items (four items count half), plus the cell's own.
    Columns: the axes that the items have, n, score, expected, weight (its share of what is missing).
    """
    scores = item_scores(verdicts)[model]
    chosen = (
        scores[[name for name in references or scores.columns if name in scores.columns]]
        .mean(axis=1)
        .dropna()
    )
    frame = pd.DataFrame([_labels(item) | {"id": item.id} for item in items]).set_index("id")
    frame = frame.loc[frame.index.isin(chosen.index)].dropna(axis=1, how="all")
    axes = [axis for axis in AXES if axis in frame]
    if not axes:
        return pd.DataFrame(columns=["n", "score", "expected", "weight"])
    frame = frame.dropna().assign(score=chosen)
    mean = frame["score"].mean()
    frame["expected"] = mean + sum(_pulled(frame, [axis], mean) for axis in axes)
    frame["expected"] += _pulled(
        frame.assign(score=frame["score"] - frame["expected"] + mean), axes, mean
    )
    frame["expected"] = frame["expected"].clip(0, 1)
    cells = frame.groupby(axes, sort=False).agg(
        n=("score", "size"), score=("score", "mean"), expected=("expected", "mean")
    )
    cells = (
        cells[cells["expected"] < mean]
        .sort_values(["expected", "score"], kind="stable")
        .head(top)
        .reset_index()
    )
    missing = mean - cells["expected"]
    return cells.assign(weight=missing / (missing.sum() or 1.0))


def write_focus(path: str | Path, cells: pd.DataFrame, *, against: str) -> Path:
    """Write the cells as `focus.json`, which notebook 02 takes as its parameter `focus`."""
    known = [axis for axis in AXES if axis in cells]
    rows: list[dict[str, Any]] = [
        {axis: row[axis] for axis in known}
        | {"weight": round(row["weight"], 4), "score": round(row["score"], 4), "n": row["n"]}
        for row in cells.to_dict("records")
    ]
    return records.write_json(path, {"against": against, "cells": rows})


def _labels(item: TestItem) -> dict[str, Any]:
    return {axis: labels.canonical(axis, getattr(item, axis)) for axis in AXES}


def _pulled(frame: pd.DataFrame, axes: list[str], mean: float) -> pd.Series:
    """For each item how far its label's mean is from the mean of all, pulled toward 0 for labels with few items."""
    groups = frame.groupby(axes)["score"]
    count = groups.transform("size")
    return (groups.transform("mean") - mean) * count / (count + PRIOR)
