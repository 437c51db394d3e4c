"""Charts: bars, grouped bars, heat map, intervals, lines, histogram, dumbbell, funnel."""

import textwrap
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from medinstruct.plotting.palette import (
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
    short,
    style,
)

MARKERS = "oDs^vPX"  # groups differ in shape as well as in color


def bars(
    counts: Any,
    *,
    title: str,
    label: str,
    top: int = 20,
    color: str = BLUE,
    ranked: bool = True,
) -> Any:
    """Draw horizontal bars of a mapping or Series, the largest first unless `ranked` is False.

    Names after the first `top` are counted in the axis label.
    """
    pairs = list(counts.items())
    if ranked:
        pairs.sort(key=lambda pair: (-pair[1], str(pair[0])))
    if not pairs:
        return note(f"Nothing to draw: there are no {label}.")
    names, values = zip(*pairs[:top], strict=True)
    figure, (axes,) = canvas(0.9 + 0.27 * max(len(names), 2))
    rows = axes.barh(np.arange(len(names))[::-1], values, color=color, height=0.74)
    axes.bar_label(rows, labels=[number(value) for value in values], padding=3, fontsize=9)
    hidden = sum(value for _, value in pairs[top:])
    others = f" ({len(pairs) - top:,} others with {number(hidden)} not shown)" if hidden else ""
    _name_rows(axes, names)
    axes.set(xlabel=label + others)
    axes.margins(x=0.08)
    return titled(figure, title)


def grouped_bars(
    columns: Any,
    *,
    title: str,
    label: str,
    names: Sequence[Hashable] | None = None,
    colors: Sequence[str] | None = None,
) -> Any:
    """Draw horizontal bars side by side: one row a name, one color a column.

    `columns` is a DataFrame (index = names) or {column: {name: value}}; missing values are 0.
    """
    columns = {name: dict(values.items()) for name, values in columns.items()}
    if names is None:
        names = list(dict.fromkeys(name for values in columns.values() for name in values))
    if not len(names) or not columns:
        return note(f"Nothing to draw: there is no {label}.")
    row = max(0.17, 0.3 / len(columns)) * (len(columns) + 0.5)
    figure, (axes,) = canvas(1.3 + row * len(names))
    height = 0.82 / len(columns)
    for n, (column, values) in enumerate(columns.items()):
        places = np.arange(len(names))[::-1] + 0.41 - height * (n + 0.5)
        color = (colors or PALETTE)[n % len(colors or PALETTE)]
        shares = [values.get(name, 0) for name in names]
        axes.barh(places, shares, height=height * 0.94, color=color, label=short(column, 40))
    _name_rows(axes, names)
    axes.set(xlabel=label)
    axes.grid(axis="x", color=TINT)
    _legend(figure, axes)
    return titled(figure, title)


