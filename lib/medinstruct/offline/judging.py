"""How the stand-in judges: by a stated lexical rule, the share of words that an answer has in common with its own."""

import random
import re
from collections import Counter
from collections.abc import Mapping

from medinstruct.offline import slips
from medinstruct.offline.answering import READ, UNKNOWN, answer

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
    """ "a", "b" or "tie", the same whichever stands first; what it could not answer itself it does not judge: a tie."""
    own = answer(question)
    if own == UNKNOWN:
        return "tie"
    gap = agreement(first, own) - agreement(second, own)
    return "tie" if abs(gap) < MARGIN else "a" if gap > 0 else "b"


def say(question: str, first: str, second: str, *, chance: random.Random, rate: Mapping[str, float] = slips.RATES) -> str:
    """A verdict in the words of a judge, explained or unclear at its rates."""
    winner = "a" if chance.random() < rate["first_wins"] else judge(question, first, second)
    if chance.random() < rate["unclear"]:
        return "Both outputs have their merits, and it depends on the reader."
    text = {"a": "Output (a)", "b": "Output (b)", "tie": "Tie"}[winner]
    if chance.random() >= rate["explained"]:
        return text
    if winner == "tie" and answer(question) == UNKNOWN:
        return "Tie. The question is outside what I know, so I do not prefer either."
    if winner == "tie":
        return "Tie. Both outputs share about as many words with what I would have answered."
    return f"{text} is better because it shares more words with what I would have answered."


def _words(text: str) -> Counter[str]:
    return Counter(word for word in re.findall(r"[a-z0-9]+", text[:READ].lower()) if word not in STOP)
