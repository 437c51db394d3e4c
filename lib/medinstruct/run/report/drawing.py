"""The figures of the report: dots with intervals, pairs of dots, and the loss; small, so that a phone can show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medinstruct import figures

WIDTH = 5.6


@dataclass(frozen=True)
class Dot:
    """One row of a figure: a value with its interval, and a mark to compare with (chance, threshold, the paper's)."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    mark: float | None = None
    color: str = figures.BLUE


def dots(rows: Sequence[Dot], *, label: str, mark: str = "", parity: float | None = None, keys: dict[str, str] | None = None) -> Any:
    """A forest plot on 0 to 100 %: values with intervals, one row each; `mark` names the ticks, `keys` the colours."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(WIDTH, 0.95 + 0.34 * len(rows)))
    if parity is not None:
        axes.axvline(100 * parity, color=figures.GREY, ls="--", lw=1)
    for y, row in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
        if row.low is not None and row.high is not None:
            axes.hlines(y, 100 * row.low, 100 * row.high, color=row.color, lw=4, alpha=0.35)
        axes.plot(100 * row.value, y, "o", color=row.color, ms=7)
        if row.mark is not None:
            axes.plot(100 * row.mark, y, "|", color=figures.RED, ms=15, mew=2)
    axes.set_yticks(range(len(rows) - 1, -1, -1), [figures.short(row.label, 36) for row in rows])
    axes.set(xlim=(-3, 103), ylim=(-0.6, len(rows) - 0.4), xlabel=label)
    axes.grid(axis="x", color=figures.TINT)
    axes.set_axisbelow(True)
    marked = mark if any(row.mark is not None for row in rows) else ""
    _legend(figure, {**(keys or {}), **({marked: ""} if marked else {})})
    return figure


def dumbbells(ours: dict[str, float], theirs: dict[str, float], *, label: str, names: tuple[str, str]) -> Any:
    """Two shares a row, joined by a line: this run's and the other's."""
    import matplotlib.pyplot as plt

    rows = sorted(set(ours) | set(theirs), key=lambda name: (theirs.get(name, 0), ours.get(name, 0)))
    figure, axes = plt.subplots(figsize=(WIDTH, 0.95 + 0.29 * len(rows)))
    for y, name in enumerate(rows):
        ends = (100 * ours.get(name, 0), 100 * theirs.get(name, 0))
        axes.plot(ends, (y, y), color=figures.GREY, lw=2, alpha=0.6)
        axes.plot(ends[1], y, "D", color=figures.ORANGE, ms=6)
        axes.plot(ends[0], y, "o", color=figures.BLUE, ms=7)
    axes.set_yticks(range(len(rows)), [figures.short(name, 30) for name in rows])
    axes.set(xlim=(0, None), ylim=(-0.6, len(rows) - 0.4), xlabel=label)
    axes.grid(axis="x", color=figures.TINT)
    axes.set_axisbelow(True)
    _legend(figure, {names[0]: figures.BLUE, names[1]: figures.ORANGE})
    return figure


def losses(train: list[dict[str, Any]], held_out: list[tuple[int, float]]) -> Any:
    """The training loss as a line and the held-out loss as dots, from the base model (step 0) on."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(WIDTH, 2.9))
    axes.plot([row["step"] for row in train], [row["loss"] for row in train], color=figures.SKY, lw=1.6)
    axes.plot(*zip(*held_out, strict=True), "o-", color=figures.BLUE, ms=7)
    for at in (0, -1):
        step, loss = held_out[at]
        axes.annotate(f"{loss:.2f}", (step, loss), xytext=(0, 8), textcoords="offset points", ha="center", fontweight="bold")
    axes.set(xlabel="step", ylabel="loss, nats a response token")
    axes.margins(x=0.06, y=0.2)
    axes.grid(axis="y", color=figures.TINT)
    _legend(figure, {"training": figures.SKY, "held out": figures.BLUE})
    return figure


def _legend(figure: Any, keys: dict[str, str]) -> None:
    """Coloured dots with names above the figure; an empty colour stands for the red tick."""
    from matplotlib.lines import Line2D

    if keys:
        shape = {"": {"marker": "|", "color": figures.RED, "ms": 11, "mew": 2}, figures.ORANGE: {"marker": "D", "color": figures.ORANGE}}
        handles = [Line2D([], [], ls="", **shape.get(color, {"marker": "o", "color": color})) for color in keys.values()]
        figure.legend(handles, list(keys), loc="outside upper left", ncols=len(keys), handletextpad=0.2, columnspacing=1.4)
