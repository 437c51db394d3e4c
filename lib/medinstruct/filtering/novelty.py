"""Exact ROUGE-L F1 between many texts, by RapidFuzz's bit-parallel longest common subsequence.

ROUGE-L F1 is 2 LCS / (m + n), which is RapidFuzz's normalised Indel similarity over tokens. Tokens are those of the
`rouge_score` package without stemming: runs of a-z and 0-9 in lower case.
"""

import re
from collections.abc import Sequence

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Indel

TOKEN = re.compile(r"[a-z0-9]+")


def tokens(text: str) -> list[str]:
    """The tokens of `rouge_score` without stemming.

    >>> tokens("What's the BP (132/82)?")
    ['what', 's', 'the', 'bp', '132', '82']
    """
    return TOKEN.findall(text.lower())


def keep_novel(texts: Sequence[str], *, limit: float = 0.7, pool: Sequence[str] = ()) -> list[bool]:
    """Keep-first: whether each text's ROUGE-L F1 to all of `pool` and to all texts kept before it is at most `limit`.

    Exact, not approximate. The published code drops every member of a near-duplicate group instead (paper.md, F1).
    """
    return Pool(pool, limit=limit).add_novel(texts)


class Pool:
    """Texts kept encoded, so that new ones are checked against all of them at once and join them when they are new."""

    def __init__(self, texts: Sequence[str] = (), *, limit: float = 0.7) -> None:
        self.limit = limit
        self._codes: dict[str, str] = {}
        self._kept = [self._encode(text) for text in texts]

    def __len__(self) -> int:
        return len(self._kept)

    def add_novel(self, texts: Sequence[str]) -> list[bool]:
        """Keep-first, as `keep_novel`; what is kept belongs to the pool from then on."""
        flags = []
        for query in map(self._encode, texts):
            is_novel = not self._kept or bool(_scores(query, self._kept).max() <= self.limit + 1e-12)
            flags.append(is_novel)
            if is_novel:
                self._kept.append(query)
        return flags

    def _encode(self, text: str) -> str:
        return "".join(self._codes.setdefault(token, chr(_point(len(self._codes)))) for token in tokens(text))


def nearest(texts: Sequence[str], pool: Sequence[str]) -> list[tuple[int, float]]:
    """Index and ROUGE-L F1 of the most similar text of `pool` (the first of equals); (-1, 0.0) where the pool is empty."""
    if not pool:
        return [(-1, 0.0)] * len(texts)
    encoded = _encoded([*pool, *texts])
    found = [_scores(query, encoded[: len(pool)]) for query in encoded[len(pool) :]]
    return [(int(scores.argmax()), float(scores.max())) for scores in found]


def nearest_other(texts: Sequence[str], *, earlier: bool = False) -> list[tuple[int, float]]:
    """For each text the most similar of the others, or of those before it; (-1, 0.0) where there is none."""
    encoded, found = _encoded(texts), []
    for n, query in enumerate(encoded):
        scores = _scores(query, encoded[: n if earlier else len(encoded)])
        scores[n : n + 1] = -1.0
        found.append((int(scores.argmax()), float(scores.max())) if (scores >= 0).any() else (-1, 0.0))
    return found


def _encoded(texts: Sequence[str]) -> list[str]:
    """Each text as a string with one character a token, so that equal tokens are equal characters."""
    codes: dict[str, str] = {}
    return ["".join(codes.setdefault(token, chr(_point(len(codes)))) for token in tokens(text)) for text in texts]


def _point(number: int) -> int:
    """The code point for the n-th token; the surrogates are left out."""
    return number + 1 if number + 1 < 0xD800 else number + 1 + 0x800


def _scores(query: str, pool: list[str]) -> np.ndarray:
    """ROUGE-L F1 of one text to each of the pool; two empty texts have 0, as `rouge_score` has it."""
    if not query:
        return np.zeros(len(pool))
    return process.cdist([query], pool, scorer=Indel.normalized_similarity, dtype=np.float64)[0]
