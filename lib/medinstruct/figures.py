"""How every figure looks: one colour-blind safe palette (Okabe and Ito), ranked bars, titles that state the finding."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medinstruct import records

BLUE, ORANGE, GREEN, RED, SKY, PINK, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#7A8490"


def style() -> None:
    """Set matplotlib's defaults for all figures of a notebook; the same bytes at every run."""
    import matplotlib as mpl

    mpl.rcParams.update({
        "figure.dpi": 110, "savefig.dpi": 110, "figure.facecolor": "white", "figure.constrained_layout.use": True,
        "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left", "axes.titlesize": 12,
        "axes.titleweight": "bold", "axes.labelcolor": "#3a4047", "axes.edgecolor": "#9aa4af", "font.size": 10,
        "axes.prop_cycle": mpl.cycler(color=[BLUE, ORANGE, GREEN, RED, SKY, PINK, GREY]), "svg.hashsalt": "medinstruct",
    })  # fmt: skip


def bars(counts: Mapping[str, float], *, title: str, label: str, top: int = 20, color: str = BLUE, ranked: bool = True) -> Any:
    """Horizontal bars with their values; ranked, or in the order given; the rest after `top` as one grey bar."""
    import matplotlib.pyplot as plt

    pairs = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0]))) if ranked else list(counts.items())
    rest = sum(value for _, value in pairs[top:])
    shown = pairs[:top] + ([(f"{len(pairs) - top} others", rest)] if rest else [])
    figure, axes = plt.subplots(figsize=(7.5, 0.6 + 0.27 * max(len(shown), 2)))
    colors = [color] * min(top, len(pairs)) + [GREY] * bool(rest)
    drawn = axes.barh([str(name) for name, _ in shown][::-1], [value for _, value in shown][::-1], color=colors[::-1])
    axes.bar_label(drawn, padding=3, fontsize=9, color="#3a4047", fmt="{:g}")
    axes.set(title=title, xlabel=label)
    return figure


def paired_bars(columns: Mapping[str, Mapping[str, float]], *, title: str, label: str, names: Sequence[str]) -> Any:
    """Horizontal bars of several distributions side by side, one group a name."""
    import matplotlib.pyplot as plt
    import numpy as np

    figure, axes = plt.subplots(figsize=(7.5, 0.8 + 0.2 * len(names) * (len(columns) + 0.7)))
    height = 0.8 / len(columns)
    for n, (column, values) in enumerate(columns.items()):
        places = np.arange(len(names))[::-1] + 0.4 - height * (n + 0.5)
        axes.barh(places, [values.get(name, 0) for name in names], height=height, label=column)
    axes.set_yticks(np.arange(len(names))[::-1], names)
    axes.set(title=title, xlabel=label)
    axes.legend(
        frameon=False, loc="upper right", bbox_to_anchor=(1.0, -0.55 / figure.get_figheight()), ncols=len(columns), fontsize=9
    )
    return figure


def heat(table: Any, *, title: str, label: str) -> Any:
    """A heat map of counts; empty cells are marked with a dot."""
    import matplotlib.pyplot as plt
    import seaborn

    figure, axes = plt.subplots(figsize=(1.8 + 0.62 * table.shape[1], 1.4 + 0.3 * table.shape[0]))
    marks = table.map(lambda value: f"{value:g}" if value else "·")
    seaborn.heatmap(table, annot=marks, fmt="", cmap="Blues", linewidths=0.5, cbar_kws={"label": label}, ax=axes)
    axes.set_title(title)
    axes.set(xlabel="", ylabel="")
    axes.tick_params(axis="x", rotation=35)
    plt.setp(axes.get_xticklabels(), ha="right")
    return figure


def intervals(table: Any, *, title: str, label: str, parity: float | None = None) -> Any:
    """A forest plot: one row a line of `table` with score, low and high; a dashed line marks parity."""
    import matplotlib.pyplot as plt

    names = [" against ".join(name) if isinstance(name, tuple) else str(name) for name in table.index][::-1]
    rows = table.iloc[::-1]
    figure, axes = plt.subplots(figsize=(7.5, 1.1 + 0.42 * len(rows)))
    axes.hlines(names, rows["low"], rows["high"], color=SKY, lw=3)
    axes.plot(rows["score"], names, "o", color=BLUE)
    if parity is not None:
        axes.axvline(parity, color=GREY, ls="--", lw=1)
    axes.set(title=title, xlabel=label, xlim=(-0.02, 1.02))
    axes.margins(y=0.15)
    return figure


def histogram(values: Any, *, title: str, label: str, unit: str = "tasks", color: str = SKY) -> Any:
    """How many values lie in each thirtieth of the range from 0 to 1."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 2.8))
    axes.hist(values, bins=30, range=(0, 1), color=color)
    axes.set(title=title, xlabel=label, ylabel=unit)
    return figure


def lines(frame: Any, *, title: str, label: str) -> Any:
    """One line a column over the index of a DataFrame, from zero up."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 2.8))
    for (name, column), color in zip(frame.items(), (GREY, BLUE, ORANGE, GREEN, RED), strict=False):
        axes.plot(column.index, column, "o-", color=color, label=name)
    axes.set(title=title, xlabel=frame.index.name or "", ylabel=label, ylim=(0, None))
    axes.legend(frameon=False)
    return figure


class Shown:
    """A drawn figure as a notebook shows it: a crisp image that carries its alternative text."""

    def __init__(self, png: bytes, *, alt: str, width: int) -> None:
        self.png, self.alt, self.width = png, alt, width

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        return {"image/png": self.png, "text/plain": self.alt}, {"image/png": {"alt": self.alt, "width": self.width}}


def show(figure: Any, name: str, *, folder: str | Path, alt: str, data: Any = None) -> Shown:
    """Keep a figure as `folder`/figures/`name`.svg, with the numbers behind it as .csv, and hand it on to be shown.

    `folder` is the run's; `alt` says what is to be seen for those who cannot see it; `data` is a DataFrame or Series.
    """
    import matplotlib.pyplot as plt

    records.write_text(Path(folder) / "figures" / f"{name}.svg", _saved(figure, "svg").decode())
    if data is not None:
        records.write_text(Path(folder) / "figures" / f"{name}.csv", data.to_csv(lineterminator="\n"))
    shown = Shown(_saved(figure, "png", dpi=150), alt=alt, width=round(figure.get_figwidth() * 100))
    plt.close(figure)
    return shown


def _saved(figure: Any, kind: str, **more: Any) -> bytes:
    """The bytes of a figure, the same at every run."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, metadata=metadata, bbox_inches="tight", **more)
    return buffer.getvalue()
