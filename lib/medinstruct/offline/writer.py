"""Writer: tasks with favorite topics, ten types, many wordings and failures."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

from medinstruct import labels
from medinstruct.errors import UserError
from medinstruct.offline.knowledge import Condition, conditions, settings
from medinstruct.offline.templates import build

RULES = settings("writer")
Rates = Mapping[str, float]
RATES: Rates = RULES["rates"]
AXES = ("type", "topic", "view", "difficulty")
FIELDS = ("Type", "Topic", "View", "Difficulty", "Instruction", "Input")


def rates(changes: Rates) -> dict[str, float]:
    """Return the failure rates with changes; raise for an unknown name or a bad share."""
    for name, value in changes.items():
        if name not in RATES or not 0 <= value <= 1:
            do = f"Known, each from 0 to 1: {', '.join(RATES)}."
            raise UserError("The stand-in has no such rate.", got=f"{name}={value}", do=do)
    return {**RATES, **changes}


def write_tasks(
    wanted: Sequence[Mapping[str, str]], *, chance: Random, rate: Rates
) -> list[dict[str, str]] | None:
    """Return tasks as fields by name, with their failures; None for a refusal.

    `wanted` has the labels of each task (type, topic, view, difficulty; any may be missing).
    """
    if chance.random() < rate["refusal"]:
        return None
    tasks: list[dict[str, str]] = []
    clean: dict[str, str] = {}
    for asked in wanted:
        if clean and chance.random() < rate["near_duplicate"]:
            fields = clean | {"Instruction": _near_duplicate(clean["Instruction"], chance)}
        else:
            fields = clean = compose(chance, asked=asked, rate=rate)[0]
        tasks.append(_spoiled(fields, rate, chance))
    return tasks


def _near_duplicate(instruction: str, chance: Random) -> str:
    body = instruction.rstrip(".?")
    form = {"body": body, "lower": body[:1].lower() + body[1:], "mark": instruction[-1:]}
    return chance.choice(RULES["near_duplicates"]).format(**form)


def _spoiled(fields: dict[str, str], rate: Rates, chance: Random) -> dict[str, str]:
    """Return the fields of a task after its failures."""
    fields = dict(fields)
    if chance.random() < rate["label_variant"]:
        fields["Type"] = RULES["type_variants"][fields["Type"]]
    if chance.random() < rate["word_input"]:
        fields["Instruction"] += RULES["word_input"]
    if chance.random() < rate["missing_field"]:
        del fields[chance.choice(["View", "Difficulty", "Topic"])]
    return fields


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
    chance: Random, *, asked: Mapping[str, str] = {}, rate: Rates = RATES
) -> tuple[dict[str, str], Condition]:
    """Return one clean task and the condition that it is about."""
    axes = [axis for axis in asked if axis in AXES and chance.random() >= rate["disobedience"]]
    asked = {axis: asked[axis] for axis in axes}
    topic = asked.get("topic", "")
    topic = topic if topic in topics() else _favorite(topics(), chance, steep=1)
    condition = chance.choice(_about(topic))
    facets = RULES["fields"].get(topic, ()) if condition.specialty != topic else ()
    kind = _label("type", asked, chance)
    view = _view(asked.get("view", ""), chance)
    level = _label("difficulty", asked, chance)
    form = {"view": view, "level": level, "facets": facets, "chance": chance}
    instruction, context = build(kind, condition, **form)
    values = (kind, topic, view, str(level), instruction, context or "<noinput>")
    return dict(zip(FIELDS, values, strict=True)), condition


def _label(axis: str, asked: Mapping[str, str], chance: Random) -> Any:
    """Return the label that was asked for, else a weighted draw."""
    weights = RULES[axis]
    label = labels.canonical(axis, asked.get(axis, ""))
    return label or chance.choices(list(weights), list(weights.values()))[0]


@cache
def topics() -> tuple[str, ...]:
    """Return the topics that the stand-in can write about, favorites first."""
    specialties = {condition.specialty for condition in conditions()}
    favorites = RULES["favorite_topics"]
    others = sorted((specialties | set(RULES["fields"])) - set(favorites))
    return (*favorites, *others)


@cache
def _about(topic: str) -> tuple[Condition, ...]:
    """Return the conditions of a topic: its own, and all for a field."""
    if topic == "Radiology":
        return tuple(c for c in conditions() if any(_is_imaging(t.test) for t in c.tests))
    own = tuple(condition for condition in conditions() if condition.specialty == topic)
    return own + (conditions() if topic in RULES["fields"] else ())


def _is_imaging(test: str) -> bool:
    return any(word in f"{test.lower()} " for word in RULES["imaging"])


def _view(asked: str, chance: Random) -> str:
    """Return the view asked for, one of its group for a group, else a favorite."""
    views = RULES["views"]
    group = [view for view in views if labels.canonical("view", view) == asked]
    return asked if asked and not group and len(asked) < 60 else _favorite(group or views, chance)


def _favorite(items: Sequence[str], chance: Random, *, steep: float = 3) -> str:
    return chance.choices(items, [1 / (n + steep) for n in range(len(items))])[0]
