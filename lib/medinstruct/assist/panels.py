"""Laboratory values in free text, found and judged by rule before any model is asked."""

import re
from dataclasses import dataclass
from functools import cache

from medinstruct.assist.ranges import Analyte, Limits, Sex, analytes, plain_unit
from medinstruct.audits.demographics import mentions

NUMBER = r"[-−]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:[.,]\d+)?"
UNIT = (
    r"(?:[x×*]\s?)?10\s?(?:[\^*eE]\s?\d{1,2}|[⁰-⁹¹²³]{1,2})\s?/\s?[µμumM]?[lL]|(?:cells\s?)?/\s?(?:[µμu]L|mm[3³])"
    r"|[A-Za-zµμ]{1,6}(?:\s?/\s?[A-Za-zµμ0-9]{1,5}(?:\.\d+[a-z0-9]*)?[²³]?){1,3}(?:\s?FEU)?|%|mm\s?Hg|kPa|fL|pg|seconds?|secs?|s\b|mmol|[µμmn]?g\b|I?U\b"
)
BETWEEN = r"\s*(?:\([^()\d]{0,24}\)\s*)?(?:level|value|count|concentration)?\s*(?:[:=→]|\b(?:of|is|was|at)\b)?\s*"
OWN_RANGE = re.compile(
    r"\s*[(\[]\s*(?:ref\w*|normal|range)?[\s:.]*(\d+(?:[.,]\d+)?)\s*(?:[-–]|to)\s*(\d+(?:[.,]\d+)?)[^)\]]{0,16}[)\]]",
    re.I,
)
FLAGS = (
    "critical low",
    "critical high",
    "low",
    "high",
    "normal",
    "depends on sex",
    "unit missing",
    "unknown unit",
    "impossible",
)


@dataclass(frozen=True)
class Value:
    """One value as it stands in a text, and what the rule says of it. `si` is None where it could not be read in a unit."""

    analyte: Analyte
    text: str
    number: float
    unit: str
    si: float | None
    flag: str
    note: str
    start: int
    end: int
    limits: tuple[Limits, ...] = ()

    @property
    def is_abnormal(self) -> bool:
        """Whether the rule says that the value is out of its range."""
        return self.flag in ("critical low", "critical high", "low", "high")

    @property
    def side(self) -> str:
        """low, high, normal, or "" where the rule does not say."""
        return self.flag.removeprefix("critical ") if self.flag in FLAGS[:5] else ""


def read_panel(text: str, *, sex: Sex = "") -> list[Value]:
    """The laboratory values of a text in their order; `sex` is read from the text where it is not given.

    >>> [(v.analyte.name, v.flag) for v in read_panel("Na 128 mmol/L, K+ 7.1, glucose 30, Hb 145 g/dL")]
    [('sodium', 'low'), ('potassium', 'critical high'), ('glucose', 'unit missing'), ('haemoglobin', 'impossible')]
    """
    sexes = mentions(text)["sex"] - {"other"}
    sex = sex or (next(iter(sexes)) if len(sexes) == 1 else "")  # type: ignore[assignment]
    return [_value(match, text, sex) for match in _pattern().finditer(text)]


def cautions(text: str) -> list[str]:
    """Why the ranges for adults may not hold for the person in a text."""
    said = mentions(text)
    found = ["pregnancy changes many ranges"] if said["pregnancy"] else []
    return found + (
        ["children have ranges of their own"] if said["age"] & {"child", "adolescent"} else []
    )


