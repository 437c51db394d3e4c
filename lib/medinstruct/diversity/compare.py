"""One dataset beside another: shares, divergence, and what one covers and the other does not."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medinstruct import labels, stats
from medinstruct.diversity.loading import AXES, NO_MATCH, UNLABELLED

if TYPE_CHECKING:
    import pandas as pd

Counts = Mapping[Hashable, int]


def shares(counts: Counts) -> dict[Hashable, float]:
    """Counts as shares of their sum.

    >>> shares({"chat": 3, "rewrite": 1})
    {'chat': 0.75, 'rewrite': 0.25}
    """
    total = sum(counts.values()) or 1
    return {name: count / total for name, count in counts.items()}


def divergence(one: Counts, other: Counts) -> float:
    """The Jensen-Shannon divergence of two distributions in bits: 0 if they are the same, 1 if they share nothing.

    >>> divergence({"a": 1, "b": 1}, {"a": 5, "b": 5}), divergence({"a": 1}, {"b": 2})
    (0.0, 1.0)
    """
    names = list(dict.fromkeys([*one, *other]))
    if not sum(one.values()) or not sum(other.values()):
        return float("nan")
    left, right = (
        np.array([of.get(name, 0.0) for name in names]) for of in (shares(one), shares(other))
    )
    apart = stats.entropy((left + right) / 2) - (stats.entropy(left) + stats.entropy(right)) / 2
    return min(1.0, max(0.0, apart))


def counts_of(frame: "pd.DataFrame", axis: str) -> dict[Hashable, int]:
    """Tasks by label, without those that have none."""
    found = frame[f"{axis}_of"].value_counts()
    return {name: int(n) for name, n in found.items() if name not in UNLABELLED}


def divergences(sets: Mapping[str, Mapping[str, Counts]]) -> "pd.DataFrame":
    """The divergence of every other set from the first, one row an axis; `sets` has counts by axis for each name."""
    import pandas as pd

    first, *others = sets
    axes = list(dict.fromkeys(axis for counts in sets.values() for axis in counts))
    rows = {
        axis: {
            name: divergence(sets[first].get(axis, {}), sets[name].get(axis, {})) for name in others
        }
        for axis in axes
    }
    return pd.DataFrame(rows, index=others).T.rename_axis("bits")


def only_in(one: Counts, other: Counts) -> list[Hashable]:
    """What the one has and the other has not, the most frequent first.

    >>> only_in({"a": 1, "b": 3, "c": 2}, {"a": 9})
    ['b', 'c']
    """
    missing = [name for name in one if one[name] and not other.get(name)]
    return sorted(missing, key=lambda name: (-one[name], str(name)))


def gaps(sets: Mapping[str, Mapping[str, Counts]]) -> "pd.DataFrame":
    """For the first set and every other: how many labels one covers and the other does not, with the most frequent named."""
    import pandas as pd

    first, *others = sets
    rows = []
    for name in others:
        for axis in [axis for axis in sets[first] if axis in sets[name]]:
            here, there = (
                only_in(sets[first][axis], sets[name][axis]),
                only_in(sets[name][axis], sets[first][axis]),
            )
            rows.append((name, axis, len(here), _named(here), len(there), _named(there)))
    columns = ["beside", "axis", f"only in {first}", "such as", "only beside", "such as "]
    return pd.DataFrame(rows, columns=columns).set_index(["beside", "axis"])


def _named(names: Sequence[Hashable], most: int = 3) -> str:
    return ", ".join(
        " ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in names[:most]
    )


def by_axis(
    frame: "pd.DataFrame", pairs: Sequence[tuple[str | None, str | None]] = ()
) -> dict[str, Counts]:
    """All counts of a dataset by axis: the four labels, and verbs and verb-noun pairs where pairs are given."""
    found: dict[str, Counts] = {axis: counts_of(frame, axis) for axis in AXES}
    if pairs:
        found["verb"] = dict(Counter(verb for verb, _ in pairs if verb))
        found["verb and noun"] = dict(Counter(pair for pair in pairs if None not in pair))
    return {axis: counts for axis, counts in found.items() if counts}


def published(axis: str) -> tuple[dict[str, int], dict[Hashable, int]]:
    """The authors' counts of their 64,350 generated tasks: raw labels (the twenty most frequent), and after our label rules.

    >>> sum(published("type")[0].values()), published("type")[1]["rewrite"]
    (62578, 4758)
    """
    raw = {str(name): count for name, count in labels.published("generated", axis).items()}
    merged: Counter[Hashable] = Counter()
    for name, count in raw.items():
        merged[labels.canonical(axis, name) or NO_MATCH] += count
    return raw, dict(merged)
