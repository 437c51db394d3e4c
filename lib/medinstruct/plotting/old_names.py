"""Names of version 1 that audits/quality_figures.py and two notebooks still use; delete with them."""

from medinstruct.plotting.charts import _canvas
from medinstruct.plotting.palette import SOFT


def titled(figure, title):
    """Give a figure its title."""
    figure.suptitle(title, x=0.008, ha="left", fontsize=12, fontweight="bold")
    return figure


def note(text):
    """Return a figure of one line of text."""
    figure, (axes,) = _canvas("", 0.7)
    axes.axis("off")
    axes.text(0, 0.5, text, va="center", color=SOFT, wrap=True)
    return figure
