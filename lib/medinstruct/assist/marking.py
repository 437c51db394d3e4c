"""Numbers and drug names of an answer that do not stand in what the model was given: what a reader must look up."""

import re
from dataclasses import dataclass
from typing import Literal

from medinstruct.assist.drugs import find_drugs, misspelt
from medinstruct.assist.panels import NUMBER, as_number, read_panel
from medinstruct.assist.ranges import plain_unit

WORDS = {
    name: n
    for n, name in enumerate(
        [
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ],
        1,
    )
}
TIMES = "seconds?|minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?(?:[- ]old)?"
UNIT = (
    r"(?:[x×*]\s?)?10\s?(?:[\^*]\s?\d{1,2}|[⁰-⁹¹²³]{1,2})\s?/\s?[µμu]?[lL]|(?:cells\s?)?/\s?(?:[µμu]L|mm[3³])"
    rf"|(?:mmol|[µμunm]mol|mol|mEq|[mkµμun]?g|mcg|[mkdµμu]?[lL]|m?I?U|mosm)(?:/(?:mmol|mol|[dmµμu]?[lL]|kg|g|min|h|hr|day|d)){{0,2}}\b|%|°\s?[CF]\b"
    rf"|mm\s?Hg\b|kPa\b|cm\b|mm\b|m\b|lbs?\b|kg/m[2²]|bpm\b|beats(?: per minute)?|kcal\b|(?:{TIMES})\b|tablets?\b|pills?\b|capsules?\b|puffs?\b|drops?\b|doses?\b"
)
FIGURE = re.compile(
    rf"(?<![\w.,^°])(?<![A-Za-z]-)(?P<first>(?=[.\d]){NUMBER})(?<=\d)(?:\s?(?P<joint>[-–/]|to)\s?(?P<second>(?=[.\d]){NUMBER})(?<=\d))?"
    rf"(?:[\s-]?(?P<unit>{UNIT}))?(?![\w/])"
    rf"|\b(?P<word>{'|'.join(WORDS)})[\s-](?P<word_unit>{UNIT})",
    re.I,
)
LISTED = re.compile(r"(?:^|\n|[.;:!?)]\s)[\s*#-]*$")
NAMES = re.compile(
    r"\b(?:section|chapter|type|vitamin|covid|omega|factor|phase|figure|table|step|question|option|h)[\s-]$",
    re.I,
)
CALLS = {112, 911, 999, 988, 111, 116117}
SCALES = {  # unit -> (what is measured, factor to one unit of it)
    "kg": ("mass", 1e6),
    "g": ("mass", 1e3),
    "mg": ("mass", 1.0),
    "ug": ("mass", 1e-3),
    "ng": ("mass", 1e-6),
    "l": ("volume", 1e3),
    "dl": ("volume", 1e2),
    "ml": ("volume", 1.0),
    "ul": ("volume", 1e-3),
    "cm": ("length", 10.0),
    "mm": ("length", 1.0),
    "m": ("length", 1000.0),
    "kpa": ("pressure", 7.50062),
    "mmhg": ("pressure", 1.0),
    "second": ("time", 1 / 60),
    "minute": ("time", 1.0),
    "min": ("time", 1.0),
    "hour": ("time", 60.0),
    "hr": ("time", 60.0),
    "day": ("time", 1440.0),
    "week": ("time", 10080.0),
    "month": ("months", 1.0),
    "year": ("months", 12.0),
    "tablet": ("pieces", 1.0),
    "pill": ("pieces", 1.0),
    "capsule": ("pieces", 1.0),
    "lb": ("mass", 453592.37),
    "mmol/l": ("amount a litre", 1.0),
    "meq/l": ("amount a litre", 1.0),
    "umol/l": ("amount a litre", 1e-3),
    "nmol/l": ("amount a litre", 1e-6),
    "pmol/l": ("amount a litre", 1e-9),
    "g/dl": ("mass a litre", 1e4),
    "g/l": ("mass a litre", 1e3),
    "mg/dl": ("mass a litre", 10.0),
    "mg/l": ("mass a litre", 1.0),
    "ug/ml": ("mass a litre", 1.0),
    "ug/dl": ("mass a litre", 1e-2),
    "ug/l": ("mass a litre", 1e-3),
    "ng/ml": ("mass a litre", 1e-3),
    "ng/dl": ("mass a litre", 1e-5),
    "ng/l": ("mass a litre", 1e-6),
    "pg/ml": ("mass a litre", 1e-6),
}


@dataclass(frozen=True)
class Mark:
    """A piece of an answer, from `start` to `end`, that what was given does not bear out, and why."""

    start: int
    end: int
    kind: Literal["number", "drug"]
    reason: str


@dataclass(frozen=True)
class Figure:
    """A number as a text has it, with its unit and the step of its last digit."""

    start: int
    end: int
    number: float
    unit: str
    step: float


