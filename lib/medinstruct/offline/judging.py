"""How the stand-in judges: by a stated lexical rule, the share of words that an answer has in common with its own.

An answer that stops in the middle of a sentence counts half.
"""

import random
import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from medinstruct.offline import slips
from medinstruct.offline.answering import READ, UNKNOWN, answer

STOP = set(
    re.findall(
        r"\w+",
        "a an and are as at be by for from has have in is it its of on or that the this to was with which who your you i",
    )
)
# How criteria begin; these words say nothing of the matter.
ASKING = set(
    re.findall(
        r"\w+",
        "says explains names advises states tells mentions describes recommends gives asks not does without",
    )
)
MARGIN = 0.01
UNFINISHED = 0.5


def agreement(text: str, own: str) -> float:
    """F1 of the content words of a text and of the stand-in's own answer, counted with repetition."""
    a, b = _words(text), _words(own)
    shared = sum((a & b).values())
    return 2 * shared / (sum(a.values()) + sum(b.values())) if shared else 0.0


def _worth(text: str, own: str) -> float:
    """The agreement of an answer, halved where it is cut."""
    is_whole = text.rstrip().rstrip("*_`)\"'").endswith((".", "!", "?", ":", "</s>"))
    return agreement(text, own) * (1.0 if is_whole else UNFINISHED)


def judge(question: str, first: str, second: str) -> str:
    """ "a", "b" or "tie", the same whichever stands first; what it could not answer itself it does not judge: a tie."""
    own = _own(question)
    if own == UNKNOWN:
        return "tie"
    gap = _worth(first, own) - _worth(second, own)
    return "tie" if abs(gap) < MARGIN else "a" if gap > 0 else "b"


def say(
    question: str,
    first: str,
    second: str,
    *,
    chance: random.Random,
    rate: Mapping[str, float] = slips.RATES,
    bracketed: bool = False,
) -> str:
    """A verdict in the words of a judge, explained or unclear at its rates; `bracketed` explains and ends with [[A]]."""
    winner = "a" if chance.random() < rate["first_wins"] else judge(question, first, second)
    if rate["longer_wins"] and chance.random() < rate["longer_wins"]:
        winner = "a" if len(first.split()) >= len(second.split()) else "b"
    if chance.random() < rate["unclear"]:
        return "Both outputs have their merits, and it depends on the reader."
    if bracketed:
        shares = [round(100 * agreement(text, _own(question))) for text in (first, second)]
        why = f"Output a shares {shares[0]} % of its content words with what I would have answered, output b {shares[1]} %; a cut answer counts half."
        return f"{why}\n\n[[{ {'a': 'A', 'b': 'B', 'tie': 'C'}[winner] }]]"
    text = {"a": "Output (a)", "b": "Output (b)", "tie": "Tie"}[winner]
    if chance.random() >= rate["explained"]:
        return text
    if winner == "tie" and _own(question) == UNKNOWN:
        return "Tie. The question is outside what I know, so I do not prefer either."
    if winner == "tie":
        return "Tie. Both outputs share about as many words with what I would have answered."
    return f"{text} is better because, cut answers counting half, it shares more words with what I would have answered."


def grade(answer: str, criterion: str) -> str:
    """Whether a criterion is met, by a stated lexical rule: half of its content words stand in the answer."""
    wanted = set(_words(criterion)) - ASKING
    return "Met" if wanted and len(wanted & set(_words(answer))) >= 0.5 * len(wanted) else "Not met"


@lru_cache(maxsize=1024)
def _own(question: str) -> str:
    """What the stand-in would answer itself; the same question comes with every pair and order."""
    return answer(question)


def _words(text: str) -> Counter[str]:
    return Counter(
        word for word in re.findall(r"[a-z0-9]+", text[:READ].lower()) if word not in STOP
    )
