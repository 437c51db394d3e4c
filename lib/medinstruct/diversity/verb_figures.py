"""Verbs with their nouns, as a sunburst and as bars."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medinstruct.plotting import INK, PALETTE, SOFT, WIDTH, note, titled

Nouns = Mapping[str, Mapping[str, int]]
NOTHING = "Nothing to draw: no task has a verb with an object."


def shade(place: int, *, white: float = 0.0) -> tuple[float, float, float]:
    """The colour of the n-th of many: the palette again and again, paler each time round, and mixed with white."""
    from matplotlib.colors import to_rgb

    share = 1 - (1 - white) * (1 - 0.22 * (place // len(PALETTE)))
    return tuple(float(c + (1 - c) * share) for c in to_rgb(PALETTE[place % len(PALETTE)]))


def ink_on(color: Sequence[float]) -> str:
    """White or dark, whichever has the higher contrast (WCAG's relative luminance) on a colour."""
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in color[:3]
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if luminance < 0.2 else INK


def sunburst(table: Nouns, *, title: str) -> Any:
    """The verbs in an inner ring and their nouns in an outer one; angles are counts. Slices too thin for their word have none."""
    import matplotlib.pyplot as plt

    if not table:
        return note(NOTHING)
    figure, axes = plt.subplots(figsize=(WIDTH, WIDTH + 0.3))
    total = sum(sum(nouns.values()) for nouns in table.values())
    start = 90.0
    for place, (verb, nouns) in enumerate(table.items()):
        begin = start
        for n, (noun, count) in enumerate(nouns.items()):
            color = shade(place, white=0.45 + 0.1 * n)
            start = _slice(
                axes,
                start,
                360 * count / total,
                inner=0.58,
                outer=1.0,
                color=color,
                word=noun,
                size=8.5,
            )
        _slice(
            axes,
            begin,
            begin - start,
            inner=0.2,
            outer=0.575,
            color=shade(place),
            word=verb,
            size=10,
        )
    axes.set(xlim=(-1.01, 1.01), ylim=(-1.01, 1.01), aspect="equal")
    axes.axis("off")
    return titled(figure, title)


def _slice(
    axes: Any,
    start: float,
    angle: float,
    *,
    inner: float,
    outer: float,
    color: Any,
    word: str,
    size: float,
) -> float:
    """Draw one slice clockwise from an angle in degrees, with its word along the radius; gives the angle where it ends."""
    from matplotlib.patches import Wedge

    axes.add_patch(
        Wedge(
            (0, 0),
            outer,
            start - angle,
            start,
            width=outer - inner,
            facecolor=color,
            edgecolor="white",
            lw=0.8,
        )
    )
    middle, radius = start - angle / 2, (inner + outer) / 2
    points = (
        np.radians(angle) * radius * WIDTH / 2 * 72 * 0.86
    )  # how high the slice is where the word stands
    longest = (outer - inner) * WIDTH / 2 * 72 / (max(len(word), 1) * 0.62)
    fitted = min(size, points, longest)
    if fitted >= 5:
        upright = 90 < middle % 360 < 270
        place = radius * np.cos(np.radians(middle)), radius * np.sin(np.radians(middle))
        turned = middle + 180 * upright
        axes.text(
            *place,
            word,
            rotation=turned,
            ha="center",
            va="center",
            fontsize=fitted,
            color=ink_on(color),
        )
    return start - angle


def live_sunburst(table: Nouns, *, title: str = "") -> Any:
    """The same by plotly: a click on a verb opens it, pointing at a slice tells its count and share."""
    import plotly.graph_objects as go
    from matplotlib.colors import to_hex

    ids, names, parents, values, colors = [], [], [], [], []
    for place, (verb, nouns) in enumerate(table.items()):
        for n, (noun, count) in enumerate([("", sum(nouns.values())), *nouns.items()]):
            ids.append(f"{verb}/{noun}" if noun else verb)
            names.append(noun or verb)
            parents.append(verb if noun else "")
            values.append(count)
            colors.append(to_hex(shade(place, white=0.35 + 0.1 * n if noun else 0)))
    marker = {"colors": colors, "line": {"color": "white", "width": 1}}
    hover = "%{label}: %{value} tasks<br>%{percentParent:.0%} of its verb, %{percentRoot:.1%} of the figure<extra></extra>"
    ring = go.Sunburst(
        ids=ids,
        labels=names,
        parents=parents,
        values=values,
        branchvalues="total",
        marker=marker,
        hovertemplate=hover,
    )
    layout = {
        "height": 660,
        "margin": {"t": 48, "l": 0, "r": 0, "b": 8},
        "paper_bgcolor": "white",
        "template": {},
    }
    return go.Figure(
        ring,
        layout=layout
        | {"title": {"text": f"<b>{html.escape(title)}</b>", "x": 0.01, "font": {"size": 16}}},
    )


def verb_bars(table: Nouns, totals: Mapping[str, int], *, title: str) -> Any:
    """The same numbers as bars that can be read off: each verb with its nouns, then all its other nouns in grey."""
    import matplotlib.pyplot as plt

    if not table:
        return note(NOTHING)
    figure, axes = plt.subplots(figsize=(WIDTH + 1, 0.9 + 0.33 * max(len(table), 2)))
    longest = max(totals[verb] for verb in table)
    for row, (verb, nouns) in enumerate(table.items()):
        left, hidden = 0, []
        for n, (noun, count) in enumerate(
            [*nouns.items(), ("", totals[verb] - sum(nouns.values()))]
        ):
            color = shade((0, 1, 2, 4)[n % 4], white=0.25) if noun else "#d9dee3"
            axes.barh(row, count, left=left, color=color, edgecolor="white", lw=0.8, height=0.8)
            if noun and len(noun) <= count / longest * WIDTH * 0.7 * 72 / 5.4:  # letters that fit
                axes.text(
                    left + count / 2,
                    row,
                    noun,
                    ha="center",
                    va="center",
                    fontsize=8,
                    color=ink_on(color),
                )
            elif noun:
                hidden.append(noun)
            left += count
        axes.text(left, row, f" {left:,}", va="center", fontsize=9, color=INK)
        axes.annotate(
            ", ".join(hidden),
            (left, row),
            (22, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=SOFT,
        )
    axes.set_yticks(range(len(table)), list(table))
    axes.invert_yaxis()
    axes.set(
        xlabel="tasks with this verb and an object; its other nouns in grey",
        xlim=(0, longest * 1.12),
    )
    return titled(figure, title)
