"""Charts: grouped bars, heat map, intervals, lines, histogram, funnel, sunburst.

A title may hold fields such as {n} that the chart fills in from its data: see `titles`.
"""

import itertools
import logging
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import paths
from medinstruct.plotting import titles
from medinstruct.plotting.titles import number, short

# Okabe and Ito (2008), "Color Universal Design": safe for color-blind readers.
BLUE, ORANGE, GREEN, RED, GRAY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#7A8490"
SKY, PINK = "#56B4E9", "#CC79A7"
WINE = "#882255"  # of Tol's scheme "muted"
CYCLE = [BLUE, ORANGE, GREEN, RED, SKY, PINK, GRAY]
# These names have one color in every figure, on the report and in the chat.
COLORS = {"base": GRAY, "tuned": BLUE, "aligned": ORANGE, "chat": WINE}
COLORS |= {"reference": GREEN, "responder": SKY}
COLORS |= {"dataset": SKY, "seeds": ORANGE, "published": PINK}
STATES = {"within": GREEN, "missed": RED, "not shown": GRAY}  # of a finding of an audit
PALE = (0.5, 0.5, 0.5, 0.15)  # a tint that fits light and dark pages
DARK = "#1b1f24"  # words on pale colors
WIDTH = 7.5  # inches
MARKERS = "oDs^vPX"  # groups differ in shape as well as in color


def colors(names: Iterable[Any]) -> dict[Any, str]:
    """Return a color for each name: that of its first word in `COLORS`, else a free one."""
    names = list(dict.fromkeys(names))
    known = COLORS | STATES
    chosen = {name: known[name] for name in names if name in known}
    for name in names:
        words = re.findall("[a-z]+", str(name).lower())
        color = next((known[word] for word in words if word in known), "")
        if color and color not in chosen.values():
            chosen.setdefault(name, color)
    free = itertools.cycle([c for c in CYCLE if c not in chosen.values()] or CYCLE)
    return {name: chosen.get(name) or next(free) for name in names}


def grouped_bars(columns: Any, *, title: str, label: str) -> Any:
    """Draw bars: a row a name, a color a column of a table; missing values are 0.

    A single column has its numbers beside the bars.
    """
    frame = pd.DataFrame(columns).fillna(0)
    if frame.empty:
        return _note(label)
    row = max(0.17, 0.3 / frame.shape[1]) * (frame.shape[1] + 0.5)
    height = 1.3 + row * _stretch(frame.index) * len(frame)
    figure, (axes,) = _canvas(titles.fill(title, titles.column_fields(frame)), height)
    chosen = list(colors(frame.columns).values())
    frame.rename(columns=short).plot.barh(ax=axes, width=0.8, legend=False, color=chosen)
    axes.set_yticks(range(len(frame)), map(row_label, frame.index))
    axes.set_ylim(len(frame) - 0.4, -0.6)
    axes.set(xlabel=label, ylabel="")
    for rows in axes.containers if frame.shape[1] == 1 else ():
        axes.bar_label(rows, labels=map(number, rows.datavalues), padding=3, fontsize=9)
        axes.margins(x=0.08)
    return _legend(figure, axes)


def heatmap(table: Any, *, title: str, label: str) -> Any:
    """Draw a heat map of a table: a dot is 0, gray is nan."""
    import seaborn

    if not table.size:
        return _note(label)
    fields = titles.series_fields(table.stack())
    width = max(5.0, 2.6 + 0.58 * table.shape[1])
    height = 1.9 + 0.29 * _stretch(table.index) * len(table)
    figure, (axes,) = _canvas(titles.fill(title, fields), height, width=width)
    texts = table.map(lambda value: f"{value:g}" if value else "•")
    cells = {"annot": texts, "fmt": "", "linewidths": 0.6, "annot_kws": {"size": 9}, "vmin": 0}
    cells |= {"cmap": "Blues", "cbar_kws": {"label": label}, "linecolor": "white"}
    named = table.astype(float).rename(index=row_label, columns=short)
    seaborn.heatmap(named, ax=axes, **cells)
    figure.axes[-1].locator_params(axis="y", integer=not (table % 1).any(axis=None))
    axes.set(xlabel="", ylabel="", facecolor=PALE)
    axes.tick_params(axis="both", length=0, labelrotation=0)
    if any(len(name) > 4 for name in named.columns.astype(str)):
        names = axes.get_xticklabels()
        axes.set_xticklabels(names, rotation=35, ha="right", rotation_mode="anchor")
    return figure


