"""What a model's text says of given laboratory values, held against the rule: a level, a changed number, a value left out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from medinstruct.assist.panels import Value, named, read_panel
from medinstruct.assist.ranges import Analyte, analytes

NORMAL = r"normal(?!i[sz])|unremarkable|fine|within (?:the )?(?:normal|reference)|in (?:the )?(?:normal|reference)|acceptable|no concern|reassuring|good"
HIGH = r"high(?:er)?|raised|elevated|increased|too much|above|excess\w*"
LOW = r"low(?:er)?|reduced|decreased|suppressed|depleted|below|deficien\w*|too little"
SIDES = {
    "normal": re.compile(rf"\b(?:{NORMAL})\b", re.I),
    "high": re.compile(rf"\b(?:{HIGH})\b", re.I),
    "low": re.compile(rf"\b(?:{LOW})\b", re.I),
}
NOT = re.compile(
    r"\b(?:not|no|never|neither|nor|isn't|without|rather than|abnormal\w*)\W+(?:[\w-]+\W+){0,2}$",
    re.I,
)
BOUNDS = re.compile(
    r"\b(?:normal(?:ly)?|reference|range|limits?|target|between|above|below|over|under|than|if|when|until|from)\b[^,;.]{0,24}$",
    re.I,
)
IF = re.compile(r"\b(?:if|when|whenever|unless|should|could|may|might|in case)\b[^,;.]*$", re.I)
GROUPS = {  # words that speak of several analytes at once
    "electrolytes?|salts": ("sodium", "potassium", "chloride", "calcium", "magnesium", "phosphate"),
    "(?:kidney|renal) (?:function|values?|tests?)": ("creatinine", "eGFR", "urea"),
    "(?:liver|hepatic) (?:function|values?|tests?|enzymes?)": (
        "ALT",
        "AST",
        "alkaline phosphatase",
        "GGT",
        "bilirubin",
    ),
    "(?:full |complete )?blood (?:count|picture)": ("haemoglobin", "leukocytes", "platelets"),
    "thyroid (?:function|values?|tests?)": ("TSH", "free T4", "free T3"),
    "clotting|coagulation": ("INR", "aPTT", "prothrombin time"),
    "(?:all|every|the) (?:of the |these |the )?(?:values?|results?|tests?|bloods|laborator\\w+)|everything": (
        "",
    ),
}
SENTENCE = re.compile(r"[^.!?;\n]*(?:[.!?](?=\d)[^.!?;\n]*)*[.!?;\n]?")
CLOSE = 0.02  # share by which a number may differ and still be the one given


@dataclass(frozen=True)
class Conflict:
    """A place where a text and a given value do not fit: another level, another value, or a critical value not named at all."""

    analyte: str
    kind: Literal["level", "value", "left out"]
    reason: str
    start: int = 0
    end: int = 0


def conflicts(text: str, values: Sequence[Value]) -> list[Conflict]:
    """Where a model's text does not fit the values that were given, by rule.

    >>> from medinstruct.assist.panels import read_panel
    >>> [(c.analyte, c.kind) for c in conflicts("Potassium is normal.", read_panel("K 7.1 mmol/L, Na 119 mmol/L"))]
    [('potassium', 'level'), ('sodium', 'left out')]
    """
    if not text.strip():
        return []
    by_name = {value.analyte.name: value for value in values}
    found = [
        one for start, end in _sentences(text) for one in _in_sentence(text, start, end, by_name)
    ]
    said = (
        {name for _, _, name in _grouped(text, by_name)}
        | {analyte.name for _, _, analyte in named(text)}
        | {name for name, *_ in _words(text)}
    )
    found += [
        Conflict(
            name,
            "left out",
            f"{name} is {value.flag} ({value.number:g} {value.unit or 'without a unit'}) and is not named",
        )
        for name, value in by_name.items()
        if value.flag.startswith("critical") and name not in said
    ]
    return list({(one.analyte, one.kind): one for one in reversed(found)}.values())[::-1]


def _sentences(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in SENTENCE.finditer(text) if match.group().strip()]


def _in_sentence(text: str, start: int, end: int, values: dict[str, Value]) -> list[Conflict]:
    """The conflicts of one sentence: words like hyperkalaemia, levels beside a name, numbers after a name."""
    part = text[start:end]
    found = []
    for name, side, at, to in _words(part):
        if name in values and not IF.search(part[:at]):
            found += (_denied if NOT.search(part[:at]) else _level)(
                values[name], side, start + at, start + to
            )
    for at, to, side in _levels(part):
        for name in _about(part, at, values):
            found += _level(values[name], side, start + at, start + to)
    for value in read_panel(part):
        if value.analyte.name in values and not BOUNDS.search(
            part[value.start : value.end - len(f"{value.number:g}")]
        ):
            found += _changed(values[value.analyte.name], value, start)
    return found + _loose(part, start, values)


def _words(text: str) -> list[tuple[str, str, int, int]]:
    """Words that name an analyte and its side at once: (name, side, start, end)."""
    return [
        (one.name, side, match.start(), match.end())
        for one in analytes()
        for side, stems in (("high", one.high), ("low", one.low))
        if stems
        for match in re.finditer(rf"(?<!\w)(?:{stems})[a-z]*", text, re.I)
    ]


def _levels(part: str) -> list[tuple[int, int, str]]:
    """Words for a level that are not denied and are no limit of a range: (start, end, side)."""
    found = []
    for side, pattern in SIDES.items():
        for match in pattern.finditer(part):
            bound = re.match(
                r"\W*(?:[a-z]+\s+){0,2}?(?:range|limits?|values?)?[\s:]*(?:(?:is|are|lies|of|from|between|above|below|over|under|up to|[<>≤≥])\s*){0,2}\d",
                part[match.end() :],
            )
            limit = (
                IF.search(part[: match.start()])
                or bound
                and (
                    side == "normal"
                    or match.group().lower() in ("above", "below", "higher", "lower")
                )
            )
            if not NOT.search(part[: match.start()]) and not limit:
                found.append((match.start(), match.end(), side))
    return found


def _about(part: str, at: int, values: dict[str, Value]) -> list[str]:
    """The given analytes that a level word speaks of: the names just before it, joined by "and" or commas, else the next one."""
    direct = next(
        (one.name for start, _, one in named(part) if re.fullmatch(r"\w+ ", part[at:start])), ""
    )
    if direct:
        return [direct] if direct in values else []
    places = sorted(
        [(start, end, one.name) for start, end, one in named(part)] + _grouped(part, values)
    )
    before = [place for place in places if place[1] <= at]
    if not before:
        after = [place for place in places if place[0] >= at and place[0] - at < 40]
        return [after[0][2]] if after and after[0][2] in values else []
    group = [before[-1]]
    for place in reversed(before[:-1]):
        if place[:2] == group[0][:2] or re.fullmatch(
            r"[\s,]*(?:and|or|,|both|the|\s)*", part[place[1] : group[0][0]]
        ):
            group.insert(0, place)
    return [name for *_, name in group if name in values]


def _grouped(part: str, values: dict[str, Value]) -> list[tuple[int, int, str]]:
    """Where a word stands for several of the given analytes, as "the electrolytes" do: once for each."""
    return [
        (match.start(), match.end(), name)
        for words, members in GROUPS.items()
        for match in re.finditer(rf"\b(?:{words})\b", part, re.I)
        for name in values
        if name in members or members == ("",)
    ]


def _level(value: Value, side: str, start: int, end: int) -> list[Conflict]:
    if not value.side or value.side == side:
        return []
    reason = f"{value.analyte.name} is {value.flag} by the ranges, the text says {side}"
    return [Conflict(value.analyte.name, "level", reason, start, end)]


def _denied(value: Value, side: str, start: int, end: int) -> list[Conflict]:
    """A side that a text denies although the rule finds it."""
    if value.side != side:
        return []
    return [
        Conflict(
            value.analyte.name,
            "level",
            f"{value.analyte.name} is {value.flag} by the ranges, the text denies it",
            start,
            end,
        )
    ]


def _changed(given: Value, said: Value, start: int) -> list[Conflict]:
    return _differs(given, said.number, said.si, start + said.start, start + said.end)


def _differs(given: Value, number: float, si: float | None, start: int, end: int) -> list[Conflict]:
    same = abs(number - given.number) <= 1e-9
    near = (
        si is not None
        and given.si is not None
        and abs(si - given.si) <= CLOSE * max(abs(given.si), 1e-9)
    )
    if same or near or (si is None and given.si is None):
        return []
    reason = (
        f"{given.analyte.name} was given as {given.number:g} {given.unit}".strip()
        + f", the text says {number:g}"
    )
    return [Conflict(given.analyte.name, "value", reason, start, end)]


def _loose(part: str, start: int, values: dict[str, Value]) -> list[Conflict]:
    """Numbers that stand some words after a name, as in "sodium is low at 128 mmol/L"."""
    found = []
    places = named(part)
    for n, (_, end, one) in enumerate(places):
        upto = places[n + 1][0] if n + 1 < len(places) else len(part)
        gap = re.match(r"\s+(?:[a-z]+\s+){1,5}(?=\d)", part[end:upto], re.I)
        if one.name not in values or not gap or BOUNDS.search(gap.group()):
            continue
        read = read_panel(f"{one.name} {part[end + gap.end() : upto]}")
        if read and read[0].start == 0:
            value: Analyte | Value = read[0]
            found += _differs(
                values[one.name],
                value.number,
                value.si,
                start + end + gap.end(),
                start + end + gap.end() + 1,
            )
    return found
