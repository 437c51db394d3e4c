"""Emergencies in a question, found by rule on its words, so that their notice stands first whatever a model says.

A rule finds words, not illness: it misses what it has no words for, and what it finds may be harmless.
"""

import re
from dataclasses import dataclass
from functools import cache

import yaml

from medinstruct import paths

FIRST = "If this is about a person now, call the emergency number (112, 911 or 999) or bring them to an emergency department."
GENERAL = re.compile(
    r"\W*(?:please )?(?:can you |could you )?(?:what|which|how|why|when|explain|describe|define|list|name|compare|summari[sz]e|write|give|"
    r"teach|rewrite|recast|rephrase|redraft|translate|simplify|shorten|discuss|outline|tell me about|is it true|does|do|draft|create|prepare)\b",
    re.I,
)
PERSON = re.compile(
    r"\b(?:i|i'm|i've|my|me|mine|we|our|he|she|his|her|him|they|their|year[- ]old|this (?:patient|man|woman|child)|the patient|right now|"
    r"at the moment|help)\b",
    re.I,
)
CLAUSE = re.compile(r"[.!?;\n](?!\d)|\b(?:but|however|although|though|except|now)\b", re.I)
DENIES = re.compile(
    r"\b(?:denie[sd]|deny(?:ing)?|negative for|no (?:signs?|evidence|history) of|absence of|free (?:of|from)|neither|nobody|no one|rule[sd]? out|if \w+ (?:ever|should))\b",
    re.I,
)
NO = re.compile(r"\b(?:no(?! (?:doubt|longer|matter))|without(?! (?:me|warning|doubt)))\b", re.I)
NOT = re.compile(
    r"\b(?:not(?! only)|never|(?:do|does|did|is|was|has|have|had|are|were)n't)\W+(?:[\w'-]+\W+){0,3}$",
    re.I,
)
ABSENT = re.compile(
    r"\W{0,3}(?:(?:is|was|were|are|has been|have been)\W+)?(?:absent|denied|ruled out|excluded|negative|none\b|not present|resolved)",
    re.I,
)
NUMBER = r"(?:\d+|a|one|two|three|four|five|six|seven|eight|nine|ten|twenty|many|several|some|few)"
PAST = re.compile(
    rf"\b{NUMBER} (?:years?|months?) (?:ago|back|earlier)|\b(?:as a|when (?:\w+ ){{1,2}}(?:was|were) a?)\W*(?:\w+\W+)?(?:child|toddler|baby|teenager|student|young|ten)\b"
    r"|in childhood|\blast (?:year|month|week|summer|winter|spring|autumn)\b|\bin (?:19|20)\d\d\b|\b(?:died|death) (?:of|from)\b|\bwhen i was\b",
    re.I,
)
BEFORE = re.compile(
    r"\b(?:(?:family |past |previous |prior )?(?:history|hx) of|previous|prior|fear of|afraid of|risk of|to prevent|screen\w* for)\W+(?:(?!presents?\b|presenting\b|with\b|has\b|now\b)[\w'-]+[ /-]+){0,4}$",
    re.I,
)

SHORT_FORMS = {
    "cp": "chest pain",
    "sob": "short of breath",
    "l arm": "left arm",
    "r arm": "right arm",
    "w/o": "without",
    "c/o": "complains of",
    "ha": "headache",
    "bp": "blood pressure",
}
SHORT = re.compile(rf"(?<![\w/])(?:{'|'.join(map(re.escape, SHORT_FORMS))})(?![\w/])", re.I)


@dataclass(frozen=True)
class Emergency:
    """An emergency that words of a question can mean: its name, the words, and what is put first."""

    name: str
    words: tuple[str, ...]
    notice: str


def emergencies(question: str) -> list[Emergency]:
    """The emergencies whose words stand in a question, in the order of the list; what is denied, past or only asked about is none.

    >>> [one.name for one in emergencies("Crushing chest pain that goes into the left arm.")]
    ['heart attack']
    >>> emergencies("No chest pain, and no pain in the arm."), emergencies("What is a stroke?")
    ([], [])
    """
    text = _written_out(question)
    if GENERAL.match(text) and not PERSON.search(text):
        return []
    found = ((name, notice, _words(text, ways)) for name, notice, ways in _rules())
    return [Emergency(name, words, f"{notice} {FIRST}") for name, notice, words in found if words]


def _written_out(text: str) -> str:
    """One line with plain apostrophes, and with the short forms of a busy ward written out."""
    plain = " ".join(text.replace("’", "'").replace("‘", "'").split())
    return SHORT.sub(lambda match: SHORT_FORMS[match.group().lower()], plain)


@cache
def _rules() -> tuple[tuple[str, str, tuple[tuple[tuple[re.Pattern[str], bool], ...], ...]], ...]:
    """(name, notice, ways); a way is its patterns, each with whether it may be denied."""
    rows = yaml.safe_load(paths.data("red_flags.yaml").read_text(encoding="utf-8"))
    return tuple(
        (row["name"], row["notice"], tuple(tuple(map(_compiled, way)) for way in row["when"]))
        for row in rows
    )


def _compiled(pattern: str) -> tuple[re.Pattern[str], bool]:
    return re.compile(rf"(?<!\w)(?:{pattern.removeprefix('!')})", re.I), pattern.startswith("!")


def _words(text: str, ways: tuple) -> tuple[str, ...]:
    """The words by the first way of which every pattern is found, none of them denied or past."""
    for way in ways:
        found = [
            next((m.group() for m in one.finditer(text) if fact or not is_denied(text, m)), "")
            for one, fact in way
        ]
        if all(found):
            return tuple(dict.fromkeys(found))
    return ()


def is_denied(text: str, match: re.Match[str]) -> bool:
    """Whether what was found is denied, long past, or somebody's fear, by the words of its clause.

    >>> text = "Denies chest pain, syncope. Now palpitations"
    >>> [is_denied(text, re.search(word, text)) for word in ("syncope", "palpitations")]
    [True, False]
    """
    cuts = [cut.end() for cut in CLAUSE.finditer(text, 0, match.start())]
    start = cuts[-1] if cuts else 0
    ended = CLAUSE.search(text, match.end())
    end = ended.start() if ended else len(text)
    before = text[start : match.start()]
    if (
        DENIES.search(before)
        or NOT.search(before)
        or BEFORE.search(before)
        or ABSENT.match(text, match.end())
    ):
        return True
    return bool(PAST.search(text[start:end])) or _listed(before, text[match.start() : end])


def _listed(before: str, after: str) -> bool:
    """Whether a "no" reaches this far: over a comma only in a list that ends in "or"."""
    said = list(NO.finditer(before))
    if not said:
        return False
    between = before[said[-1].end() :]
    return "," not in between or bool(re.search(r"\b(?:or|nor)\b", between + after))
