"""Cues: words without which a pattern cannot match, looked for before the pattern is searched.

Looking for a word takes a hundredth of the time of a regular expression with many parts.
"""

import re
from collections.abc import Iterable
from functools import cache
from re import _constants as op
from re import _parser as parser
from typing import Any

MOST = 400  # texts that a part of a pattern stands for
DIGIT = re.compile(r"\d")
REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)
NONE, EMPTY = frozenset(), frozenset([""])
Part = tuple[frozenset[str], frozenset[str], int]


def possible(patterns: Iterable[re.Pattern[str]], text: str) -> list[re.Pattern[str]]:
    """Return the patterns that may match in a text: those whose cues and digits it holds."""
    lowered, digits = text.lower(), len(DIGIT.findall(text))
    needs = ((pattern, *of(pattern.pattern)) for pattern in patterns)
    return [
        pattern
        for pattern, words, least in needs
        if least <= digits and (not words or any(word in lowered for word in words))
    ]


def search(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Search a pattern that few texts match."""
    return pattern.search(text) if possible([pattern], text) else None


@cache
def of(pattern: str) -> tuple[list[str], int]:
    """Return words in lower case, one of which each match has (if any), and its least digits.

    >>> of(r"[Mm]rs? [A-Z]"), of(r"(?:aged? \\d\\d|years? old)"), of(r"\\d+ ?\\w")
    ((['mr ', 'mrs '], 0), (['age ', 'aged ', 'year old', 'years old'], 0), ([], 1))
    """
    _, words, digits = _sequence(parser.parse(pattern))
    return sorted(w for w in words if not any(v in w for v in words - {w})), digits


def _sequence(items: Any) -> Part:
    """Return the texts that a sequence stands for (none if not a few), its cues, its digits."""
    run, best, digits, is_whole = EMPTY, NONE, 0, True
    for texts, words, least in (_part(*item) for item in items):
        digits += least
        if texts and len(run) * len(texts) <= MOST:
            run = frozenset(start + end for start in run for end in texts)
        else:
            best, run, is_whole = _surest(best, run, texts, words), EMPTY, False
    return run if is_whole else NONE, _surest(best, run), digits


def _surest(*choices: frozenset[str]) -> frozenset[str]:
    """Return the cues of which the shortest is longest."""
    return max(choices, key=lambda texts: min(map(len, texts), default=0)) - EMPTY


def _part(kind: Any, value: Any) -> Part:
    """Return of one part of a pattern what `_sequence` returns."""
    if kind is op.LITERAL:
        return frozenset(chr(value).lower()), NONE, chr(value).isdigit()
    if kind is op.IN:
        kinds = {what for what, _ in value}
        ends = [n for what, n in value for n in (n if what is op.RANGE else [n])]
        if op.NEGATE in kinds:
            return NONE, NONE, 0
        texts = frozenset(chr(n).lower() for n in ends) if kinds == {op.LITERAL} else NONE
        return texts, NONE, all(n is op.CATEGORY_DIGIT or chr(n).isdigit() for n in ends)
    if kind is op.BRANCH:
        parts = list(zip(*map(_sequence, value[1]), strict=True))
        texts, words = (NONE.union(*sets) if all(sets) else NONE for sets in parts[:2])
        return texts, words, min(parts[2])
    if kind in (op.SUBPATTERN, op.ASSERT, *REPEATS):
        texts, words, digits = _sequence(value[-1])
        if kind in REPEATS:
            texts = texts | EMPTY if texts and value[:2] == (0, 1) else NONE
            return texts, words if value[0] else NONE, digits * value[0]
        return (texts, words, digits) if kind is op.SUBPATTERN else (NONE, words, 0)
    return EMPTY if kind in (op.AT, op.ASSERT_NOT) else NONE, NONE, 0
