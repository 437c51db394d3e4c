"""Words as `rouge_score` sees them, or any script's, and texts as strings with one character a word."""

import re
from collections.abc import Callable, Iterable, Sequence

from medinstruct.errors import UserError

TOKEN = re.compile(r"[a-z0-9]+")
ANY_SCRIPT = re.compile(r"[^\W_]+")
LAST_POINT = 0x10FFFF


def tokens(text: str) -> list[str]:
    """The tokens of `rouge_score` without stemming: runs of a-z and 0-9 in lower case. Other scripts leave nothing.

    >>> tokens("What's the BP (132/82)?"), tokens("Объясните астму")
    (['what', 's', 'the', 'bp', '132', '82'], [])
    """
    return TOKEN.findall(text.lower())


def unicode_tokens(text: str) -> list[str]:
    """Runs of letters and digits of any script in lower case; scripts without spaces give one token a character.

    >>> unicode_tokens("Объясните астму!"), unicode_tokens("喘息とは")
    (['объясните', 'астму'], ['喘', '息', 'と', 'は'])
    """
    found = ANY_SCRIPT.findall(text.lower())
    return [
        piece
        for word in found
        for piece in (word if word[0] >= "\u0e00" and not word.isascii() else [word])
    ]


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {"rouge": tokens, "unicode": unicode_tokens}


def tokenizer_named(name: str) -> Callable[[str], list[str]]:
    """`rouge` or `unicode`."""
    if name not in TOKENIZERS:
        do = "rouge is the published measure; unicode also reads other scripts than Latin."
        raise UserError("`tokenizer` must be rouge or unicode.", got=name, do=do)
    return TOKENIZERS[name]


def unread(texts: Iterable[str]) -> int:
    """How many texts hold words of which `rouge_score`'s tokeniser sees none, as in another script."""
    return sum(not tokens(text) and bool(unicode_tokens(text)) for text in texts)


class Codes:
    """One number a distinct token, so that equal tokens are equal characters."""

    def __init__(self, tokenizer: str = "rouge") -> None:
        self._split = tokenizer_named(tokenizer)
        self._points: dict[str, int] = {}

    def encode(self, texts: Iterable[str]) -> list[Sequence]:
        """Each text as a string of one character a token; as a tuple of numbers where there are no characters left."""
        return [self._one(self._split(text)) for text in texts]

    def _one(self, words: list[str]) -> Sequence:
        points = [self._points.setdefault(word, _point(len(self._points))) for word in words]
        return "".join(map(chr, points)) if max(points, default=0) <= LAST_POINT else tuple(points)


def _point(number: int) -> int:
    """The code point for the n-th token; the surrogates are left out."""
    return number + 1 if number + 1 < 0xD800 else number + 1 + 0x800
