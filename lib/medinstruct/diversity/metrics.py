"""Metrics: richness, divergence, lexical diversity."""

import math
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np
import scipy

from medinstruct.errors import UserError
from medinstruct.filtering.novelty import spaced

TOKEN = re.compile(r"n['’]t\b|['’](?:s|d|ll|re|ve|m)\b|\w+(?=n['’]t\b)|\w+(?:[-/]\w+)*")


def richness(counts: Iterable[int]) -> dict[str, float]:
    """Return the items seen, the Chao1 lower bound of all items, and Good-Turing coverage."""
    counts = [count for count in counts if count > 0]
    once, twice, total = counts.count(1), counts.count(2), sum(counts)
    chao1 = len(counts) + once * (once - 1) / (2 * (twice + 1))
    return {"seen": len(counts), "chao1": chao1, "coverage": 1 - once / total if total else 0.0}


def extrapolated(counts: Iterable[int], *, more: int) -> float:
    """Return the distinct items expected after `more` independent draws (Chao et al. 2009)."""
    counts = list(counts)
    if more > sum(counts):
        do = f"Ask for at most {sum(counts)} more draws."
        raise UserError("An extrapolation reaches at most twice the sample.", got=more, do=do)
    hidden, once, total = richness(counts)["chao1"] - len(counts), counts.count(1), sum(counts)
    rate = once / (total * hidden + once) if hidden and once else 0.0
    return len(counts) + hidden * (1 - (1 - rate) ** more)


def divergence(one: Mapping[Hashable, int], other: Mapping[Hashable, int]) -> float:
    """Return the Jensen-Shannon divergence in bits: 0 for equal shares, 1 for no common label."""
    names = list(dict.fromkeys([*one, *other]))
    counts = [[table.get(name, 0) for name in names] for table in (one, other)]
    if not all(map(any, counts)):
        return math.nan
    return float(scipy.spatial.distance.jensenshannon(*counts, base=2) ** 2)


def lexical(texts: Sequence[str], *, sample: int = 1000, seed: int = 42) -> dict[str, float]:
    """Return distinct-1, distinct-2 and Vendi of at most `sample` texts; compare equal sizes.

    Words are tokens as of `filtering.tokenize`: compare only texts of one language.
    """
    if len(texts) > sample:
        chosen = np.random.default_rng(seed).choice(len(texts), sample, replace=False)
        texts = [texts[i] for i in sorted(chosen)]
    distinct = {f"distinct-{n}": distinct_n(texts, n) for n in (1, 2)}
    return {"texts": len(texts), **distinct, "Vendi": vendi(texts)}


def distinct_n(texts: Iterable[str], n: int = 2) -> float:
    """Return the share of distinct n-grams among all n-grams (Li et al. 2016)."""
    words = map(_words, texts)
    grams = [gram for row in words for gram in zip(*(row[k:] for k in range(n)), strict=False)]
    return len(set(grams)) / max(len(grams), 1)


def vendi(texts: Sequence[str]) -> float:
    """Return the Vendi score of TF-IDF cosines (Friedman and Dieng 2023), in n² memory."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not texts:
        return 0.0
    split = {"tokenizer": lambda text: _words(text) or [text], "token_pattern": None}
    vectors = TfidfVectorizer(**split, ngram_range=(1, 2), lowercase=False).fit_transform(texts)
    spectrum = np.linalg.eigvalsh((vectors @ vectors.T).toarray() / len(texts))
    entropy = scipy.special.entr(spectrum[spectrum > 1e-12]).sum()
    return round(float(np.exp(entropy)), 6)  # the same for any number of threads


def _words(text: str) -> list[str]:
    text = spaced(text)
    return [token.lower() for token in TOKEN.findall(text) if token[0].isalnum()]
