"""The figures of the audits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import plotting

# half of the least range that a panel of differences shows, so that nothing looks large because all is small
LEAST = {"words": 10, "urgency": 0.5, "tests": 0.5, "warmth": 0.5, "urgent": 0.2, "similarity": 0.1}


def dots(
    columns: Mapping[str, pd.DataFrame],
    *,
    title: str,
    label: str,
    limits: Sequence[float] = (),
    span: tuple[float, float] | None = None,
) -> Any:
    """Shares or scores with intervals: one row a name, one colour a column; each frame has score, low and high. Dashed: limits."""
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(name for frame in columns.values() for name in frame.index))
    if not names:
        return plotting.note(f"Nothing to draw: there is no {label}.")
    figure, axes = plt.subplots(
        figsize=(
            plotting.WIDTH,
            1.3 + (0.15 + (0.05 if len(names) > 10 else 0.1) * (1 + len(columns))) * len(names),
        )
    )
    for n, (column, frame) in enumerate(columns.items()):
        shift = 0.5 * ((len(columns) - 1) / 2 - n) / len(columns)
        places = [len(names) - 1 - names.index(name) + shift for name in frame.index]
        color = plotting.PALETTE[n % len(plotting.PALETTE)]
        axes.hlines(places, frame["low"], frame["high"], color=color, lw=3, alpha=0.4)
        axes.plot(
            frame["score"], places, "o", ms=5.5, color=color, label=plotting.short(column, 40)
        )
    for limit in limits:
        axes.axvline(limit, color=plotting.RED, ls="--", lw=1)
    axes.set_yticks(
        range(len(names) - 1, -1, -1), [plotting.short(_name(name), 40) for name in names]
    )
    axes.set(
        xlabel=label + (" (dashed: the threshold)" if limits else ""), ylim=(-0.6, len(names) - 0.4)
    )
    axes.grid(axis="x", color=plotting.TINT)
    axes.set_axisbelow(True)
    if span:
        axes.set_xlim(*span)
    if len(columns) > 1:
        figure.legend(loc="outside lower left", ncols=min(len(columns), 3), fontsize=9)
    return plotting.titled(figure, title)


def difference_panels(differences: pd.DataFrame, *, title: str) -> Any:
    """One panel a measure, one line a trait's value: the paired difference with its interval; filled where it holds, red where biased."""
    import matplotlib.pyplot as plt

    if differences.empty:
        return plotting.note("Nothing to draw: there are no differences.")
    measures = list(differences["measure"].unique())
    rows = list(dict.fromkeys(zip(differences["trait"], differences["value"], strict=True)))
    figure, grid = plt.subplots(
        2,
        -(-len(measures) // 2),
        figsize=(plotting.WIDTH, 2.0 + 0.42 * len(rows)),
        sharey=True,
        squeeze=False,
    )
    for axes, name in zip(grid.flat, measures, strict=False):
        part = (
            differences[differences["measure"] == name].set_index(["trait", "value"]).reindex(rows)
        )
        for place, (_, one) in zip(range(len(rows) - 1, -1, -1), part.iterrows(), strict=True):
            color = (
                plotting.RED if one["biased"] else plotting.BLUE if one["holds"] else plotting.GREY
            )
            axes.hlines(place, one["low"], one["high"], color=color, lw=2.5, alpha=0.5)
            axes.plot(
                one["difference"],
                place,
                "o",
                ms=5,
                color=color,
                mfc=color if one["holds"] else "white",
            )
        axes.axvline(0, color=plotting.GREY, ls="--", lw=1)
        axes.set_yticks(
            range(len(rows) - 1, -1, -1),
            [f"aged {value}" if trait == "age" else value for trait, value in rows],
        )
        axes.set_title(
            {"urgent": "share told urgent care", "urgency": "urgency, 0 to 3"}.get(name, name),
            fontsize=10,
            fontweight="normal",
        )
        reach = 1.15 * max(LEAST[name], *part[["low", "high"]].abs().max())
        axes.set(xlim=(-reach, reach), ylim=(-0.6, len(rows) - 0.4))
        axes.locator_params(axis="x", nbins=4)
    for axes in grid.flat[len(measures) :]:
        axes.set_visible(False)
    figure.supxlabel(
        "answer with the trait less answer without; filled: holds after correction; red: nothing justifies it",
        fontsize=9,
    )
    return plotting.titled(figure, title)


def reading_figure(levels: pd.DataFrame, *, title: str, limit: float) -> Any:
    """The grades of texts by view, as boxes; a band marks what suits patients."""
    import matplotlib.pyplot as plt

    groups = {
        view: part["grade"].to_numpy() for view, part in levels.groupby("view") if len(part) > 1
    }
    if not groups:
        return plotting.note("Nothing to draw: no text is long enough.")
    order = sorted(groups, key=lambda view: float(np.median(groups[view])), reverse=True)
    figure, axes = plt.subplots(figsize=(plotting.WIDTH, 1.2 + 0.36 * len(order)))
    drawn = axes.boxplot(
        [groups[view] for view in order],
        orientation="horizontal",
        widths=0.6,
        patch_artist=True,
        showfliers=False,
    )
    for patch, view in zip(drawn["boxes"], order, strict=True):
        patch.set(
            facecolor=plotting.ORANGE if view == "patient/public" else plotting.SKY,
            edgecolor=plotting.LINE,
        )
    for line in drawn["medians"]:
        line.set(color=plotting.INK)
    axes.axvspan(6, limit, color=plotting.GREEN, alpha=0.12)
    axes.set_yticks(range(1, len(order) + 1), [f"{view} ({len(groups[view])})" for view in order])
    axes.set(xlabel=f"school grade (Flesch–Kincaid); green: what suits patients, 6 to {limit:g}")
    return plotting.titled(figure, title)


def difficulty_figure(
    labelled: Sequence[int], estimated: Sequence[float], *, title: str, seed: int = 42
) -> Any:
    """Estimated difficulty over the labelled one, a dot a task; a dash is the mean, the line is agreement."""
    import matplotlib.pyplot as plt

    x, y = np.asarray(labelled, dtype=float), np.asarray(estimated, dtype=float)
    figure, axes = plt.subplots(figsize=(plotting.WIDTH, 3.2))
    axes.plot([1, 5], [1, 5], color=plotting.LINE, ls="--", lw=1)
    shift = np.random.default_rng(seed).uniform(-0.22, 0.22, len(x))
    axes.scatter(x + shift, y, s=9, alpha=0.4, color=plotting.BLUE, linewidths=0)
    for level in np.unique(x):
        axes.hlines(
            np.nanmean(y[x == level]), level - 0.33, level + 0.33, color=plotting.RED, lw=2.5
        )
    axes.set(
        xlabel="difficulty as labelled", ylabel="as estimated", xticks=range(1, 6), ylim=(0.8, 5.2)
    )
    return plotting.titled(figure, title)


def change_figure(
    change: pd.DataFrame,
    *,
    title: str,
    before: str = "base",
    after: str = "tuned",
    label: str = "share of safe answers",
) -> Any:
    """From one model to the next: an arrow a row from the score before to that after, and the change with its interval in figures."""
    import matplotlib.pyplot as plt

    if not change["n"].sum():
        return plotting.note(f"Nothing to draw: {before} and {after} did not both answer.")
    figure, axes = plt.subplots(figsize=(plotting.WIDTH, 1.2 + 0.42 * len(change)))
    for place, (_, one) in zip(range(len(change) - 1, -1, -1), change.iterrows(), strict=True):
        color = (
            plotting.RED
            if one["change"] < 0
            else plotting.GREEN
            if one["change"] > 0
            else plotting.GREY
        )
        axes.annotate(
            "",
            (one[after], place),
            (one[before], place),
            arrowprops={"arrowstyle": "-|>", "color": color, "lw": 2, "shrinkA": 0, "shrinkB": 0},
        )
        axes.plot(one[before], place, "o", color=plotting.GREY, ms=6, mfc="white")
        text = f"{one['change']:+.2f} [{one['low']:+.2f}, {one['high']:+.2f}]"
        axes.text(
            1.03,
            place,
            text,
            va="center",
            fontsize=9,
            color=plotting.SOFT,
            transform=axes.get_yaxis_transform(),
        )
    axes.set_yticks(
        range(len(change) - 1, -1, -1), [f"{name} (n {n:.0f})" for name, n in change["n"].items()]
    )
    axes.set(
        xlabel=f"{label}, from {before} (ring) to {after} (arrow)",
        xlim=(-0.03, 1.03),
        ylim=(-0.6, len(change) - 0.4),
    )
    axes.grid(axis="x", color=plotting.TINT)
    return plotting.titled(figure, title)


def _name(name: Any) -> str:
    return ": ".join(map(str, name)) if isinstance(name, tuple) else str(name)
