"""Novelty by exact ROUGE-L F1: tokens of any script, keep-first and drop-all, nearest texts.

ROUGE-L F1 is 2 LCS / (m + n). It exceeds a limit only if fewer than (1 - limit)(m + n) tokens are
unmatched, that is, not part of the longest common subsequence. Three filters bound the unmatched
tokens from below and never lose a pair: the difference in length; the differing bits of two
fingerprints, each an unmatched token; and those of fingerprints folded to 64 or 256 bits.
RapidFuzz verifies the remaining candidates.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from itertools import chain, count
from typing import Any

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Indel

from medinstruct.errors import UserError, check_choice
from medinstruct.records import Dropped, Task

# Thai, Lao, Burmese, Khmer, kana and Han are written without spaces: each letter is a token.
# Hangul has spaces, but particles join its words: each syllable is a token.
SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff"
SPACELESS += "\uff66-\uff9f\U00020000-\U000323af"
HANGUL = "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"
TOKENIZERS = {"rouge": re.compile("[a-z0-9]+"), "unicode": re.compile(r"[^\W_]+")}
LAST_CHARACTER = 0x10FFFF
FINGERPRINT_WORDS = 16  # of 64 bits
# A sequence is a string of one character a token, or a tuple if there are more distinct tokens than
# characters. The bits are the parities of the counts of a text's tokens, spread over 1,024 bits.
FIELDS = [("sequence", object), ("length", np.int32), ("bits", np.uint64, FINGERPRINT_WORDS)]
WIDTH, PAIRS = 1 << 16, 1 << 20  # texts and pairs filtered at once
THREADS = min(4, os.cpu_count() or 1)
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
BLOCK = 1 << 14  # texts encoded at once
PORTION = 1024  # texts of the first portion; later ones are a quarter of the pool
Nearest = tuple[int, float]  # row and score
SEARCHED = 0.5  # above this score the index searches a nearest text; below, all are compared


def keep_novel(
    texts: Sequence[str], *, limit=0.7, pool=(), rule="keep_first", tokenizer="rouge"
) -> list[bool]:
    """Return for each text whether it is novel.

    keep_first: its ROUGE-L F1 to all of `pool` and all texts kept before it is at most `limit`.
    drop_all, the published rule: to all of `pool` and all other texts. The result is exact. Texts
    without a token are always kept.
    """
    check_choice("rule", rule, ("keep_first", "drop_all"))
    if rule == "keep_first":
        return Pool(pool, limit=limit, tokenizer=tokenizer).add_novel(texts)
    every = Encoder(tokenizer).encode([*pool, *texts])
    later, earlier, _ = Index(every).pairs(every, limit, own=True)
    return (~np.isin(np.arange(len(every)), [later, earlier]))[len(pool) :].tolist()


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


def nearest(
    texts: Sequence[str], pool: Sequence[str] | None = None, *, floor=0.0, tokenizer="rouge"
) -> list[Nearest]:
    """Return row and score of the most similar text of `pool` above `floor`, else (-1, 0.0).

    Without a pool, the texts are compared with each other. Of equals the first is returned.
    """
    encoder, own = Encoder(tokenizer), pool is None
    index = Index(encoder.encode(texts if own else pool))
    queries = index.texts if own else encoder.encode(texts)
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
    parts = -(-len(rest) * len(index.texts) // (4 * PAIRS))
    for part in np.array_split(rest, parts) if parts else ():
        unmatched = process.cdist(queries["sequence"][part], index.texts["sequence"], **settings)
        total = queries["length"][part, None] + index.texts["length"]
        score = (total - unmatched) / np.maximum(total, 1)
        if own:
            score[np.arange(len(part)), part] = -1
        rows[part], scores[part] = score.argmax(axis=1), score.max(axis=1)
    return list(zip(rows.tolist(), scores.tolist(), strict=True))


def compared_texts(tasks: Iterable[Task], fields: str = "instruction") -> list[str]:
    """Return the text of each task that is compared: its instruction, or instruction+input."""
    check_choice("novelty_fields", fields, ("instruction", "instruction+input"))
    if fields == "instruction":
        return [task.instruction for task in tasks]
    return [f"{task.instruction} {task.input}".strip() for task in tasks]


def tokenize(text: str, *, tokenizer: str = "rouge") -> list[str]:
    """Return the lower-case tokens of a text.

    rouge: runs of a-z and 0-9, as the package `rouge_score` without stemming. unicode: runs of
    letters and digits of any script; in scripts without spaces each letter is a token, in Hangul
    each syllable, also where it is composed of several characters.
    """
    check_choice("tokenizer", tokenizer, TOKENIZERS)
    text = spaced(text) if tokenizer == "unicode" else text
    return TOKENIZERS[tokenizer].findall(text.lower())


def spaced(text: str) -> str:
    """Return a text in composed form (NFC) with spaces around what is a token by itself."""
    if text.isascii():
        return text
    return re.sub(f"[{SPACELESS}{HANGUL}]", r" \g<0> ", unicodedata.normalize("NFC", text))


def tokenizer_of(texts: Iterable[str], *, share: float = 0.01) -> str:
    """Return rouge, or unicode where at least `share` of the texts have mostly other letters."""
    letters = [re.sub(r"[\W\d_]+", "", text.lower()) for text in texts]
    others = sum(2 * len(re.findall("[a-z]", word)) < len(word) for word in letters)
    return "unicode" if others and others >= share * len(letters) else "rouge"


def count_words(text: str) -> int:
    """Return the runs between spaces; in scripts without spaces, two characters are a word."""
    text = text if text.isascii() else re.sub(f"[{SPACELESS}]{{2}}", r"\g<0> ", text)
    return len(text.split())


class Encoder:
    """A vocabulary: equal tokens have equal codes in all texts that it encodes."""

    def __init__(self, tokenizer: str = "rouge") -> None:
        self._tokenizer = tokenizer
        self._codes: dict[str, int] = defaultdict(count(1).__next__)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return an array (n,) of `FIELDS`; tokens not seen before get the next codes, from 1."""
        encoded = np.zeros(len(texts), FIELDS)
        for start in range(0, len(texts), BLOCK):
            words = (tokenize(t, tokenizer=self._tokenizer) for t in texts[start : start + BLOCK])
            codes, part = [[self._codes[w] for w in row] for row in words], encoded[start:][:BLOCK]
            part["sequence"] = np.fromiter(map(_sequence, codes), object, len(codes))
            part["length"] = np.fromiter(map(len, codes), np.int32, len(codes))
            bits = np.fromiter(chain.from_iterable(codes), np.int64) % (64 * FINGERPRINT_WORDS)
            rows = np.repeat(np.arange(len(codes)), part["length"])
            flips = np.uint64(1) << (bits & 63).astype(np.uint64)
            np.bitwise_xor.at(part["bits"], (rows, bits >> 6), flips)
        return encoded


