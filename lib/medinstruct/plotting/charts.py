"""Charts: bars, grouped bars, heat map, intervals, lines, histogram, dumbbell, funnel, sunburst."""

import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medinstruct.plotting import palette
from medinstruct.plotting.palette import PALETTE, number, short

MARKERS = "oDs^vPX"  # groups differ in shape as well as in color
Marks = Mapping[float, str] | float | None  # places on the x-axis, with labels


def bars(
    counts: Any, *, title: str, label: str, top: int = 20, color: str = palette.BLUE, ranked=True
) -> Any:
    """Draw horizontal bars of a mapping or Series, the largest first unless `ranked` is False.

    Names after the first `top` are counted in the axis label.
    """
    pairs = list(counts.items())
    if not pairs:
        return note(label)
    if ranked:
        pairs.sort(key=lambda pair: (-pair[1], str(pair[0])))
    names, values = zip(*pairs[:top], strict=True)
    figure, (axes,) = _canvas(title, 0.9 + 0.27 * max(len(names), 2))
    rows = axes.barh(np.arange(len(names))[::-1], values, color=color, height=0.74)
    axes.bar_label(rows, labels=[number(value) for value in values], padding=3, fontsize=9)
    _name_rows(axes, names)
    hidden = sum(value for _, value in pairs[top:])
    others = f" ({len(pairs) - top:,} others with {number(hidden)} not shown)" if hidden else ""
    axes.set_xlabel(label + others)
    axes.margins(x=0.08)
    return figure