def intervals(
    table, *, title: str, label: str, reference=None, group="", marks=(), xlim=(0, 1), gray=False
) -> Any:
    """Draw a forest plot of a DataFrame with score, low and high; a dict draws panels side by side.

    The index names the rows (equal names share a row); `group` is a column that sets color and
    shape; `marks` are columns of red ticks, such as chance; a dashed line is at `reference`. `gray`
    is for scores that mean nothing. Without an interval a score shows its `n`, if that is a column.
    """
    panels = table if isinstance(table, Mapping) else {"": table}
    panels = {heading: frame.dropna(subset=["score"]) for heading, frame in panels.items()}
    names = list(dict.fromkeys(short(n, 999) for frame in panels.values() for n in frame.index))
    groups = colors(v for f in panels.values() for v in (f[group] if group else [""]))
    if gray:
        groups = dict.fromkeys(groups, GRAY)
    if not names:
        return _note(label)
    height = 1.3 + (0.2 + 0.14 * len(groups)) * _stretch(names) * len(names)
    fields = _interval_fields(pd.concat(panels.values()), reference, marks)
    figure, axes = _canvas(titles.fill(title, fields), height, panels=len(panels))
    rows = dict(zip(names, _rows(axes[0], names), strict=True))
    for panel, (heading, frame) in zip(axes, panels.items(), strict=True):
        places = np.array([rows[short(name, 999)] for name in frame.index], dtype=float)
        _draw_scores(panel, frame, places, groups=groups, group=group, marks=marks)
        panel.set_title(heading)
        panel.grid(axis="x")
        _references(panel, reference)
        if xlim:
            panel.set_xlim(1.03 * xlim[0] - 0.03 * xlim[1], 1.03 * xlim[1] - 0.03 * xlim[0])
    if len(panels) == 1:
        axes[0].set_xlabel(label)
    else:
        figure.supxlabel(label + "\n" * (len(groups) > 1), fontsize=10)  # above the legend's line
    return _legend(figure, axes[0])


def _draw_scores(
    panel: Any, frame: Any, places: Any, *, groups: Mapping, group: str, marks: Sequence[str]
) -> None:
    """Draw a panel: one color and shape a group, ticks, and numbers beside it, clear of lines."""
    where = {"textcoords": "offset points", "xytext": (6, 0), "va": "center", "fontsize": 8}
    where["xycoords"] = ("axes fraction", "data")
    for n, (value, color) in enumerate(groups.items()):
        here = (frame[group] == value).to_numpy() if group else slice(None)
        shift = 0.8 * ((len(groups) - 1) / 2 - n) / len(groups)
        part, rows = frame[here], places[here] + shift
        panel.hlines(rows, part["low"], part["high"], color=color, lw=3, alpha=0.45)
        look = {"color": color, "label": short(value), "ms": 6, "clip_on": False}
        panel.plot(part["score"], rows, MARKERS[n % len(MARKERS)], **look)
        sizes = part["n"].where(part["low"].isna()) if "n" in part else part["low"] * np.nan
        for score, size, row in zip(part["score"], sizes, rows, strict=True):
            text = number(score) + (f" (n = {size:g})" if size == size else "")
            panel.annotate(text, (1, row), **where)
    for style, column in zip(("-", ":"), marks, strict=False):
        tick = {"ls": style, "color": RED, "label": column, "lw": 1.6}
        panel.vlines(frame[column], places - 0.42, places + 0.42, **tick)


def _interval_fields(frame: Any, reference: Any, marks: Sequence) -> dict[str, Any]:
    place = reference if isinstance(reference, float | int) else np.nan
    limits = frame[list(marks)] if marks else pd.DataFrame({"": place}, index=frame.index)
    above = int((frame["low"] > limits.max(axis=1)).sum())
    below = int((frame["high"] < limits.min(axis=1)).sum())
    return titles.series_fields(frame["score"]) | {"above": above, "below": below}


