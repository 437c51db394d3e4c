"""How every figure looks, is kept and is shown."""

from medinstruct.figures.charts import bars, heat, histogram, intervals, lines, paired_bars
from medinstruct.figures.look import (
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
    note,
    short,
    style,
    titled,
)  # fmt: skip
from medinstruct.figures.shown import PLOTLY, Shown, live, show, to_html

__all__ = [
    "BLUE", "GREEN", "GREY", "INK", "LINE", "ORANGE", "PALETTE", "PINK", "PLOTLY", "RED", "SKY", "SOFT", "TINT", "WIDTH", "Shown", "bars",
    "heat", "histogram", "intervals", "lines", "live", "note", "paired_bars", "short", "show", "style", "titled", "to_html",
]  # fmt: skip
