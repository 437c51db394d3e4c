"""Coverage: counts of verbs, nouns and labels, and the pairs of labels without a task."""

from collections import Counter
from collections.abc import Hashable, Sequence

import pandas as pd

from medinstruct import labels
from medinstruct.diversity.corpora import AXES, NO_MATCH, UNLABELED
from medinstruct.diversity.verbs import Pair


def by_axis(frame: pd.DataFrame, pairs: Sequence[Pair] = ()) -> dict[str, dict]:
    """Return a dataset's counts by axis: four labels, verbs, verb-noun pairs; no empty axes."""
    columns = {axis: frame[f"{axis}_of"].value_counts().to_dict() for axis in AXES}
    columns["verb"] = Counter(verb for verb, _ in pairs if verb)
    columns["verb and noun"] = Counter(pair for pair in pairs if None not in pair)
    for counts in columns.values():
        for name in UNLABELED:
            counts.pop(name, None)
    return {axis: dict(counts) for axis, counts in columns.items() if counts}


def published(axis: str) -> dict[Hashable, int]:
    """Return the published counts of the twenty most frequent labels, in our spelling.

    They are of the 64,350 tasks that the authors of AlpaCare generated.

    >>> sum(published("type").values()), published("type")["rewrite"]
    (62578, 4758)
    """
    counts: Counter[Hashable] = Counter()
    for name, count in labels.published("generated", axis).items():
        counts[labels.canonical(axis, name) or NO_MATCH] += count
    return dict(counts)


def top_pairs(pairs: Sequence[Pair], *, verbs: int = 20, nouns: int = 4) -> dict[Pair, int]:
    """Return the counts of the published figure: frequent verbs, each with its frequent nouns."""
    counts = Counter(pair for pair in pairs if None not in pair)
    totals = Counter(verb for verb, noun in pairs if verb and noun)
    top: dict[Pair, int] = {}
    for verb, _ in _ranked(totals)[:verbs]:
        of_verb = {pair: count for pair, count in counts.items() if pair[0] == verb}
        top |= dict(_ranked(of_verb)[:nouns])
    return top


def _ranked(counts: dict) -> list[tuple]:
    """Return names with counts, the most frequent first; ties are in alphabetical order."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def cells(frame: pd.DataFrame, rows: str, columns: str, *, topics: int = 25) -> pd.DataFrame:
    """Return task counts by two axes: known labels, others last, and the most frequent topics."""
    table = pd.crosstab(frame[f"{rows}_of"], frame[f"{columns}_of"])
    for axis, place in ((rows, "index"), (columns, "columns")):
        present = _ranked(frame[f"{axis}_of"].value_counts().to_dict())
        known = [] if axis == "topic" else list(labels.VALUES[axis])
        names = known + [name for name, _ in present if name not in known]
        table = table.reindex(**{place: names[:topics]}, fill_value=0)
    return table


def empty_cells(table: pd.DataFrame) -> tuple[int, int]:
    """Return how many cells of two labels are empty, of how many; unlabeled tasks aside."""
    labeled = table.drop(index=list(UNLABELED), columns=list(UNLABELED), errors="ignore")
    return int((labeled == 0).to_numpy().sum()), labeled.size
