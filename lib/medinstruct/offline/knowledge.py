"""The stand-in's medical knowledge: conditions with a dozen facets each, told in sentences."""

import random
from functools import cache
from typing import Any

import yaml

from medinstruct import paths

Condition = dict[str, Any]
FACETS = (
    "definition", "causes", "mechanism", "presentation", "red_flags", "tests", "differential", "treatment", "drug",
    "prevention", "patient", "pearl",
)  # fmt: skip


@cache
def conditions() -> tuple[Condition, ...]:
    """All conditions of `data/knowledge/*.yaml`, in the order of the files."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    files = sorted(paths.data("knowledge").glob("*.yaml"))
    return tuple(one for file in files for one in yaml.load(file.read_text(encoding="utf-8"), Loader=loader))


def tell(condition: Condition, facet: str) -> str:
    """One facet of a condition in one to three sentences."""
    name, drug = called(condition), condition["drug"]
    return {
        "definition": lambda: stop(condition["definition"]),
        "causes": lambda: f"Common causes of {name} are {listed(condition['causes'])}.",
        "mechanism": lambda: stop(condition["mechanism"]),
        "presentation": lambda: f"{capital(name)} usually presents with {listed(condition['presentation'])}.",
        "red_flags": lambda: f"Urgent help is needed for {listed(condition['red_flags'])}.",
        "tests": lambda: " ".join(f"{capital(t['test'])} shows {t['finding']}." for t in condition["tests"]),
        "differential": lambda: " ".join(
            f"{capital(d['condition'])} is told apart by {d['feature']}." for d in condition["differential"]
        ),
        "treatment": lambda: f"First-line care of {name} includes {listed(condition['treatment'])}.",
        "drug": lambda: (
            f"A typical drug is {drug['example']}, one of the {drug['class']}: it {drug['use']}. "
            f"A known adverse effect is {drug['adverse_effect']}, and a contraindication is {drug['contraindication']}."
        ),
        "prevention": lambda: f"The risk of {name} is lowered by {listed(condition['prevention'])}.",
        "patient": lambda: stop(condition["patient"]),
        "pearl": lambda: stop(condition["pearl"]),
    }[facet]()


def prose(*, seed: int = 42) -> list[str]:
    """Plain medical prose, several paragraphs a condition in several orders of facets; no instruction among them."""
    chance = random.Random(seed)
    texts = []
    for condition in conditions():
        for size in (4, 4, 4):
            facets = chance.sample(FACETS, size)
            texts.append(" ".join(tell(condition, facet) for facet in facets))
        texts.append(" ".join(tell(condition, facet) for facet in FACETS))
    return chance.sample(texts, len(texts))


def called(condition: Condition) -> str:
    """The name as it stands inside a sentence: lower case, unless it is an abbreviation or begins with a person's name."""
    name = condition["name"]
    is_proper = "'" in name.split()[0] or name.split()[0].isupper() or (len(name) > 1 and name[1].isupper())
    return name if is_proper else name[0].lower() + name[1:]


def listed(phrases: list[str]) -> str:
    """a, b and c."""
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def stop(text: str) -> str:
    """The text with a full stop at its end."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else text + "."
