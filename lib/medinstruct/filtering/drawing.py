"""The figures of chapter 3."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medinstruct import plotting


def spread(kept: Sequence[float], dropped: Sequence[float], *, limit: float, title: str) -> Any:
    """How near each task lies to its nearest kept neighbour: kept on the one side of the limit, dropped on the other."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 3.0))
    edges = np.linspace(0, 1, 41)
    axes.hist(kept, bins=edges, color=plotting.BLUE, label=f"kept ({len(kept):,})")
    axes.hist(dropped, bins=edges, color=plotting.ORANGE, label=f"dropped ({len(dropped):,})")
    axes.axvline(limit, color=plotting.GREY, ls="--", lw=1)
    axes.annotate(
        f"limit {limit:g}",
        (limit, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        va="top",
        color=plotting.GREY,
    )
    axes.set(
        title=title,
        xlabel="ROUGE-L F1 to the nearest other kept task or seed",
        ylabel="tasks",
        xlim=(0, 1.005),
    )
    axes.legend(frameon=False, loc="upper left")
    return figure


def limits_curve(counts: Mapping[float, int], *, total: int, limit: float, title: str) -> Any:
    """Kept tasks over the limit, with the limit of this run marked."""
    import matplotlib.pyplot as plt

    limits, left = list(counts), list(counts.values())
    figure, axes = plt.subplots(figsize=(7.5, 3.0))
    axes.plot(limits, left, "o-", color=plotting.BLUE)
    axes.axhline(total, color=plotting.GREY, lw=1)
    axes.annotate(
        f"all {total:,}",
        (limits[0], total),
        xytext=(0, 4),
        textcoords="offset points",
        color=plotting.GREY,
    )
    axes.axvline(limit, color=plotting.GREY, ls="--", lw=1)
    for at in sorted({limits[0], limits[-1], min(limits, key=lambda one: abs(one - limit))}):
        axes.annotate(
            f"{counts[at]:,}",
            (at, counts[at]),
            xytext=(0, -14),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    axes.set(
        title=title,
        xlabel="highest ROUGE-L F1 to a kept task",
        ylabel="kept tasks",
        ylim=(0, total * 1.12 + 1),
    )
    return figure


def coverage_curve(chosen: np.ndarray, random: np.ndarray, *, take: int, title: str) -> Any:
    """How well the first N cover all, chosen for diversity and drawn at random."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 3.0))
    for curve, color, name in (
        (chosen, plotting.BLUE, "most diverse"),
        (random, plotting.GREY, "at random"),
    ):
        axes.plot(np.arange(1, len(curve) + 1), curve, color=color, label=name)
    if 0 < take < len(chosen):
        axes.axvline(take, color=plotting.ORANGE, ls="--", lw=1, label=f"take: {take:,}")
    axes.set(
        title=title,
        xlabel="tasks taken",
        ylabel="mean likeness to the nearest taken",
        ylim=(0, 1.02),
    )
    axes.legend(frameon=False, loc="lower right")
    return figure
