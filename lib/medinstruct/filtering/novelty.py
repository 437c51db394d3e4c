"""Novelty by exact ROUGE-L F1: keep-first and drop-all, nearest texts, Dask."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from medinstruct.errors import UserError
from medinstruct.filtering.index import PAIRS, THREADS, Index, max_unmatched
from medinstruct.filtering.tokens import Encoded, Encoder
from medinstruct.records import Dropped, Task

PORTION = 1024  # texts of the first portion; later ones are a quarter of the pool
SEARCHED = 0.5  # above this score the index searches a nearest text; below, all are compared
RULES = ("keep_first", "drop_all")


def keep_novel(
    texts: Sequence[str],
    *,
    limit: float = 0.7,
    pool: Sequence[str] = (),
    rule: str = "keep_first",
    tokenizer: str = "rouge",
    scheduler: str = "",
) -> list[bool]:
    """Return for each text whether it is novel.

    keep_first: its ROUGE-L F1 to all of `pool` and all texts kept before it is at most `limit`.
    drop_all, the published rule: to all of `pool` and all other texts. The result is exact. Texts
    without a token are always kept. `scheduler` is the address of a Dask scheduler whose workers
    do the work of keep_first (the extra `scale`).

    >>> keep_novel(["Explain what asthma is", "Explain what asthma is.", "Define sepsis"])
    [True, False, True]
    >>> keep_novel(["Explain asthma", "Explain asthma!", "Define sepsis"], rule="drop_all")
    [False, False, True]
    """
    if rule not in RULES:
        do = "Use keep_first, or drop_all for the published rule."
        raise UserError("`rule` must be keep_first or drop_all.", got=rule, do=do)
    settings = {"limit": limit, "tokenizer": tokenizer}
    if rule == "drop_all":
        return _drop_all(texts, pool, **settings)
    if scheduler:
        return _keep_novel_on_dask(scheduler, texts, pool, **settings)
    return Pool(pool, **settings).add_novel(texts)


def compared_texts(tasks: Iterable[Task], fields: str = "instruction") -> list[str]:
    """Return the text of each task that is compared: its instruction, or instruction+input.

    Multiple-choice and USMLE-style tasks share formulaic instructions and differ in the input.
    """
    if fields == "instruction":
        return [task.instruction for task in tasks]
    if fields == "instruction+input":
        return [f"{task.instruction} {task.input}".strip() for task in tasks]
    do = "Use instruction as published, or instruction+input."
    raise UserError("`novelty_fields` names no known fields.", got=fields, do=do)


class Pool:
    """Novel texts: new ones are compared with all of them and join if they are novel."""

    def __init__(
        self, texts: Sequence[str] = (), *, limit: float = 0.7, tokenizer: str = "rouge"
    ) -> None:
        max_unmatched(0, limit)
        self.limit, self._encoder = limit, Encoder(tokenizer)
        self._index = Index(self._encoder.encode(texts))
        self._compared = set(self._index.texts.sequences)

    def __len__(self) -> int:
        return len(self._index.texts)

    def add_novel(self, texts: Sequence[str]) -> list[bool]:
        """Return keep-first flags as `keep_novel` does; kept texts join the pool."""
        flags: list[bool] = []
        while len(flags) < len(texts):
            size = max(PORTION, len(self) // 4)
            flags += self._add(self._encoder.encode(texts[len(flags) : len(flags) + size]))
        return flags

    def are_novel(self, texts: Sequence[str]) -> list[bool]:
        """Return whether each text alone would be novel; none joins."""
        return self._are_unlike(self._encoder.encode(texts)).tolist()

    def _add(self, new: Encoded) -> list[bool]:
        rows = np.flatnonzero([self._is_first(sequence) for sequence in new.sequences])
        rows = rows[self._are_unlike(new.take(rows))]
        rows = rows[_keep_first(new.take(rows), self.limit)]
        self._index = Index(self._index.texts.joined(new.take(rows)))
        return np.isin(np.arange(len(new)), rows).tolist()

    def _is_first(self, sequence: str | tuple[int, ...]) -> bool:
        """Return False for tokens that were compared before, since the result would be the same."""
        is_first = not sequence or self.limit >= 1 or sequence not in self._compared
        self._compared.add(sequence)
        return is_first

    def _are_unlike(self, new: Encoded) -> np.ndarray:
        unlike = np.ones(len(new), bool)
        unlike[self._index.pairs(new, self.limit)[0]] = False
        return unlike


def nearest(
    texts: Sequence[str], pool: Sequence[str], *, floor: float = 0.0, tokenizer: str = "rouge"
) -> list[tuple[int, float]]:
    """Return for each text the row and ROUGE-L F1 of the most similar text of `pool`.

    The first of equals; (-1, 0.0) if the pool is empty. With a `floor` only scores above it are
    searched, which is much faster; (-1, 0.0) where there is none.

    >>> nearest(["What is asthma?", "Draw."], ["Define sepsis", "What is the asthma"])
    [(1, 0.8571428571428571), (0, 0.0)]
    """
    if not pool:
        return [(-1, 0.0)] * len(texts)
    encoder = Encoder(tokenizer)
    return _nearest(Index(encoder.encode(pool)), encoder.encode(texts), floor=floor)


def nearest_other(texts: Sequence[str], *, tokenizer: str = "rouge") -> list[tuple[int, float]]:
    """Return for each text the row and score of the most similar other; (-1, 0.0) if none."""
    if len(texts) < 2:
        return [(-1, 0.0)] * len(texts)
    index = Index(Encoder(tokenizer).encode(texts))
    return _nearest(index, index.texts, own=True)


def nearest_kept(
    texts: Sequence[str],
    keep: Sequence[bool],
    *,
    pool: Sequence[str] = (),
    limit: float = 0.7,
    rule: str = "keep_first",
    tokenizer: str = "rouge",
) -> list[tuple[int, float]]:
    """Return for each dropped text the row, in `pool` and then `texts`, and score of its nearest.

    With keep_first that is a kept text; with drop_all it may have been dropped as well.
    """
    every, flags = [*pool, *texts], np.array([True] * len(pool) + list(keep), bool)
    dropped, kept = np.flatnonzero(~flags), np.flatnonzero(flags)
    if rule == "drop_all":
        others = nearest_other(every, tokenizer=tokenizer)
        return [others[n] for n in dropped]
    asked, known = [every[n] for n in dropped], [every[n] for n in kept]
    matches = nearest(asked, known, floor=limit, tokenizer=tokenizer)
    return [(int(kept[n]), score) for n, score in matches]


def drop(task: Task, rule: str, *, nearest: Any = None, score: float | None = None) -> Dropped:
    """Return the record of a dropped task; `nearest` is the task or test item that it resembles."""
    fields = {"task": task.id, "instruction": task.instruction, "rule": rule}
    if nearest is not None:
        text = nearest.instruction if isinstance(nearest, Task) else nearest.text
        fields |= {"nearest": nearest.id, "nearest_text": text, "score": round(score, 4)}
    return Dropped(**fields)


def _keep_first(texts: Encoded, limit: float) -> np.ndarray:
    """Return keep-first flags: False for a text above the limit with an earlier kept one."""
    keep = np.ones(len(texts), bool)
    later, earlier, _ = Index(texts).pairs(texts, limit, own=True)
    for pair in np.argsort(later, kind="stable"):
        if keep[earlier[pair]]:
            keep[later[pair]] = False
    return keep


def _drop_all(
    texts: Sequence[str], pool: Sequence[str], *, limit: float, tokenizer: str
) -> list[bool]:
    every = Encoder(tokenizer).encode([*pool, *texts])
    keep = np.ones(len(every), bool)
    later, earlier, _ = Index(every).pairs(every, limit, own=True)
    keep[later] = keep[earlier] = False
    return keep[len(pool) :].tolist()


def _nearest(
    index: Index, queries: Encoded, *, own: bool = False, floor: float = 0.0
) -> list[tuple[int, float]]:
    """Return row and score of the most similar text of the index, the first of equals."""
    rows, scores = np.full(len(queries), -1), np.zeros(len(queries))
    query, text, unmatched = index.pairs(queries, floor or SEARCHED, own=own)
    if own:
        query, text, unmatched = np.r_[query, text], np.r_[text, query], np.r_[unmatched, unmatched]
    total = queries.lengths[query] + index.texts.lengths[text]
    score = (total - unmatched) / total
    order = np.lexsort((text, -score, query))
    matched, best = np.unique(query[order], return_index=True)
    rows[matched], scores[matched] = text[order][best], score[order][best]
    rest = np.flatnonzero(rows < 0) if not floor else np.zeros(0, int)
    for part in np.array_split(rest, -(-len(rest) * len(index.texts) // (16 * PAIRS)) or 1):
        rows[part], scores[part] = _nearest_of_all(index, queries, part, own)
    return list(zip(rows.tolist(), scores.tolist(), strict=True))


def _nearest_of_all(
    index: Index, queries: Encoded, part: np.ndarray, own: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Compare some queries with all texts: below a score of one half no filter helps."""
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    settings = {"scorer": Indel.distance, "dtype": np.int32, "workers": THREADS}
    unmatched = process.cdist(queries.sequences[part], index.texts.sequences, **settings)
    total = queries.lengths[part, None] + index.texts.lengths
    scores = (total - unmatched) / np.maximum(total, 1)
    if own:
        scores[np.arange(len(part)), part] = -1
    return scores.argmax(axis=1), scores.max(axis=1, initial=-1)


