"""The stand-in's medical knowledge: conditions with a dozen facets each, and how they are named inside a sentence."""

import re
from functools import cache
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medinstruct import paths
from medinstruct.errors import UserError

FACETS = (
    "definition",
    "causes",
    "mechanism",
    "presentation",
    "red_flags",
    "tests",
    "differential",
    "treatment",
    "drug",
    "prevention",
    "patient",
    "pearl",
)

HEDGES = re.compile(
    r"\b(?:when|if|unless|unlikely|exclude[sd]?|argues against|may|can|needed|guides?|weeks later|no competing|at risk|advanced|"
    r"never|such as|that need|needs attention|before antireflux|later confirms|falls fourfold|some (?:patients|sporadic)|many but|"
    r"in (?:some|many|most|about|adults|children|selected|significant|severe|typical|uncomplicated|long-standing))\b"
)  # marks a finding that holds for some patients only, or speaks against the condition


class Part(BaseModel):
    """A piece of knowledge: no field but its own, none empty."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_min_length=1, str_strip_whitespace=True
    )


class Finding(Part):
    """A test and what it typically shows in this condition."""

    test: str
    finding: str

    @property
    def told(self) -> str:
        """Test and finding as a clause: "spirometry shows ...", "blood cultures show ..."."""
        head = re.split(r" (?:of|in|at|with|before|after|to|from|or|by|on|as|when)\b", self.test)[0]
        many = " and " in head or re.search(r"(?!gas)\w\w[^sui]s$", head)
        return f"{called(self.test)} {'show' if many else 'shows'} {self.finding}"

    @property
    def is_plain(self) -> bool:
        """Whether the finding is a positive one without a condition, so that it can stand in the story of one patient."""
        return not HEDGES.search(f"{self.test} {self.finding}")


class Mimic(Part):
    """A condition that this one is mistaken for, and the feature that tells them apart."""

    condition: str
    feature: str


class Drug(Part):
    """A drug class with an example, what it does, an adverse effect and a contraindication ("none ..." where there is none)."""

    class_: str = Field(alias="class")
    example: str
    use: str
    adverse_effect: str
    contraindication: str

    @property
    def is_contraindicated(self) -> bool:
        """Whether there is a contraindication to name."""
        return not self.contraindication.lower().startswith("none")


class Condition(Part):
    """One condition, general knowledge at textbook level; the schema of `data/knowledge/*.yaml`."""

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
        """The tests whose finding speaks for the condition; all where there is none."""
        return tuple(t for t in self.tests if t.is_plain) or self.tests


@cache
def conditions() -> tuple[Condition, ...]:
    """All conditions of `data/knowledge/*.yaml`, in the order of the files."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    files = sorted(paths.data("knowledge").glob("*.yaml"))
    rows = [
        (file.name, one)
        for file in files
        for one in yaml.load(file.read_text(encoding="utf-8"), Loader=loader)
    ]
    return tuple(_condition(one, where=name) for name, one in rows)


def _condition(fields: dict[str, Any], *, where: str) -> Condition:
    try:
        return Condition.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        do = "Compare with the entries beside it."
        raise UserError(
            f"{where}, {fields.get('name', '?')}, `{field}`: {first['msg']}.",
            got=first["input"],
            do=do,
        ) from None


def called(condition: Condition | str) -> str:
    """The name as it stands inside a sentence: lower case, unless its first word is an abbreviation or a person's name.

    >>> called("Acute appendicitis"), called("COPD exacerbation"), called("Graves disease"), called("Crohn's disease")
    ('acute appendicitis', 'COPD exacerbation', 'Graves disease', "Crohn's disease")
    """
    name = condition if isinstance(condition, str) else condition.name
    first = name.split()[0]
    is_proper = (
        "'" in first
        or re.search(r"[A-Z0-9]|^-", first[1:])
        or first.rstrip(",") in PROPER
        or "-Barr" in first
    )
    return name if is_proper else name[0].lower() + name[1:]


PROPER = frozenset(
    [
        "Achilles",
        "Addison",
        "Alport",
        "Alzheimer",
        "Baker",
        "Barrett",
        "Bartholin",
        "Behcet",
        "Bell",
        "Budd-Chiari",
        "Charcot",
        "Chlamydia",
        "Clostridioides",
        "Colles",
        "Conn",
        "Crohn",
        "Cushing",
        "Dix-Hallpike",
        "Doppler",
        "Down",
        "Duchenne",
        "Dupuytren",
        "Ebola",
        "Epstein-Barr",
        "Epworth",
        "Goodpasture",
        "Gram",
        "Graves",
        "Guillain-Barre",
        "Helicobacter",
        "Hirschsprung",
        "Hodgkin",
        "Huntington",
        "Kaposi",
        "Kawasaki",
        "Klinefelter",
        "Legionella",
        "Lewy",
        "Lyme",
        "Mallory-Weiss",
        "Marfan",
        "Meniere",
        "Non-Hodgkin",
        "Osgood-",
        "Paget",
        "Parkinson",
        "Parkinsonian",
        "Perthes",
        "Peyronie",
        "Plasmodium",
        "Raynaud",
        "Salmonella",
        "Schlatter",
        "Sjogren",
        "Staphylococcus",
        "Stevens-Johnson",
        "Still",
        "Streptococcus",
        "Takayasu",
        "Todd",
        "Tourette",
        "Turner",
        "Wernicke",
        "Wilson",
        "Zika",
    ]
)


def listed(phrases: tuple[str, ...] | list[str]) -> str:
    """a, b and c."""
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def stop(text: str) -> str:
    """The text with a full stop at its end."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else text + "."