def lines(
    frame: Any, *, title: str, label: str, reference=None, markers=True, ends=(), log=False
) -> Any:
    """Draw one line a column over a table's index; `reference` marks places on the x-axis.

    `ends`: tables of the low and high ends of intervals; `base`, or `base, ` before another name,
    is then dashed. `log`: a logarithmic x-axis with the index as its ticks.
    """
    columns = frame.dropna(axis="columns", how="all")
    if not columns.size:
        return _note(label)
    figure, (axes,) = _canvas(titles.fill(title, titles.column_fields(columns)), 3.4)
    owners = {name: str(name).removeprefix("base, ") for name in columns}
    chosen = colors(owners.values())
    for n, (name, column) in enumerate(columns.items()):
        column, color = column.dropna(), chosen[owners[name]]
        mark = MARKERS[n % len(MARKERS)] if markers or len(column) == 1 else None
        look = {"marker": mark, "ms": 5, "color": color, "clip_on": not mark}
        if ends and f"{name}, ".startswith("base, "):
            look |= {"ls": "--", "marker": "_"}
        axes.plot(column.index, column, label=short(name), **look)
        if ends and name in ends[0]:
            low, high = (table[name].reindex(column.index) for table in ends)
            axes.vlines(column.index, low, high, color=color, lw=3, alpha=0.45)
    if log:
        axes.set_xscale("log")
        axes.set_xticks(frame.index, map(number, frame.index), minor=False)
        axes.minorticks_off()
    elif frame.index.dtype.kind == "i":
        axes.locator_params(axis="x", integer=True)
    axes.set(xlabel=frame.index.name or "", ylabel=label, ymargin=0.12)  # room for a reference
    if frame.min().min() >= 0 and not log:
        axes.set_ylim(0, None)
    axes.grid(axis="y")
    _references(axes, reference)
    return _legend(figure, axes)


def histogram(
    values: Any, *, title: str, label: str, unit="tasks", range=(0, 1), reference=None, share=False
) -> Any:
    """Draw how often values occur, one outline a name; `share`: in percent of each name's."""
    columns = values if isinstance(values, Mapping) else {"": values}
    columns = {name: pd.Series(column, dtype=float).dropna() for name, column in columns.items()}
    if not any(map(len, columns.values())):
        return _note(label)
    marks = reference if reference is None or isinstance(reference, Mapping) else {reference: ""}
    fields = titles.column_fields(columns, over=next(iter(marks or ()), None))
    figure, (axes,) = _canvas(titles.fill(title, fields), 3.2)
    chosen = colors(columns)
    for name, column in columns.items():
        weights = np.full(len(column), 100 / len(column) if share else 1) if len(column) else None
        text = f"{short(name)} (n {len(column):,})" if name else ""
        look = {"histtype": "stepfilled", "fc": (chosen[name], 0.3), "ec": chosen[name], "lw": 1.6}
        axes.hist(column, bins=40, range=range, weights=weights, label=text, **look)
    axes.set(xlabel=label, ylabel=f"% of {unit}" if share else unit, xlim=range)
    _references(axes, reference)
    return _legend(figure, axes)


def funnel(stages: Mapping[str, int], *, title: str, label: str) -> Any:
    """Draw what each stage leaves of the one before, in order; the orange part is lost there."""
    if not stages:
        return _note(label)
    counts = pd.Series(stages)
    lost = (counts.shift(fill_value=counts.iloc[0]) - counts).clip(lower=0)
    fields = titles.series_fields(counts)
    fields["left_share"] = counts.iloc[-1] / max(counts.iloc[0], 1)
    figure, (axes,) = _canvas(titles.fill(title, fields), 1.0 + 0.5 * len(counts))
    places = _rows(axes, counts.index)
    axes.barh(places, counts, color=BLUE, height=0.7)
    rows = axes.barh(places, lost, left=counts, color=ORANGE, alpha=0.4, height=0.7)
    pairs = zip(counts, lost, strict=True)
    texts = [f"{count:,} (−{gone:,})" if gone else f"{count:,}" for count, gone in pairs]
    axes.bar_label(rows, labels=texts, padding=3, fontsize=9)
    axes.set(xlabel=f"{label} (orange: lost at this stage)", xlim=(0, 1.18 * max(counts.max(), 1)))
    return figure


def sunburst(pairs: Mapping[tuple[str, str], int], *, title: str) -> Any:
    """Draw verbs in an inner ring and their nouns in an outer one, in the order of `pairs`."""
    rows = [(*pair, count) for pair, count in pairs.items() if count]
    if not rows:
        return _note("verbs with an object")
    frame = pd.DataFrame(rows, columns=["verb", "noun", "count"])
    verbs = frame.groupby("verb", sort=False)["count"].sum()
    frame["hue"] = frame["verb"].map(verbs.index.get_loc)
    frame = frame.sort_values("hue", kind="stable")
    inner = [_pale(n, 0.7) for n in range(len(verbs))]
    outer = [_pale(hue, (0.45, 0.3)[n % 2]) for n, hue in enumerate(frame["hue"])]
    figure, (axes,) = _canvas(titles.fill(title, titles.series_fields(verbs)), WIDTH + 0.3)
    _ring(axes, verbs, verbs.index, radius=0.58, width=0.38, colors=inner)
    _ring(axes, frame["count"], frame["noun"], radius=1, width=0.42, colors=outer)
    axes.set(xlim=(-1.01, 1.01), ylim=(-1.01, 1.01))
    return figure


