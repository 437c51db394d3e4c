"""Labels: the names of types, view groups, specialties, levels and styles; the rules to them."""

import re
import unicodedata
from functools import cache
from itertools import product
from typing import Any

from medinstruct import paths

_RULES = paths.load("labels")
VALUES = {axis: tuple(names) for axis, names in _RULES["values"].items()}
TYPES, SPECIALTIES, VIEW_GROUPS, LEVELS, STYLES = VALUES.values()
STYLE_VIEWS = _RULES["style_views"]  # the views that write in a style, where not all do
NO_LABEL, NO_MATCH = "(no label)", "(no match)"
_SPLIT = re.compile(_RULES["parts"])
_SIGNS = str.maketrans("’‘–—‐_", "''--- ", ".")
FIELDS = {field: tuple(names) for field, names in _RULES["fields"].items()}


def canonical(kind: str, raw: object) -> str | int | None:
    """Return the name that a raw label is counted by, None where no rule fits.

    `kind` is type, topic (gives a specialty), view (its group), difficulty (1 to 5) or style.
    """
    if kind not in VALUES:
        raise ValueError(f"kind must be one of {', '.join(VALUES)}, not {kind!r}")
    if kind == "difficulty":
        level = re.fullmatch(r"(?:level )?([1-5])(?:\.0|/5)?", str(raw).strip().lower())
        return int(level[1]) if level else None
    return _name(kind, _plain(str(raw)))


def counted(kind: str, raw: object) -> str | int:
    """Return what a raw label is counted as: its name, "(no match)" or, if empty, "(no label)"."""
    return (canonical(kind, raw) or NO_MATCH) if str(raw).strip() else NO_LABEL


@cache
def _name(kind: str, text: str) -> str | None:
    """Return the name of the first rule that matches a part of a label or all of it."""
    if exact := [name for name in VALUES[kind] if _plain(name) == text]:
        return exact[0]
    parts = dict.fromkeys(part.strip(" '\"“”*`") for part in (*_SPLIT.split(text), text))
    for rules, part in product(_RULES["words"][kind].values(), parts):
        for name, words in (pair for rule in rules for pair in rule.items()):
            if _pattern(words).search(part):
                return name
    return None


@cache
def _pattern(words: str) -> re.Pattern[str]:
    """Return the regular expression of a rule of labels.yaml, over whole words."""
    terms = [re.escape(word.strip()) for word in _plain(words).split(",")]
    terms = [re.sub(r"^=(.*)", r"\\A\1s?\\Z", term) for term in terms]
    terms = [re.sub(r"y$", "(?:y|ies)", term).replace(r"\ ", "[ -]*") for term in terms]
    options = "|".join(term.replace(r"\*", r"\w*") for term in terms)
    return re.compile(rf"\b(?:{options})(?:'?s|s'|es)?\b")


@cache
def _plain(text: str) -> str:
    """Return a label in lower case without accents and dots, e for ae and oe."""
    letters = unicodedata.normalize("NFKD", text.lower()).translate(_SIGNS)
    base = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(re.sub("[ao]e", "e", base).split())


def published(data: str, axis: str) -> Any:
    """Return what AlpaCare's authors published in a section of published.yaml."""
    return paths.load("published")[data][axis]
