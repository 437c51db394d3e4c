"""Names of drugs in a text: a list of generic names with their spellings, and the examples of the knowledge that ships."""

import difflib
import re
from functools import cache
from typing import NamedTuple

from medinstruct import paths

WORD = re.compile(r"[A-Za-z]{6,}")
NO_DRUGS = {
    "oxygen",
    "glucose",
    "water",
    "saline",
    "alcohol",
    "iron",
    "calcium",
    "potassium",
}  # also names of what is measured
NEAR = 0.88  # two spellings of one name, by difflib


class Named(NamedTuple):
    """A drug where it is named: the place, and the first of its names in the list."""

    start: int
    end: int
    drug: str


def drug_names() -> dict[str, str]:
    """Every name in lower case, with the first name of the same drug.

    >>> drug_names()["acetaminophen"], drug_names()["albuterol"], len(drug_names()) > 600
    ('paracetamol', 'salbutamol', True)
    """
    return dict(_names())


def find_drugs(text: str) -> list[Named]:
    """Where drugs are named in a text, in any case and in the plural.

    >>> [(one.start, one.drug) for one in find_drugs("Stop WARFARIN; two Tylenols.")]
    [(5, 'warfarin'), (19, 'paracetamol')]
    """
    names = _names()
    return [Named(m.start(1), m.end(), names[m[1].lower()]) for m in _pattern().finditer(text)]


def misspelt(text: str) -> set[str]:
    """The drugs that words of a text come near to without being the name of one, as when a patient writes it.

    >>> misspelt("He took amoxicilin"), misspelt("He took prednisone")
    ({'amoxicillin'}, set())
    """
    names = _names()
    words = {word.lower() for word in WORD.findall(text)} - set(names)
    near = (
        difflib.get_close_matches(word, _by_letter().get(word[0], ()), n=1, cutoff=NEAR)
        for word in words
    )
    return {names[one[0]] for one in near if one}


@cache
def _names() -> dict[str, str]:
    lines = paths.data("drug_names.txt").read_text(encoding="utf-8").splitlines()
    groups = [
        group.split("=") for line in lines if not line.startswith("#") for group in line.split(",")
    ]
    found: dict[str, str] = {}
    for group in groups:
        names = [name.strip().lower() for name in group]
        first = found.get(names[0], names[0])
        found |= {name: found.get(name, first) for name in names}
    return found | {name: found.get(name, name) for name in _taught()}


def _taught() -> set[str]:
    """The examples of drugs in the knowledge of the stand-in, without those that are a phrase."""
    import yaml

    files = sorted(paths.data("knowledge").glob("*.yaml"))
    rows = [
        row
        for file in files
        for row in yaml.load(file.read_text(encoding="utf-8"), Loader=_loader())
    ]
    examples = {row["drug"]["example"].lower() for row in rows if isinstance(row.get("drug"), dict)}
    return {name for name in examples if re.fullmatch(r"[a-z-]{5,}", name)} - NO_DRUGS


def _loader() -> type:
    """The fast loader of YAML where the machine has it."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def _by_letter() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in _names():
        found.setdefault(name[0], []).append(name)
    return found


@cache
def _pattern() -> re.Pattern[str]:
    names = sorted(_names(), key=len, reverse=True)
    words = "|".join(re.escape(name).replace(r"\ ", r"\s+") for name in names)
    return re.compile(rf"(?<![\w-])({words})(?:'?s)?(?![\w-])", re.I)
