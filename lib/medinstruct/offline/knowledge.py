"""Knowledge: conditions with twelve facets each, their names and facets, in English or Korean."""

import re
import string
from collections import namedtuple
from functools import cache
from typing import Any

from medinstruct import paths


def language_of(text: str) -> str:
    """Return "korean" for a text with Hangul, else "" for English."""
    return "korean" if re.search("[가-힣]", text) else ""


@cache
def texts(file: str, language: str = "") -> dict[str, Any]:
    """Return a file of `data/offline`, under what a language has in place of its entries."""
    own = paths.load(f"{language}/templates").get(file, {}) if language else {}
    return paths.load(f"offline/{file}") | own


TEXTS = texts("templates")


class Finding(namedtuple("Finding", "test finding")):
    """A test and what it typically shows in this condition."""

    @property
    def clause(self) -> str:
        """Return the clause "spirometry shows …" or "blood cultures show …", or the Korean one."""
        head = re.split(r" (?:of|in|at|with|before|after|to|from|or|by|on|as|when)\b", self.test)[0]
        is_plural = " and " in head or re.search(r"(?!gas)\w\w[^sui]s$", head)
        words = {"test": called(self.test), "shows": "show" if is_plural else "shows"}
        form = texts("templates", language_of(self.finding))["clause"]
        return form.format(**words, finding=self.finding)

    @property
    def sentence(self) -> str:
        """Return the finding in a sentence."""
        form = texts("templates", language_of(self.finding))["result"]
        return form.format(clause=capital(self.clause), **self._asdict())


Mimic = namedtuple("Mimic", "condition feature")  # it is mistaken for, that tells them apart
Drug = namedtuple("Drug", "class_ example use adverse_effect contraindication")
PARTS = {"tests": Finding, "differential": Mimic}
TEXT_FIELDS = "name specialty definition mechanism typical_patient drug patient pearl"
LIST_FIELDS = "also causes presentation red_flags tests differential treatment prevention"


class Condition(namedtuple("Condition", f"{TEXT_FIELDS} {LIST_FIELDS}")):
    """One condition, general knowledge at textbook level; the fields of `data/knowledge`."""

    @property
    def texts(self) -> dict[str, Any]:
        """Return the sentences in the language of the condition."""
        return texts("templates", language_of(self.definition))

    @property
    def plain_tests(self) -> tuple[Finding, ...]:
        """Return the tests whose finding speaks for the condition; all where none does."""
        hedges = self.texts["hedges"]
        plain = (t for t in self.tests if not re.search(hedges, f"{t.test} {t.finding}"))
        return tuple(plain) or self.tests


FACETS = list(TEXTS["facets"])
BETWEEN = r"\s+(?=[A-Z\d(가-힣])"  # between two sentences


@cache
def conditions(language: str = "") -> tuple[Condition, ...]:
    """Return all conditions of `data/knowledge/*.yaml` in order, or those in another language."""
    files = sorted(paths.data("knowledge").glob("*.yaml"))
    names = [f"{language}/knowledge"] if language else [f"knowledge/{file.stem}" for file in files]
    rows = (row for name in names for row in paths.load(name))
    return tuple(map(parsed, rows))


def parsed(row: dict[str, Any]) -> Condition:
    """Return the condition of a row of `data/knowledge`."""
    row = row | {"drug": Drug(*(row["drug"][name.strip("_")] for name in Drug._fields))}
    row |= {name: [kind(**part) for part in row[name]] for name, kind in PARTS.items()}
    return Condition(**row | {name: tuple(row[name]) for name in LIST_FIELDS.split()})


def called(name: str) -> str:
    """Return the name inside a sentence: lower case, but for abbreviations and personal names."""
    first = name.split()[0]
    is_name = re.search(r"[A-Z0-9]|^-", first[1:]) or "'" in first or "-Barr" in first
    is_proper = is_name or first.rstrip(",") in TEXTS["proper"]
    return name if is_proper else name[0].lower() + name[1:]


def listed(phrases: tuple[str, ...] | list[str]) -> str:
    """Return "a, b and c", or "a, b, c" in Korean."""
    joiner = texts("templates", language_of(" ".join(phrases)))["joiner"]
    return joiner.join(filter(None, (", ".join(phrases[:-1]), phrases[-1])))


def capital(text: str) -> str:
    """Return the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def cut(text: str, words: int) -> str:
    """Return as many whole sentences of a text as fit into a number of words, one at least."""
    sentences = re.split(rf"(?<=[.!?]){BETWEEN}", text.strip())
    while len(sentences) > 1 and len(" ".join(sentences).split()) > words:
        sentences.pop()
    return " ".join(sentences)


def swapped(text: str, words: dict[str, str]) -> str:
    """Return the text with whole words replaced, the longest first."""
    keys = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    pattern = rf"(?<!\w)(?:{keys})(?!\w)"
    return re.sub(pattern, lambda match: words[match[0]], text) if keys else text


class Filler(string.Formatter):
    """A formatter: !c begins with a capital, !l is lower case."""

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        """Return the converted value."""
        return {"c": capital, "l": str.lower}[conversion](value) if conversion else value


@cache
def facts(condition: Condition, most: int = 9) -> dict[str, Any]:
    """Return the values of a condition by their names in the templates, lists of at most `most`."""
    warning, name, c = condition.drug.contraindication, condition.name, called(condition.name)
    texts = condition.texts
    tests = [called(test.test) for test in condition.tests]
    mimics = {called(mimic.condition): mimic.feature for mimic in condition.differential[:most]}
    lists = {name: getattr(condition, values) for name, values in texts["any"].items()}
    lists |= {"test_name": tests, "mimic": list(mimics), "feature": list(mimics.values())}
    care = [step for step in condition.treatment if not re.search(texts["some"], step)]
    lists["sign"] = [sign for sign in condition.presentation if not re.match(texts["none"], sign)]
    lists |= {"form": list(texts["forms"]), "care": care or condition.treatment}
    wait = texts["wait"]
    wait = wait["at_once" if re.search(wait["emergencies"], name) else "soon"]
    return {
        **condition._asdict(),
        **{name: listed(getattr(condition, name)[:most]) for name in texts["any"].values()},
        "c": c,
        "flags": listed(condition.red_flags[:3]),
        "wait": wait.format(c=c, flag=condition.red_flags[0]),
        "decides": condition.plain_tests[0].clause,
        "patient": condition.typical_patient,
        "patient_text": condition.patient,
        "warning": "" if warning.lower().startswith("none") else texts["warning"].format(warning),
        "findings": " ".join(test.sentence for test in condition.tests[:most]),
        "test_names": listed(tests[:most]),
        "mimics": " ".join(texts["mimic"].format(capital(n), mark) for n, mark in mimics.items()),
        "any": texts["words"] | lists,
    }


def facet_text(condition: Condition, facet: str, *, plain: bool = False, most: int = 9) -> str:
    """Return one facet in one to four sentences; `plain` is for lay readers, "" where too hard."""
    texts = condition.texts["facets"] | (condition.texts["plain"] if plain else {})
    return Filler().format(texts[facet], **facts(condition, most))