def _pale(n: int, strength: float) -> tuple[float, ...]:
    """Return a color of the cycle on white, opaque so that dark words read on it on any page."""
    from matplotlib.colors import to_rgb

    return tuple(1 - strength * (1 - part) for part in to_rgb(CYCLE[n % len(CYCLE)]))


def _ring(axes: Any, counts: Any, names: Any, *, radius: float, width: float, colors: list) -> None:
    """Draw one ring of a sunburst; a word is as large as its slice lets it be."""
    turn = {"startangle": 90, "counterclock": False, "rotatelabels": True, "colors": colors}
    place = {"labels": list(names), "labeldistance": 1 - width / radius / 2}
    edge = {"width": width, "edgecolor": "white", "linewidth": 0.8}
    _, words = axes.pie(counts, radius=radius, wedgeprops=edge, **turn, **place)
    points = WIDTH / 2 * 72  # of the whole radius
    for word, name, count in zip(words, names, counts, strict=True):
        arc = 2 * np.pi * count / sum(counts) * (radius - width / 2) * points * 0.86
        size = min(9.5, arc, width * points / (max(len(name), 1) * 0.62))
        word.set(ha="center", va="center", fontsize=max(size, 1), visible=size >= 5, color=DARK)


def _note(label: str) -> Any:
    """Return a figure of one line of text, for what cannot be drawn."""
    figure, (axes,) = _canvas("", 0.7)
    axes.axis("off")
    axes.text(0, 0.5, f"Nothing to draw: no data for “{label}”.", va="center", wrap=True)
    return figure


def _canvas(title: str, height: float, *, width: float = WIDTH, panels: int = 1) -> Any:
    """Return a titled figure in the house style and its panels, side by side; sizes are inches."""
    from matplotlib import rcParams, style
    from matplotlib.figure import Figure

    style.use(paths.data("figures.mplstyle"))
    rcParams["font.family"] = _installed(rcParams["font.family"])
    width += max(0, panels - 2)
    figure = Figure(figsize=(width, height))  # without pyplot: no window, nothing to close
    axes = figure.subplots(1, panels, squeeze=False, sharey=True)
    wrapped = textwrap.fill(title, width=round(width * 10.4))
    figure.suptitle(wrapped, x=0.008, ha="left", fontsize=12, fontweight="bold")
    return figure, axes[0]


def _installed(families: Sequence[str]) -> list[str]:
    """Return the installed font families; to look for a missing one takes time at each text."""
    from matplotlib import font_manager

    logging.getLogger(font_manager.__name__).setLevel(logging.ERROR)  # some have no bold
    package, fonts = find_spec("noto_cjk_sans_otc"), font_manager.fontManager  # the extra `cjk`
    if package and "Noto Sans CJK JP" not in fonts.get_font_names():
        fonts.addfont(Path(package.origin).with_name("NotoSansCJK-Regular.ttc"))
    return [name for name in families if name in fonts.get_font_names()]


def _rows(axes: Any, names: Sequence[Any]) -> np.ndarray:
    """Name the rows of a chart, the first at the top, and return their places on the y-axis."""
    places = np.arange(len(names))[::-1]
    axes.set_yticks(places, list(map(row_label, names)))
    axes.set_ylim(-0.6, len(names) - 0.4)
    return places


def row_label(name: object, width: int = 40) -> str:
    """Return a row's label, wrapped; what does not fit on two lines is cut in the middle."""
    text = short(name, 999)
    if len(text) > 2 * width:
        text = f"{text[: width + 2].rstrip()}…{text[6 - width :].lstrip()}"
    return textwrap.fill(text, width)


def _stretch(names: Iterable[Any]) -> float:
    """Return how much taller the rows of a chart must be for labels of two lines or three."""
    return 0.6 + 0.4 * max((row_label(name).count("\n") + 1 for name in names), default=1)


def _legend(figure: Any, axes: Any) -> Any:
    """Draw the legend below a figure, in as many columns as fit; none for a single name."""
    handles, names = axes.get_legend_handles_labels()
    if any(names) and len(names) > 1:
        columns = max(1, int(figure.get_figwidth() * 12 / (max(map(len, names)) + 7)))
        figure.legend(handles, names, loc="outside lower left", ncols=columns)
    return figure


def _references(axes: Any, reference: Any) -> None:
    """Draw dashed vertical lines at a place on the x-axis, or at {place: label}."""
    marks = reference if isinstance(reference, Mapping) else {reference: ""}
    for place, text in marks.items() if reference is not None else ():
        axes.axvline(place, color=GRAY, ls="--", lw=1)
        where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axes.annotate(text, (place, 1), xytext=(3, -2), va="top", fontsize=9, **where)