def as_number(text: str) -> float:
    """A number as people write it: 1,000 is a thousand, 6,2 is six point two.

    >>> as_number("150,000"), as_number("6,2"), as_number(".5"), as_number("−2")
    (150000.0, 6.2, 0.5, -2.0)
    """
    plain = text.replace("−", "-")
    thousands = re.fullmatch(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", plain)
    return float(plain.replace(",", "") if thousands else plain.replace(",", "."))


def named(text: str) -> list[tuple[int, int, Analyte]]:
    """Where analytes are named in a text: (start, end, analyte)."""
    return [
        (match.start(), match.end(), _by_alias()[_key(match.group())])
        for match in _names().finditer(text)
    ]


def _key(alias: str) -> str:
    return alias if len(alias) <= 3 else alias.lower()


@cache
def _by_alias() -> dict[str, Analyte]:
    return {_key(alias): one for one in analytes() for alias in (one.name, *one.also)}


@cache
def _alias_pattern() -> str:
    """Short names as they are written, longer ones in any case and in the plural of a sentence's beginning."""
    aliases = sorted(
        {alias for one in analytes() for alias in (one.name, *one.also)}, key=len, reverse=True
    )
    words = [
        re.escape(alias) if len(alias) <= 3 else f"(?i:{re.escape(alias)})" for alias in aliases
    ]
    return rf"(?<![\w./-])(?<!vitamin )(?:{'|'.join(words)})(?![\w+])"


@cache
def _names() -> re.Pattern[str]:
    return re.compile(_alias_pattern())


@cache
def _pattern() -> re.Pattern[str]:
    """A name, a number, and a unit right after it or after the report's own range."""
    number = rf"(?P<number>(?=[-−.\d]){NUMBER})(?<=\d)"
    unit = rf"(?:\s?(?P<unit>{UNIT})|\s*[(\[][\d\s.,–to-]+[)\]]\s*(?P<late>{UNIT}))?"
    return re.compile(
        rf"(?P<name>{_alias_pattern()}){BETWEEN}(?P<sign>[<>≤≥]?)\s*{number}{unit}(?![\w/])"
    )


def _value(match: re.Match[str], text: str, sex: Sex) -> Value:
    analyte = _by_alias()[_key(match["name"])]
    number, unit = as_number(match["number"]), match["unit"] or match["late"] or ""
    own = OWN_RANGE.match(text, match.end("number") if match["late"] else match.end())
    si, flag, note, limits = _judged(analyte, number, unit, sex, own)
    return Value(
        analyte,
        match.group(),
        number,
        unit,
        si,
        flag,
        note,
        match.start(),
        match.end(),
        tuple(limits),
    )


def _judged(
    analyte: Analyte, number: float, unit: str, sex: Sex, own: re.Match[str] | None
) -> tuple[float | None, str, str, list[Limits]]:
    """(value in SI, flag, note, limits in SI) of one number and the unit as it is written, or none."""
    limits = analyte.limits(sex)
    if not unit and plain_unit(analyte.si):
        return *_guessed(analyte, number, limits), limits
    si = analyte.to_si(number, unit)
    if si is None:
        return None, "unknown unit", f"not measured in {unit}", limits
    if (
        own
        and (bounds := [analyte.to_si(as_number(part), unit) for part in own.groups()])[0]
        is not None
    ):
        limits = [(bounds[0], bounds[1])]
    return si, _flag(analyte, si, limits), "against the report's own range" if own else "", limits


def _guessed(
    analyte: Analyte, number: float, limits: list[Limits]
) -> tuple[float | None, str, str]:
    """A value without a unit: read where only one unit makes sense, or where all that do come to the same."""
    whole = {unit: analyte.to_si(number, unit) for unit in (analyte.si, *analyte.units)}
    fitting = {unit: si for unit, si in whole.items() if si is not None and analyte.plausible(si)}
    flags = {_flag(analyte, si, limits) for si in fitting.values()}
    if len({round(si, 6) for si in fitting.values()}) == 1:
        return (
            next(iter(fitting.values())),
            flags.pop(),
            f"no unit given, read as {next(iter(fitting))}",
        )
    if len(flags) == 1:
        return None, flags.pop(), f"no unit given, the same in {' and '.join(fitting)}"
    if fitting:
        return None, "unit missing", f"could be {' or '.join(fitting)}"
    if all(
        si is not None and not analyte.possible[0] <= si <= analyte.possible[1]
        for si in whole.values()
    ):
        return None, "impossible", "in no unit possible"
    return None, "unit missing", "no unit given, and none makes it likely"


def _flag(analyte: Analyte, si: float, limits: list[Limits]) -> str:
    if not analyte.possible[0] <= si <= analyte.possible[1]:
        return "impossible"
    low, high = analyte.critical
    if low is not None and si < low:
        return "critical low"
    if high is not None and si > high:
        return "critical high"
    sides = {_side(si, one) for one in limits}
    return sides.pop() if len(sides) == 1 else "depends on sex"


def _side(si: float, limits: Limits) -> str:
    low, high = limits
    return (
        "low"
        if low is not None and si < low - 1e-9
        else "high"
        if high is not None and si > high + 1e-9
        else "normal"
    )
