"""The figures of the report: dots with intervals, pairs of dots, and the loss; small, so that a phone can show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medinstruct import plotting

WIDTH = 4.9


@dataclass(frozen=True)
class Dot:
    """One row of a figure: a value with its interval, and a mark to compare with (chance, threshold, the paper's)."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    mark: float | None = None
    color: str = plotting.BLUE


def dots(
    rows: Sequence[Dot],
    *,
    label: str,
    mark: str = "",
    parity: float | None = None,
    keys: dict[str, str] | None = None,
) -> Any:
    """A forest plot on 0 to 100 %: rows of one label share a line; `mark` names the red ticks, `keys` the colours."""
    import matplotlib.pyplot as plt

    lines = {
        name: [row for row in rows if row.label == name]
        for name in dict.fromkeys(row.label for row in rows)
    }
    most = max((len(one) for one in lines.values()), default=1)
    figure, axes = plt.subplots(figsize=(WIDTH, 0.95 + (0.25 + 0.07 * most) * len(lines)))
    if parity is not None:
        axes.axvline(100 * parity, color=plotting.GREY, ls="--", lw=1)
    for y, members in zip(range(len(lines) - 1, -1, -1), lines.values(), strict=True):
        for n, row in enumerate(members):
            _dot(axes, row, y + 0.16 * (len(members) - 1) - 0.32 * n)
    axes.set_yticks(range(len(lines) - 1, -1, -1), [plotting.short(name, 34) for name in lines])
    axes.set(xlim=(-3, 103), ylim=(-0.6, len(lines) - 0.4), xlabel=label)
    axes.grid(axis="x", color=plotting.TINT)
    axes.set_axisbelow(True)
    _legend(
        figure,
        (keys or {}) | ({mark: ""} if mark and any(row.mark is not None for row in rows) else {}),
    )
    return figure


def _dot(axes: Any, row: Dot, y: float) -> None:
    if row.mark is not None:
        axes.plot(100 * row.mark, y, "|", color=plotting.RED, ms=11, mew=2)
    if row.low is not None and row.high is not None:
        axes.hlines(y, 100 * row.low, 100 * row.high, color=row.color, lw=4, alpha=0.4)
    axes.plot(100 * row.value, y, _shape(row.color), color=row.color, ms=6)


def dumbbells(
    ours: dict[str, float], theirs: dict[str, float], *, label: str, names: tuple[str, str]
) -> Any:
    """Two shares a row, joined by a line: this run's and the other's."""
    import matplotlib.pyplot as plt

    rows = sorted(
        set(ours) | set(theirs), key=lambda name: (theirs.get(name, 0), ours.get(name, 0))
    )
    figure, axes = plt.subplots(figsize=(WIDTH, 0.95 + 0.27 * len(rows)))
    for y, name in enumerate(rows):
        ends = (100 * ours.get(name, 0), 100 * theirs.get(name, 0))
        axes.plot(ends, (y, y), color=plotting.GREY, lw=2, alpha=0.6)
        axes.plot(ends[1], y, "D", color=plotting.ORANGE, ms=6)
        axes.plot(ends[0], y, "o", color=plotting.BLUE, ms=7)
    axes.set_yticks(range(len(rows)), [plotting.short(name, 30) for name in rows])
    axes.set(xlim=(0, None), ylim=(-0.6, len(rows) - 0.4), xlabel=label)
    axes.grid(axis="x", color=plotting.TINT)
    axes.set_axisbelow(True)
    _legend(figure, {names[0]: plotting.BLUE, names[1]: plotting.ORANGE})
    return figure


def losses(train: list[dict[str, Any]], held_out: list[tuple[int, float]]) -> Any:
    """The training loss as a line and the held-out loss as dots, from the base model (step 0) on."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(WIDTH, 2.6))
    axes.plot(
        [row["step"] for row in train], [row["loss"] for row in train], color=plotting.SKY, lw=1.6
    )
    axes.plot(*zip(*held_out, strict=True), "o-", color=plotting.BLUE, ms=7)
    for at in (0, -1):
        step, loss = held_out[at]
        axes.annotate(
            f"{loss:.2f}",
            (step, loss),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            fontweight="bold",
        )
    axes.set(xlabel="step", ylabel="nats a token")
    axes.margins(x=0.06, y=0.2)
    axes.grid(axis="y", color=plotting.TINT)
    _legend(figure, {"training": plotting.SKY, "held out": plotting.BLUE})
    return figure


def _shape(color: str) -> str:
    """Colours differ in shape as well, for those who do not tell them apart."""
    return {plotting.ORANGE: "D", plotting.RED: "s"}.get(color, "o")


def _legend(figure: Any, keys: dict[str, str]) -> None:
    """Coloured shapes with names below the figure; an empty colour stands for the red tick."""
    from matplotlib.lines import Line2D

    tick = {"marker": "|", "color": plotting.RED, "ms": 11, "mew": 2}
    shapes = [
        {"marker": _shape(color), "color": color, "ms": 6} if color else tick
        for color in keys.values()
    ]
    handles = [Line2D([], [], ls="", **shape) for shape in shapes]
    if handles:
        figure.legend(
            handles,
            list(keys),
            loc="outside lower left",
            ncols=len(keys),
            handletextpad=0.2,
            columnspacing=1.4,
        )
