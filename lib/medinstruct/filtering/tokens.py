"""Tokens: ROUGE tokens, tokens of any script, token sequences and their fingerprints."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from medinstruct.errors import UserError

# Thai, Lao, Burmese, Khmer, kana and Han are written without spaces: each letter is a token.
SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
TOKENIZERS = {
    "rouge": re.compile("[a-z0-9]+"),
    "unicode": re.compile(rf"[^\W_{SPACELESS}]+|[^\W_]"),
}
LAST_CHARACTER = 0x10FFFF
FINGERPRINT_WORDS = 16  # of 64 bits


def tokenize(text: str, *, tokenizer: str = "rouge") -> list[str]:
    """Return the lower-case tokens of a text.

    rouge: runs of a-z and 0-9, as the package `rouge_score` without stemming. unicode: runs of
    letters and digits of any script; in scripts without spaces each letter is a token.

    >>> tokenize("What's the BP (132/82)?"), tokenize("喘息とは")
    (['what', 's', 'the', 'bp', '132', '82'], [])
    >>> tokenize("Объясните астму!", tokenizer="unicode"), tokenize("喘息とは", tokenizer="unicode")
    (['объясните', 'астму'], ['喘', '息', 'と', 'は'])
    """
    return _pattern(tokenizer).findall(text.lower())


@dataclass(frozen=True)
class Encoded:
    """n texts: token sequences (n,), token counts (n,) and fingerprints (n, FINGERPRINT_WORDS).

    A sequence is a string of one character a token, which RapidFuzz compares fastest, or a tuple
    once there are more distinct tokens than characters. A fingerprint holds the parity of the
    counts of a text's tokens, spread over 1,024 bits.
    """

    sequences: np.ndarray
    lengths: np.ndarray
    fingerprints: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: np.ndarray) -> "Encoded":
        """Return the texts of some rows."""
        return Encoded(self.sequences[rows], self.lengths[rows], self.fingerprints[rows])

    def joined(self, new: "Encoded") -> "Encoded":
        """Return these texts followed by new ones."""
        return Encoded(
            np.concatenate([self.sequences, new.sequences]),
            np.concatenate([self.lengths, new.lengths]),
            np.concatenate([self.fingerprints, new.fingerprints]),
        )


class Encoder:
    """A vocabulary: equal tokens have equal codes in all texts that it encodes."""

    def __init__(self, tokenizer: str = "rouge") -> None:
        self._find = _pattern(tokenizer).findall
        self._codes: dict[str, int] = {}

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode texts; tokens not seen before get the next codes, from 1."""
        codes = [[self._code(token) for token in self._find(text.lower())] for text in texts]
        lengths = np.fromiter(map(len, codes), np.int32, len(codes))
        bits = np.fromiter(chain.from_iterable(codes), np.int64) % (64 * FINGERPRINT_WORDS)
        rows = np.repeat(np.arange(len(codes)), lengths)
        fingerprints = np.zeros((len(codes), FINGERPRINT_WORDS), np.uint64)
        flips = np.uint64(1) << (bits & 63).astype(np.uint64)
        np.bitwise_xor.at(fingerprints, (rows, bits >> 6), flips)
        return Encoded(
            np.fromiter(map(_sequence, codes), object, len(codes)), lengths, fingerprints
        )

    def _code(self, token: str) -> int:
        return self._codes.setdefault(token, len(self._codes) + 1)


def _sequence(codes: list[int]) -> str | tuple[int, ...]:
    is_string = max(codes, default=0) <= LAST_CHARACTER
    return "".join(map(chr, codes)) if is_string else tuple(codes)


def _pattern(tokenizer: str) -> re.Pattern[str]:
    if tokenizer not in TOKENIZERS:
        do = "Use rouge (the published measure), or unicode to read scripts other than Latin."
        raise UserError("`tokenizer` must be rouge or unicode.", got=tokenizer, do=do)
    return TOKENIZERS[tokenizer]
