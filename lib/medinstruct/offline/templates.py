"""Templates: facets as sentences, and the instruction and input of each task type."""

import re
import string
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

from medinstruct.offline import knowledge as k
from medinstruct.offline.knowledge import FACETS, Condition, called, capital, conditions, listed

TEXTS = k.settings("templates")
CONVERSIONS = {
    "c": capital,
    "l": str.lower,
    "n": called,
    "s": lambda text: text if text.endswith((".", "!", "?")) else f"{text}.",
}
LISTS = ("causes", "presentation", "red_flags", "treatment", "prevention")
COUNTABLE = re.compile(TEXTS["countable"])
MAX_INPUT_WORDS = 190


def facet_text(condition: Condition, facet: str, *, plain: bool = False) -> str:
    """Return one facet in one to four sentences; `plain` is for lay readers, "" where too hard."""
    text = TEXTS["facets"][facet]
    text = TEXTS["plain"].get(facet, text) if plain else text
    return Filler().vformat(text, (), facts(condition))


def prose(*, seed: int = 42) -> list[str]:
    """Return handbook entries, four a condition with facets in several orders, shuffled."""
    chance = Random(seed)
    texts = []
    for condition in conditions():
        also = f", also called {' or '.join(condition.also)}" if condition.also else ""
        for size in (4, 4, 4, len(FACETS)):
            facets = chance.sample(FACETS, size) if size < len(FACETS) else FACETS
            sentences = (facet_text(condition, facet) for facet in facets)
            texts.append(" ".join([f"{condition.name}{also}.", *sentences]))
    return chance.sample(texts, len(texts))


def build(
    kind: str, condition: Condition, *, view: str, level: int, facets: Sequence[str], chance: Random
) -> tuple[str, str]:
    """Return instruction and input of a task of this type, view and level of difficulty."""
    is_lay = view in k.settings("writer")["lay_views"]
    form = TEXTS["kinds"][kind]
    form = TEXTS["kinds"].get(f"{kind}, lay", form) if is_lay else form
    draws = Draws(condition, form["texts"], facets=facets, chance=chance)
    draws.values |= {"view": article(view), "role": "" if is_lay else f"As {article(view)}, "}
    draws.draw_all(form["draws"])
    text = (form.get("mine", "") if is_lay else "") + (draws.values.get("text") or draws.pick())
    if level >= form.get("tail_from", 1):
        text += draws.tail(level)
    draws.draw_all(form.get("input_draws", {}))
    return text, draws.fill(form.get("input", ""))


def unlike(drug: k.Drug) -> list[str]:
    """Return adverse effects that this drug is not known for."""
    names = f"{drug.class_} {drug.example}"
    effects = TEXTS["adverse_effects"].items()
    return [e for e, known in effects if e != drug.adverse_effect and not re.search(known, names)]


@cache
def facts(condition: Condition) -> dict[str, Any]:
    """Return the values of a condition by their names in the templates."""
    warning = condition.drug.contraindication
    tests = [called(test.test) for test in condition.tests]
    mimics = {called(mimic.condition): mimic.feature for mimic in condition.differential}
    return {
        **dict(condition),
        **{name: listed(getattr(condition, name)) for name in LISTS},
        "c": called(condition.name),
        "patient": condition.typical_patient,
        "patient_text": condition.patient,
        "warning": "" if warning.lower().startswith("none") else TEXTS["warning"].format(warning),
        "findings": " ".join(f"{capital(test.clause)}." for test in condition.tests),
        "test_names": listed(tests),
        "mimics": " ".join(f"{capital(n)} would show {mark}." for n, mark in mimics.items()),
        "any": {
            **TEXTS["words"],
            **{name: getattr(condition, values) for name, values in TEXTS["any"].items()},
            "test_name": tests,
            "mimic": list(mimics),
            "feature": list(mimics.values()),
        },
    }


def article(noun: str) -> str:
    """Return the noun with its article, by its sound.

    >>> article("intern"), article("nurse"), article("university student")
    ('an intern', 'a nurse', 'a university student')
    """
    is_vowel = re.match(r"(?!uni|uro|use|eu)[aeiou]|hono|hour", noun.lower())
    return f"{'an' if is_vowel else 'a'} {noun}"


class Filler(string.Formatter):
    """A formatter: !c is a capital, !l lower case, !s a full stop, !n a name in a sentence."""

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        """Return the converted value."""
        return CONVERSIONS[conversion](value) if conversion else value