def marks(answer: str, given: str) -> list[Mark]:
    """Numbers (with their units) and drugs of an answer that do not occur in what was given, in their order.

    The same value in another unit occurs; another spelling of the same drug too. Not looked at: numbers of lists, years, emergency
    numbers, and names with digits in them.

    >>> [m.kind for m in marks("Glucose of 5.6 mmol/L; take 850 mg of metformin.", "Glucose 100 mg/dL")]
    ['number', 'drug']
    """
    known = {one.drug for one in find_drugs(given)} | misspelt(given)
    drugs = [
        Mark(one.start, one.end, "drug", f"{one.drug} is not named in what was given")
        for one in find_drugs(answer)
        if one.drug not in known
    ]
    bases = _known(given)
    spans: dict[tuple[int, int], str] = {}
    for one in figures_of(answer):
        if reason := _missing(one, bases):
            spans[one.start, one.end] = reason
    numbers = [Mark(start, end, "number", reason) for (start, end), reason in spans.items()]
    return sorted([*drugs, *numbers], key=lambda mark: mark.start)


def figures_of(text: str) -> list[Figure]:
    """The numbers of a text that say something: both ends of a span, without list numbers, years and names with digits."""
    found = []
    for match in FIGURE.finditer(text):
        if match["word"]:
            found.append(
                Figure(
                    match.start(),
                    match.end(),
                    WORDS[match["word"].lower()],
                    match["word_unit"],
                    1.0,
                )
            )
        elif not _is_name(text, match):
            parts = [part for part in (match["first"], match["second"]) if part]
            found += [
                Figure(match.start(), match.end(), as_number(one), match["unit"] or "", _step(one))
                for one in parts
            ]
    return found


def _is_name(text: str, match: re.Match[str]) -> bool:
    """Whether a number is one of a list, a year, a call, or part of a name."""
    before, after = text[: match.start()], text[match.end() :]
    whole = not match["unit"] and not match["joint"] and re.fullmatch(r"\d+", match["first"])
    if NAMES.search(before[-12:]):
        return True
    if not whole:
        return False
    number = int(match["first"])
    follows = number == 1 or re.search(rf"(?<!\d){number - 1}[.)]\s", before)
    listed = (
        follows and re.match(r"[.)](?:\s|$)", after) and (after[0] == ")" or LISTED.search(before))
    )
    return bool(listed) or 1900 <= number < 2100 or number in CALLS


def _step(text: str) -> float:
    """The worth of the last digit of a number: 5.6 is told to 0.1."""
    digits = re.search(r"[.,](\d+)$", text)
    return 1.0 if not digits or as_number(text) >= 1000 else 10.0 ** -len(digits[1])


def _known(given: str) -> list[tuple[Figure, tuple[tuple[float, str], ...]]]:
    """The numbers of what was given, each with the same value in its analyte's other units."""
    values = read_panel(given)
    rows = []
    for figure in figures_of(given):
        value = next(
            (one for one in values if one.start <= figure.start < one.end and one.si is not None),
            None,
        )
        units = (value.analyte.si, *value.analyte.units) if value else ()
        rows.append(
            (
                figure,
                tuple((value.analyte.from_si(value.si, unit), plain_unit(unit)) for unit in units),
            )
        )  # type: ignore
    return rows


def _missing(one: Figure, known: list[tuple[Figure, tuple[tuple[float, str], ...]]]) -> str:
    """Why a number of the answer is marked; "" where it occurs, in this unit or another."""
    same = [base for base, _ in known if abs(base.number - one.number) < 1e-9]
    if any(not one.unit or not base.unit or _unit(one.unit) == _unit(base.unit) for base in same):
        return ""
    if any(_equal(one, base) or _converted(one, others) for base, others in known):
        return ""
    if same:
        return f"given as {same[0].number:g} {same[0].unit}, another unit"
    return "this number is not in what was given"


def _equal(one: Figure, base: Figure) -> bool:
    """Whether two numbers are the same quantity in units of one scale, or the same temperature."""
    a, b = _unit(one.unit), _unit(base.unit)
    if {a, b} == {"°c", "°f"}:
        return (
            abs(
                one.number - (base.number * 9 / 5 + 32 if a == "°f" else (base.number - 32) * 5 / 9)
            )
            <= max(one.step, 0.1) * 0.51
        )
    if a not in SCALES or b not in SCALES or SCALES[a][0] != SCALES[b][0]:
        return False
    value = base.number * SCALES[b][1] / SCALES[a][1]
    return abs(one.number - value) <= max(1e-9, one.step * 0.51 if a != b else 0)


def _converted(one: Figure, others: tuple[tuple[float, str], ...]) -> bool:
    """Whether a number is a given laboratory value in another unit, rounded as the answer rounds; 1 % is left for the factors."""
    unit = plain_unit(one.unit)
    near = [value for value, name in others if name == unit or unit == ""]
    return any(abs(one.number - value) <= max(one.step * 0.51, abs(value) * 0.01) for value in near)


def _unit(unit: str) -> str:
    plain = plain_unit(unit)
    plain = re.sub(r"-?old$", "", plain).strip("-")
    return {"s": "second", "h": "hour", "hrs": "hour", "mins": "min"}.get(plain) or re.sub(
        r"(?<=[a-z]{3})s$", "", plain
    )
