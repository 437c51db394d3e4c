"""Verb rings: a sunburst of verbs and their nouns, static or interactive."""

import html
from collections.abc import Mapping
from typing import Any

import numpy as np

from medinstruct.plotting.charts import canvas, note, titled
from medinstruct.plotting.palette import WIDTH, ink_on, shade

Pairs = Mapping[tuple[str, str], int]


def sunburst(pairs: Pairs, *, title: str) -> Any:
    """Draw verbs in an inner ring and their nouns in an outer one; angles are counts.

    Slices come in the order of `pairs`; a slice too thin for its word has none.
    """
    verbs = _by_verb(pairs)
    if not verbs:
        return note("Nothing to draw: no task has a verb with an object.")
    figure, (axes,) = canvas(WIDTH + 0.3)
    turn, start = 360 / sum(pairs.values()), 90.0
    for place, (verb, nouns) in enumerate(verbs.items()):
        angle = turn * sum(nouns.values())
        _slice(axes, start, angle, radii=(0.2, 0.575), color=shade(place), word=verb, size=10)
        for n, (noun, count) in enumerate(nouns.items()):
            color = shade(place, white=min(0.45 + 0.1 * n, 0.85))
            _slice(axes, start, turn * count, radii=(0.58, 1), color=color, word=noun, size=8.5)
            start -= turn * count
    axes.set(xlim=(-1.01, 1.01), ylim=(-1.01, 1.01), aspect="equal")
    axes.axis("off")
    return titled(figure, title)


def _slice(
    axes: Any, start: float, angle: float, *, radii: tuple, color: Any, word: str, size: float
) -> None:
    """Draw one slice clockwise from `start`, in degrees, with its word along the radius."""
    from matplotlib.patches import Wedge

    inner, outer = radii
    edge = {"facecolor": color, "edgecolor": "white", "lw": 0.8}
    axes.add_patch(Wedge((0, 0), outer, start - angle, start, width=outer - inner, **edge))
    middle, radius = start - angle / 2, (inner + outer) / 2
    points = WIDTH / 2 * 72  # of the whole radius
    height = np.radians(angle) * radius * points * 0.86
    length = (outer - inner) * points / (max(len(word), 1) * 0.62)
    fitted = min(size, height, length)
    if fitted >= 5:
        x, y = radius * np.cos(np.radians(middle)), radius * np.sin(np.radians(middle))
        upright = middle + 180 * (90 < middle % 360 < 270)
        font = {"fontsize": fitted, "rotation": upright, "color": ink_on(color)}
        axes.text(x, y, word, ha="center", va="center", **font)


def live_sunburst(pairs: Pairs, *, title: str) -> Any:
    """Return the sunburst as a plotly figure: a click opens a verb, pointing shows its share."""
    import plotly.graph_objects as go
    from matplotlib.colors import to_hex

    rows = []
    for place, (verb, nouns) in enumerate(_by_verb(pairs).items()):
        rows.append((verb, verb, "", sum(nouns.values()), to_hex(shade(place))))
        for n, (noun, count) in enumerate(nouns.items()):
            color = to_hex(shade(place, white=min(0.45 + 0.1 * n, 0.85)))
            rows.append((f"{verb}/{noun}", noun, verb, count, color))
    ids, names, parents, values, colors = zip(*rows, strict=True) if rows else [()] * 5
    hover = "%{label}: %{value}<br>%{percentParent:.0%} of its verb, %{percentRoot:.1%} of all"
    ring = go.Sunburst(
        ids=ids,
        labels=names,
        parents=parents,
        values=values,
        branchvalues="total",
        marker={"colors": colors},
        hovertemplate=hover + "<extra></extra>",
    )
    heading = {"text": f"<b>{html.escape(title)}</b>", "x": 0.01, "font": {"size": 16}}
    margin = {"t": 48, "l": 0, "r": 0, "b": 8}
    return go.Figure(ring, {"height": 660, "margin": margin, "template": {}, "title": heading})


def _by_verb(pairs: Pairs) -> dict[str, dict[str, int]]:
    verbs: dict[str, dict[str, int]] = {}
    for (verb, noun), count in pairs.items():
        verbs.setdefault(verb, {})[noun] = count
    return verbs
