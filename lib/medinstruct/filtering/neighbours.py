"""The most similar text of all, found without comparing with all of them."""

from collections.abc import Sequence

import numpy as np

from medinstruct.filtering.index import THREADS, Index, left_over
from medinstruct.filtering.novelty import firsts
from medinstruct.filtering.prints import Encoded

STEP = 0.5  # whoever has a neighbour above this is found by the sieves
CELLS = 1 << 22  # pairs of the others that are compared in one go


def nearest(
    texts: Sequence[str], pool: Sequence[str], *, floor: float = 0.0, tokenizer: str = "rouge"
) -> list[tuple[int, float]]:
    """Index and ROUGE-L F1 of the most similar text of `pool` (the first of equals); (-1, 0.0) where the pool is empty.

    With a `floor` only texts above it are looked for, which is much faster; where there is none, (-1, 0.0).

    >>> nearest(["What is asthma?", "Draw."], ["Define sepsis", "What is the asthma"])
    [(1, 0.8571428571428571), (0, 0.0)]
    """
    if not pool:
        return [(-1, 0.0)] * len(texts)
    index = Index(tokenizer=tokenizer)
    every, own = index.encode(pool), index.encode(texts)
    alone = firsts(every.strings)
    index.add(every.take(alone))
    entry, score = best(index, own, floor=floor)
    none = -1 if floor else 0
    return [
        (int(alone[n]) if n >= 0 else none, float(value))
        for n, value in zip(entry, score, strict=True)
    ]


def nearest_other(
    texts: Sequence[str], *, earlier: bool = False, tokenizer: str = "rouge"
) -> list[tuple[int, float]]:
    """For each text the most similar of the others, or of those before it; (-1, 0.0) where there is none."""
    index = Index(tokenizer=tokenizer)
    every = index.encode(texts)
    alone = firsts(every.strings)
    index.add(every.take(alone))
    entry, score = best(index, every.take(alone), own=True, earlier=earlier)
    found = {
        int(n): (int(alone[e]), float(s))
        for n, e, s in zip(alone, entry, score, strict=True)
        if e >= 0
    }
    places: dict[Sequence, list[int]] = {}
    for n, one in enumerate(every.strings):
        places.setdefault(one, []).append(n)
    for one, (first, *copies) in places.items():
        if one and copies:
            found |= dict.fromkeys(copies, (first, 1.0)) | (
                {} if earlier else {first: (copies[0], 1.0)}
            )
    return [found.get(n) or _none(n, n if earlier else len(texts)) for n in range(len(texts))]


def _none(n: int, size: int) -> tuple[int, float]:
    """The answer for a text that shares no word with any other: the first of the others, if there is one."""
    other = 0 if n else 1
    return (other, 0.0) if other < size else (-1, 0.0)


def likest(
    texts: Sequence[str],
    keep: Sequence[bool],
    *,
    pool: Sequence[str] = (),
    limit: float = 0.7,
    rule: str = "keep_first",
    tokenizer: str = "rouge",
) -> list[tuple[int, float]]:
    """For each dropped text why: the number, in `pool` and then `texts`, of what it resembles most, and the score.

    With keep-first that is a kept one; with drop-all it may have been dropped for the same reason.
    """
    every, gone = [*pool, *texts], [n for n, kept in enumerate(keep) if not kept]
    if rule == "drop_all":
        found = nearest_other(every, tokenizer=tokenizer)
        return [found[len(pool) + n] for n in gone]
    there = [*range(len(pool)), *(len(pool) + n for n, kept in enumerate(keep) if kept)]
    found = nearest(
        [texts[n] for n in gone], [every[n] for n in there], floor=limit, tokenizer=tokenizer
    )
    return [(there[n], score) for n, score in found]


def best(
    index: Index, queries: Encoded, *, own: bool = False, earlier: bool = False, floor: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """For each query the most similar text (the first of equals; -1 where none shares a word) and its score.

    With `own` the queries are the texts of the index: a text is not its own neighbour, and with `earlier` only those before it are.
    """
    entry, score = np.full(len(queries), -1), np.zeros(len(queries))
    for query, found, left in index.near(queries, floor or STEP, own=own):
        total = queries.lengths[query] + index.sizes[found]
        _improve(entry, score, query, found, (total - left) / total)
        if own and not earlier:
            _improve(entry, score, found, query, (total - left) / total)
    rest = np.flatnonzero((entry < 0) & (queries.lengths > 0)) if not floor else []
    for rows in np.array_split(rest, -(-len(rest) * len(index) // CELLS)) if len(rest) else ():
        entry[rows], score[rows] = _among_all(index, queries, rows, own, earlier)
    return entry, score


def _improve(
    entry: np.ndarray, score: np.ndarray, rows: np.ndarray, found: np.ndarray, new: np.ndarray
) -> None:
    """Enter better neighbours: the highest score, and the first of equals."""
    order = np.lexsort((found, -new, rows))
    rows, found, new = rows[order], found[order], new[order]
    lead = np.append(True, rows[1:] != rows[:-1]) if len(rows) else np.zeros(0, bool)
    rows, found, new = rows[lead], found[lead], new[lead]
    better = (new > score[rows]) | ((new == score[rows]) & (found < entry[rows]))
    entry[rows[better]], score[rows[better]] = found[better], new[better]


def _among_all(
    index: Index, queries: Encoded, rows: np.ndarray, own: bool, earlier: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The most similar text of some queries by comparing with all: where only common words are shared no sieve helps."""
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    size = int(rows.max()) + 1 if earlier else len(index)
    asked = [queries.strings[n] for n in rows]
    table = process.cdist(
        asked,
        index.strings[:size],
        scorer=Indel.normalized_similarity,
        dtype=np.float64,
        workers=THREADS,
    )
    for line, n in zip(table, rows if own else (), strict=False):
        line[n : size if earlier else n + 1] = 0.0
    found = table.argmax(axis=1)
    value = table[np.arange(len(rows)), found]
    left = left_over(asked, [index.strings[n] for n in found])
    total = queries.lengths[rows] + index.sizes[found]
    exact = (total - left) / total
    return np.where(value > 0, found, -1), np.where(value > 0, exact, 0.0)
