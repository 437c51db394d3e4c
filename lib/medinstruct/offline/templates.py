"""Templates: facets as sentences, and the instruction and input of each task type."""

import random
import re
import string
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from medinstruct.offline.knowledge import (
    FACETS,
    Condition,
    Drug,
    Finding,
    called,
    capital,
    conditions,
    listed,
    settings,
)

TEXTS = settings("templates")
LISTS = ("causes", "presentation", "red_flags", "treatment", "prevention")
COUNTABLE = re.compile(
    r"(?!anemia).*\b(?:attack|valve|clot|ulcer|thyroid|prostate|testicle|hip|fracture|bowel"
    r"|appendix|aneurysm|lung under)\b"
)
MAX_INPUT_WORDS = 190


def facet_text(condition: Condition, facet: str, *, plain: bool = False) -> str:
    """Return one facet in one to four sentences; `plain` is for lay readers, "" where too hard."""
    text = TEXTS["facets"][facet]
    text = TEXTS["plain"].get(facet, text) if plain else text
    return Filler().vformat(text, (), facts(condition))


def prose(*, seed: int = 42) -> list[str]:
    """Return handbook entries, four a condition with facets in several orders, shuffled."""
    chance = random.Random(seed)
    texts = []
    for condition in conditions():
        also = f", also called {' or '.join(condition.also)}" if condition.also else ""
        for size in (4, 4, 4, len(FACETS)):
            facets = chance.sample(FACETS, size) if size < len(FACETS) else FACETS
            sentences = (facet_text(condition, facet) for facet in facets)
            texts.append(" ".join([f"{condition.name}{also}.", *sentences]))
    return chance.sample(texts, len(texts))


def build(
    kind: str,
    condition: Condition,
    *,
    view: str,
    level: int,
    facets: Sequence[str],
    chance: random.Random,
) -> tuple[str, str]:
    """Return instruction and input of a task of this type, view and level of difficulty."""
    draws = Draws(condition, view=view, level=level, facets=facets, chance=chance)
    return BUILDERS[kind](draws)


def unlike(drug: Drug) -> list[str]:
    """Return adverse effects that this drug is not known for."""
    names = f"{drug.class_} {drug.example}"
    effects = TEXTS["adverse_effects"].items()
    return [e for e, known in effects if e != drug.adverse_effect and not re.search(known, names)]


@cache
def facts(condition: Condition) -> dict[str, Any]:
    """Return the values of a condition by their names in the templates."""
    drug, mimics = condition.drug, condition.differential
    has_warning = not drug.contraindication.lower().startswith("none")
    warning = f", and a contraindication is {drug.contraindication}" if has_warning else ""
    names = [called(mimic.condition) for mimic in mimics]
    marks = [
        f"{capital(name)} would show {m.feature}." for name, m in zip(names, mimics, strict=True)
    ]
    choices = {"mimic": names, "feature": [mimic.feature for mimic in mimics]}
    choices |= {"sign": condition.presentation, "cause": condition.causes}
    choices |= {"treatment": condition.treatment, "prevention": condition.prevention}
    return {
        "any": choices,
        "c": called(condition),
        "definition": condition.definition,
        "mechanism": condition.mechanism,
        "pearl": condition.pearl,
        "patient": condition.typical_patient,
        "patient_text": condition.patient,
        "drug": drug,
        "warning": warning,
        "findings": " ".join(f"{capital(test.clause)}." for test in condition.tests),
        "test_names": listed([called(test.test) for test in condition.tests]),
        "mimics": " ".join(marks),
        **{name: listed(getattr(condition, name)) for name in LISTS},
    }


def article(noun: str) -> str:
    """Return the noun with its article, by its sound.

    >>> article("intern"), article("nurse"), article("university student")
    ('an intern', 'a nurse', 'a university student')
    """
    is_vowel = re.match(r"(?!uni|uro|use|eu)[aeiou]|hono|hour", noun.lower())
    return f"{'an' if is_vowel else 'a'} {noun}"


class Filler(string.Formatter):
    """A formatter with the conversions c (capital), l (lower case) and s (full stop)."""

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        """Return the converted value."""
        if conversion == "s":
            return value if value.endswith((".", "!", "?")) else value + "."
        return {"c": capital, "l": str.lower}[conversion](value) if conversion else value


