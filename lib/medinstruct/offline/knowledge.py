"""Knowledge: conditions with twelve facets each, and their names inside a sentence."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from medinstruct import paths


class Part(BaseModel):
    """A piece of knowledge without unknown or empty fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_min_length=1)


class Finding(Part):
    """A test and what it typically shows in this condition."""

    test: str
    finding: str

    @property
    def clause(self) -> str:
        """Return the clause "spirometry shows …" or "blood cultures show …"."""
        head = re.split(r" (?:of|in|at|with|before|after|to|from|or|by|on|as|when)\b", self.test)[0]
        is_plural = " and " in head or re.search(r"(?!gas)\w\w[^sui]s$", head)
        return f"{called(self.test)} {'show' if is_plural else 'shows'} {self.finding}"

    @property
    def is_plain(self) -> bool:
        """Return whether the finding is positive and unconditional, as in one patient's story."""
        return not re.search(settings("templates")["hedges"], f"{self.test} {self.finding}")


class Mimic(Part):
    """A condition that this one is mistaken for, and the feature that tells them apart."""

    condition: str
    feature: str


class Drug(Part):
    """A drug class with an example, its use, an adverse effect and a contraindication."""

    class_: str = Field(alias="class")
    example: str
    use: str
    adverse_effect: str
    contraindication: str  # begins with "none" where there is none


class Condition(Part):
    """One condition, general knowledge at textbook level; the schema of `data/knowledge`."""

    name: str
    also: tuple[str, ...] = Field(max_length=4)
    specialty: str
    definition: str
    causes: tuple[str, ...] = Field(min_length=3)
    mechanism: str
    typical_patient: str
    presentation: tuple[str, ...] = Field(min_length=4)
    red_flags: tuple[str, ...] = Field(min_length=2)
    tests: tuple[Finding, ...] = Field(min_length=2)
    differential: tuple[Mimic, ...] = Field(min_length=2)
    treatment: tuple[str, ...] = Field(min_length=3)
    drug: Drug
    prevention: tuple[str, ...] = Field(min_length=2)
    patient: str
    pearl: str

    @property
    def plain_tests(self) -> tuple[Finding, ...]:
        """Return the tests whose finding speaks for the condition; all where none does."""
        return tuple(test for test in self.tests if test.is_plain) or self.tests


FACETS = [
    f for f in Condition.model_fields if f not in ("name", "also", "specialty", "typical_patient")
]


@cache
def conditions() -> tuple[Condition, ...]:
    """Return all conditions of `data/knowledge/*.yaml`, in the order of the files."""
    files = sorted(paths.data("knowledge").glob("*.yaml"))
    return tuple(Condition.model_validate(row) for file in files for row in _load(file))


@cache
def settings(name: str) -> dict[str, Any]:
    """Return the content of `data/offline/<name>.yaml`."""
    return _load(paths.data("offline") / f"{name}.yaml")


def _load(path: Path) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times as fast
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)


def called(name: str) -> str:
    """Return the name inside a sentence: lower case, but for abbreviations and personal names.

    >>> called("Acute appendicitis"), called("COPD exacerbation"), called("Crohn's disease")
    ('acute appendicitis', 'COPD exacerbation', "Crohn's disease")
    """
    first = name.split()[0]
    is_name = re.search(r"[A-Z0-9]|^-", first[1:]) or "'" in first or "-Barr" in first
    is_proper = is_name or first.rstrip(",") in settings("templates")["proper"]
    return name if is_proper else name[0].lower() + name[1:]


def listed(phrases: tuple[str, ...] | list[str]) -> str:
    """Return "a, b and c"."""
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def capital(text: str) -> str:
    """Return the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
