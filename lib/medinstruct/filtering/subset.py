"""Subset: the most diverse by facility location over TF-IDF cosines; paraphrases."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from medinstruct.errors import UserError
from medinstruct.filtering.rouge import tokenize

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

    split = partial(tokenize, tokenizer="unicode")
    settings = {"min_df": 2, "max_df": max(len(texts) // 10, 2), "dtype": np.float32}
    try:
        weights = TfidfVectorizer(analyzer=split, **settings).fit_transform(texts)
    except ValueError:  # no word is left
        return sparse.identity(len(texts), format="csr")
    near = NearestNeighbors(n_neighbors=min(NEIGHBORS, len(texts)), metric="cosine").fit(weights)
    near = near.kneighbors_graph(weights, mode="distance")
    near.data = np.where(near.data > 1 - LEAST, 0, 1 - near.data)
    near = near.maximum(near.T)
    near.setdiag(1.0)
    return near.tocsr()


def most_diverse(near: Any, size: int) -> list[int]:
    """Return the rows of `size` texts in order of gain; every prefix is a diverse subset too.

    Facility location: the sum over all texts of the cosine to the most similar chosen one. Greedy
    choice reaches at least 63% of the best sum (Nemhauser et al., 1978). `near`: `cosines`.
    """
    gains = np.asarray(near.sum(axis=1), dtype=float).ravel()  # upper bounds
    covered, chosen = np.zeros(len(gains)), []
    while len(chosen) < min(size, len(gains)):
        n = int(gains.argmax())
        part = slice(near.indptr[n], near.indptr[n + 1])  # much faster than near[n]
        rows, values = near.indices[part], near.data[part]
        gain = np.maximum(values - covered[rows], 0).sum()
        if gain >= gains[n]:
            covered[rows] = np.maximum(covered[rows], values)
            chosen.append(n)
            gain = -1
        gains[n] = gain
    return chosen


def coverage(near: Any, chosen: Sequence[int]) -> np.ndarray:
    """Return the mean cosine to the most similar of the first 1, 2, … chosen texts."""
    covered, gains = np.zeros(near.shape[0]), []
    for n in chosen:
        part = slice(near.indptr[n], near.indptr[n + 1])
        rows, values = near.indices[part], near.data[part]
        gains.append(np.maximum(values - covered[rows], 0).sum())
        covered[rows] = np.maximum(covered[rows], values)
    return np.cumsum(gains) / max(len(covered), 1)


def paraphrases(texts: Sequence[str], model: str, *, pool=(), least=0.85) -> list[tuple]:
    """Return (cosine, row, row) of pairs, or of texts and the closest of `pool`, at `least`."""
    if not model or not texts:
        return []
    try:
        from sentence_transformers import SentenceTransformer, util

        encoder = SentenceTransformer(model, trust_remote_code=False)
    except (ImportError, OSError, ValueError) as error:
        got, do = str(error)[:200], "Install the extra `semantic`; name a folder or a Hub model."
        raise UserError("`embedding_model` cannot be loaded.", got=got, do=do) from None
    pairs = [] if pool else util.paraphrase_mining(encoder, list(texts))
    if pool:
        near = util.semantic_search(*map(encoder.encode, map(list, (texts, pool))), top_k=1)
        pairs = [(hits[0]["score"], n, hits[0]["corpus_id"]) for n, hits in enumerate(near)]
    return [(round(cosine, 4), first, second) for cosine, first, second in pairs if cosine >= least]
