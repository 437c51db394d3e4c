"""Writer: tasks with favorite topics, ten types, many wordings and failures."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

from medinstruct import labels
from medinstruct.errors import UserError
from medinstruct.offline import knowledge
from medinstruct.offline.knowledge import Condition, conditions, language_of, texts

RULES = texts("writer")
Rates = Mapping[str, float]
RATES: Rates = RULES["rates"]
FIELDS = ("Type", "Topic", "View", "Difficulty", "Style", "Instruction", "Input")
STYLES = texts("styles")
MAX_INPUT_WORDS = 190


def rates(changes: Rates) -> dict[str, float]:
    """Return the failure rates with changes; raise for an unknown name or a bad share."""
    for name, value in changes.items():
        if name not in RATES or not 0 <= value <= 1:
            do = f"Known, each from 0 to 1: {', '.join(RATES)}."
            raise UserError("The stand-in has no such rate.", got=f"{name}={value}", do=do)
    return {**RATES, **changes}


def write_tasks(
    wanted: Sequence[Mapping], *, chance: Random, rate: Rates, language: str = ""
) -> list[dict] | None:
    """Return tasks as fields by name, by the labels `wanted`, with failures; None for a refusal."""
    rules = texts("writer", language)
    if chance.random() < rate["refusal"]:
        return None
    tasks: list[dict[str, str]] = []
    clean: dict[str, str] = {}
    for asked in wanted:
        again = bool(clean) and chance.random() < rate["near_duplicate"]
        clean = clean if again else compose(chance, asked=asked, rate=rate, language=language)[0]
        form = chance.choice(rules["near_duplicates"]) if again else "{}"
        fields = clean | {"Instruction": form.format(clean["Instruction"])}
        if chance.random() < rate["label_variant"]:
            fields["Type"] = RULES["type_variants"][fields["Type"]]
        if chance.random() < rate["word_input"]:
            fields["Instruction"] += rules["word_input"]
        if chance.random() < rate["missing_field"]:
            del fields[chance.choice(["View", "Difficulty", "Topic"])]
        tasks.append(fields)
    return tasks


def as_blocks(tasks: list[dict[str, str]], *, first: int, chance: Random, rate: Rates) -> str:
    """Return the tasks in the block format, with its failures."""
    is_numbered = chance.random() < rate["numbered"]
    text = ""
    for n, fields in enumerate(tasks, first):
        if n > first and chance.random() >= rate["no_separator"]:
            text += f"{n}. " if is_numbered else f"### {n}.\n"
        text += "".join(f"{name}: {value}\n" for name, value in fields.items())
    return text


def as_json(tasks: list[dict[str, str]]) -> str:
    """Return the tasks as the JSON object of the schema."""
    rows: list[dict[str, Any]] = [{k.lower(): text for k, text in row.items()} for row in tasks]
    for row in rows:
        row["input"] = row["input"].removeprefix("<noinput>")
        row["difficulty"] = int(row["difficulty"]) if row.get("difficulty") else None
    return json.dumps({"tasks": rows}, ensure_ascii=False)


def compose(
    chance: Random, *, asked: Mapping = {}, rate: Rates = RATES, language: str = ""
) -> tuple[dict, Condition]:
    """Return one clean task and the condition that it is about."""
    kept = (axis for axis in labels.VALUES if chance.random() >= rate["disobedience"])
    asked = {axis: asked[axis] for axis in kept if axis in asked}
    topic = asked.get("topic", "")
    known = topics(language)
    topic = topic if topic in known else _favorite(known, chance, steep=1)
    condition = chance.choice(_about(topic, language))
    facets = RULES["fields"].get(topic, ()) if condition.specialty != topic else ()
    kind = _label("type", asked, chance)
    view = _view(asked.get("view", ""), chance)
    level = _label("difficulty", asked, chance)
    style = _label("style", asked, chance)
    fits = labels.canonical("view", view) in labels.STYLE_VIEWS.get(style, labels.VIEW_GROUPS)
    style = style if fits else labels.STYLES[0]
    draws = Draws(condition, facets, chance)
    instruction, context = draws.styled(*draws.task(kind, view=view, level=level), style=style)
    values = (kind, topic, view, str(level), style, instruction, context or "<noinput>")
    return dict(zip(FIELDS, values, strict=True)), condition


def _label(axis: str, asked: Mapping[str, str], chance: Random) -> Any:
    """Return the label that was asked for, else a weighted draw."""
    weights = RULES[axis]
    label = labels.canonical(axis, asked.get(axis, ""))
    return label or chance.choices(list(weights), list(weights.values()))[0]


@cache
def topics(language: str = "") -> tuple[str, ...]:
    """Return the topics that the stand-in can write about, favorites first."""
    names = {c.specialty for c in conditions(language)} | set(RULES["fields"])
    favorites = [name for name in RULES["favorite_topics"] if name in names]
    return (*favorites, *sorted(names - set(favorites)))


@cache
def _about(topic: str, language: str) -> tuple[Condition, ...]:
    """Return the conditions of a topic: its own, and all for a field."""
    known = conditions(language)
    if topic == "Radiology":
        imaging = "|".join(texts("writer", language)["imaging"])
        is_imaging = re.compile(imaging, re.IGNORECASE).search
        return tuple(c for c in known if any(is_imaging(f"{t.test} ") for t in c.tests))
    own = tuple(condition for condition in known if condition.specialty == topic)
    return own + (known if topic in RULES["fields"] else ())


def _view(asked: str, chance: Random) -> str:
    """Return the view asked for, one of its group for a group, else a favorite."""
    views = RULES["views"]
    group = [view for view in views if labels.canonical("view", view) == asked]
    return asked if asked and not group and len(asked) < 60 else _favorite(group or views, chance)


def _favorite(items: Sequence[str], chance: Random, *, steep: float = 3) -> str:
    return chance.choices(items, [1 / (n + steep) for n in range(len(items))])[0]


def article(noun: str) -> str:
    """Return the noun with its article, by its sound: an intern, a university student."""
    is_vowel = re.match(r"(?!uni|uro|use|eu)[aeiou]|hono|hour", noun.lower())
    return f"{'an' if is_vowel else 'a'} {noun}"


class Draws(knowledge.Filler):
    """The random draws of one task, in order of its text, by methods named in the data file."""

    def __init__(self, condition: Condition, facets: Sequence[str], chance: Random) -> None:
        self.condition, self.facets, self.chance = condition, facets, chance
        self.texts, self.language = condition.texts, language_of(condition.definition)
        self.values = dict(knowledge.facts(condition))
        person = f"{condition.name} {condition.typical_patient}"
        self.people = next(row for row in self.texts["people"] if re.search(row["of"], person))
        self.values["any"] = self.values["any"] | {"who": self.people["who"]}

    def task(self, kind: str, *, view: str, level: int) -> tuple[str, str]:
        """Return instruction and input of a task of this type, view and level of difficulty."""
        is_lay = view in RULES["lay_views"]
        forms = self.texts["kinds"]
        form = forms.get(f"{kind}, lay" if is_lay else kind, forms[kind])
        names = texts("writer", self.language)["view_names"]
        name = names.get(view) or (view if names else article(view))
        self.values |= {"view": name, "texts": form["texts"], "kind": kind, "asker": view}
        self.draw_all(form["draws"])
        text = (form.get("mine", "") if is_lay else "") + (self.values.get("text") or self.pick())
        self.draw_all(form.get("input_draws", {}))
        context = self.format(form.get("input", ""))
        self.values["case"] = f"{text} {context}".lower()
        tails = self.texts[form.get("tails", "tails_lay" if is_lay else "tails")][level]
        tails = [t for t in tails if self.values["warning"] or "contraindication" not in t]
        self.draw_all(self.texts["tail_draws"])
        return f"{text} {self.format(self.chance.choice(tails))}".strip(), context

    def styled(self, text: str, context: str, *, style: str) -> tuple[str, str]:
        """Return instruction and input in a style; a passage keeps its words."""
        is_passage = self.values["kind"] in RULES["passages"]
        form = texts("styles", self.language)[style]
        parts = [text] if is_passage else [text, context]
        for pattern, words in form.get("words", {}).items():
            parts = [re.sub(pattern, words, part) for part in parts]
        parts = [knowledge.swapped(part, form.get("swaps", {})) for part in parts]
        has_case = bool(context) and not is_passage
        frames = form.get("input_frames" if has_case else "frames", ["{text}"])
        self.values["text"] = parts[has_case]
        parts[has_case] = self.format(self.chance.choice(frames))
        return parts[0], [*parts, context][1]

    def draw_all(self, draws: dict[str, str]) -> None:
        """Set values, each by a method with its arguments, such as `form: word form`."""
        for name, source in draws.items():
            method, *arguments = source.split()
            self.values[name] = getattr(self, method)(*arguments)

    def get_value(self, key: Any, args: Any, kwargs: Any) -> Any:
        """Return a value, a filled template, or a draw for a name such as any_sign."""
        if key in self.values:
            return self.values[key]
        if key in self.texts:
            return self.format(self.texts[key])
        method, name = key.split("_")
        return getattr(self, method)(name)

    def pick(self, name: str = "texts") -> str:
        """Fill all alternatives of a template and choose one of them."""
        return self.chance.choice(list(map(self.format, self.values.get(name) or self.texts[name])))

    def any(self, name: str) -> str:
        """Draw a word of this name, or one of the condition's signs, causes, …."""
        return self.chance.choice(self.values["any"][name])

    def signs(self, count: str) -> str:
        """Draw signs; set sign, other and third."""
        signs = self.chance.sample(self.condition.presentation, int(count))
        self.values |= zip(("sign", "other", "third"), signs, strict=False)
        return knowledge.listed(signs)

    def absent(self) -> str:
        """Draw a sign that the case does not hold, for a task that calls it missing."""
        others = [s for s in self.condition.presentation if s.lower() not in self.values["case"]]
        return self.chance.choice(others or [self.texts["fever"]])

    def notes(self) -> str:
        """Return whose notes they are: a patient's own, unless the condition is one of children."""
        is_own = self.people["adult"] and self.values["asker"] == "patient"
        return self.texts["notes"]["own" if is_own else "other"].format(who=self.values["who"])

    def test(self, last: str = "99") -> str:
        """Draw one of the first tests as a clause; set test_name and finding."""
        test = self.chance.choice(self.condition.plain_tests[: int(last)])
        self.values |= {"test_name": knowledge.called(test.test), "finding": test.finding}
        return test.clause

    def facet(self, *options: str) -> str:
        """Draw a facet of the topic but `one`, "all" of any topic, "lay" one for lay people."""
        facets = self.texts["aspects"] if "all" in options or not self.facets else self.facets
        allowed = self.texts["lay_aspects" if "lay" in options else "aspects"]
        known = [f for f in facets if f in allowed and f != self.values.get("one")]
        return self.chance.choice(known or list(allowed))

    def aspect(self, name: str, table: str = "aspects") -> str:
        """Draw a noun phrase for a facet, such as "the causes of asthma"."""
        phrase = self.chance.choice(self.texts[table][self.values[name]])
        also = self.condition.also[:2] if table == "lay_aspects" else ()
        names = [article(n) if re.match(self.texts["countable"], n) else n for n in also]
        return phrase.format(c=self.chance.choice([self.values["c"], *names]))

    def passage(self, *names: str) -> str:
        """Return whole sentences on three facets or more, of 50 words to the limit of an input."""
        more = self.chance.sample(self.texts["passage"], len(self.texts["passage"]))
        facets = dict.fromkeys([*names[:1], self.values["facet"], *names[1:], *more])
        texts = [knowledge.facet_text(self.condition, facet) for facet in facets]
        texts = next(texts[:n] for n in range(3, 9) if len(" ".join(texts[:n]).split()) >= 50)
        return knowledge.cut(" ".join(texts), MAX_INPUT_WORDS)

    def options(self, own: str, others: str) -> str:
        """Return lettered options: a value of the condition among those of its mimics."""
        texts = self.chance.sample([self.values[own], *self.values["any"][others]][:4], 4)
        rows = zip("ABCD", map(knowledge.capital, texts), strict=True)
        return "".join(f"\n({letter}) {text}" for letter, text in rows)
