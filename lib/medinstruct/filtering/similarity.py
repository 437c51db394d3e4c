"""Similarity: TF-IDF cosines, the most diverse subset by facility location, paraphrases."""

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from medinstruct.errors import UserError
from medinstruct.filtering.tokens import tokenize

NEIGHBORS = 64  # most similar texts kept of each
LEAST = 0.1  # a lower cosine counts as 0


def cosines(texts: Sequence[str]) -> Any:
    """Return TF-IDF cosines as a sparse symmetric matrix (n, n) with 1 on the diagonal.

    Words of a single text or of more than a tenth of the texts are left out; of each text the 64
    most similar are kept.
    """
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    def split(text: str) -> list[str]:
        return tokenize(text, tokenizer="unicode")

    most = max(len(texts) // 10, 2)
    vectorizer = TfidfVectorizer(analyzer=split, min_df=2, max_df=most, dtype=np.float32)
    try:
        weights = vectorizer.fit_transform(texts)
    except ValueError:  # no word is left
        return sparse.identity(len(texts), format="csr")
    settings = {"n_neighbors": min(NEIGHBORS, len(texts)), "metric": "cosine"}
    near = NearestNeighbors(**settings).fit(weights).kneighbors_graph(weights, mode="distance")
    near.data = np.where(near.data > 1 - LEAST, 0, 1 - near.data)
    near = near.maximum(near.T)
    near.setdiag(1.0)
    return near.tocsr()


def most_diverse(near: Any, size: int) -> list[int]:
    """Return the rows of `size` texts in order of gain; every prefix is a diverse subset too.

    Facility location: the sum over all texts of the cosine to the most similar chosen one. Greedy
    choice reaches at least 63 % of the best sum (Nemhauser et al., 1978). `near`: `cosines`.

    >>> most_diverse(cosines(["asthma inhaler", "asthma inhaler spacer", "hip fracture"]), 2)
    [1, 2]
    """
    if size < 0:
        do = "Use 0 to keep all, or for example take: 5000."
        raise UserError("`take` must be 0 or a number of tasks.", got=size, do=do)
    covered, chosen = np.zeros(near.shape[0]), []
    waiting = [(-gain, n) for n, gain in enumerate(np.asarray(near.sum(axis=1)).ravel())]
    heapq.heapify(waiting)
    while waiting and len(chosen) < size:
        _, n = heapq.heappop(waiting)
        rows, values = _row(near, n)
        gain = np.maximum(values - covered[rows], 0).sum()
        if waiting and -gain > waiting[0][0] + 1e-12:
            heapq.heappush(waiting, (-gain, n))
            continue
        covered[rows] = np.maximum(covered[rows], values)
        chosen.append(n)
    return chosen


def coverage(near: Any, chosen: Sequence[int]) -> np.ndarray:
    """Return the mean cosine to the most similar of the first 1, 2, … chosen texts."""
    covered, gains = np.zeros(near.shape[0]), []
    for n in chosen:
        rows, values = _row(near, n)
        gains.append(np.maximum(values - covered[rows], 0).sum())
        covered[rows] = np.maximum(covered[rows], values)
    return np.cumsum(gains) / max(len(covered), 1)


def paraphrases(texts: Sequence[str], model: str, *, least: float = 0.85) -> list[tuple]:
    """Return pairs of texts with a sentence-embedding cosine of at least `least`, closest first.

    `model` is a folder or a name on the Hub (the extra `semantic`), or "" for none. A pair is
    (cosine, row, row).
    """
    if not model or not texts:
        return []
    try:
        from sentence_transformers import SentenceTransformer, util

        encoder = SentenceTransformer(model, trust_remote_code=False)
    except (ImportError, OSError, ValueError) as error:
        do = "Install the extra `semantic` and name a folder or a Hub model, or leave it empty."
        raise UserError(
            "`embedding_model` cannot be loaded.", got=str(error)[:200], do=do
        ) from None
    pairs = util.paraphrase_mining(encoder, list(texts))
    return [(round(cosine, 4), first, second) for cosine, first, second in pairs if cosine >= least]


def _row(near: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and values of a row, much faster than `near[n]`."""
    part = slice(near.indptr[n], near.indptr[n + 1])
    return near.indices[part], near.data[part]
