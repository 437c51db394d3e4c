"""The other figures of this chapter: the tree of specialties, spans of lengths, distributions, growth, published labels."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from medinstruct import plotting
from medinstruct.diversity.verb_figures import shade
from medinstruct.plotting import INK, PALETTE, RED, SOFT, TINT, WIDTH, note, short, titled


def tree(fields: Mapping[str, Mapping[str, int]], *, title: str) -> Any:
    """The specialties by field in two columns, each with its bar; one without a task is marked in red."""
    import matplotlib.pyplot as plt

    blocks = [
        (field, sorted(names.items(), key=lambda item: (-item[1], item[0])))
        for field, names in fields.items()
        if names
    ]
    if not any(count for _, names in blocks for _, count in names):
        return note("Nothing to draw: no task has a topic.")
    rows = [len(names) + 1.6 for _, names in blocks]
    split = next(n for n in range(1, len(rows) + 1) if sum(rows[:n]) >= sum(rows) / 2)
    columns = [blocks[:split], blocks[split:]]
    height = max(sum(len(names) + 1.6 for _, names in column) for column in columns)
    figure, both = plt.subplots(1, 2, figsize=(WIDTH + 1.2, 0.8 + 0.2 * height))
    longest = max(count for _, names in blocks for _, count in names)
    for axes, column in zip(both, columns, strict=True):
        _branch(
            axes, column, longest=longest, height=height, first=0 if column is columns[0] else split
        )
    return titled(figure, title)


def _branch(
    axes: Any,
    column: Sequence[tuple[str, list[tuple[str, int]]]],
    *,
    longest: int,
    height: float,
    first: int,
) -> None:
    """One column of the tree: the field with its sum, then its specialties."""
    row = 0.0
    for n, (field, names) in enumerate(column):
        total = sum(count for _, count in names)
        axes.text(
            -0.62 * longest, row, f"{field}  {total:,}", fontsize=9, fontweight="bold", va="center"
        )
        top = row
        for name, count in names:
            row += 1
            axes.barh(row, count, color=shade(first + n, white=0.15), height=0.72)
            axes.text(
                count + longest * 0.015,
                row,
                f"{count:,}" if count else "none",
                va="center",
                fontsize=8,
                color=SOFT if count else RED,
            )
            axes.text(
                -longest * 0.03,
                row,
                short(name, 26),
                va="center",
                ha="right",
                fontsize=8.5,
                color=INK if count else RED,
            )
        axes.plot([0, 0], [top + 0.55, row + 0.45], color="#c3c9cf", lw=1)
        row += 1.6
    axes.set(xlim=(-longest * 0.64, longest * 1.14), ylim=(height, -0.9))
    axes.axis("off")


def spans(groups: Mapping[str, Mapping[str, Sequence[float]]], *, title: str, label: str) -> Any:
    """Lengths by type, one panel a text: a dot at the median, a bar over the middle half, a line from 5 to 95 %."""
    import matplotlib.pyplot as plt

    panels = {
        text: {name: values for name, values in of.items() if len(values)}
        for text, of in groups.items()
    }
    names = list(dict.fromkeys(name for of in panels.values() for name in of))
    if not names:
        return note("Nothing to draw: there are no texts.")
    figure, all_axes = plt.subplots(
        1, len(panels), figsize=(WIDTH + 1.5, 1.4 + 0.31 * len(names)), sharey=True, squeeze=False
    )
    for n, (axes, (text, of)) in enumerate(zip(all_axes[0], panels.items(), strict=True)):
        for row, name in enumerate(names):
            if name in of:
                low, quarter, middle, three, high = np.quantile(
                    np.asarray(of[name], dtype=float), [0.05, 0.25, 0.5, 0.75, 0.95]
                )
                axes.plot([low, high], [row, row], color=PALETTE[n % 7], lw=1.2, alpha=0.7)
                axes.plot(
                    [quarter, three],
                    [row, row],
                    color=PALETTE[n % 7],
                    lw=6,
                    alpha=0.45,
                    solid_capstyle="butt",
                )
                axes.plot(middle, row, "o", color=PALETTE[n % 7], ms=6)
        axes.set(xlabel=f"{label} of the {text}", ylim=(len(names) - 0.4, -0.6), xlim=(0, None))
        axes.grid(axis="x", color=TINT)
        axes.set_yticks(range(len(names)), [short(name) for name in names])
    return titled(figure, title)


def distributions(
    columns: Mapping[str, Sequence[float]], *, title: str, label: str, limit: float | None = None
) -> Any:
    """Shares of tasks by a score from 0 to 1, one outline a set; a dashed line marks a limit."""
    import matplotlib.pyplot as plt

    columns = {name: values for name, values in columns.items() if len(values)}
    if not columns:
        return note("Nothing to draw: there is no pair of tasks to compare.")
    figure, axes = plt.subplots(figsize=(WIDTH, 3.6))
    for n, (name, values) in enumerate(columns.items()):
        heights, edges = np.histogram(values, bins=40, range=(0, 1))
        axes.stairs(100 * heights / len(values), edges, color=PALETTE[n % 7], fill=True, alpha=0.22)
        middle = float(np.median(values))
        axes.stairs(
            100 * heights / len(values),
            edges,
            color=PALETTE[n % 7],
            lw=1.8,
            label=f"{name} (median {middle:.2f})",
        )
    if limit is not None:
        axes.axvline(limit, color=plotting.GREY, ls="--", lw=1)
        axes.text(
            limit,
            1,
            f" limit {limit:g}",
            transform=axes.get_xaxis_transform(),
            color=SOFT,
            fontsize=9,
            va="top",
        )
    axes.set(xlabel=label, ylabel="% of the tasks", xlim=(0, 1))
    figure.legend(loc="outside lower left", ncols=2, fontsize=9)
    return titled(figure, title)


def growth_curves(
    curves: Mapping[str, Mapping[int, float]],
    ahead: Mapping[str, Mapping[int, float]],
    *,
    title: str,
) -> Any:
    """How many different items are known after so many tasks, one panel an item; dashes go on to what twice as many would bring."""
    import matplotlib.pyplot as plt

    curves = {name: curve for name, curve in curves.items() if max(curve.values(), default=0)}
    if not curves:
        return note("Nothing to draw: there is nothing to count.")
    figure, all_axes = plt.subplots(1, len(curves), figsize=(WIDTH + 1, 3.4), squeeze=False)
    for n, (axes, (name, curve)) in enumerate(zip(all_axes[0], curves.items(), strict=True)):
        color = PALETTE[n % 7]
        axes.plot(list(curve), list(curve.values()), color=color, lw=2.2)
        axes.fill_between(list(curve), list(curve.values()), color=color, alpha=0.1)
        future = ahead.get(name, {})
        axes.plot(list(future), list(future.values()), color=color, lw=1.6, ls=(0, (3, 2)))
        for x, y in [(max(curve), curve[max(curve)])] + (
            [(max(future), future[max(future)])] if future else []
        ):
            axes.plot(x, y, "o", color=color, ms=5)
            axes.annotate(
                f"{y:,.0f}",
                (x, y),
                (-6, 5),
                textcoords="offset points",
                ha="right",
                fontsize=9,
                color=INK,
            )
        axes.set(xlabel="tasks", ylabel=name, xlim=(0, None), ylim=(0, None))
        axes.margins(x=0.04, y=0.15)
        axes.grid(color=TINT)
    return titled(figure, title)


def before_after(
    raw: Mapping[str, int],
    merged: Mapping[str, Mapping[Hashable, float]],
    *,
    title: str,
    names: Sequence[Any],
) -> Any:
    """Published raw labels on the left; on the right the shares after the label rules, beside those of other sets."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH + 2, 1.4 + 0.27 * max(len(raw), len(names))), width_ratios=(1, 1.15)
    )
    rows = sorted(raw.items(), key=lambda item: (-item[1], item[0]))
    drawn = left.barh(
        range(len(rows)), [count for _, count in rows], color=plotting.GREEN, height=0.7
    )
    left.set_yticks(range(len(rows)), [short(name, 26) for name, _ in rows])
    left.bar_label(
        drawn, padding=2, fontsize=8, color=SOFT, labels=[f"{count:,}" for _, count in rows]
    )
    left.invert_yaxis()
    left.set(xlabel="published, raw labels (tasks)")
    left.margins(x=0.16)
    height = 0.8 / max(len(merged), 1)
    for n, (name, values) in enumerate(merged.items()):
        places = np.arange(len(names)) - 0.4 + height * (n + 0.5)
        right.barh(
            places,
            [100 * values.get(label, 0) for label in names],
            height=height * 0.92,
            label=short(name, 36),
            color=PALETTE[2 * n % 7],
        )
    right.set_yticks(range(len(names)), [short(name, 24) for name in names])
    right.invert_yaxis()
    right.set(xlabel="% of the tasks, after our label rules")
    figure.legend(loc="outside lower right", ncols=2, fontsize=9)
    return titled(figure, title)