def _keep_novel_on_dask(
    scheduler: str, texts: Sequence[str], pool: Sequence[str], **settings: Any
) -> list[bool]:
    """Return keep-first flags computed by Dask workers in partitions.

    The first partition is final at once; all later ones are checked against it in parallel, then
    the second is final, and so on.
    """
    try:
        from distributed import Client

        client = Client(scheduler)
    except (ImportError, OSError, ValueError) as error:
        do = "Install the extra `scale` and give the address of a running Dask scheduler."
        raise UserError("`scheduler` cannot be reached.", got=error, do=do) from None
    with client:
        parts = np.array_split(np.arange(len(texts)), 4 * max(len(client.nthreads()), 1))
        parts = [{n: texts[n] for n in part.tolist()} for part in parts]
        (known,) = client.scatter([dict(enumerate(pool))], hash=False)
        parts = [client.submit(_novel_rows, part, known, False, settings) for part in parts]
        for n in range(len(parts)):
            parts[n] = client.submit(_novel_rows, parts[n], {}, True, settings)
            for later in range(n + 1, len(parts)):
                parts[later] = client.submit(_novel_rows, parts[later], parts[n], False, settings)
        kept = set().union(*client.gather([client.submit(list, part) for part in parts]))
    return [n in kept for n in range(len(texts))]


def _novel_rows(
    texts: dict[int, str], earlier: dict[int, str], is_final: bool, settings: dict[str, Any]
) -> dict[int, str]:
    """Return the texts that are unlike all earlier ones and, if final, unlike one another."""
    pool = Pool(list(earlier.values()), **settings)
    check = pool.add_novel if is_final else pool.are_novel
    flags = check(list(texts.values()))
    return {n: text for (n, text), novel in zip(texts.items(), flags, strict=True) if novel}
