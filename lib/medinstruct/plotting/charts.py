"""Charts that every chapter uses: bars, bars side by side, heat maps, intervals, histograms and lines."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from medinstruct.plotting.look import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    RED,
    SKY,
    SOFT,
    TINT,
    WIDTH,
    note,
    short,
    titled,
)


def bars(
    counts: Mapping[Any, float],
    *,
    title: str,
    label: str,
    top: int = 20,
    color: str = BLUE,
    ranked: bool = True,
) -> Any:
    """Horizontal bars with their values; ranked, or in the order given; what comes after the `top` is told below."""
    import matplotlib.pyplot as plt

    pairs = (
        sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
        if ranked
        else list(counts.items())
    )
    if not pairs:
        return note(f"Nothing to draw: there are no {label}.")
    rest = sum(value for _, value in pairs[top:])
    shown = [(short(name), value, color) for name, value in pairs[:top]]
    figure, axes = plt.subplots(figsize=(WIDTH, 0.9 + 0.27 * max(len(shown), 2)))
    places = range(len(shown) - 1, -1, -1)
    drawn = axes.barh(
        places, [value for _, value, _ in shown], color=[color for *_, color in shown], height=0.74
    )
    axes.set_yticks(places, [name for name, *_ in shown])
    axes.bar_label(
        drawn, padding=3, fontsize=9, color=SOFT, labels=[f"{value:,g}" for _, value, _ in shown]
    )
    axes.set(
        xlabel=label
        + (f" ({len(pairs) - top:,} others, together {rest:,g}, are not drawn)" if rest else "")
    )
    axes.margins(x=0.08)
    return titled(figure, title)


def paired_bars(
    columns: Mapping[str, Mapping[Any, float]],
    *,
    title: str,
    label: str,
    names: Sequence[Any],
    first: int = 0,
) -> Any:
    """Horizontal bars of several distributions side by side, one group a name; `first` is the first colour of the palette."""
    import matplotlib.pyplot as plt
    import numpy as np

    if not names or not columns:
        return note(f"Nothing to draw: there is no {label}.")
    figure, axes = plt.subplots(
        figsize=(WIDTH, 1.3 + max(0.17, 0.3 / len(columns)) * len(names) * (len(columns) + 0.5))
    )
    height = 0.82 / len(columns)
    middle = np.arange(len(names))[::-1]
    for n, (column, values) in enumerate(columns.items()):
        places = middle + 0.41 - height * (n + 0.5)
        axes.barh(
            places,
            [values.get(name, 0) for name in names],
            height=height * 0.94,
            label=short(column, 40),
            color=PALETTE[(n + first) % 7],
        )
    axes.set_yticks(middle, [short(name) for name in names])
    axes.set(xlabel=label, ylim=(-0.6, len(names) - 0.4))
    axes.grid(axis="x", color=TINT)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower left", ncols=min(len(columns), 4), fontsize=9)
    return titled(figure, title)


def heat(table: Any, *, title: str, label: str) -> Any:
    """A heat map of counts; empty cells are marked with a dot."""
    import matplotlib.pyplot as plt
    import seaborn

    if not table.size:
        return note(f"Nothing to draw: there are no {label}.")
    figure, axes = plt.subplots(
        figsize=(max(5.0, 2.6 + 0.58 * table.shape[1]), 1.9 + 0.29 * table.shape[0])
    )
    marks = table.map(lambda value: f"{value:g}" if value else "●")
    seaborn.heatmap(
        table,
        annot=marks,
        fmt="",
        cmap="Blues",
        vmin=0,
        linewidths=0.6,
        cbar_kws={"label": label},
        ax=axes,
        annot_kws={"size": 9},
    )
    for text in axes.texts:
        if text.get_text() == "●":
            text.set(color=RED, fontsize=6)
    axes.set(xlabel="", ylabel="")
    axes.set_yticklabels([short(name) for name in table.index], rotation=0)
    axes.set_xticks(
        [n + 0.5 for n in range(table.shape[1])], [short(name) for name in table.columns]
    )
    axes.tick_params(axis="both", length=0)
    if any(len(str(name)) > 3 for name in table.columns):
        plt.setp(axes.get_xticklabels(), rotation=35, ha="right", rotation_mode="anchor")
    return titled(figure, title)


def intervals(table: Any, *, title: str, label: str, parity: float | None = None) -> Any:
    """A forest plot: one row a line of `table` with score, low and high; a dashed line marks parity."""
    import matplotlib.pyplot as plt

    names = [
        " against ".join(name) if isinstance(name, tuple) else str(name) for name in table.index
    ][::-1]
    rows = table.iloc[::-1]
    figure, axes = plt.subplots(figsize=(WIDTH, 1.3 + 0.42 * len(rows)))
    axes.hlines(names, rows["low"], rows["high"], color=SKY, lw=3)
    axes.plot(rows["score"], names, "o", color=BLUE)
    if parity is not None:
        axes.axvline(parity, color=GREY, ls="--", lw=1)
    axes.set(xlabel=label, xlim=(-0.02, 1.02))
    axes.margins(y=0.15)
    return titled(figure, title)


def histogram(values: Any, *, title: str, label: str, unit: str = "tasks", color: str = SKY) -> Any:
    """How many values lie in each thirtieth of the range from 0 to 1."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(WIDTH, 3.0))
    axes.hist(values, bins=30, range=(0, 1), color=color, edgecolor="white", lw=0.5)
    axes.set(xlabel=label, ylabel=unit, xlim=(0, 1))
    return titled(figure, title)


def lines(frame: Any, *, title: str, label: str) -> Any:
    """One line a column over the index of a DataFrame, from zero up."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(WIDTH, 3.2))
    for (name, column), color in zip(
        frame.items(), cycle((GREY, BLUE, ORANGE, GREEN, RED)), strict=False
    ):
        axes.plot(column.index, column, "o-", color=color, label=short(name, 40))
    axes.set(xlabel=frame.index.name or "", ylabel=label, ylim=(0, None))
    axes.grid(axis="y", color=TINT)
    figure.legend(loc="outside lower left", ncols=min(len(frame.columns), 4), fontsize=9)
    return titled(figure, title)