class Draws(Filler):
    """The random draws of one task: values by name, and the templates that they fill.

    The methods from `text` on are named in the data file and return the value of a draw.
    """

    def __init__(
        self, condition: Condition, texts: list[str], *, facets: Sequence[str], chance: Random
    ) -> None:
        self.condition, self.texts, self.facets, self.chance = condition, texts, facets, chance
        self.values = dict(facts(condition))

    def draw_all(self, draws: dict[str, str]) -> None:
        """Set values, each by a method with its arguments, such as `form: word form`."""
        for name, source in draws.items():
            method, *arguments = source.split()
            self.values[name] = getattr(self, method)(*arguments)

    def fill(self, text: str) -> str:
        """Return a template filled with values, drawn in the order of the text."""
        return self.vformat(text, (), {})

    def get_value(self, key: Any, args: Any, kwargs: Any) -> Any:
        """Return a set value, or draw one for a name such as any_sign or aspect_one."""
        if key in self.values:
            return self.values[key]
        method, name = key.split("_")
        return getattr(self, method)(name)

    def tail(self, level: int) -> str:
        """Return a last sentence for the level of difficulty, often none for the easy ones."""
        text = self.chance.choice(TEXTS["tails"][level])
        self.draw_all(TEXTS["tail_draws"])
        return self.fill(f" {text}") if text else ""

    def text(self, name: str) -> str:
        """Fill a template."""
        return self.fill(TEXTS[name])

    def pick(self, name: str = "texts") -> str:
        """Fill all alternatives of a template and choose one of them."""
        texts = self.texts if name == "texts" else TEXTS[name]
        return self.chance.choice([self.fill(text) for text in texts])

    def any(self, name: str) -> str:
        """Draw a word of this name, or one of the condition's signs, causes, …."""
        return self.chance.choice(self.values["any"][name])

    def signs(self, count: str) -> str:
        """Draw signs; set sign, other and third."""
        signs = self.chance.sample(self.condition.presentation, int(count))
        self.values |= zip(("sign", "other", "third"), signs, strict=False)
        return listed(signs)

    def test(self, last: str = "99") -> str:
        """Draw one of the first tests as a clause; set test_name and finding."""
        test = self.chance.choice(self.condition.plain_tests[: int(last)])
        self.values |= {"test_name": called(test.test), "finding": test.finding}
        return test.clause

    def facet(self, *options: str) -> str:
        """Draw a facet of the topic, with "all" of any topic, with "lay" one for lay people."""
        facets = TEXTS["aspects"] if "all" in options or not self.facets else self.facets
        lay = TEXTS["lay_aspects"]
        known = [f for f in facets if f in lay or "lay" not in options]
        return self.chance.choice(known or list(lay))

    def other_facet(self, name: str) -> str:
        """Draw a facet other than the one of this name."""
        return self.chance.choice([f for f in TEXTS["aspects"] if f != self.values[name]])

    def aspect(self, name: str, table: str = "aspects") -> str:
        """Draw a noun phrase for a facet, such as "the causes of asthma"."""
        phrase = self.chance.choice(TEXTS[table][self.values[name]])
        also = self.condition.also[:2] if table == "lay_aspects" else ()
        names = [article(n) if COUNTABLE.match(n) else n for n in also]
        return phrase.format(c=self.chance.choice([self.values["c"], *names]))

    def into(self) -> str:
        """Return " into words" after the verb Turn; set into_or."""
        into = " into words" if self.values["verb"] == "Turn" else ""
        self.values["into_or"] = into or " so that it is"
        return into

    def handbook_passage(self) -> str:
        """Draw facets around the value facet; a treatment is added to a short passage."""
        second = self.chance.choice(["mechanism", "presentation", "tests"])
        facets = list(dict.fromkeys(("definition", second, self.values["facet"], "treatment")))
        passage = self._passage(facets[:-1])
        return passage if len(passage.split()) >= 50 else self._passage(facets)

    def passage_of_three(self) -> str:
        """Draw two facets to go with the value facet."""
        facet = self.values["facet"]
        others = ("presentation", "tests", "treatment", "mechanism", "drug", "causes")
        others = self.chance.sample([name for name in others if name != facet], 2)
        return self._passage([facet, *others])

    def _passage(self, facets: list[str]) -> str:
        """Return whole sentences up to the length that the prompt allows for an input."""
        text = " ".join(facet_text(self.condition, facet) for facet in facets)
        while len(text.split()) > MAX_INPUT_WORDS and ". " in text:
            text = text[: text.rstrip(".").rfind(". ") + 1]
        return text

    def labels(self) -> str:
        """Draw a mimic and shuffle it with the condition; set first."""
        pair = [self.values["c"], self.any("mimic")]
        self.chance.shuffle(pair)
        self.values["first"] = pair[0]
        return pair[1]

    def diagnoses(self) -> str:
        """Return the lettered options of a diagnosis."""
        mimics = (mimic.condition for mimic in self.condition.differential)
        names = list(dict.fromkeys([self.condition.name, *mimics]))[:4]
        more = [c.name for c in self.chance.sample(conditions(), 8) if c.name not in names]
        return self._lettered(names + more[: 4 - len(names)])

    def adverse_effects(self) -> str:
        """Return the lettered options of an adverse effect."""
        drug = self.condition.drug
        effects = [drug.adverse_effect, *self.chance.sample(unlike(drug), 3)]
        return self._lettered([capital(effect) for effect in effects])

    def _lettered(self, options: list[str]) -> str:
        self.chance.shuffle(options)
        rows = zip("ABCD", options, strict=True)
        return "".join(f"\n({letter}) {option}" for letter, option in rows)
