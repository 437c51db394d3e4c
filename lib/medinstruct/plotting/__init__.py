"""Plotting: charts, one table, one reader of records; how a figure is saved and shown."""

from medinstruct.plotting import display
from medinstruct.plotting.charts import (
    COLORS,
    funnel,
    grouped_bars,
    heatmap,
    histogram,
    intervals,
    lines,
    sunburst,
)
from medinstruct.plotting.display import diff, reader, show, table
