"""Plotting: charts, one table, one reader of records; how a figure is saved and shown."""

from medinstruct.plotting import palette
from medinstruct.plotting.charts import (
    bars,
    dumbbell,
    funnel,
    grouped_bars,
    heatmap,
    histogram,
    intervals,
    lines,
    note,
    titled,
)
from medinstruct.plotting.display import PLOTLY, Picture, live, show, to_html
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
from medinstruct.plotting.tables import Page, reader, table
from medinstruct.plotting.verb_rings import live_sunburst, sunburst

# names of version 1, until every chapter has moved
heat, Shown = heatmap, Picture


def paired_bars(columns, *, title, label, names, first=0):
    """Draw grouped bars (the old name)."""
    colors = PALETTE[first:] + PALETTE[:first]
    return grouped_bars(columns, title=title, label=label, names=names, colors=colors)


__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "LINE",
    "ORANGE",
    "PALETTE",
    "PINK",
    "PLOTLY",
    "RED",
    "SKY",
    "SOFT",
    "TINT",
    "WIDTH",
    "Page",
    "Picture",
    "Shown",
    "bars",
    "dumbbell",
    "funnel",
    "grouped_bars",
    "heat",
    "heatmap",
    "histogram",
    "intervals",
    "lines",
    "live",
    "live_sunburst",
    "note",
    "paired_bars",
    "palette",
    "reader",
    "short",
    "show",
    "style",
    "sunburst",
    "table",
    "titled",
    "to_html",
]