def heatmap(
    table: Any,
    *,
    title: str,
    label: str,
    fmt: str = "g",
    center: float | None = None,
    vmin: float = 0,
    vmax: float | None = None,
) -> Any:
    """Draw a DataFrame of numbers as a heat map; a red dot marks 0, a grey cell nan.

    With `center` the colors run from red below to blue above, and 0 is a number like any other.
    """
    import seaborn

    if not table.size:
        return note(f"Nothing to draw: there are no {label}.")
    if center is not None and vmax is None:
        reach = center - vmin if vmin < center else float(np.nanmax(np.abs(table - center)))
        vmin, vmax = center - reach, center + reach
    width, height = max(5.0, 2.6 + 0.58 * table.shape[1]), 1.9 + 0.29 * table.shape[0]
    figure, (axes,) = canvas(height, width=width)
    empty = "●" if center is None else format(0, fmt)
    marks = table.map(lambda value: format(value, fmt) if value else empty)
    colors = {"cmap": "Blues" if center is None else "RdBu", "vmin": vmin, "vmax": vmax}
    seaborn.heatmap(
        table.astype(float),
        annot=marks,
        fmt="",
        linewidths=0.6,
        ax=axes,
        annot_kws={"size": 9},
        cbar_kws={"label": label},
        **colors,
    )
    for text in axes.texts:
        if text.get_text() == "●":
            text.set(color=RED, fontsize=6)
    axes.set(xlabel="", ylabel="", facecolor=TINT)
    axes.set_yticks(np.arange(len(table)) + 0.5, [short(name) for name in table.index], rotation=0)
    slanted = any(len(short(name)) > 4 for name in table.columns)
    turn = (
        {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if slanted else {"rotation": 0}
    )
    axes.set_xticks(
        np.arange(table.shape[1]) + 0.5, [short(name) for name in table.columns], **turn
    )
    axes.tick_params(axis="both", length=0)
    return titled(figure, title)


def intervals(
    table: Any,
    *,
    title: str,
    label: str,
    reference: float | None = None,
    group: str | None = None,
    marks: Sequence[str] = (),
    xlim: tuple[float, float] | None = (0, 1),
) -> Any:
    """Draw a forest plot of a DataFrame with score, low and high; a dict draws panels side by side.

    The index names the rows (rows of one name share a line); `group` is a column that sets color
    and shape; `marks` are columns of red ticks, such as chance; a dashed line is at `reference`.
    """
    panels = dict(table) if isinstance(table, Mapping) else {"": table}
    panels = {heading: frame.dropna(subset=["score"]) for heading, frame in panels.items()}
    names = list(
        dict.fromkeys(short(name, 40) for frame in panels.values() for name in frame.index)
    )
    if not names:
        return note(f"Nothing to draw: there is no {label}.")
    values = [value for frame in panels.values() for value in (frame[group] if group else [""])]
    groups = list(dict.fromkeys(values))
    height = 1.3 + (0.24 + 0.1 * len(groups)) * len(names)
    figure, axes = canvas(height, panels=len(panels), sharey=True)
    for panel, (heading, frame) in zip(axes, panels.items(), strict=True):
        for n, value in enumerate(groups):
            part = frame[frame[group] == value] if group else frame
            shift = 0.6 * ((len(groups) - 1) / 2 - n) / len(groups)
            places = np.array([names[::-1].index(short(name, 40)) for name in part.index]) + shift
            _dots(panel, part, places, n=n, name=short(value, 40), numbers=len(panels) == 1)
        for n, column in enumerate(marks):
            rows = [names[::-1].index(short(name, 40)) for name in frame.index]
            ticks = {"ls": ("-", ":")[n % 2], "color": RED, "label": column, "lw": 1.6}
            panel.vlines(frame[column], np.array(rows) - 0.42, np.array(rows) + 0.42, **ticks)
        panel.set_title(heading, fontsize=10, fontweight="normal")
        panel.grid(axis="x", color=TINT)
        _references(panel, reference)
        if xlim:
            margin = 0.03 * (xlim[1] - xlim[0])
            panel.set_xlim(xlim[0] - margin, xlim[1] + margin)
    _name_rows(axes[0], names)
    axes[len(axes) // 2].set_xlabel(label)
    if group or marks:
        _legend(figure, axes[0])
    return titled(figure, title)


def _dots(axes: Any, part: Any, places: Any, *, n: int, name: str, numbers: bool) -> None:
    """Draw one group's scores with their intervals, and each score as a number at the right."""
    color = PALETTE[n % len(PALETTE)]
    axes.hlines(places, part["low"], part["high"], color=color, lw=3, alpha=0.45)
    axes.plot(part["score"], places, MARKERS[n % len(MARKERS)], color=color, ms=6, label=name)
    for score, place in zip(part["score"] if numbers else (), places, strict=False):
        where = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 8.5}
        axes.text(1.01, place, f"{score:.2f}", color=color, **where)


def lines(
    frame: Any,
    *,
    title: str,
    label: str,
    reference: Mapping[float, str] | float | None = None,
    markers: bool = True,
    band: tuple[str, str] | None = None,
) -> Any:
    """Draw one line a column over the index of a DataFrame; missing values are skipped.

    `reference` maps places on the x-axis to labels; `band` names the columns of a shaded interval.
    """
    columns = frame.drop(columns=list(band or ())).dropna(axis="columns", how="all")
    if not columns.size:
        return note(f"Nothing to draw: there is no {label}.")
    figure, (axes,) = canvas(3.4)
    if band:
        axes.fill_between(frame.index, frame[band[0]], frame[band[1]], color=SKY, alpha=0.3, lw=0)
    for n, (name, column) in enumerate(columns.items()):
        column, color = column.dropna(), PALETTE[n % len(PALETTE)]
        mark = MARKERS[n % len(MARKERS)] if markers or len(column) == 1 else None
        axes.plot(column.index, column, marker=mark, ms=5, color=color, label=short(name, 40))
    axes.set(xlabel=frame.index.name or "", ylabel=label)
    if frame.index.dtype.kind == "i":
        axes.locator_params(axis="x", integer=True)
    if frame.min().min() >= 0:
        axes.set_ylim(0, None)
    axes.grid(axis="y", color=TINT)
    _references(axes, reference)
    if len(columns.columns) > 1:
        _legend(figure, axes)
    return titled(figure, title)


def histogram(
    values: Any,
    *,
    title: str,
    label: str,
    unit: str = "tasks",
    bins: int = 30,
    range: tuple[float, float] | None = (0, 1),
    reference: Mapping[float, str] | float | None = None,
    share: bool = False,
    color: str = SKY,
) -> Any:
    """Draw how often each value occurs; {name: values} draws one outline a name.

    With `share` the heights are percent of each name's values, so that sets of any size compare.
    """
    columns = values if isinstance(values, Mapping) else {"": values}
    columns = {name: np.asarray(column, dtype=float) for name, column in columns.items()}
    columns = {name: column[np.isfinite(column)] for name, column in columns.items()}
    columns = {name: column for name, column in columns.items() if len(column)}
    if not columns:
        return note(f"Nothing to draw: there is no {label}.")
    figure, (axes,) = canvas(3.2)
    edges = np.histogram_bin_edges(np.concatenate(list(columns.values())), bins, range)
    for n, (name, column) in enumerate(columns.items()):
        heights = np.histogram(column, edges)[0] * (100 / len(column) if share else 1)
        hue = PALETTE[n % len(PALETTE)] if len(columns) > 1 else color
        axes.stairs(heights, edges, color=hue, fill=True, alpha=0.25 if len(columns) > 1 else 1)
        text = f"{short(name, 40)} (n {len(column):,}, median {np.median(column):.2f})"
        if len(columns) > 1:
            axes.stairs(heights, edges, color=hue, lw=1.8, label=text)
    axes.set(xlabel=label, ylabel=f"% of {unit}" if share else unit, xlim=(edges[0], edges[-1]))
    _references(axes, reference)
    _legend(figure, axes)
    return titled(figure, title)


def dumbbell(
    table: Any, *, title: str, label: str, limits: tuple[float, float] | None = None
) -> Any:
    """Draw the change from the first column of a DataFrame (ring) to the second (dot), row by row.

    Rises are green and falls red; `limits` are those of the x-axis.
    """
    before, after = table.columns[:2]
    table = table.dropna(subset=[before, after])
    if table.empty:
        return note(f"Nothing to draw: there is no {label}.")
    figure, (axes,) = canvas(1.3 + 0.3 * max(len(table), 2))
    places = np.arange(len(table))[::-1]
    colors = np.where(table[after] >= table[before], GREEN, RED)
    axes.hlines(places, table[before], table[after], color=colors, lw=2.5, alpha=0.6)
    axes.plot(table[before], places, "o", color=GREY, mfc="white", ms=7, label=short(before))
    axes.plot(table[after], places, "o", color=BLUE, ms=7, label=short(after))
    _name_rows(axes, table.index)
    axes.set(xlabel=label, xlim=limits)
    axes.grid(axis="x", color=TINT)
    _legend(figure, axes)
    return titled(figure, title)


def funnel(stages: Mapping[str, int], *, title: str, label: str) -> Any:
    """Draw what each stage leaves of the one before, in order; the pale part is lost there."""
    if not stages:
        return note(f"Nothing to draw: there are no {label}.")
    names, counts = list(stages), np.array(list(stages.values()))
    lost = np.maximum(np.concatenate([counts[:1], counts[:-1]]) - counts, 0)
    figure, (axes,) = canvas(1.0 + 0.5 * len(names))
    places = np.arange(len(names))[::-1]
    axes.barh(places, counts, color=BLUE, height=0.7)
    axes.barh(places, lost, left=counts, color=ORANGE, alpha=0.4, height=0.7)
    for place, count, gone in zip(places, counts, lost, strict=True):
        text = f" {count:,}" + (f"  (−{gone:,})" if gone else "")
        axes.text(count + gone, place, text, va="center", fontsize=9, color=SOFT)
    _name_rows(axes, names)
    axes.set(xlabel=f"{label} (pale: lost at this stage)", xlim=(0, 1.18 * max(counts.max(), 1)))
    return titled(figure, title)


def canvas(height: float, *, width: float = WIDTH, panels: int = 1, **options: Any) -> Any:
    """Return a figure in the house style and its panels, side by side; sizes are inches."""
    import matplotlib.pyplot as plt

    style()
    width += max(0, panels - 2)
    figure, axes = plt.subplots(1, panels, figsize=(width, height), squeeze=False, **options)
    return figure, axes[0]


def titled(figure: Any, title: str) -> Any:
    """Give a figure its title at the left edge, wrapped to its width."""
    wrapped = textwrap.fill(title, width=round(figure.get_figwidth() * 10.4))
    figure.suptitle(wrapped, x=0.008, ha="left", fontsize=12, fontweight="bold")
    return figure


def note(text: str) -> Any:
    """Return a figure of one line of text, for what cannot be drawn."""
    figure, (axes,) = canvas(0.7)
    axes.axis("off")
    axes.text(0, 0.5, text, va="center", color=SOFT, wrap=True)
    return figure


def number(value: float) -> str:
    """Return a number for a reader: whole with separators, else three significant digits.

    >>> number(12345), number(0.12345), number(1234.5)
    ('12,345', '0.123', '1,234')
    """
    whole = abs(value) >= 100 or float(value).is_integer()
    return f"{value:,.0f}" if whole else f"{value:.3g}"


def _name_rows(axes: Any, names: Sequence[Any]) -> None:
    """Name the rows of a horizontal chart, the first at the top."""
    axes.set_yticks(np.arange(len(names))[::-1], [short(name, 40) for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)


def _legend(figure: Any, axes: Any) -> None:
    """Draw the legend below a figure, in as many columns as fit."""
    handles, names = axes.get_legend_handles_labels()
    if names:
        columns = max(1, int(figure.get_figwidth() * 12 / (max(map(len, names)) + 7)))
        options = {"loc": "outside lower left", "ncols": min(columns, len(names)), "fontsize": 9}
        figure.legend(handles, names, **options)


def _references(axes: Any, reference: Mapping[float, str] | float | None) -> None:
    """Draw dashed vertical lines with their labels at the top."""
    lines = reference if isinstance(reference, Mapping) else {reference: ""}
    for place, text in lines.items() if reference is not None else ():
        axes.axvline(place, color=GREY, ls="--", lw=1)
        where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axes.annotate(text, (place, 1), xytext=(3, -2), va="top", fontsize=9, color=SOFT, **where)
