"""Which of many texts are near to a text, exactly and without comparing with all of them.

ROUGE-L F1 is 2 LCS / (m + n), so it passes a limit only if fewer than (1 - limit) (m + n) words are left over, that is, are not
part of the longest common subsequence. Three sieves never lose a pair that passes: the texts are sorted by length, since the
difference in length is left over; each text has a fingerprint of 1,024 bits, the parity of the counts of its words, and words
whose parity differs are left over (its folds to 64 and 256 bits are sieves too); and only then RapidFuzz counts exactly.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import islice

import numpy as np

from medinstruct.errors import UserError
from medinstruct.filtering.prints import WORDS, Encoded, differing, fitting, folded
from medinstruct.filtering.words import Codes

CELLS = 1 << 16  # pairs looked at in one go: what stays in a core's cache
BATCH = 1 << 18  # pairs counted exactly in one go
THREADS = min(4, os.cpu_count() or 1)
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


class Index:
    """Encoded texts, sorted by length, that can be asked for those near to others; new texts may join at any time."""

    def __init__(self, texts: Iterable[str] = (), *, tokenizer: str = "rouge") -> None:
        self._codes = Codes(tokenizer)
        self.strings: list[Sequence] = []
        self._lengths, self._prints = np.zeros(0, np.int32), np.zeros((0, WORDS), np.uint64)
        self.add(self.encode(texts))

    def __len__(self) -> int:
        return len(self.strings)

    @property
    def sizes(self) -> np.ndarray:
        """Words of each text, in the order in which they joined."""
        return self._lengths[: len(self)]

    def encode(self, texts: Iterable[str]) -> Encoded:
        """Texts in the code of this index, without adding them."""
        return Encoded(self._codes.encode(texts))

    def add(self, new: Encoded) -> None:
        """Let texts join; they are numbered on from those that are there."""
        old, size = len(self), len(self) + len(new)
        if size > len(self._lengths):
            room = max(size, 2 * len(self._lengths)) - old
            self._lengths = np.concatenate([self._lengths[:old], np.zeros(room, np.int32)])
            self._prints = np.concatenate([self._prints[:old], np.zeros((room, WORDS), np.uint64)])
        self._lengths[old:size], self._prints[old:size] = new.lengths, new.prints
        self.strings += new.strings
        self._columns: dict[int, np.ndarray] = {}
        self.order = np.zeros(0, np.int64)

    def sort(self) -> None:
        """Order the texts by length, if any have joined since it was last done."""
        if len(self.order) < len(self):
            self.order = np.argsort(self._lengths[: len(self)], kind="stable")
            self.lengths = self._lengths[self.order]
            self.steps, starts = np.unique(self.lengths, return_index=True)
            self.starts = np.append(starts, len(self))

    def columns(self, words: int) -> np.ndarray:
        """The fingerprints folded to so many words, shape (words, texts), in the order of length."""
        if words not in self._columns:
            self._columns[words] = folded(self._prints[: len(self)], words)[:, self.order]
        return self._columns[words]

    def near(self, queries: Encoded, limit: float, *, own: bool = False) -> Iterator[Pairs]:
        """All pairs above the limit, in portions: number of the query, number of the text, words left over.

        With `own` the queries are the texts of this index; each pair comes once, the later text first.
        """
        if not len(self) or not len(queries):
            return
        self.sort()
        work = self._portions(queries, limit, own)
        if THREADS == 1 or len(queries) * len(self) < 1 << 22:
            yield from self._counted(queries, (self._sieved(queries, own, *one) for one in work))
            return
        with ThreadPoolExecutor(THREADS) as threads:
            while some := list(islice(work, 32 * THREADS)):
                for words in {words for *_, words in some}:
                    self.columns(words)
                yield from self._counted(
                    queries, threads.map(lambda one: self._sieved(queries, own, *one), some)
                )

    def _portions(self, queries: Encoded, limit: float, own: bool) -> Iterator[tuple]:
        """Queries of one length, the first text whose length may pass, how many words each text from there may leave over."""
        order = np.argsort(queries.lengths, kind="stable")
        lengths, starts = np.unique(queries.lengths[order], return_index=True)
        for length, rows in zip(lengths.tolist(), np.split(order, starts[1:]), strict=True):
            allowed = allowance(length + self.steps, limit)
            able = (
                (abs(length - self.steps) <= allowed)
                & (self.steps > 0)
                & ((self.steps <= length) | (not own))
            )
            if not length or not able.any():
                continue
            first, last = np.flatnonzero(able)[[0, -1]]
            low, sizes = int(self.starts[first]), np.diff(self.starts[first : last + 2])
            words = fitting(2 * length, int(allowance(2 * length, limit)))
            for part in np.array_split(rows, -(-len(rows) * int(sizes.sum()) // (CELLS * 64))):
                yield part, low, allowed[first : last + 1], sizes, words

    def _sieved(
        self,
        queries: Encoded,
        own: bool,
        rows: np.ndarray,
        low: int,
        allowed: np.ndarray,
        sizes: np.ndarray,
        words: int,
    ) -> Pairs:
        """The pairs of one portion whose fingerprints do not rule them out, with their bounds."""
        asked, columns = folded(queries.prints[rows], words), self.columns(words)
        bounds = np.repeat(allowed.astype(np.int32), sizes)
        width, found = min(len(bounds), 8192), []
        tall = max(1, CELLS // width)
        for start in range(0, len(bounds), width):
            bound = bounds[start : start + width].astype(np.uint8 if words == 1 else np.uint32)
            part = columns[:, low + start : low + start + len(bound)]
            for top in range(0, len(rows), tall):
                count = differing(asked[:, top : top + tall, None], part[:, None, :])
                row, column = np.divmod(np.flatnonzero(count <= bound), len(bound))
                found.append((row + top, column + start))
        row, column = map(np.concatenate, zip(*found, strict=True))
        query, entry, bound = rows[row], self.order[low + column], bounds[column]
        keep = differing(queries.prints[query].T, self._prints[entry].T) <= bound
        if own:
            keep &= (queries.lengths[query] > queries.lengths[entry]) | (query > entry)
            query, entry = np.maximum(query, entry), np.minimum(query, entry)
        return query[keep], entry[keep], bound[keep]

    def _counted(self, queries: Encoded, candidates: Iterable[Pairs]) -> Iterator[Pairs]:
        """Those candidates that really are above the limit, with the words left over."""
        for query, entry, bound in batched(candidates):
            left = left_over(
                [queries.strings[n] for n in query],
                [self.strings[n] for n in entry],
                int(bound.max()),
            )
            keep = left <= bound
            yield query[keep], entry[keep], left[keep]


def allowance(total: np.ndarray | int, limit: float) -> np.ndarray:
    """How many words two texts of so many in all may leave over to be above the limit; in whole numbers, so that ties are exact.

    >>> int(allowance(20, 0.7)), int(allowance(20, 0.69))
    (5, 6)
    """
    if not 0 <= limit <= 1:
        raise UserError(
            "The limit of ROUGE-L must lie between 0 and 1.",
            got=limit,
            do="The published limit is 0.7.",
        )
    exact = Fraction(str(limit)).limit_denominator(10**6)
    return (
        (exact.denominator - exact.numerator) * np.asarray(total, dtype=np.int64) - 1
    ) // exact.denominator


def left_over(one: list[Sequence], other: list[Sequence], most: int | None = None) -> np.ndarray:
    """The words of each pair of encoded texts that are not in its longest common subsequence; more than `most` is not told apart."""
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    workers = THREADS if len(one) > 4096 else 1
    return process.cpdist(
        one, other, scorer=Indel.distance, score_cutoff=most, dtype=np.int32, workers=workers
    )


def batched(portions: Iterable[Pairs]) -> Iterator[Pairs]:
    """The same pairs in batches of a good size, none of them empty."""
    waiting: list[Pairs] = []
    for portion in portions:
        waiting.append(portion)
        if sum(len(query) for query, *_ in waiting) >= BATCH:
            yield from _joined(waiting)
            waiting = []
    yield from _joined(waiting)


def _joined(portions: list[Pairs]) -> Iterator[Pairs]:
    if not portions:
        return
    query, entry, bound = map(np.concatenate, zip(*portions, strict=True))
    for start in range(0, len(query), BATCH):
        yield (
            query[start : start + BATCH],
            entry[start : start + BATCH],
            bound[start : start + BATCH],
        )
