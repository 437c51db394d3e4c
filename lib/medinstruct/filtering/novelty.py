"""Novelty by exact ROUGE-L F1: keep the first of its kind, or, as published, drop every member of a near-duplicate group."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from medinstruct.errors import UserError
from medinstruct.filtering.index import Index, allowance
from medinstruct.filtering.prints import Encoded
from medinstruct.records import Task

PORTION, SHARE = 1024, 4  # texts of the first portion; later ones are a quarter of what is kept
RULES = ("keep_first", "drop_all")


def keep_novel(
    texts: Sequence[str],
    *,
    limit: float = 0.7,
    pool: Sequence[str] = (),
    rule: str = "keep_first",
    tokenizer: str = "rouge",
) -> list[bool]:
    """Whether each text's ROUGE-L F1 to all of `pool` and to all texts kept before it is at most `limit`.

    Exact, not approximate. The published code drops every member of a near-duplicate group instead, the first one too: `rule`
    "drop_all". Texts without a token (empty, or punctuation only) are like nothing and kept.

    >>> keep_novel(["Explain what asthma is", "Explain what asthma is.", "Define sepsis"])
    [True, False, True]
    >>> keep_novel(["Explain what asthma is", "Explain what asthma is.", "Define sepsis"], rule="drop_all")
    [False, False, True]
    """
    if rule not in RULES:
        raise UserError(
            "`rule` must be keep_first or drop_all.", got=rule, do="drop_all is the published rule."
        )
    if rule == "keep_first":
        return Pool(pool, limit=limit, tokenizer=tokenizer).add_novel(texts)
    index = Index(pool, tokenizer=tokenizer)
    own = index.encode(texts)
    copies = Counter(own.strings)
    unlike = np.array([not one or copies[one] == 1 or limit >= 1 for one in own.strings], bool)
    alone = firsts(own.strings)
    keep = np.ones(len(alone), bool)
    for like, _, _ in index.near(own.take(alone), limit):
        keep[like] = False
    for later, earlier, _ in within(own.take(alone), limit):
        keep[later] = keep[earlier] = False
    unlike[alone] &= keep
    return unlike.tolist()


def compared(tasks: Iterable[Task], fields: str = "instruction") -> list[str]:
    """What of each task is compared: its `instruction`, as published, or `instruction+input`.

    Multiple-choice and USMLE-style tasks share formulaic instructions; by these alone most of them look the same.
    """
    if fields not in ("instruction", "instruction+input"):
        do = "instruction is the published way."
        raise UserError(
            "`novelty_fields` must be instruction or instruction+input.", got=fields, do=do
        )
    return [
        f"{task.instruction} {task.input}".strip() if "+" in fields else task.instruction
        for task in tasks
    ]


class Pool:
    """Texts kept encoded, so that new ones are checked against all of them at once and join them when they are new."""

    def __init__(
        self, texts: Sequence[str] = (), *, limit: float = 0.7, tokenizer: str = "rouge"
    ) -> None:
        allowance(0, limit)
        self.limit = limit
        self._index = Index(texts, tokenizer=tokenizer)
        self._seen = set(self._index.strings)

    def __len__(self) -> int:
        return len(self._index)

    def add_novel(self, texts: Sequence[str]) -> list[bool]:
        """Keep-first, as `keep_novel`; what is kept belongs to the pool from then on."""
        flags: list[bool] = []
        while len(flags) < len(texts):
            size = max(PORTION, len(self) // SHARE)
            flags += self._add(self._index.encode(texts[len(flags) : len(flags) + size]))
        return flags

    def are_novel(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text alone would be new; nothing joins."""
        new = self._index.encode(texts)
        return self._unlike_pool(new, np.ones(len(new), bool)).tolist()

    def _add(self, new: Encoded) -> list[bool]:
        keep = np.array(
            [not one or self.limit >= 1 or one not in self._seen for one in new.strings], bool
        )
        keep &= (
            np.isin(np.arange(len(new)), firsts(new.strings))
            | (new.lengths == 0)
            | (self.limit >= 1)
        )
        self._seen.update(new.strings)
        keep = self._unlike_pool(new, keep)
        left = np.flatnonzero(keep)
        keep[left] = first_kept(within(new.take(left), self.limit), len(left))
        self._index.add(new.take(np.flatnonzero(keep)))
        return keep.tolist()

    def _unlike_pool(self, new: Encoded, keep: np.ndarray) -> np.ndarray:
        rows = np.flatnonzero(keep)
        for query, _, _ in self._index.near(new.take(rows), self.limit):
            keep[rows[query]] = False
        return keep


def kept_by_limit(
    texts: Sequence[str],
    limits: Sequence[float],
    *,
    pool: Sequence[str] = (),
    tokenizer: str = "rouge",
) -> dict[float, list[bool]]:
    """Keep-first at many limits from one pass: all pairs above the lowest limit are found once, then every limit is replayed."""
    index = Index(pool, tokenizer=tokenizer)
    base, own = len(index), index.encode(texts)
    alone = firsts(own.strings)
    alive = np.ones((len(limits), base + len(alone)), bool)
    for start in range(0, len(alone), 4096):
        part = own.take(alone[start : start + 4096])
        index.add(part)
        pairs = [
            (query[before] + base + start, entry[before], left[before])
            for query, entry, left in index.near(part, min(limits))
            for before in [entry < query + base + start]
        ]
        _replay(alive, pairs, index, limits)
    keep = np.zeros((len(limits), len(own)), bool)
    keep[:, own.lengths == 0] = True
    keep[:, alone] = alive[:, base:]
    return {limit: row.tolist() for limit, row in zip(limits, keep, strict=True)}


def _replay(alive: np.ndarray, pairs: list[tuple], index: Index, limits: Sequence[float]) -> None:
    """Strike out, limit by limit and in their order, the texts that are like an earlier one that is still there."""
    if not any(len(query) for query, *_ in pairs):
        return
    later, earlier, left = map(np.concatenate, zip(*pairs, strict=True))
    total = index.sizes[later] + index.sizes[earlier]
    above = np.array([left <= allowance(total, limit) for limit in limits])
    order = np.argsort(later, kind="stable")
    rows, starts = np.unique(later[order], return_index=True)
    for row, some in zip(rows, np.split(order, starts[1:]), strict=True):
        alive[:, row] = ~(alive[:, earlier[some]] & above[:, some]).any(axis=1)


def within(texts: Encoded, limit: float) -> Iterable[tuple]:
    """All pairs among some texts that are above the limit, the later one first."""
    index = Index()
    index.add(texts)
    return index.near(texts, limit, own=True)


def first_kept(pairs: Iterable[tuple], size: int) -> np.ndarray:
    """Keep-first, played on the pairs that are too like."""
    keep = np.ones(size, bool)
    found = list(pairs)
    if found:
        later, earlier, _ = map(np.concatenate, zip(*found, strict=True))
        for n in np.argsort(later, kind="stable"):
            if keep[earlier[n]]:
                keep[later[n]] = False
    return keep


def firsts(strings: Sequence) -> np.ndarray:
    """The numbers of the texts that do not repeat an earlier one word for word."""
    seen: dict[Sequence, int] = {}
    for n, one in enumerate(strings):
        seen.setdefault(one, n)
    return np.fromiter(seen.values(), np.int64, len(seen))
