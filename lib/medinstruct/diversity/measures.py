"""Measures of variety: entropy with its bias corrected, what is still unseen, lexical diversity, and growth."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from medinstruct import stats
from medinstruct.diversity.words import TOKEN


def miller_madow(counts: Iterable[int]) -> float:
    """Entropy in bits, corrected for the bias of small samples: (S - 1) / 2N nats more than the plain one (Miller 1955).

    >>> round(miller_madow([5, 5]), 3)
    1.072
    """
    found = [count for count in counts if count > 0]
    return (
        float(stats.entropy(found) + (len(found) - 1) / (2 * sum(found) * np.log(2)))
        if found
        else 0.0
    )


def chao_shen(counts: Iterable[int]) -> float:
    """Entropy in bits by the coverage-adjusted Horvitz-Thompson estimator, for heavy tails (Chao and Shen 2003).

    >>> round(chao_shen([5, 5]), 3)
    1.001
    """
    found = np.array([count for count in counts if count > 0], dtype=float)
    if not found.size:
        return 0.0
    total, singles = found.sum(), (found == 1).sum()
    share = (
        found / total * (1 - (singles - (singles == total)) / total)
    )  # all singletons would leave nothing
    return float(abs((share * np.log2(share) / (1 - (1 - share) ** total)).sum()))


def unseen(counts: Iterable[int]) -> dict[str, float]:
    """What is seen, the Chao1 lower bound of all there is (Chao 1984), and the share of the mass that is seen (Good 1953).

    >>> unseen([4, 2, 1, 1])
    {'seen': 4, 'chao1': 4.5, 'coverage': 0.75}
    """
    found = [count for count in counts if count > 0]
    once, twice, total = found.count(1), found.count(2), sum(found)
    more = once * (once - 1) / (2 * (twice + 1)) if total else 0.0
    return {
        "seen": len(found),
        "chao1": len(found) + more,
        "coverage": 1 - once / total if total else 0.0,
    }


def distinct_n(texts: Iterable[str], n: int = 2) -> float:
    """The share of different n-grams among all n-grams; it falls as a dataset grows, so compare equal sizes (Li et al. 2016).

    >>> distinct_n(["a b c", "a b d"])
    0.75
    """
    grams: Counter[tuple[str, ...]] = Counter()
    for words in map(_words, texts):
        grams.update(zip(*(words[i:] for i in range(n)), strict=False))
    return len(grams) / grams.total() if grams else 0.0


def mtld(texts: Iterable[str], *, threshold: float = 0.72) -> float:
    """Mean length of stretches whose type-token ratio stays above the threshold, in both directions (McCarthy and Jarvis 2010).

    >>> mtld(["a b c d e f g h"] * 5) < mtld(["a b c d e f g h", "i j k l m n o p", "q r s t u v w x"])
    True
    """
    words = [word for text in texts for word in _words(text)]
    return (_stretch(words, threshold) + _stretch(words[::-1], threshold)) / 2 if words else 0.0


def _stretch(words: Sequence[str], threshold: float) -> float:
    factors, types, length = 0.0, set(), 0
    for word in words:
        types.add(word)
        length += 1
        if len(types) / length <= threshold and length >= 10:
            factors, types, length = factors + 1, set(), 0
    rest = (1 - len(types) / length) / (1 - threshold) if length else 0.0
    return len(words) / (factors + rest) if factors + rest else float(len(words))


def vendi(texts: Sequence[str], *, sample: int = 1000, seed: int = 42) -> float:
    """The effective number of different texts: exp of the entropy of a similarity matrix's spectrum (Friedman and Dieng 2023).

    Similarity is the cosine of TF-IDF vectors of words and word pairs. More texts than `sample` are sampled, so compare
    equal sizes.

    >>> round(vendi(["take the dose", "take the dose"]), 3), round(vendi(["take the dose", "ask a nurse"]), 3)
    (1.0, 2.0)
    """
    chosen = sampled(texts, sample, seed=seed)
    if not chosen:
        return 0.0
    vectors = _tfidf([_grams(text) for text in chosen])
    kernel = (vectors @ vectors.T).toarray() / len(chosen)
    spectrum = np.linalg.eigvalsh(kernel)
    spectrum = spectrum[spectrum > 1e-12]
    return float(np.exp(-(spectrum * np.log(spectrum)).sum()))


def sampled(texts: Sequence[str], most: int, *, seed: int = 42) -> list[str]:
    """All texts, or `most` of them by chance, in their order."""
    if len(texts) <= most:
        return list(texts)
    chosen = np.random.default_rng(seed).choice(len(texts), most, replace=False)
    return [texts[i] for i in sorted(chosen)]


def growth(items: Sequence[Hashable | None], *, points: int = 60) -> dict[int, int]:
    """How many different items are known after so many tasks, in their order; tasks without an item count as tasks.

    >>> growth(["a", "a", None, "b"])
    {0: 0, 1: 1, 2: 1, 3: 1, 4: 2}
    """
    stops = {round(stop) for stop in np.linspace(0, len(items), min(points, len(items)) + 1)}
    known: set[Hashable] = set()
    found = {0: 0}
    for place, item in enumerate(items, 1):
        if item is not None and item == item:  # pandas makes None nan
            known.add(item)
        if place in stops:
            found[place] = len(known)
    return found


def expected(counts: Mapping[Hashable, int] | Iterable[int], *, more: int) -> float:
    """How many different items to expect after `more` further draws (Chao et al. 2009); the Chao1 bound is never passed.

    >>> round(expected([4, 2, 1, 1], more=8), 2)
    4.48
    """
    found = list(counts.values()) if isinstance(counts, Mapping) else list(counts)
    hidden, once, total = unseen(found)["chao1"] - len(found), found.count(1), sum(found)
    if not hidden or not once:
        return float(len(found))
    return len(found) + hidden * (1 - (1 - once / (total * hidden + once)) ** more)


def lexical(texts: Sequence[str], *, sample: int = 1000, seed: int = 42) -> dict[str, float]:
    """The lexical measures of a sample of so many texts, so that sets of different size can be compared."""
    chosen = sampled(texts, sample, seed=seed)
    found = {
        "texts": len(chosen),
        "distinct-1": distinct_n(chosen, 1),
        "distinct-2": distinct_n(chosen, 2),
    }
    return found | {"MTLD": mtld(chosen), "Vendi": vendi(chosen, sample=sample)}


def plain(value: Any) -> Any:
    """A value as JSON can hold it: numbers of Python, tuples as text, and None for what is not a number.

    >>> plain({("take", "dose"): np.float64(0.5), "x": float("nan")})
    {'take dose': 0.5, 'x': None}
    """
    if isinstance(value, Mapping):
        return {
            " ".join(map(str, key)) if isinstance(key, tuple) else str(key): plain(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _words(text: str) -> list[str]:
    return [token.lower() for token in TOKEN.findall(text) if token[0].isalnum()]


def _grams(text: str) -> Counter[str]:
    words = _words(text)
    return Counter(words + [f"{a} {b}" for a, b in zip(words, words[1:], strict=False)])


def _tfidf(rows: Sequence[Counter[str]]):  # noqa: ANN202
    """Rows of unit length; a text without words is like no other, and like itself."""
    from scipy.sparse import csr_matrix

    rows = [row or Counter([f"\0{i}"]) for i, row in enumerate(rows)]
    held = Counter(gram for row in rows for gram in row)
    names = {gram: i for i, gram in enumerate(held)}
    weight = np.log((1 + len(rows)) / (1 + np.array(list(held.values())))) + 1
    places = [names[gram] for row in rows for gram in row]
    values = (
        np.array([count for row in rows for count in row.values()], dtype=float) * weight[places]
    )
    starts = np.cumsum([0, *map(len, rows)])
    lengths = np.sqrt(np.add.reduceat(values**2, starts[:-1]))
    return csr_matrix(
        (values / np.repeat(lengths, np.diff(starts)), places, starts),
        shape=(len(rows), len(names)),
    )
