"""Novelty by exact ROUGE-L F1: keep-first and drop-all, nearest texts, Dask."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from medinstruct.errors import UserError
from medinstruct.filtering.rouge import PAIRS, THREADS, Encoder, Index
from medinstruct.records import Dropped, Task

PORTION = 1024  # texts of the first portion; later ones are a quarter of the pool
Nearest = tuple[int, float]  # row and score
SEARCHED = 0.5  # above this score the index searches a nearest text; below, all are compared


def keep_novel(
    texts: Sequence[str], *, limit=0.7, pool=(), rule="keep_first", tokenizer="rouge", scheduler=""
) -> list[bool]:
    """Return for each text whether it is novel.

    keep_first: its ROUGE-L F1 to all of `pool` and all texts kept before it is at most `limit`.
    drop_all, the published rule: to all of `pool` and all other texts. The result is exact. Texts
    without a token are always kept. `scheduler` is the address of a Dask scheduler whose workers
    search the pairs (the extra `scale`).
    """
    if rule not in ("keep_first", "drop_all"):
        do = "Use keep_first, or drop_all for the published rule."
        raise UserError("`rule` must be keep_first or drop_all.", got=rule, do=do)
    settings = {"limit": limit, "tokenizer": tokenizer}
    if rule == "keep_first" and not scheduler:
        return Pool(pool, **settings).add_novel(texts)
    every = [*pool, *texts]
    search = partial(_dask_pairs, scheduler) if scheduler else _pairs
    pairs = search(np.arange(len(every)), every, **settings)
    if rule == "keep_first":
        keep = _keep_first(len(every), *pairs[:, pairs[0] >= len(pool)])
    else:
        keep = ~np.isin(np.arange(len(every)), pairs)
    return keep[len(pool) :].tolist()


class Pool:
    """Novel texts: new ones are compared with all of them and join if they are novel."""

    def __init__(self, texts: Sequence[str], *, limit: float, tokenizer: str = "rouge") -> None:
        self.limit, self._encoder = limit, Encoder(tokenizer)
        self._index = Index(self._encoder.encode(texts))
        self._compared = set(self._index.texts["sequence"])

    def add_novel(self, texts: Sequence[str]) -> list[bool]:
        """Return keep-first flags as `keep_novel` does; kept texts join the pool."""
        flags: list[bool] = []
        while len(flags) < len(texts):
            size = max(PORTION, len(self._index.texts) // 4)
            new = self._encoder.encode(texts[len(flags) : len(flags) + size])
            rows = np.flatnonzero([self._is_first(sequence) for sequence in new["sequence"]])
            rows = np.delete(rows, self._index.pairs(new[rows], self.limit)[0])
            unlike = new[rows]
            later, earlier, _ = Index(unlike).pairs(unlike, self.limit, own=True)
            rows = rows[_keep_first(len(rows), later, earlier)]
            self._index = Index(np.concatenate([self._index.texts, new[rows]]))
            flags += np.isin(np.arange(len(new)), rows).tolist()
        return flags

    def _is_first(self, sequence: str | tuple[int, ...]) -> bool:
        """Return False for tokens that were compared before, since the result would be the same."""
        is_first = not sequence or self.limit >= 1 or sequence not in self._compared
        self._compared.add(sequence)
        return is_first


def nearest(
    texts: Sequence[str], pool: Sequence[str], *, floor=0.0, tokenizer="rouge"
) -> list[Nearest]:
    """Return row and score of the most similar text of `pool` above `floor`, else (-1, 0.0)."""
    encoder = Encoder(tokenizer)
    return _nearest(Index(encoder.encode(pool)), encoder.encode(texts), floor=floor)


def nearest_other(texts: Sequence[str], *, tokenizer: str = "rouge") -> list[Nearest]:
    """Return for each text the row and score of the most similar other; (-1, 0.0) if none."""
    index = Index(Encoder(tokenizer).encode(texts))
    return _nearest(index, index.texts, own=True)


def drop(task: Task, rule: str, *, nearest: Any = None, score: float | None = None) -> Dropped:
    """Return the record of a dropped task; `nearest` is the task or test item it resembles."""
    fields = {"task": task.id, "instruction": task.instruction, "rule": rule}
    if nearest is not None:
        text = nearest.instruction if isinstance(nearest, Task) else nearest.text
        fields |= {"nearest": nearest.id, "nearest_text": text, "score": round(score, 4)}
    return Dropped(**fields)


def _keep_first(size: int, later: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """Return keep-first flags: False for a text in a pair with an earlier kept one."""
    keep = np.ones(size, bool)
    for pair in np.argsort(later, kind="stable"):
        if keep[earlier[pair]]:
            keep[later[pair]] = False
    return keep


def _pairs(rows: np.ndarray, texts: Sequence[str], *, limit: float, tokenizer: str) -> np.ndarray:
    """Return pairs (2, n) of a row and an earlier one whose texts are above the limit."""
    encoded = Encoder(tokenizer).encode(texts)
    own = len(rows) == len(texts)
    later, earlier, _ = Index(encoded).pairs(encoded[rows], limit, own=own)
    pairs = np.stack([rows[later], earlier])
    return pairs[:, pairs[0] > pairs[1]]


def _dask_pairs(scheduler: str, rows: np.ndarray, texts: list[str], **settings: Any) -> np.ndarray:
    """Return what `_pairs` returns, searched by Dask workers, each for a part of the rows."""
    try:
        from distributed import Client

        client = Client(scheduler)
        client.wait_for_workers(1, timeout=30)
    except (ImportError, OSError, ValueError) as error:
        do = "Install the extra `scale`; give the address of a Dask scheduler that has workers."
        raise UserError("`scheduler` cannot be reached.", got=error, do=do) from None
    with client:
        (every,) = client.scatter([texts], broadcast=True, hash=False)
        parts = np.array_split(rows, len(client.nthreads()))
        tasks = [client.submit(_pairs, part, every, **settings) for part in parts]
        return np.concatenate(client.gather(tasks), axis=1)


def _nearest(index: Index, queries: np.ndarray, *, own=False, floor=0.0) -> list[Nearest]:
    """Return row and score of the most similar text of the index, the first of equals."""
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    rows, scores = np.full(len(queries), -1), np.zeros(len(queries))
    query, text, unmatched = index.pairs(queries, floor or SEARCHED, own=own)
    if own:
        query, text, unmatched = np.r_[query, text], np.r_[text, query], np.r_[unmatched, unmatched]
    total = queries["length"][query] + index.texts["length"][text]
    score = (total - unmatched) / total
    order = np.lexsort((text, -score, query))
    matched, best = np.unique(query[order], return_index=True)
    rows[matched], scores[matched] = text[order][best], score[order][best]
    rest = np.flatnonzero(rows < 0) if not floor and len(index.texts) > own else rows[:0]
    settings = {"scorer": Indel.distance, "dtype": np.int32, "workers": THREADS}
    # Below a score of one half no filter helps: the rest is compared with all texts.
    parts = -(-len(rest) * len(index.texts) // (16 * PAIRS))
    for part in np.array_split(rest, parts) if parts else ():
        unmatched = process.cdist(queries["sequence"][part], index.texts["sequence"], **settings)
        total = queries["length"][part, None] + index.texts["length"]
        score = (total - unmatched) / np.maximum(total, 1)
        if own:
            score[np.arange(len(part)), part] = -1
        rows[part], scores[part] = score.argmax(axis=1), score.max(axis=1)
    return list(zip(rows.tolist(), scores.tolist(), strict=True))
