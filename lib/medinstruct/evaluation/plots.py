"""The figures of this chapter: forest plot, heat map, preference against length, agreement of judges, results by label."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from medinstruct.evaluation.length_control import with_lengths
from medinstruct.evaluation.verdicts import of_one_judge
from medinstruct.plotting import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY
from medinstruct.records import Verdict

COLORS = (BLUE, ORANGE, GREEN, PINK, RED, SKY, GREY)


def forest(rates: pd.DataFrame, *, title: str, controlled: pd.DataFrame | None = None) -> Any:
    """Scores with 95 % intervals, one group a reference and one line a model; hollow marks are the scores at equal lengths."""
    import matplotlib.pyplot as plt

    rows = rates if rates.index.nlevels == 2 else pd.concat({"model": rates}, names=["model"])
    models, references = (list(dict.fromkeys(rows.index.get_level_values(n))) for n in (0, 1))
    places, lines = {}, 0.0
    for reference in references:
        for model in models:
            if (model, reference) in rows.index:
                places[(model, reference)] = lines
                lines += 1
        lines += 0.6
    figure, axes = plt.subplots(figsize=(7.8, 1.3 + 0.36 * lines))
    for (model, reference), place in places.items():
        row, color = rows.loc[(model, reference)], COLORS[models.index(model) % len(COLORS)]
        axes.hlines(-place, row["low"], row["high"], color=color, lw=2.5, alpha=0.55)
        axes.plot(row["score"], -place, "o", color=color, ms=7)
        axes.text(
            1.015,
            -place,
            f"{row['score']:.2f}",
            va="center",
            fontsize=9,
            color=color,
            transform=axes.get_yaxis_transform(),
        )
        lc = (
            controlled["lc_score"].get((model, reference), np.nan)
            if controlled is not None
            else np.nan
        )
        axes.plot(lc, -place, "D", mfc="none", mec=color, ms=6)
    axes.axvline(0.5, color=GREY, ls="--", lw=1)
    axes.set_yticks(
        [-place for place in places.values()],
        [_pair(model, reference, len(models)) for model, reference in places],
    )
    axes.set(
        title=title,
        xlabel="score: filled as judged, hollow at equal lengths"
        if controlled is not None
        else "score",
        xlim=(-0.02, 1.02),
    )
    axes.margins(y=0.08)
    return figure


def score_heat(rates: pd.DataFrame, *, title: str) -> Any:
    """Model x reference: the score in each cell, red below parity and blue above."""
    import matplotlib.pyplot as plt

    wide = rates["score"].unstack("reference")[
        list(dict.fromkeys(rates.index.get_level_values("reference")))
    ]
    wide = wide.reindex(list(dict.fromkeys(rates.index.get_level_values("model"))))
    figure, axes = plt.subplots(figsize=(3.2 + 1.1 * wide.shape[1], 1.3 + 0.5 * wide.shape[0]))
    image = axes.imshow(wide.to_numpy(dtype=float), cmap="RdBu", vmin=0, vmax=1, aspect="auto")
    _write_cells(axes, wide)
    axes.set(title=title)
    figure.colorbar(image, ax=axes, label="score, 0.5 is parity")
    return figure


def length_figure(
    verdicts: Iterable[Verdict], texts: Mapping[str, Mapping[str, str]], *, title: str
) -> Any:
    """Preference against length: mean score in equal parts of the pairs by log length ratio, one line a reference."""
    import matplotlib.pyplot as plt

    frame = with_lengths(of_one_judge(verdicts), texts).dropna(subset=["score", "log_ratio"])
    figure, axes = plt.subplots(figsize=(7.5, 4.2))
    for n, ((model, reference), group) in enumerate(
        frame.groupby(["model", "reference"], sort=False)
    ):
        item = (
            group.groupby("id")
            .agg(score=("score", "mean"), ratio=("log_ratio", "first"))
            .sort_values("ratio")
        )
        part = np.arange(len(item)) * min(8, max(len(item) // 15, 1)) // len(item)
        means = item.groupby(part).mean()
        color = COLORS[n % len(COLORS)]
        axes.plot(np.exp(item["ratio"]), item["score"], "|", color=color, alpha=0.12)
        axes.plot(
            np.exp(means["ratio"]),
            means["score"],
            "o-",
            color=color,
            label=_pair(model, reference, frame["model"].nunique()),
        )
    axes.axhline(0.5, color=GREY, ls="--", lw=1)
    axes.axvline(1, color=GREY, ls="--", lw=1)
    axes.set_xscale("log")
    marks = [
        mark
        for mark in (0.1, 0.25, 0.5, 1, 2, 4, 10)
        if axes.get_xlim()[0] <= mark <= axes.get_xlim()[1]
    ]
    axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
    axes.minorticks_off()
    axes.set(
        title=title,
        xlabel="words of the model's answer for each word of the reference's",
        ylabel="score",
        ylim=(-0.03, 1.03),
    )
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def agreement_figure(table: pd.DataFrame, *, title: str) -> Any:
    """The matrix of kappas between judges, from the table of `agreement`."""
    import matplotlib.pyplot as plt

    pairs = table[table["other"] != ""]
    names = list(dict.fromkeys([*pairs["judge"], *pairs["other"]]))
    wide = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    for row in pairs.itertuples():
        wide.loc[row.judge, row.other] = wide.loc[row.other, row.judge] = row.value
    figure, axes = plt.subplots(figsize=(4.6 + 0.9 * len(names), 1.8 + 0.6 * len(names)))
    image = axes.imshow(wide.to_numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _write_cells(axes, wide)
    axes.set_xticks(range(len(names)), [name.replace(", ", ",\n") for name in names], fontsize=8)
    axes.set_yticks(range(len(names)), [name.replace(", ", ",\n") for name in names], fontsize=8)
    axes.set(title=title)
    figure.colorbar(image, ax=axes, label="kappa")
    return figure


def label_figure(table: pd.DataFrame, axis: str, *, title: str) -> Any:
    """Scores with intervals over the values of a label (the table of `by_label`), one line a model and reference."""
    import matplotlib.pyplot as plt

    values = sorted(table[axis].unique(), key=lambda value: (isinstance(value, str), value))
    groups = list(table.groupby(["model", "reference"], sort=False))
    figure, axes = plt.subplots(figsize=(7.5, 3.8))
    for n, ((model, reference), group) in enumerate(groups):
        group = group.set_index(axis).reindex(values)
        places = np.arange(len(values)) + (n - (len(groups) - 1) / 2) * 0.5 / max(len(groups), 1)
        color = COLORS[n % len(COLORS)]
        axes.vlines(places, group["low"], group["high"], color=color, lw=2.5, alpha=0.5)
        axes.plot(
            places,
            group["score"],
            "o-",
            color=color,
            lw=1,
            label=_pair(model, reference, table["model"].nunique()),
        )
    axes.axhline(0.5, color=GREY, ls="--", lw=1)
    sizes = table.groupby(axis)["n"].max()
    axes.set_xticks(
        range(len(values)), [f"{value}\nn {sizes[value]}" for value in values], fontsize=9
    )
    axes.set(title=title, xlabel=axis, ylabel="score", ylim=(-0.03, 1.03))
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def rubric_figure(table: pd.DataFrame, *, title: str) -> Any:
    """Share of criteria met by kind of criterion (the table of `by_axis`), one bar a model."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 1.2 + 0.5 * len(table)))
    height = 0.8 / len(table.columns)
    for n, model in enumerate(table.columns):
        places = np.arange(len(table))[::-1] + 0.4 - height * (n + 0.5)
        drawn = axes.barh(
            places, table[model], height=height, label=model, color=COLORS[n % len(COLORS)]
        )
        axes.bar_label(drawn, fmt="{:.2f}", padding=3, fontsize=8)
    axes.set_yticks(np.arange(len(table))[::-1], table.index)
    axes.set(title=title, xlabel="share of criteria met", xlim=(0, 1.08))
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _pair(model: str, reference: str, models: int) -> str:
    return f"{model} against {reference}" if models > 1 else f"against {reference}"


def _write_cells(axes: Any, wide: pd.DataFrame) -> None:
    """The number in each cell, white where the cell is dark, and the names at the sides."""
    for row, name in enumerate(wide.index):
        for column, other in enumerate(wide.columns):
            value = wide.loc[name, other]
            dark = value > 0.75 or value < 0.15
            text = "–" if np.isnan(value) else f"{value:.2f}"
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                color="white" if dark and not np.isnan(value) else "#1b1f24",
            )
    axes.set_xticks(range(len(wide.columns)), wide.columns)
    axes.set_yticks(range(len(wide.index)), wide.index)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