class Draws(Filler):
    """The random draws of one task: values by name, and templates that they fill."""

    def __init__(
        self,
        condition: Condition,
        *,
        view: str,
        level: int,
        facets: Sequence[str],
        chance: random.Random,
    ) -> None:
        self.condition, self.level, self.facets, self.chance = condition, level, facets, chance
        self.is_lay = view in settings("writer")["lay_views"]
        self.values = facts(condition) | {"view": article(view)}

    def get_value(self, key: Any, args: Any, kwargs: Any) -> Any:
        """Return a set value, or draw a name that begins with `any_` or `aspect_`."""
        if key in self.values:
            return self.values[key]
        if key.startswith("any_"):
            return self.any(key.removeprefix("any_"))
        if key == "aspect_lay":
            return self.aspect(self.facet((), lay=True), lay=True)
        return self.aspect(self.values[key.removeprefix("aspect_")])

    def set(self, **values: Any) -> None:
        """Set values by name."""
        self.values.update(values)

    def fill(self, text: str) -> str:
        """Return a template filled with values, drawn in the order of the text."""
        return self.vformat(text, (), {})

    def pick(self, name: str) -> str:
        """Fill all alternatives of a template and return one of them."""
        return self.chance.choice([self.fill(text) for text in TEXTS[name]])

    def word(self, name: str) -> str:
        """Draw one of the words of this name."""
        return self.chance.choice(TEXTS["words"][name])

    def any(self, name: str) -> str:
        """Draw a sign, a cause, … of the condition."""
        return self.chance.choice(self.values["any"][name])

    def signs(self, count: int) -> None:
        """Draw some signs and set sign, other, third and listed."""
        signs = self.chance.sample(self.condition.presentation, count)
        self.set(**dict(zip(("sign", "other", "third"), signs, strict=False)), listed=listed(signs))

    def test(self, tests: Sequence[Finding] = ()) -> None:
        """Draw a test and set test (a clause), test_name and finding."""
        test = self.chance.choice(tests or self.condition.plain_tests)
        self.set(test=test.clause, test_name=called(test.test), finding=test.finding)

    def facet(self, facets: Sequence[str], *, lay: bool = False, other_than: str = "") -> str:
        """Draw one of the facets, of all where none is given."""
        lay_facets = TEXTS["lay_aspects"]
        known = [f for f in (facets or TEXTS["aspects"]) if not lay or f in lay_facets]
        known = known or list(lay_facets)
        return self.chance.choice([f for f in known if f != other_than] or known)

    def aspect(self, facet: str, *, lay: bool = False) -> str:
        """Return a noun phrase for a facet of the condition, as "the causes of asthma"."""
        phrases = TEXTS["lay_aspects" if lay and facet in TEXTS["lay_aspects"] else "aspects"]
        text = self.chance.choice(phrases[facet])
        also = self.condition.also[:2] if lay else ()
        names = (article(name) if COUNTABLE.match(name) else name for name in also)
        return text.format(c=self.chance.choice([self.values["c"], *names]))

    def setting(self) -> str:
        """Return a clause with the situation of a patient."""
        self.signs(2)
        self.test()
        self.set(flag=self.chance.choice(self.condition.red_flags))
        return self.pick("setting")

    def mine(self, name: str) -> str:
        """Return how a lay person begins, "" for other views."""
        return TEXTS["mine"][name] if self.is_lay else ""

    def tail(self) -> str:
        """Return a last sentence for the level of difficulty, often none for the easy ones."""
        c, choice = self.condition, self.chance.choice
        text = choice(TEXTS["tails"][self.level])
        text = text.format(
            n=choice([40, 60, 80, 100, 120, 150]),
            k=choice(["three", "four", "five", "six"]),
            view_the=self.values["view"],
            t=choice(c.treatment),
            d=self.any("mimic"),
            test=called(choice(c.tests).test),
            sign=choice(c.presentation),
            flag=choice(c.red_flags),
        )
        return f" {text}" if text else ""

    def vignette(self) -> str:
        """Return the story of a patient; the first tests decide."""
        self.signs(3)
        self.test(self.condition.plain_tests[:2])
        self.set(seen=self.word("seen"))
        return self.fill(TEXTS["vignette"])


def _open(d: Draws) -> tuple[str, str]:
    d.set(what=d.aspect(d.facet(d.facets, lay=d.is_lay), lay=d.is_lay))
    if d.is_lay:
        d.set(sign=d.any("sign"), who=d.word("who"))
        return d.pick("open_lay"), ""
    d.set(where=d.setting())
    return d.pick("open") + d.tail(), ""


def _generation(d: Draws) -> tuple[str, str]:
    d.set(one=d.facet(d.facets))
    d.set(two=d.facet((), other_than=d.values["one"]), verb=d.word("verb_generation"))
    d.set(form=d.word("form"), where=d.setting())
    return d.mine("generation") + d.pick("generation") + d.tail(), ""


