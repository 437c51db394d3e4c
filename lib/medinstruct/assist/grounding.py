"""Grounding: numbers and drug names of an answer that its input does not hold."""

import re
import unicodedata
from collections import namedtuple
from collections.abc import Iterable
from functools import cache, lru_cache
from math import isclose, prod

from medinstruct import paths


def _either(names: Iterable[str]) -> str:
    """Return a pattern of any of the names, the longest first."""
    return "|".join(map(re.escape, sorted(names, key=len, reverse=True)))


TABLES = paths.load("units")
WORDS = TABLES["number_words"]
UNITS = TABLES["units"]  # plain spelling -> dimension, size
QUANTITY = TABLES["quantity"].replace("WORDS", _either(WORDS))
QUANTITY = QUANTITY.replace("UNITS", _either(UNITS).replace("μ", "[µμ]"))
QUANTITY = re.compile(QUANTITY, re.IGNORECASE | re.VERBOSE)
NAME_BEFORE = re.compile(rf"\b(?:{_either(TABLES['names_before'])})[\s-]$", re.IGNORECASE)
LIST_BEFORE = re.compile(r"(?:^|\n)[\s*#-]*$")
YEAR_OR_CALL = re.compile(  # emergency numbers; the text after the bar follows the number
    r"(?:(?:19|20)\d\d|11[12]|911|988|999)\|.*|(?:109|119|1336)\| ?[에로번을를나과와신구상].*"
    r"|\d+\|(?:[형급차종군]|단계|유도).*",
    re.DOTALL,
)


class Mark(namedtuple("Mark", "start end kind reason")):
    """A span of an answer that its input does not hold; `kind` is number or drug."""


@lru_cache(maxsize=256)
def marks(answer: str, given: str) -> tuple[Mark, ...]:
    """Return the numbers and drug names of `answer` that `given` does not hold, in order.

    Converted units and other spellings of a drug count as given; list numbers, years, emergency
    numbers and digits inside names are ignored.
    """
    known, inputs, reasons = {drug for *_, drug in _drugs(given)}, _quantities(given), {}
    for start, end, drug in _drugs(answer):
        if drug not in known:
            reasons[start, end, "drug"] = f"{drug} is not in the question"
    for start, end, number, unit in _quantities(answer):
        if reason := _ungrounded(number, unit, inputs):
            reasons[start, end, "number"] = reason
    return tuple(Mark(*place, reasons[place]) for place in sorted(reasons))


def _drugs(text: str) -> list[tuple[int, int, str]]:
    """Return (start, end, drug) of the drugs that a text names, in any case and in the plural."""
    pattern, names = _drug_names()
    return [(*match.span(), names[match[1].lower()]) for match in pattern.finditer(text)]


@cache
def _drug_names() -> tuple[re.Pattern[str], dict[str, str]]:
    """Return a pattern of all spellings, and each in lower case -> first spelling of the drug."""
    names: dict[str, str] = {}
    for line in paths.data("drug_names.txt").read_text(encoding="utf-8").splitlines():
        for group in [] if line.startswith("#") else line.lower().split(","):
            first, *others = (name.strip() for name in group.split("="))
            names |= dict.fromkeys([first, *others], first)
    return re.compile(rf"(?<![\w-])({_either(names)})(?:'?s)?(?![\w-])", re.IGNORECASE), names


def _quantities(text: str) -> list[tuple[int, int, float, str]]:
    """Return (start, end, number, unit) of the quantities of a text, both ends of a range."""
    return [
        (*match.span(), _number(digits), match["unit"] or "")
        for match in QUANTITY.finditer(text)
        for digits in filter(None, (match["first"], match["second"]))
        if not _is_label(match)
    ]


def _number(digits: str) -> float:
    """Return the value of a number; 1,000 is a thousand, and 6,2 is six point two."""
    if digits.lower() in WORDS:
        return WORDS.index(digits.lower()) + 1
    is_grouped = re.fullmatch(r"[1-9]\d{0,2}(,\d{3})+(\.\d+)?", digits) or "." in digits
    digits = digits.replace(",", "", digits.count(",") - 1)
    return float(digits.replace(",", "" if is_grouped else "."))


def _is_label(match: re.Match[str]) -> bool:
    """Return whether a number is a list item, a year, an emergency number or part of a name."""
    before, first = match.string[max(match.start() - 40, 0) : match.start()], match["first"]
    after = match.string[match.end() : match.end() + 2]
    if NAME_BEFORE.search(before[-12:]) or match["unit"] or match["second"]:
        return bool(NAME_BEFORE.search(before[-12:]))
    is_item = LIST_BEFORE.search(before) and match.string.startswith((".", ")"), match.end())
    return bool(is_item or first[0].isalpha() or YEAR_OR_CALL.fullmatch(f"{first}|{after}"))


def _ungrounded(number: float, unit: str, inputs: list[tuple]) -> str:
    """Return why a quantity is marked; "" if the input holds it, converted within 2% or not."""
    dimension, size = _measure(unit)
    for *_, given, given_unit in inputs:
        given_dimension, given_size = _measure(given_unit)
        tolerance = 0.02 if given_size != size else 1e-9
        is_close = isclose(given * given_size, number * size, rel_tol=tolerance)
        is_same = given == number and not (unit and given_unit)
        if is_same or (is_close and given_dimension == dimension):
            return ""
    same = [given_unit for *_, given, given_unit in inputs if given == number]
    return f"given in {same[0]}, another unit" if same else "this number is not in the question"


@cache
def _measure(unit: str) -> tuple[str, float]:
    """Return the dimension and size of a unit such as mg/kg or x10^9/L."""
    plain, parts = re.sub(r"[\s^]", "", unicodedata.normalize("NFKC", unit).lower()), []
    for name in plain.split("/"):
        power = re.fullmatch(r"[x×*]?10\*?(\d+)", name)
        known = UNITS.get(name) or UNITS.get(name.removesuffix("s"), ("", 1.0))
        parts.append(("", 10.0 ** int(power[1])) if power else known)
    dimensions, sizes = zip(*parts, strict=True)
    return "/".join(dimensions), sizes[0] / prod(sizes[1:])