def _sequence(codes: list[int]) -> str | tuple[int, ...]:
    is_string = max(codes, default=0) <= LAST_CHARACTER
    return "".join(map(chr, codes)) if is_string else tuple(codes)


class Index:
    """Encoded texts, sorted by length, that are searched for pairs above a ROUGE-L limit."""

    def __init__(self, texts: np.ndarray) -> None:
        self.texts = texts
        self._order = np.argsort(texts["length"], kind="stable")
        self._lengths = texts["length"][self._order]

    def pairs(self, queries: np.ndarray, limit: float, *, own: bool = False) -> Pairs:
        """Return pairs above the limit: queries, texts (earlier, if `own`), unmatched tokens."""
        blocks = list(self._blocks(queries, limit, own))
        bits = self.texts["bits"][self._order]
        folds = {words: _fold(bits, words) for words in {words for *_, words in blocks}}
        with ThreadPoolExecutor(THREADS) as threads:
            parts = list(threads.map(partial(self._search, queries, folds, own), blocks))
        none = np.zeros(0, np.int64)
        return tuple(map(np.concatenate, zip((none, none, none), *parts, strict=True)))

    def _blocks(self, queries: np.ndarray, limit: float, own: bool) -> Iterator[tuple]:
        """Yield query rows of one length, a start in length order, upper bounds, and words."""
        if max_unmatched(2, limit) < 0:
            return
        order = np.argsort(queries["length"], kind="stable")
        lengths, starts = np.unique(queries["length"][order], return_index=True)
        for length, rows in zip(lengths.tolist(), np.split(order, starts[1:]), strict=False):
            if not length:
                continue
            shortest = max(length * limit / (2 - limit) - 1e-6, 1)
            longest = length if own else length * (2 - limit) / max(limit, 1e-9) + 1e-6
            low = np.searchsorted(self._lengths, shortest)
            high = np.searchsorted(self._lengths, longest, side="right")
            words = _separating_words(2 * length, int(max_unmatched(2 * length, limit)))
            for start in range(low, high, WIDTH):
                bounds = max_unmatched(length + self._lengths[start:high][:WIDTH], limit)
                for some in np.array_split(rows, -(-len(rows) * len(bounds) // PAIRS)):
                    yield some, start, bounds, words

    def _search(self, queries: np.ndarray, folds: dict, own: bool, block: tuple) -> Pairs:
        """Return the pairs of one block: filter by fingerprints, verify by RapidFuzz."""
        rows, start, bounds, words = block
        columns = folds[words][:, None, start : start + len(bounds)]
        lines = _fold(queries["bits"][rows], words)[:, :, None]
        most = np.minimum(bounds, 64 * words).astype(np.uint8 if words == 1 else np.uint16)
        candidates = np.flatnonzero(_differing_bits(lines, columns) <= most)
        row, column = np.divmod(candidates, len(bounds))
        query, text, bound = rows[row], self._order[start + column], bounds[column]
        prints = queries["bits"][query].T, self.texts["bits"][text].T
        keep = _differing_bits(*prints) <= bound
        if own:
            keep &= (queries["length"][query] > queries["length"][text]) | (query > text)
            query, text = np.maximum(query, text), np.minimum(query, text)
        query, text, bound = query[keep], text[keep], bound[keep]
        sequences = queries["sequence"][query], self.texts["sequence"][text]
        settings = {"scorer": Indel.distance, "score_cutoff": int(bound.max(initial=0))}
        unmatched = process.cpdist(*sequences, dtype=np.int32, **settings)
        keep = unmatched <= bound
        return query[keep], text[keep], unmatched[keep]


def max_unmatched(total: np.ndarray | int, limit: float) -> np.ndarray:
    """Return how many of `total` tokens may be unmatched above a ROUGE-L limit; ties are exact."""
    if not 0 <= limit <= 1:
        do = "Use 0.7, the published limit."
        raise UserError("`novelty_limit` must be between 0 and 1.", got=limit, do=do)
    share = 1 - Fraction(str(limit)).limit_denominator(10**6)
    return (share.numerator * np.asarray(total, dtype=np.int64) - 1) // share.denominator


def _separating_words(total: int, bound: int) -> int:
    """Return 1, 4 or 16: the 64-bit words that separate most pairs of `total` tokens."""
    for words in (1, 4):
        bits = 32 * words * (1 - np.exp(-0.025 * total / words))  # differing, if a fifth is shared
        if bound <= bits - min(6, bits / 2):
            return words
    return FINGERPRINT_WORDS


def _fold(fingerprints: np.ndarray, words: int) -> np.ndarray:
    """Fold fingerprints (n, FINGERPRINT_WORDS) to (words, n); their bits are parities again."""
    parts = fingerprints.reshape(len(fingerprints), FINGERPRINT_WORDS // words, words)
    return np.bitwise_xor.reduce(parts, axis=1).T.copy()


def _differing_bits(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Count the differing bits over the first axis."""
    count = np.bitwise_count(left[0] ^ right[0])
    for word in range(1, len(left)):
        bits = np.bitwise_count(left[word] ^ right[word])
        count = np.add(count, bits, dtype=np.uint16)
    return count
