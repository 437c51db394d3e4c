"""The most diverse few of many texts, for those who can pay for only so many answers: facility location, chosen greedily."""

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from medinstruct.errors import UserError
from medinstruct.filtering.words import unicode_tokens

COMMON = 0.1  # words in more of the texts than this say nothing of what a text is about
NEIGHBOURS = 64  # most similar texts that are remembered of each
LEAST = 0.1  # cosine below which texts count as unlike


def diverse(texts: Sequence[str], take: int, *, near: Any = None) -> list[int]:
    """The numbers of `take` texts in the order of their worth, so that every prefix is a good subset too.

    Facility location: the sum over all texts of the cosine (TF-IDF of words) to the most similar one chosen. Each step takes the
    text that adds most, which reaches at least 63 % of the best possible sum (Nemhauser et al., 1978). `near` is their `likeness`
    where it is known already.

    >>> diverse(["asthma inhaler", "asthma inhaler spacer", "hip fracture", "asthma spacer"], 2)
    [1, 2]
    """
    if take < 0:
        raise UserError(
            "`take` must be 0 (all) or a number of tasks.", got=take, do="For example take: 5000."
        )
    near = likeness(texts) if near is None else near
    covered = np.zeros(len(texts))
    chosen: list[int] = []
    waiting = [(-gain, n) for n, gain in enumerate(np.asarray(near.sum(axis=1)).ravel())]
    heapq.heapify(waiting)
    while waiting and len(chosen) < take:
        _, n = heapq.heappop(waiting)
        rows, values = _row(near, n)
        gain = np.maximum(values - covered[rows], 0).sum()
        if waiting and -gain > waiting[0][0] + 1e-12:
            heapq.heappush(waiting, (-gain, n))
            continue
        np.maximum.at(covered, rows, values)
        chosen.append(n)
    return chosen


def coverage(near: Any, chosen: Sequence[int]) -> np.ndarray:
    """How well the first 1, 2, … of the chosen texts cover all: the mean similarity to the most similar one among them."""
    covered, curve, total = np.zeros(near.shape[0]), [], 0.0
    for n in chosen:
        rows, values = _row(near, n)
        total += np.maximum(values - covered[rows], 0).sum()
        covered[rows] = np.maximum(covered[rows], values)
        curve.append(total / max(len(covered), 1))
    return np.array(curve)


def likeness(texts: Sequence[str]) -> Any:
    """A sparse, symmetric matrix of cosines between texts (TF-IDF of words): each with its 64 most similar, 1 on the diagonal."""
    from scipy import sparse

    weights = _tf_idf(texts)
    blocks = [
        _strongest((weights[start : start + 1024] @ weights.T).tocsr())
        for start in range(0, len(texts), 1024)
    ]
    near = sparse.vstack(blocks, format="csr") if blocks else sparse.csr_matrix((0, 0))
    near = near.maximum(near.T)
    near.setdiag(1.0)
    return near.tocsr()


def _strongest(block: Any) -> Any:
    """Of each row only what is above the least likeness, and of that the strongest."""
    block.data[block.data < LEAST] = 0
    block.eliminate_zeros()
    for row in np.flatnonzero(np.diff(block.indptr) > NEIGHBOURS):
        values = block.data[block.indptr[row] : block.indptr[row + 1]]
        values[values < np.partition(values, -NEIGHBOURS)[-NEIGHBOURS]] = 0
    block.eliminate_zeros()
    return block


def _tf_idf(texts: Sequence[str]) -> Any:
    """Rows of unit length over the words that are neither in one text only nor in too many."""
    from scipy import sparse

    codes: dict[str, int] = {}
    words = [
        [codes.setdefault(word, len(codes)) for word in unicode_tokens(text)] for text in texts
    ]
    rows = np.repeat(np.arange(len(texts)), [len(one) for one in words])
    columns = np.array([code for one in words for code in one], dtype=np.int64)
    counts = sparse.csr_matrix(
        (np.ones(len(columns), np.float32), (rows, columns)), shape=(len(texts), len(codes))
    )
    spread = np.bincount(counts.indices, minlength=len(codes))
    telling = (spread > 1) & (spread <= max(COMMON * len(texts), 2))
    weighted = counts[:, telling] @ sparse.diags(
        np.log(len(texts) / np.maximum(spread[telling], 1)).astype(np.float32)
    )
    length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return (sparse.diags((1 / np.maximum(length, 1e-9)).astype(np.float32)) @ weighted).tocsr()


def _row(near: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    span = slice(near.indptr[n], near.indptr[n + 1])
    return near.indices[span], near.data[span]
