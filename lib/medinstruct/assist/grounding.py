"""Grounding: numbers and drug names of an answer that its input does not hold."""

import re
import unicodedata
from functools import cache
from math import isclose
from typing import NamedTuple

import yaml

from medinstruct import paths

WORDS = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
NUMBER = r"(?=[.\d])(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:[.,]\d+)?(?<=\d)"
NAMES = "section|chapter|type|vitamin|covid|omega|factor|phase|figure|table|step|question|option|h"
NAME_BEFORE = re.compile(rf"\b(?:{NAMES})[\s-]$", re.IGNORECASE)
LIST_BEFORE = re.compile(r"(?:^|\n)[\s*#-]*$")
YEAR_OR_CALL = re.compile(r"(?:19|20)\d\d|11[12]|911|988|999")  # emergency numbers are calls


class Mark(NamedTuple):
    """A span of an answer that its input does not hold; `kind` is number or drug."""

    start: int
    end: int
    kind: str
    reason: str


class Quantity(NamedTuple):
    """A number in a text with its unit; `size` is that of the unit in base units of `dimension`."""

    start: int
    end: int
    number: float
    unit: str
    dimension: str
    size: float


def marks(answer: str, given: str) -> list[Mark]:
    """Return the numbers and drug names of `answer` that `given` does not hold, in order.

    A quantity in another unit of its dimension counts as given, and so does another spelling of a
    drug. Ignored: list numbers, years, emergency numbers, digits inside names.

    >>> [mark.kind for mark in marks("1 g of metformin, then 5 mg.", "Paracetamol 1000 mg")]
    ['drug', 'number']
    """
    known = {drug for _, _, drug in _drugs(given)}
    spans = {
        (start, end): Mark(start, end, "drug", f"{drug} is not in the input")
        for start, end, drug in _drugs(answer)
        if drug not in known
    }
    inputs = _quantities(given)
    for quantity in _quantities(answer):
        if reason := _ungrounded(quantity, inputs):
            spans[quantity[:2]] = Mark(*quantity[:2], "number", reason)
    return [spans[place] for place in sorted(spans)]


@cache
def drug_names() -> dict[str, str]:
    """Return every spelling in lower case, mapped to the first spelling of the same drug."""
    names: dict[str, str] = {}
    for line in paths.data("drug_names.txt").read_text(encoding="utf-8").splitlines():
        for group in [] if line.startswith("#") else line.lower().split(","):
            spellings = [name.strip() for name in group.split("=")]
            first = names.get(spellings[0], spellings[0])
            names |= {name: names.get(name, first) for name in spellings}
    return names


def _drugs(text: str) -> list[tuple[int, int, str]]:
    """Return (start, end, drug) of the drugs that a text names, in any case and in the plural.

    >>> [(start, drug) for start, _, drug in _drugs("Stop WARFARIN; two Tylenols.")]
    [(5, 'warfarin'), (19, 'paracetamol')]
    """
    matches = _drug_pattern().finditer(text)
    return [(match.start(), match.end(), drug_names()[match[1].lower()]) for match in matches]


def _quantities(text: str) -> list[Quantity]:
    """Return the quantities of a text, both ends of a range included."""
    return [
        _quantity(match, digits)
        for match in _number_pattern().finditer(text)
        if not _is_label(match)
        for digits in (match["first"], match["second"])
        if digits
    ]


def _quantity(match: re.Match[str], digits: str) -> Quantity:
    """Return one number of a match; 1,000 is a thousand, and 6,2 is six point two."""
    words, unit = WORDS.split("|"), match["unit"] or ""
    thousands = re.fullmatch(r"[1-9]\d{0,2}(,\d{3})+(\.\d+)?", digits)
    plain = digits.replace(",", "" if thousands else ".").lower()
    number = float(words.index(plain) + 1 if plain in words else plain)
    first, *divisors = unit.split("/")
    dimension, size = _unit(first)
    for name, divisor in map(_unit, divisors):
        dimension, size = f"{dimension}/{name}", size / divisor
    return Quantity(*match.span(), number, unit, dimension, size)


def _ungrounded(quantity: Quantity, inputs: list[Quantity]) -> str:
    """Return why a quantity is marked; "" if the input holds it, converted within 2 % or not."""
    for given in inputs:
        if given.number == quantity.number and not (given.unit and quantity.unit):
            return ""
        values = given.number * given.size, quantity.number * quantity.size
        tolerance = 0.02 if given.size != quantity.size else 1e-9
        if given.dimension == quantity.dimension and isclose(*values, rel_tol=tolerance):
            return ""
    same = [given.unit for given in inputs if given.number == quantity.number]
    return f"given in {same[0]}, another unit" if same else "this number is not in the input"


def _is_label(match: re.Match[str]) -> bool:
    """Return whether a number is a list item, a year, an emergency number or part of a name."""
    before, after = match.string[: match.start()], match.string[match.end() :]
    if NAME_BEFORE.search(before[-12:]):
        return True
    if match["unit"] or match["second"]:
        return False
    is_item = LIST_BEFORE.search(before) and after[:1] in (".", ")")
    first = match["first"]
    return bool(is_item or first[0].isalpha() or YEAR_OR_CALL.fullmatch(first))


def _unit(text: str) -> tuple[str, float]:
    """Return the dimension and size of one part of a unit, such as mg or x10^9."""
    name = _plain(text)
    if power := re.fullmatch(r"[x×*]?10\*?(\d+)", name):
        return "", 10.0 ** int(power[1])
    return _units().get(name) or _units().get(name.removesuffix("s"), ("", 1.0))


@cache
def _units() -> dict[str, tuple[str, float]]:
    """Return spelling -> (dimension, size)."""
    table = yaml.safe_load(paths.data("units.yaml").read_text(encoding="utf-8"))
    return {
        _plain(spelling): (dimension, size)
        for dimension, units in table.items()
        for unit, (size, *also) in units.items()
        for spelling in (unit, *also)
    }


def _plain(unit: str) -> str:
    return re.sub(r"[\s^]", "", unicodedata.normalize("NFKC", unit).lower())


@cache
def _drug_pattern() -> re.Pattern[str]:
    words = "|".join(map(re.escape, sorted(drug_names(), key=len, reverse=True)))
    return re.compile(rf"(?<![\w-])({words})(?:'?s)?(?![\w-])", re.IGNORECASE)


@cache
def _number_pattern() -> re.Pattern[str]:
    names = "|".join(map(re.escape, sorted(_units(), key=len, reverse=True)))
    part = rf"(?:(?:{names.replace('μ', '[µμ]')})s?(?![a-z]))"
    power = r"(?:[x×*]\s?)?10\s?(?:[\^*]\s?\d{1,2}|[⁰-⁹¹²³]{1,2})|cells"
    unit = rf"(?:{part}|(?:{power})?\s?/\s?{part})(?:\s?/\s?{part}){{0,2}}"
    first, joint = rf"(?P<first>{NUMBER}|\b(?:{WORDS})\b)", r"(?:[-–/]|to)"
    second = rf"(?:\s?{joint}\s?(?P<second>{NUMBER}))?"
    whole = rf"(?<![\w.,^°])(?<![A-Za-z]-){first}{second}(?:[\s-]?(?P<unit>{unit}))?(?![\w/])"
    return re.compile(whole, re.IGNORECASE)
