"""Palette: colors, short labels, numbers for readers."""

# Okabe and Ito (2008), "Color Universal Design": safe for color-blind readers.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, GREY = "#56B4E9", "#CC79A7", "#7A8490"
WIDTH = 7.5  # inches


def short(name: object, limit: int = 40) -> str:
    """Return a label on one line, cut with an ellipsis at `limit` characters; tuples are joined.

    >>> short("hypertension", 8), short(("age", "75"))
    ('hyperte…', 'age: 75')
    """
    text = ": ".join(map(str, name)) if isinstance(name, tuple) else str(name)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number(value: float) -> str:
    """Return a number for a reader: whole with separators, else three significant digits.

    >>> number(12345), number(0.12345), number(1234.5)
    ('12,345', '0.123', '1,234')
    """
    whole = abs(value) >= 100 or float(value).is_integer()
    return f"{value:,.0f}" if whole else f"{value:.3g}"
