"""Tokens: compared texts, ROUGE tokens, tokens of any script, sequences and fingerprints."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, count

import numpy as np

from medinstruct.errors import UserError
from medinstruct.records import Task

# Thai, Lao, Burmese, Khmer, kana and Han are written without spaces: each letter is a token.
SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
TOKENIZERS = {
    "rouge": re.compile("[a-z0-9]+"),
    "unicode": re.compile(rf"[^\W_{SPACELESS}]+|[^\W_]"),
}
LAST_CHARACTER = 0x10FFFF
FINGERPRINT_WORDS = 16  # of 64 bits
# A sequence is a string of one character a token, or a tuple if there are more distinct tokens than
# characters. The bits are the parities of the counts of a text's tokens, spread over 1,024 bits.
FIELDS = [("sequence", object), ("length", np.int32), ("bits", np.uint64, FINGERPRINT_WORDS)]


def compared_texts(tasks: Iterable[Task], fields: str = "instruction") -> list[str]:
    """Return the text of each task that is compared: its instruction, or instruction+input."""
    if fields == "instruction":
        return [task.instruction for task in tasks]
    if fields == "instruction+input":
        return [f"{task.instruction} {task.input}".strip() for task in tasks]
    do = "Use instruction as published, or instruction+input."
    raise UserError("`novelty_fields` names no known fields.", got=fields, do=do)


def tokenize(text: str, *, tokenizer: str = "rouge") -> list[str]:
    """Return the lower-case tokens of a text.

    rouge: runs of a-z and 0-9, as the package `rouge_score` without stemming. unicode: runs of
    letters and digits of any script; in scripts without spaces each letter is a token.

    >>> tokenize("What's the BP (132/82)?"), tokenize("喘息とは")
    (['what', 's', 'the', 'bp', '132', '82'], [])
    >>> tokenize("Объясните астму!", tokenizer="unicode"), tokenize("喘息とは", tokenizer="unicode")
    (['объясните', 'астму'], ['喘', '息', 'と', 'は'])
    """
    if tokenizer not in TOKENIZERS:
        do = "Use rouge (the published measure), or unicode to read scripts other than Latin."
        raise UserError("`tokenizer` must be rouge or unicode.", got=tokenizer, do=do)
    return TOKENIZERS[tokenizer].findall(text.lower())


class Encoder:
    """A vocabulary: equal tokens have equal codes in all texts that it encodes."""

    def __init__(self, tokenizer: str = "rouge") -> None:
        self._tokenizer = tokenizer
        self._codes: dict[str, int] = defaultdict(count(1).__next__)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return an array (n,) of `FIELDS`; tokens not seen before get the next codes, from 1."""
        tokens = [tokenize(text, tokenizer=self._tokenizer) for text in texts]
        codes = [[self._codes[token] for token in words] for words in tokens]
        encoded = np.zeros(len(codes), FIELDS)
        encoded["sequence"] = np.fromiter(map(_sequence, codes), object, len(codes))
        encoded["length"] = np.fromiter(map(len, codes), np.int32, len(codes))
        bits = np.fromiter(chain.from_iterable(codes), np.int64) % (64 * FINGERPRINT_WORDS)
        rows = np.repeat(np.arange(len(codes)), encoded["length"])
        flips = np.uint64(1) << (bits & 63).astype(np.uint64)
        np.bitwise_xor.at(encoded["bits"], (rows, bits >> 6), flips)
        return encoded


def _sequence(codes: list[int]) -> str | tuple[int, ...]:
    is_string = max(codes, default=0) <= LAST_CHARACTER
    return "".join(map(chr, codes)) if is_string else tuple(codes)