def grouped_bars(
    columns: Any, *, title: str, label: str, names: Sequence | None = None, colors=PALETTE
) -> Any:
    """Draw horizontal bars side by side: one row a name, one color a column.

    `columns` is a DataFrame (index = names) or {column: {name: value}}; missing values are 0.
    """
    columns = {name: dict(values.items()) for name, values in columns.items()}
    every = dict.fromkeys(name for values in columns.values() for name in values)
    names, colors = list(every if names is None else names), colors or PALETTE
    if not names or not columns:
        return note(label)
    height = 0.82 / len(columns)
    row = max(0.17, 0.3 / len(columns)) * (len(columns) + 0.5)
    figure, (axes,) = _canvas(title, 1.3 + row * len(names))
    for n, (column, values) in enumerate(columns.items()):
        places = np.arange(len(names))[::-1] + 0.41 - height * (n + 0.5)
        color, name = colors[n % len(colors)], short(column, 40)
        shares = [values.get(row, 0) for row in names]
        axes.barh(places, shares, height=height * 0.94, color=color, label=name)
    _name_rows(axes, names)
    axes.set_xlabel(label)
    return _legend(figure, axes)


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
    """Draw a DataFrame of numbers as a heat map; a dot marks 0, a grey cell nan.

    With `center` the colors run from red below to blue above, and 0 is a number like any other.
    """
    import seaborn

    if not table.size:
        return note(label)
    if center is not None and vmax is None:
        reach = center - vmin if vmin < center else float(np.nanmax(np.abs(table - center)))
        vmin, vmax = center - reach, center + reach
    rows, columns = table.shape
    figure, (axes,) = _canvas(title, 1.9 + 0.29 * rows, width=max(5.0, 2.6 + 0.58 * columns))
    texts = table.map(lambda value: format(value, fmt) if value or center is not None else "•")
    colors = {"cmap": "Blues" if center is None else "RdBu", "vmin": vmin, "vmax": vmax}
    cells = {"annot": texts, "fmt": "", "linewidths": 0.6, "annot_kws": {"size": 9}}
    named = table.astype(float).rename(index=short, columns=short)
    seaborn.heatmap(named, ax=axes, cbar_kws={"label": label}, **cells, **colors)
    axes.set(xlabel="", ylabel="", facecolor=palette.TINT)
    axes.tick_params(axis="both", length=0, labelrotation=0)
    if any(len(name) > 4 for name in named.columns.astype(str)):
        for tick in axes.get_xticklabels():
            tick.set(rotation=35, ha="right", rotation_mode="anchor")
    return figure


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

    The index names the rows (equal names share a row); `group` is a column that sets color and
    shape; `marks` are columns of red ticks, such as chance; a dashed line is at `reference`.
    """
    panels = dict(table) if isinstance(table, Mapping) else {"": table}
    panels = {heading: frame.dropna(subset=["score"]) for heading, frame in panels.items()}
    every = dict.fromkeys(short(name, 40) for frame in panels.values() for name in frame.index)
    groups = dict.fromkeys(v for f in panels.values() for v in (f[group] if group else [""]))
    if not every:
        return note(label)
    rows = {name: len(every) - 1 - n for n, name in enumerate(every)}
    height = 1.3 + (0.24 + 0.1 * len(groups)) * len(rows)
    figure, axes = _canvas(title, height, panels=len(panels), sharey=True)
    for panel, (heading, frame) in zip(axes, panels.items(), strict=True):
        places = np.array([rows[short(name, 40)] for name in frame.index])
        for n, value in enumerate(groups):
            here = (frame[group] == value).to_numpy() if group else np.full(len(frame), True)
            shift = 0.6 * ((len(groups) - 1) / 2 - n) / len(groups)
            _dots(panel, frame[here], places[here] + shift, n=n, name=short(value, 40))
        for line, column in zip(("-", ":"), marks, strict=False):
            tick = {"ls": line, "color": palette.RED, "label": column, "lw": 1.6}
            panel.vlines(frame[column], places - 0.42, places + 0.42, **tick)
        panel.set_title(heading)
        panel.grid(axis="x")
        _references(panel, reference)
        if xlim:
            margin = 0.03 * (xlim[1] - xlim[0])
            panel.set_xlim(xlim[0] - margin, xlim[1] + margin)
    _name_rows(axes[0], list(rows))
    axes[len(axes) // 2].set_xlabel(label)
    return _legend(figure, axes[0])


def _dots(axes: Any, part: Any, places: Any, *, n: int, name: str) -> None:
    color, mark = PALETTE[n % len(PALETTE)], MARKERS[n % len(MARKERS)]
    axes.hlines(places, part["low"], part["high"], color=color, lw=3, alpha=0.45)
    axes.plot(part["score"], places, mark, color=color, ms=6, label=name)
    for score, high, place in zip(part["score"], part["high"], places, strict=True):
        where = {"textcoords": "offset points", "xytext": (5, 0), "va": "center", "fontsize": 8}
        axes.annotate(number(score), (high, place), color=color, **where)


def lines(
    frame: Any, *, title: str, label: str, reference: Marks = None, markers=True, band: Any = None
) -> Any:
    """Draw one line a column over the index of a DataFrame; missing values are skipped.

    `reference` marks places on the x-axis; `band` names the two columns of a shaded interval.
    """
    columns = frame.drop(columns=list(band or ())).dropna(axis="columns", how="all")
    if not columns.size:
        return note(label)
    figure, (axes,) = _canvas(title, 3.4)
    for n, (name, column) in enumerate(columns.items()):
        column, mark = column.dropna(), MARKERS[n % len(MARKERS)]
        mark = mark if markers or len(column) == 1 else None
        axes.plot(column.index, column, marker=mark, ms=5, label=short(name, 40))
    if band:
        low, high = (frame[name] for name in band)
        axes.fill_between(frame.index, low, high, color=palette.SKY, alpha=0.3, lw=0)
    if frame.index.dtype.kind == "i":
        axes.locator_params(axis="x", integer=True)
    if frame.min().min() >= 0:
        axes.set_ylim(0, None)
    axes.set(xlabel=frame.index.name or "", ylabel=label)
    axes.grid(axis="y")
    _references(axes, reference)
    return _legend(figure, axes)


def histogram(
    values: Any,
    *,
    title: str,
    label: str,
    unit: str = "tasks",
    bins: int = 30,
    range: tuple[float, float] | None = (0, 1),
    reference: Marks = None,
    share: bool = False,
) -> Any:
    """Draw how often each value occurs; {name: values} draws one outline a name.

    With `share` the heights are percent of each name's values, so that sets of any size compare.
    """
    columns = values if isinstance(values, Mapping) else {"": values}
    columns = {name: np.asarray(column, dtype=float) for name, column in columns.items()}
    columns = {name: column[np.isfinite(column)] for name, column in columns.items()}
    columns = {name: column for name, column in columns.items() if len(column)}
    if not columns:
        return note(label)
    figure, (axes,) = _canvas(title, 3.2)
    edges = np.histogram_bin_edges(np.concatenate(list(columns.values())), bins, range)
    for n, (name, column) in enumerate(columns.items()):
        heights = np.histogram(column, edges)[0] * (100 / len(column) if share else 1)
        color, text = PALETTE[n % len(PALETTE)], f"{short(name, 40)} (n {len(column):,})"
        axes.stairs(heights, edges, color=color, fill=True, alpha=0.3)
        axes.stairs(heights, edges, color=color, lw=1.6, label=text if name else "")
    axes.set(xlabel=label, ylabel=f"% of {unit}" if share else unit, xlim=(edges[0], edges[-1]))
    _references(axes, reference)
    return _legend(figure, axes)


def dumbbell(
    table: Any, *, title: str, label: str, limits: tuple[float, float] | None = None
) -> Any:
    """Draw the change from the first column of a DataFrame (ring) to the second (dot), row by row.

    Rises are green and falls red; `limits` are those of the x-axis.
    """
    before, after = table.columns[:2]
    table = table.dropna(subset=[before, after])
    if table.empty:
        return note(label)
    figure, (axes,) = _canvas(title, 1.3 + 0.3 * max(len(table), 2))
    places = np.arange(len(table))[::-1]
    colors = np.where(table[after] >= table[before], palette.GREEN, palette.RED)
    axes.hlines(places, table[before], table[after], color=colors, lw=2.5, alpha=0.6)
    ring = {"color": palette.GREY, "mfc": "white", "label": short(before)}
    axes.plot(table[before], places, "o", ms=7, **ring)
    axes.plot(table[after], places, "o", ms=7, color=palette.BLUE, label=short(after))
    _name_rows(axes, table.index)
    axes.set(xlabel=label, xlim=limits)
    axes.grid(axis="x")
    return _legend(figure, axes)


def funnel(stages: Mapping[str, int], *, title: str, label: str) -> Any:
    """Draw what each stage leaves of the one before, in order; the pale part is lost there."""
    if not stages:
        return note(label)
    counts, places = np.array(list(stages.values())), np.arange(len(stages))[::-1]
    lost = np.maximum(np.concatenate([counts[:1], counts[:-1]]) - counts, 0)
    figure, (axes,) = _canvas(title, 1.0 + 0.5 * len(stages))
    axes.barh(places, counts, color=palette.BLUE, height=0.7)
    rows = axes.barh(places, lost, left=counts, color=palette.ORANGE, alpha=0.4, height=0.7)
    pairs = zip(counts, lost, strict=True)
    texts = [f"{count:,} (−{gone:,})" if gone else f"{count:,}" for count, gone in pairs]
    axes.bar_label(rows, labels=texts, padding=3, fontsize=9)
    _name_rows(axes, list(stages))
    axes.set(xlabel=f"{label} (pale: lost at this stage)", xlim=(0, 1.18 * max(counts.max(), 1)))
    return figure


def sunburst(pairs: Mapping[tuple[str, str], int], *, title: str, live: bool = False) -> Any:
    """Draw verbs in an inner ring and their nouns in an outer one; angles are counts.

    Slices come in the order of `pairs`; thin ones have no word. With `live` it is a plotly figure.
    """
    pairs = {pair: count for pair, count in pairs.items() if count}
    verbs = dict.fromkeys(verb for verb, _ in pairs)
    pairs = {pair: pairs[pair] for verb in verbs for pair in pairs if pair[0] == verb}
    if live:
        return _live_sunburst(pairs, title)
    if not pairs:
        return note("verbs with an object")
    figure, (axes,) = _canvas(title, palette.WIDTH + 0.3)
    hues = {verb: PALETTE[n % len(PALETTE)] for n, verb in enumerate(verbs)}
    totals = [sum(n for (verb, _), n in pairs.items() if verb == name) for name in verbs]
    _ring(axes, totals, verbs, radius=0.58, width=0.38, colors=[(hues[v], 0.7) for v in verbs])
    shades = [(hues[verb], (0.45, 0.3)[n % 2]) for n, (verb, _) in enumerate(pairs)]
    nouns = [noun for _, noun in pairs]
    _ring(axes, list(pairs.values()), nouns, radius=1, width=0.42, colors=shades)
    axes.set(xlim=(-1.01, 1.01), ylim=(-1.01, 1.01))
    return figure


def _ring(
    axes: Any, counts: Sequence, names: Any, *, radius: float, width: float, colors: Sequence
) -> None:
    """Draw one ring of a sunburst; a word is as large as its slice lets it be."""
    turn = {"startangle": 90, "counterclock": False, "rotatelabels": True, "colors": colors}
    place = {"labels": list(names), "labeldistance": 1 - width / radius / 2}
    edge = {"width": width, "edgecolor": "white", "lw": 0.8}
    _, words = axes.pie(counts, radius=radius, wedgeprops=edge, **turn, **place)
    points = palette.WIDTH / 2 * 72  # of the whole radius
    for word, name, count in zip(words, names, counts, strict=True):
        arc = 2 * np.pi * count / sum(counts) * (radius - width / 2) * points * 0.86
        size = min(9.5, arc, width * points / (max(len(name), 1) * 0.62))
        word.set(ha="center", va="center", fontsize=max(size, 1), visible=size >= 5)


def _live_sunburst(pairs: Mapping[tuple[str, str], int], title: str) -> Any:
    import plotly.express as px
    import plotly.graph_objects as go

    if not pairs:
        return go.Figure()
    verbs, nouns = zip(*pairs, strict=True)
    hues = {verb: PALETTE[n % len(PALETTE)] for n, verb in enumerate(dict.fromkeys(verbs))}
    colors = {"color": verbs, "color_discrete_map": hues}
    counts = list(pairs.values())
    figure = px.sunburst(path=[verbs, nouns], values=counts, title=html.escape(title), **colors)
    hover = "%{label}: %{value}<br>%{percentParent:.0%} of its verb, %{percentRoot:.1%} of all"
    figure.update_traces(hovertemplate=hover + "<extra></extra>")
    return figure.update_layout(height=660, template="none", paper_bgcolor="white")


def note(label: str) -> Any:
    """Return a figure of one line of text, for what cannot be drawn."""
    figure, (axes,) = _canvas("", 0.7)
    axes.axis("off")
    text = f"Nothing to draw: there are no {label}."
    axes.text(0, 0.5, text, va="center", color=palette.SOFT, wrap=True)
    return figure


def _canvas(
    title: str, height: float, *, width: float = palette.WIDTH, panels: int = 1, **options: Any
) -> Any:
    """Return a titled figure in the house style and its panels, side by side; sizes are inches."""
    import matplotlib.pyplot as plt

    palette.style()
    width += max(0, panels - 2)
    figure, axes = plt.subplots(1, panels, figsize=(width, height), squeeze=False, **options)
    wrapped = textwrap.fill(title, width=round(width * 10.4))
    figure.suptitle(wrapped, x=0.008, ha="left", fontsize=12, fontweight="bold")
    return figure, axes[0]


def _name_rows(axes: Any, names: Sequence[Any]) -> None:
    axes.set_yticks(np.arange(len(names))[::-1], [short(name, 40) for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)


def _legend(figure: Any, axes: Any) -> Any:
    """Draw the legend below a figure, in as many columns as fit; none for a single line."""
    handles, names = axes.get_legend_handles_labels()
    if any(names) and len(names) > 1:
        columns = max(1, int(figure.get_figwidth() * 12 / (max(map(len, names)) + 7)))
        options = {"loc": "outside lower left", "ncols": min(columns, len(names))}
        figure.legend(handles, names, **options)
    return figure


def _references(axes: Any, reference: Marks) -> None:
    """Draw dashed vertical lines with their labels at the top."""
    marks = reference if isinstance(reference, Mapping) else {reference: ""}
    for place, text in marks.items() if reference is not None else ():
        axes.axvline(place, color=palette.GREY, ls="--", lw=1)
        where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axes.annotate(text, (place, 1), xytext=(3, -2), va="top", fontsize=9, **where)
