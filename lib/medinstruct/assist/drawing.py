"""Figures of notebook 10: a panel against its ranges, reading levels, what the rules found, points held."""

from collections.abc import Mapping, Sequence
from typing import Any

from medinstruct.assist.panels import Value
from medinstruct.assist.plain import BANDS
from medinstruct.plotting import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LINE,
    ORANGE,
    RED,
    SKY,
    SOFT,
    TINT,
    WIDTH,
    note,
    titled,
)

COLORS = {"critical low": RED, "critical high": RED, "low": ORANGE, "high": ORANGE, "normal": GREEN}
WRITERS = (GREEN, GREY, BLUE)  # by hand, base, tuned
ENDS = (-1.6, 2.6)  # of the axis, in widths of the reference range


def panel_figure(values: Sequence[Value], *, title: str) -> Any:
    """Each value on its own reference range: the band is the range, ticks are the critical limits, a hollow mark could not be read."""
    import matplotlib.pyplot as plt

    if not values:
        return note("Nothing to draw: no laboratory value was found.")
    figure, axes = plt.subplots(figsize=(WIDTH, 1.3 + 0.3 * len(values)))
    axes.axvspan(0, 1, color=TINT, zorder=0)
    for row, value in zip(range(len(values) - 1, -1, -1), values, strict=True):
        axes.axhline(row, color=TINT, lw=1, zorder=0)
        _limits(axes, row, value)
        place, color = position(value), COLORS.get(value.flag, GREY)
        if place is not None:
            end = ENDS[0] if place < ENDS[0] else ENDS[1] if place > ENDS[1] else None
            axes.plot(
                place if end is None else end,
                row,
                {None: "o", ENDS[0]: "<", ENDS[1]: ">"}[end],
                color=color,
                ms=8,
                clip_on=False,
            )
        else:
            axes.plot(0.5, row, "o", mfc="white", mec=GREY, ms=8)
        said = f"{value.number:g} {value.unit}".strip()
        axes.text(
            ENDS[1] + 0.15,
            row,
            f"{said}  {value.flag}",
            va="center",
            fontsize=9,
            color=RED if color == RED else INK,
            weight="bold" if color == RED else None,
        )
    axes.set_yticks(range(len(values)), [value.analyte.name for value in reversed(values)])
    axes.set_xticks([0, 1], ["lower limit", "upper limit"])
    axes.set(
        xlim=ENDS,
        ylim=(-0.7, len(values) - 0.3),
        xlabel="reference range (band); red ticks are critical limits",
    )
    axes.spines["left"].set_visible(False)
    return titled(figure, title)


def position(value: Value) -> float | None:
    """Where a value stands on its range, 0 at the lower and 1 at the upper limit; None where the rule could not read it."""
    return _scaled(value, value.si) if value.si is not None and value.flag != "impossible" else None


def _scaled(value: Value, si: float) -> float:
    """A one-sided range has its other end at zero, or at twice the limit."""
    lows, highs = zip(*value.limits, strict=True)
    low = max((one for one in lows if one is not None), default=0.0)
    high = min((one for one in highs if one is not None), default=2 * low)
    return (si - low) / (high - low)


def _limits(axes: Any, row: int, value: Value) -> None:
    for limit in value.analyte.critical:
        if limit is not None and ENDS[0] <= (at := _scaled(value, limit)) <= ENDS[1]:
            axes.vlines(at, row - 0.28, row + 0.28, color=RED, lw=1.6)


def level_figure(grades: Mapping[str, Mapping[str, float]], *, title: str) -> Any:
    """School grades of one content at its reading levels: a dot a version, over the bands; what has no grade is left out."""
    import matplotlib.pyplot as plt

    levels = list(next(iter(grades.values())))
    figure, axes = plt.subplots(figsize=(WIDTH, 1.5 + 0.62 * len(levels)))
    most = (
        max([value for of in grades.values() for value in of.values() if value == value] + [16])
        + 1.5
    )
    edges = [-3.0, *[min(end, most) for end in BANDS.values()]]
    for n, name in enumerate(BANDS):
        axes.axvspan(edges[n], edges[n + 1], color=(TINT, "white", TINT)[n], zorder=0)
        axes.text(
            (edges[n] + edges[n + 1]) / 2,
            len(levels) - 0.42,
            name,
            ha="center",
            va="bottom",
            fontsize=9,
            color=SOFT,
        )
    for n, (who, color) in enumerate(zip(grades, WRITERS, strict=False)):
        rows = [len(levels) - 1 - row + 0.18 * (1 - n) for row in range(len(levels))]
        axes.plot([grades[who][level] for level in levels], rows, "o", color=color, label=who, ms=8)
    axes.set_yticks(range(len(levels)), levels[::-1])
    axes.set(
        xlabel="school grade (Flesch-Kincaid)", xlim=(-3, most), ylim=(-0.6, len(levels) - 0.15)
    )
    figure.legend(loc="outside lower left", ncols=3, fontsize=9)
    return titled(figure, title)


def points_figure(table: Any, *, title: str) -> Any:
    """The share of points that each writer's text holds, one row a case and reader; the writers have the colours of the levels."""
    import matplotlib.pyplot as plt

    if not len(table):
        return note("Nothing to draw: no case has points.")
    figure, axes = plt.subplots(figsize=(WIDTH, 1.5 + 0.36 * len(table)))
    for n, (who, color) in enumerate(zip(table.columns, WRITERS, strict=False)):
        rows = [len(table) - 1 - row + 0.2 * (1 - n) for row in range(len(table))]
        axes.hlines(rows, 0, table[who], color=color, lw=1.5, alpha=0.5)
        axes.plot(table[who], rows, "o", color=color, label=who, ms=7, clip_on=False)
    axes.set_yticks(range(len(table)), table.index[::-1])
    axes.set(
        xlabel="share of points whose words are found",
        xlim=(-0.03, 1.03),
        ylim=(-0.6, len(table) - 0.4),
    )
    figure.legend(loc="outside lower left", ncols=3, fontsize=9)
    return titled(figure, title)


def found_figure(table: Any, *, title: str) -> Any:
    """What the rules found in each answer, one row an answer: counts in the cells, the darker the more."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap

    if not len(table):
        return note("Nothing to draw: nothing was answered.")
    figure, axes = plt.subplots(figsize=(WIDTH, 1.4 + 0.27 * len(table)))
    scale = LinearSegmentedColormap.from_list("found", ["white", SKY, BLUE])
    shown = table.astype(float).clip(upper=8)
    axes.imshow(shown, aspect="auto", cmap=scale, vmin=0, vmax=10)
    for row in range(len(table)):
        for column in range(table.shape[1]):
            value = int(table.iloc[row, column])
            axes.text(
                column,
                row,
                value or "·",
                ha="center",
                va="center",
                fontsize=9,
                color="white" if value > 6 else INK if value else LINE,
            )
    axes.set_yticks(range(len(table)), table.index)
    axes.set_xticks(range(table.shape[1]), table.columns)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    return titled(figure, title)
