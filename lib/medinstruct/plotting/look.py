"""The palette (Okabe and Ito, safe for colour-blind readers), the defaults, and the titles that state the finding."""

import textwrap
from typing import Any

BLUE, ORANGE, GREEN, RED, SKY, PINK, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
    "#7A8490",
)
PALETTE = (BLUE, ORANGE, GREEN, RED, SKY, PINK, GREY)
INK, SOFT, LINE, TINT = "#1b1f24", "#3a4047", "#9aa4af", "#eef1f4"
WIDTH = 7.5


def style() -> None:
    """Set matplotlib's defaults for all figures of a notebook; the same bytes at every run.

    The ground is white and opaque, so that a figure reads the same on a light and on a dark page; a "$" in a label is a "$".
    """
    import matplotlib as mpl

    mpl.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 110,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 12,
            "axes.titleweight": "bold",
            "axes.labelcolor": SOFT,
            "axes.edgecolor": LINE,
            "font.size": 10,
            "text.color": INK,
            "xtick.color": SOFT,
            "ytick.color": INK,
            "ytick.major.size": 0,
            "axes.grid": False,
            "text.parse_math": False,
            "axes.prop_cycle": mpl.cycler(color=list(PALETTE)),
            "svg.hashsalt": "medinstruct",
            "legend.frameon": False,
            "font.family": ["DejaVu Sans"],
            "figure.max_open_warning": 0,
        }
    )


def titled(figure: Any, title: str) -> Any:
    """Give a figure its title at the left edge, broken into lines that fit its width."""
    lines = textwrap.wrap(title, width=round(figure.get_figwidth() * 10.4)) or [""]
    figure.suptitle("\n".join(lines), x=0.008, ha="left", fontsize=12, fontweight="bold", color=INK)
    return figure


def short(name: object, most: int = 34) -> str:
    """A label that fits: line breaks taken out, and cut with an ellipsis.

    >>> short("hypertension", 8)
    'hyperte…'
    """
    text = " ".join(str(name).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def note(text: str) -> Any:
    """A figure in one line, for what cannot be drawn."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(WIDTH, 0.7))
    axes.axis("off")
    axes.text(0, 0.5, text, va="center", color=SOFT, wrap=True)
    return figure
