"""What is covered and what is not: the verb-noun table, the cells of two labels, the specialties, and lengths by label."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from medinstruct import labels, stats
from medinstruct.diversity.loading import UNLABELLED

if TYPE_CHECKING:
    import pandas as pd

Pair = tuple[str | None, str | None]
ORDER: dict[str, Sequence[Hashable]] = {
    "type": labels.TYPES,
    "view": labels.VIEW_GROUPS,
    "difficulty": labels.LEVELS,
    "topic": labels.SPECIALTIES,
}


def top_pairs(
    pairs: Sequence[Pair], *, verbs: int = 20, nouns: int = 4
) -> dict[str, dict[str, int]]:
    """The most frequent verbs that have an object, each with its most frequent nouns; as the published figure takes them.

    >>> top_pairs([("write", "note"), ("write", "note"), ("write", "poem"), ("list", "sign"), ("snore", None)], verbs=1)
    {'write': {'note': 2, 'poem': 1}}
    """
    both = Counter(pair for pair in pairs if None not in pair)
    totals: Counter[str] = Counter()
    for (verb, _), count in both.items():
        totals[verb] += count
    return {
        verb: dict(_first(Counter({n: c for (v, n), c in both.items() if v == verb}), nouns))
        for verb, _ in _first(totals, verbs)
    }


def _first(counts: Counter[str], most: int) -> list[tuple[str, int]]:
    """The most frequent, ties by the alphabet, so that a figure is the same at every run."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def pair_numbers(pairs: Sequence[Pair], *, verbs: int = 20, nouns: int = 4) -> dict[str, float]:
    """Shares of all tasks: with a verb, with a pair, in the table of the top; and the published, truncated entropy.

    `table_entropy` is that of the counts in the table alone: at most log2(20 x 4) = 6.32 bits, and blind to the tail.
    """
    table = [
        count
        for nouns_of in top_pairs(pairs, verbs=verbs, nouns=nouns).values()
        for count in nouns_of.values()
    ]
    total = len(pairs) or 1
    return {
        "tasks": len(pairs),
        "with_verb": sum(verb is not None for verb, _ in pairs) / total,
        "with_pair": sum(None not in pair for pair in pairs) / total,
        "in_table": sum(table) / total,
        "table_entropy": stats.entropy(table),
    }


def cells(frame: "pd.DataFrame", rows: str, columns: str, *, most: int = 25) -> "pd.DataFrame":
    """Counts of every cell of two labels; axes with a fixed list show all of it, topics only the `most` frequent.

    Labels outside the list ("(no match)") stand last, and only where they occur.
    """
    import pandas as pd

    pairs = frame.groupby([f"{rows}_of", f"{columns}_of"], sort=False).size()
    table = pairs.unstack(fill_value=0, sort=False) if len(pairs) else pd.DataFrame()
    return table.reindex(
        index=_names(frame, rows, most), columns=_names(frame, columns, most), fill_value=0
    )


def _names(frame: "pd.DataFrame", axis: str, most: int) -> list[Hashable]:
    found = frame[f"{axis}_of"].value_counts()
    if axis == "topic":
        return [
            name for name, _ in _first(Counter({str(k): int(n) for k, n in found.items()}), most)
        ]
    return [*ORDER[axis], *(name for name in found.index if name not in ORDER[axis])]


def ordered(names: Iterable[Hashable], axis: str) -> list[Hashable]:
    """Labels in the order of their axis; others last."""
    known = {name: place for place, name in enumerate(ORDER[axis])}
    return sorted(names, key=lambda name: (known.get(name, len(known)), str(name)))


def empty(table: "pd.DataFrame") -> tuple[int, int]:
    """How many cells of two labels hold nothing, of how many; where a label is missing there is no cell to fill."""
    named = table.drop(index=UNLABELLED, columns=UNLABELLED, errors="ignore")
    return int((named == 0).to_numpy().sum()), named.size


def specialty_tree(frame: "pd.DataFrame") -> dict[str, dict[str, int]]:
    """Tasks by field and specialty; a specialty without any task has 0, so that gaps can be seen."""
    found = frame["topic_of"].value_counts()
    tree = {
        field: {name: int(found.get(name, 0)) for name in names}
        for field, names in labels.FIELDS.items()
    }
    rest = {str(name): int(n) for name, n in found.items() if name not in labels.SPECIALTIES}
    return tree | ({"Other": rest} if rest else {})


def lengths(frame: "pd.DataFrame", by: str = "type") -> dict[str, dict[str, list[int]]]:
    """Words of instruction, input and response by a label; a text that is empty everywhere is left out."""
    found: dict[str, dict[str, list[int]]] = {}
    for text, name in (("instruction", "instruction"), ("input", "input"), ("output", "response")):
        filled = frame[frame[text] != ""]
        words = filled[text].str.split().str.len()
        grouped = {
            str(label): list(words[filled[f"{by}_of"] == label])
            for label in ordered(filled[f"{by}_of"].unique(), by)
        }
        found |= {name: grouped} if grouped else {}
    return found
