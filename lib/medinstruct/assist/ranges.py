"""Reference ranges of laboratory values, and a value in any of its units."""

import re
from functools import cache
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from medinstruct import paths

Limits = tuple[float | None, float | None]
Sex = Literal["", "female", "male"]
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹₂₃⁻−μ×", "012345678923--µx")


class Analyte(BaseModel):
    """What a laboratory measures: its names, its units, and limits in the SI unit; the schema of `data/reference_ranges.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    group: str
    also: tuple[str, ...]
    si: str
    units: dict[str, float | tuple[float, float]]
    range: Limits | None = None
    female: Limits | None = None
    male: Limits | None = None
    critical: Limits = (None, None)
    possible: tuple[float, float]
    high: str = Field(default="", pattern=r"^[a-z|]*$")
    low: str = Field(default="", pattern=r"^[a-z|]*$")

    @model_validator(mode="after")
    def _has_limits(self) -> Self:
        if (self.range is None) == (self.female is None or self.male is None):
            raise ValueError(f"{self.name} needs either `range` or both `female` and `male`")
        return self

    def limits(self, sex: Sex = "") -> list[Limits]:
        """The reference range, or where the sexes differ and `sex` is not known, both."""
        if self.range is not None:
            return [self.range]
        found = {"female": self.female, "male": self.male}
        return [found[sex]] if sex else [self.female, self.male]  # type: ignore[list-item]

    def to_si(self, number: float, unit: str) -> float | None:
        """The number in the SI unit; None where the analyte is not measured in `unit`.

        >>> round(analytes("glucose")[0].to_si(100, "MG/DL"), 2), analytes("sodium")[0].to_si(128, "mg/dL")
        (5.55, None)
        """
        if plain_unit(unit) == plain_unit(self.si):
            return number
        factor = {plain_unit(name): value for name, value in self.units.items()}.get(
            plain_unit(unit)
        )
        if factor is None:
            return None
        return number * factor[0] + factor[1] if isinstance(factor, tuple) else number * factor

    def from_si(self, number: float, unit: str) -> float:
        """The number of the SI unit in another of the analyte's units."""
        factor = self.units.get(unit, 1.0)
        return (number - factor[1]) / factor[0] if isinstance(factor, tuple) else number / factor

    def plausible(self, si: float) -> bool:
        """Whether a value could stand without its unit: twice beyond the critical limits, or ten times beyond the range."""
        low, high = self._widest()
        least = self.critical[0] / 2.5 if self.critical[0] is not None else low / 5
        most = self.critical[1] * 2 if self.critical[1] is not None else high * 10
        return max(least, self.possible[0]) <= si <= min(most, self.possible[1])

    def _widest(self) -> tuple[float, float]:
        lows = [low if low is not None else self.possible[0] for low, _ in self.limits()]
        highs = [high if high is not None else self.possible[1] for _, high in self.limits()]
        return min(lows), max(highs)


@cache
def analytes(name: str = "") -> tuple[Analyte, ...]:
    """All analytes that ship (not reviewed by clinicians), or those of one name."""
    rows = yaml.safe_load(paths.data("reference_ranges.yaml").read_text(encoding="utf-8"))
    every = tuple(Analyte(**row) for row in rows)
    return tuple(one for one in every if one.name == name) if name else every


def plain_unit(unit: str) -> str:
    """A unit without the ways of writing it: case, micro signs, blanks, powers.

    >>> plain_unit("x 10^9/L") == plain_unit("×10⁹/l"), plain_unit("mcg/dL"), plain_unit("mm Hg")
    (True, 'ug/dl', 'mmhg')
    """
    text = (
        unit.translate(SUPERSCRIPTS)
        .lower()
        .replace("µ", "u")
        .replace("mcg", "ug")
        .replace("mosmol", "mosm")
    )
    text = re.sub(r"[\s^*]|^x", "", text).replace("10e", "10")
    return (
        re.sub(r"\b(?:seconds?|secs?)\b", "s", text)
        .replace("/hr", "/h")
        .replace("iu/", "u/")
        .replace("cells/", "/")
        .replace("mm3", "ul")
    )
