"""Labels: the names of types, view groups, specialties, levels and styles; the rules to them."""

import re
from functools import cache
from typing import Any

from medinstruct import paths

_RULES = paths.load("labels")
TYPES = tuple(_RULES["types"])
VIEW_GROUPS = tuple(_RULES["views"])
LEVELS = (1, 2, 3, 4, 5)
STYLES = tuple(_RULES["styles"])
STYLE_VIEWS = _RULES["style_views"]
SPECIALTIES = tuple(_RULES["specialties"])
VALUES = {
    "type": TYPES,
    "topic": SPECIALTIES,
    "view": VIEW_GROUPS,
    "difficulty": LEVELS,
    "style": STYLES,
}
NO_LABEL, NO_MATCH = "(no label)", "(no match)"
FIELDS = {field: tuple(names) for field, names in _RULES["fields"].items()}


def canonical(kind: str, raw: object) -> str | int | None:
    """Return the name that a raw label is counted by, None where no rule fits.

    `kind` is type, view (gives its group), topic (gives a specialty), difficulty (gives 1 to 5) or
    style.
    """
    text = " ".join(str(raw).lower().replace("’", "'").split())
    if kind == "difficulty":
        return int(text) if text in {"1", "2", "3", "4", "5"} else None
    if kind not in _RULES["words"]:
        raise ValueError(f"kind must be one of {', '.join(VALUES)}, not {kind!r}")
    return _name(kind, text)


def counted(kind: str, raw: object) -> str | int:
    """Return what a raw label is counted as: its name, "(no match)" or, if empty, "(no label)"."""
    return (canonical(kind, raw) or NO_MATCH) if str(raw).strip() else NO_LABEL


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
