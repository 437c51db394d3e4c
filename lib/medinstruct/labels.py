"""Labels: the names of task types, view groups, specialties and levels, and the rules to them."""

import re
from functools import cache
from typing import Any

from medinstruct import paths

_RULES = paths.load("labels")
TYPES = tuple(_RULES["types"])
VIEW_GROUPS = tuple(_RULES["views"])
LEVELS = (1, 2, 3, 4, 5)
SPECIALTIES = tuple(_RULES["specialties"])
VALUES = {"type": TYPES, "topic": SPECIALTIES, "view": VIEW_GROUPS, "difficulty": LEVELS}
FIELDS = {field: tuple(names) for field, names in _RULES["fields"].items()}


def canonical(kind: str, raw: object) -> str | int | None:
    """Return the name that a raw label is counted by, None where no rule fits.

    `kind` is type, view (gives its group), topic (gives a specialty) or difficulty (gives 1 to 5).
    """
    text = " ".join(str(raw).lower().replace("’", "'").split())
    if kind == "difficulty":
        return int(text) if text in {"1", "2", "3", "4", "5"} else None
    if kind not in _RULES["words"]:
        raise ValueError(f"kind must be type, view, topic or difficulty, not {kind!r}")
    return _name(kind, text)


@cache
def _name(kind: str, text: str) -> str | None:
    exact = {name.lower(): name for name in VALUES[kind]}
    rules = (pair for rule in _RULES["words"][kind] for pair in rule.items())
    matches = (name for name, words in rules if _pattern(words).search(text))
    return exact.get(text) or next(matches, None)


@cache
def _pattern(words: str) -> re.Pattern[str]:
    """Return the regular expression of a rule of labels.yaml, over whole words."""
    terms = [re.escape(word.strip(' "')) for word in words.split(",")]
    options = "|".join(term.replace(r"\*", r"\w*").replace(r"\ ", "[ -]*") for term in terms)
    return re.compile(rf"\b(?:{options})(?:'?s|s')?\b")


def published(data: str, axis: str) -> Any:
    """Return what AlpaCare's authors published in a section of published.yaml."""
    return paths.load("published")[data][axis]
