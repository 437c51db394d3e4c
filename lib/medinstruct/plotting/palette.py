"""Palette: the colors (Okabe and Ito), matplotlib's defaults, short labels."""

from collections.abc import Sequence

# Safe for color-blind readers: Okabe and Ito (2008), "Color Universal Design".
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, GREY = "#56B4E9", "#CC79A7", "#7A8490"
PALETTE = (BLUE, ORANGE, GREEN, RED, SKY, PINK, GREY)
INK, SOFT, LINE, TINT = "#1b1f24", "#3a4047", "#9aa4af", "#eef1f4"
WIDTH = 7.5  # inches


def style() -> None:
    """Set matplotlib's defaults for all figures: an opaque white ground, "$" as a plain character.

    The fixed hash salt makes the bytes of an SVG the same in every run.
    """
    import matplotlib as mpl

    axes = {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 12,
        "axes.titleweight": "bold",
        "axes.labelcolor": SOFT,
        "axes.edgecolor": LINE,
        "axes.axisbelow": True,
        "axes.prop_cycle": mpl.cycler(color=list(PALETTE)),
        "xtick.color": SOFT,
        "ytick.color": INK,
        "ytick.major.size": 0,
    }
    figure = {
        "figure.dpi": 110,
        "savefig.dpi": 110,
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "figure.max_open_warning": 0,
        "legend.frameon": False,
        "svg.hashsalt": "medinstruct",
    }
    font = {"font.family": ["DejaVu Sans"], "font.size": 10, "text.color": INK}
    mpl.rcParams.update(axes | figure | font | {"text.parse_math": False})


def short(name: object, limit: int = 34) -> str:
    """Return a label on one line, cut with an ellipsis at `limit` characters; tuples are joined.

    >>> short("hypertension", 8), short(("age", "75"))
    ('hyperte…', 'age: 75')
    """
    text = ": ".join(map(str, name)) if isinstance(name, tuple) else str(name)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shade(place: int, *, white: float = 0.0) -> tuple[float, float, float]:
    """Return the color of series n: cycle through the palette, lighter on each pass."""
    from matplotlib.colors import to_rgb

    share = 1 - (1 - white) * (1 - 0.22 * (place // len(PALETTE)))
    return tuple(float(c + (1 - c) * share) for c in to_rgb(PALETTE[place % len(PALETTE)]))


def ink_on(color: Sequence[float]) -> str:
    """Return white or dark, whichever has the higher contrast on a color (WCAG luminance)."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    return "white" if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] < 0.2 else INK
