"""How the stand-in judges: by a stated lexical rule, the share of words that an answer has in common with its own."""

import re
from collections import Counter

from medinstruct.offline.answering import UNKNOWN, answer

STOP = set(
    re.findall(
        r"\w+",
        "a an and are as at be by for from has have in is it its of on or that the this to was with which who your you i",
    )
)
MARGIN = 0.01


def agreement(text: str, own: str) -> float:
    """F1 of the content words of a text and of the stand-in's own answer, counted with repetition."""
    a, b = _words(text), _words(own)
    shared = sum((a & b).values())
    return 2 * shared / (sum(a.values()) + sum(b.values())) if shared else 0.0


def judge(question: str, first: str, second: str) -> str:
    """ "a", "b" or "tie"; where the stand-in has no answer of its own it compares with the words of the question."""
    own = answer(question)
    own = question if own == UNKNOWN else own
    gap = agreement(first, own) - agreement(second, own)
    return "tie" if abs(gap) < MARGIN else "a" if gap > 0 else "b"


def _words(text: str) -> Counter[str]:
    return Counter(word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in STOP)