def _chat(d: Draws) -> tuple[str, str]:
    d.signs(3)
    d.set(verb=d.word("verb_chat"), cause=d.any("cause"), who=d.word("who"))
    d.set(opening=d.word("opening"))
    message = d.fill(TEXTS["chat_message"])
    d.set(about=d.aspect(d.facet(d.facets, lay=True), lay=True))
    text = d.pick("chat_lay" if d.is_lay else "chat")
    return text + (d.tail() if d.level > 2 or not d.is_lay else ""), message


def _rewrite(d: Draws) -> tuple[str, str]:
    d.set(reader=d.pick("reader"), verb=d.word("verb_rewrite"), facet=d.facet(d.facets))
    into = " into words" if d.values["verb"] == "Turn" else ""
    d.set(into=into, into_or=into or " so that it is")
    second = d.chance.choice(["mechanism", "presentation", "tests"])
    facets = dict.fromkeys(("definition", second, d.values["facet"], "treatment"))
    sentences = [facet_text(d.condition, facet) for facet in facets]
    passage = " ".join(sentences[:-1])
    if len(passage.split()) < 50:
        passage = " ".join(sentences)
    return d.mine("rewrite") + d.pick("rewrite") + d.tail(), _shortened(passage)


def _summary(d: Draws) -> tuple[str, str]:
    d.set(verb=d.word("verb_summary"), facet=d.facet(d.facets))
    facet = d.values["facet"]
    others = ("presentation", "tests", "treatment", "mechanism", "drug", "causes")
    facets = [facet, *d.chance.sample([name for name in others if name != facet], 2)]
    d.set(notes=d.word("notes"), size=d.word("size"))
    passage = " ".join(facet_text(d.condition, name) for name in facets)
    return d.mine("summary") + d.pick("summary") + d.tail(), _shortened(passage)


def _classify(d: Draws) -> tuple[str, str]:
    pair = [d.values["c"], d.any("mimic")]
    d.chance.shuffle(pair)
    role = "" if d.is_lay else f"As {d.values['view']}, "
    d.set(first=pair[0], second=pair[1], verb=d.word("verb_classify"), role=role)
    return d.mine("classify") + d.pick("classify") + d.tail(), d.vignette()


def _usmle(d: Draws) -> tuple[str, str]:
    d.set(ask=d.word("ask"))
    d.signs(2)
    text = d.mine("usmle") + d.pick("usmle")
    mimics = (mimic.condition for mimic in d.condition.differential)
    names = list(dict.fromkeys([d.condition.name, *mimics]))[:4]
    more = [c.name for c in d.chance.sample(conditions(), 8) if c.name not in names]
    names += more[: 4 - len(names)]
    d.chance.shuffle(names)
    question = " Which diagnosis is most likely?"
    return text + d.tail(), d.vignette() + question + _lettered(names)


def _choice(d: Draws) -> tuple[str, str]:
    drug = d.condition.drug
    options = [drug.adverse_effect, *d.chance.sample(unlike(drug), 3)]
    d.chance.shuffle(options)
    d.set(presentation_sentence=facet_text(d.condition, "presentation"))
    case = d.fill(TEXTS["choice_case"])
    text = d.mine("choice") + d.pick("choice") + d.tail()
    return text, case + _lettered([capital(option) for option in options])


def _single(d: Draws) -> tuple[str, str]:
    d.test()
    d.set(sign=d.any("sign"))
    return d.mine("single") + d.pick("single") + d.tail(), ""


def _multi(d: Draws) -> tuple[str, str]:
    d.signs(2)
    d.set(mimic=d.any("mimic"))
    d.test()
    start = d.pick("multi_start")
    return f"{d.mine('multi')}{start} {d.pick('multi_task')}{d.tail()}", ""


def _lettered(options: list[str]) -> str:
    return "".join(f"\n({letter}) {text}" for letter, text in zip("ABCD", options, strict=True))


def _shortened(text: str) -> str:
    """Return whole sentences up to the length that the prompt allows for an input."""
    while len(text.split()) > MAX_INPUT_WORDS and ". " in text:
        text = text[: text.rstrip(".").rfind(". ") + 1]
    return text


BUILDERS: dict[str, Callable[[Draws], tuple[str, str]]] = {
    "text generation": _generation,
    "open Q&A": _open,
    "chat": _chat,
    "rewrite": _rewrite,
    "summarization": _summary,
    "classification": _classify,
    "USMLE-style Q&A": _usmle,
    "multiple-choice Q&A": _choice,
    "single-hop reasoning": _single,
    "multiple-hop reasoning": _multi,
}
