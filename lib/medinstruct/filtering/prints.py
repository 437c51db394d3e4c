"""Texts as strings with one character a word, and fingerprints that tell most of them apart at a glance.

A fingerprint holds the parity of the counts of a text's words, spread over 1,024 bits. Where two fingerprints differ, a word is
left over in one of the texts, so the number of differing bits is never more than the words left over.
"""

from collections.abc import Iterable, Sequence

import numpy as np

WORDS = 16  # of 64 bits in a fingerprint


class Encoded:
    """Texts as strings with one character a word, their lengths, and their fingerprints."""

    def __init__(self, strings: list[Sequence]) -> None:
        self.strings = strings
        self.lengths = np.fromiter(map(len, strings), np.int32, len(strings))
        self.prints = np.zeros((len(strings), WORDS), np.uint64)
        rows = np.repeat(np.arange(len(strings)), self.lengths)
        bits = np.fromiter(
            (point % (64 * WORDS) for one in strings for point in _points(one)), np.int16, len(rows)
        )
        np.bitwise_xor.at(
            self.prints, (rows, bits >> 6), np.uint64(1) << (bits & 63).astype(np.uint64)
        )

    def __len__(self) -> int:
        return len(self.strings)

    def take(self, rows: Sequence[int]) -> "Encoded":
        """Some of the texts."""
        part, rows = object.__new__(Encoded), np.asarray(rows, dtype=np.int64)
        part.strings = [self.strings[n] for n in rows]
        part.lengths, part.prints = self.lengths[rows], self.prints[rows]
        return part


def fitting(total: int, bound: int) -> int:
    """How many words of a fingerprint it takes to tell texts of so many words apart: 1, 4 or 16."""
    expected = {
        words: 32 * words * (1 - np.exp(-0.025 * total / words)) for words in (1, 4)
    }  # bits, of texts that share a fifth
    return next(
        (words for words, bits in expected.items() if bound <= bits - min(6, bits / 2)), WORDS
    )


def folded(prints: np.ndarray, words: int) -> np.ndarray:
    """Fingerprints (texts, 16) as columns (words, texts): the parity of sixteen words is also that of fewer, wider ones."""
    return np.bitwise_xor.reduce(
        prints.reshape(len(prints), WORDS // words, words), axis=1
    ).T.copy()


def differing(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """In how many bits fingerprints differ, over the first axis."""
    count = np.bitwise_count(one[0] ^ other[0])
    for word in range(1, len(one)):
        count = np.add(count, np.bitwise_count(one[word] ^ other[word]), dtype=np.uint16)
    return count


def _points(encoded: Sequence) -> Iterable[int]:
    return map(ord, encoded) if isinstance(encoded, str) else encoded
