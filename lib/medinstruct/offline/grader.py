"""Grader: the shared words of an answer and the stand-in's own decide a verdict or a grade."""

import re
from collections import Counter
from functools import lru_cache
from random import Random

from medinstruct.offline.knowledge import settings
from medinstruct.offline.responder import MAX_READ, UNKNOWN, answer
from medinstruct.offline.writer import Rates

RULES = settings("grader")
MARGIN = 0.01
TRUNCATED = 0.5  # weight of an answer that stops in the middle of a sentence


def overlap(text: str, own: str) -> float:
    """Return F1 of the content words of two texts, counted with repetition."""
    a, b = _words(text), _words(own)
    shared = sum((a & b).values())
    return 2 * shared / (sum(a.values()) + sum(b.values())) if shared else 0.0


def winner(question: str, first: str, second: str) -> str:
    """Return "a", "b" or "tie" in any order of the answers; a tie outside the knowledge."""
    own = _own_answer(question)
    if own == UNKNOWN:
        return "tie"
    gap = _score(first, own) - _score(second, own)
    if abs(gap) < MARGIN:
        return "tie"
    return "a" if gap > 0 else "b"


def verdict(
    question: str, first: str, second: str, *, chance: Random, rate: Rates, bracketed: bool = False
) -> str:
    """Return a judge's reply, with its failures; `bracketed` explains and ends with [[A]]."""
    choice = "a" if chance.random() < rate["first_wins"] else winner(question, first, second)
    if rate["longer_wins"] and chance.random() < rate["longer_wins"]:
        choice = "a" if len(first.split()) >= len(second.split()) else "b"
    if chance.random() < rate["unclear"]:
        return RULES["replies"]["unclear"]
    replies, own = RULES["replies"], _own_answer(question)
    if bracketed:
        a, b = (round(100 * overlap(answer, own)) for answer in (first, second))
        return replies["bracketed"].format(a=a, b=b, letter={"a": "A", "b": "B"}.get(choice, "C"))
    if chance.random() >= rate["explained"]:
        return replies[choice]
    if choice != "tie":
        return f"{replies[choice]} {replies['because']}"
    return replies["unknown" if own == UNKNOWN else "equal"]


def grade(text: str, criterion: str) -> str:
    """Return whether half of a criterion's content words are in an answer."""
    wanted = set(_words(criterion)) - set(RULES["criterion_words"])
    is_met = wanted and len(wanted & set(_words(text))) >= 0.5 * len(wanted)
    return "Met" if is_met else "Not met"


def _score(text: str, own: str) -> float:
    is_whole = text.rstrip().rstrip("*_`)\"'").endswith((".", "!", "?", ":", "</s>"))
    return overlap(text, own) * (1.0 if is_whole else TRUNCATED)


@lru_cache(maxsize=1024)
def _own_answer(question: str) -> str:
    """Return the stand-in's own answer; each question comes with several pairs and orders."""
    return answer(question)


def _words(text: str) -> Counter[str]:
    words = re.findall(r"[a-z0-9]+", text[:MAX_READ].lower())
    return Counter(word for word in words if word not in RULES["stop_words"])
