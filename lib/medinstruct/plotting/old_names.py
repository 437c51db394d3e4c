# ruff: noqa
"""Names of version 1, removed when every chapter has moved."""

import textwrap

from medinstruct.plotting.charts import _canvas, grouped_bars, heatmap, sunburst
from medinstruct.plotting.display import PLOTLY, Output
from medinstruct.plotting.palette import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LINE,
    ORANGE,
    PALETTE,
    PINK,
    RED,
    SKY,
    SOFT,
    TINT,
    WIDTH,
    short,
    style,
)

heat = heatmap
__all__ = """BLUE GREEN GREY INK LINE ORANGE PALETTE PINK RED SKY SOFT TINT WIDTH PLOTLY
    short style heat titled note live_sunburst paired_bars Page""".split()


def titled(figure, title):
    """Give a figure its title."""
    wrapped = textwrap.fill(title, width=round(figure.get_figwidth() * 10.4))
    figure.suptitle(wrapped, x=0.008, ha="left", fontsize=12, fontweight="bold")
    return figure


def note(text):
    """Return a figure of one line of text."""
    figure, (axes,) = _canvas("", 0.7)
    axes.axis("off")
    axes.text(0, 0.5, text, va="center", color=SOFT, wrap=True)
    return figure


def live_sunburst(pairs, *, title):
    """Return the sunburst as a plotly figure."""
    return sunburst(pairs, title=title, live=True)


def paired_bars(columns, *, title, label, names, first=0):
    """Draw grouped bars."""
    colors = PALETTE[first:] + PALETTE[:first]
    return grouped_bars(columns, title=title, label=label, names=names, colors=colors)


class Page(Output):
    """HTML that a notebook displays."""

    def __init__(self, content, text=""):
        super().__init__({"text/html": content, "text/plain": text})
        self.content = content

    def _repr_html_(self):
        return self.content
