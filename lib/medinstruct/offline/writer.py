"""Writer: tasks with favorite topics, ten types and many wordings, as blocks or JSON."""

import json
import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from medinstruct import labels
from medinstruct.offline.failure_modes import RATES, near_duplicate, spoil
from medinstruct.offline.knowledge import Condition, conditions, settings
from medinstruct.offline.templates import build

AXES = ("type", "topic", "view", "difficulty")
FIELDS = ("Type", "Topic", "View", "Difficulty", "Instruction", "Input")


def write_tasks(
    count: int,
    *,
    chance: random.Random,
    wanted: Sequence[Mapping[str, str]] = (),
    rate: Mapping[str, float] = RATES,
) -> list[dict[str, str]] | None:
    """Return `count` tasks as fields by name, with their failures; None for a refusal.

    `wanted` has the labels of each task (type, topic, view, difficulty; any may be missing).
    """
    if chance.random() < rate["refusal"]:
        return None
    tasks: list[dict[str, str]] = []
    clean: dict[str, str] = {}
    for n in range(count):
        if clean and chance.random() < rate["near_duplicate"]:
            fields = clean | {"Instruction": near_duplicate(clean["Instruction"], chance)}
        else:
            asked = wanted[n] if n < len(wanted) else {}
            fields = clean = compose(chance, asked=asked, rate=rate)[0]
        tasks.append(spoil(fields, rate, chance))
    return tasks


def as_blocks(
    tasks: list[dict[str, str]], *, first: int, chance: random.Random, rate: Mapping[str, float]
) -> str:
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
    rows: list[dict[str, Any]] = [
        {name.lower(): value for name, value in fields.items()} for fields in tasks
    ]
    for row in rows:
        row["input"] = "" if row["input"] == "<noinput>" else row["input"]
        row["difficulty"] = int(row["difficulty"]) if row.get("difficulty") else None
    return json.dumps({"tasks": rows}, ensure_ascii=False)


def compose(
    chance: random.Random,
    *,
    asked: Mapping[str, str] | None = None,
    rate: Mapping[str, float] = RATES,
) -> tuple[dict[str, str], Condition]:
    """Return one clean task and the condition that it is about."""
    asked = {
        axis: value
        for axis, value in (asked or {}).items()
        if axis in AXES and chance.random() >= rate["disobedience"]
    }
    topic = asked.get("topic", "")
    topic = topic if topic in topics() else _favorite(topics(), chance, steep=1)
    condition = chance.choice(_about(topic))
    is_field = condition.specialty != topic
    facets = settings("writer")["fields"].get(topic, ()) if is_field else ()
    kind = _label("type", asked, chance)
    view = _view(asked.get("view", ""), chance)
    level = _label("difficulty", asked, chance)
    instruction, context = build(
        kind, condition, view=view, level=level, facets=facets, chance=chance
    )
    values = (kind, topic, view, str(level), instruction, context or "<noinput>")
    return dict(zip(FIELDS, values, strict=True)), condition


def _label(axis: str, asked: Mapping[str, str], chance: random.Random) -> Any:
    """Return the label that was asked for, else a weighted draw."""
    weights = settings("writer")["types" if axis == "type" else "levels"]
    label = labels.canonical(axis, asked.get(axis, ""))
    return label or chance.choices(list(weights), list(weights.values()))[0]


@cache
def topics() -> tuple[str, ...]:
    """Return the topics that the stand-in can write about, favorites first."""
    specialties = {condition.specialty for condition in conditions()}
    favorites = settings("writer")["favorite_topics"]
    others = sorted((specialties | set(settings("writer")["fields"])) - set(favorites))
    return (*favorites, *others)


@cache
def _about(topic: str) -> tuple[Condition, ...]:
    """Return the conditions of a topic: its own, and all for a field."""
    if topic == "Radiology":
        words = settings("writer")["imaging"]
        return tuple(
            condition
            for condition in conditions()
            if any(word in f"{t.test.lower()} " for t in condition.tests for word in words)
        )
    own = tuple(condition for condition in conditions() if condition.specialty == topic)
    return own + (conditions() if topic in settings("writer")["fields"] else ())


def _view(asked: str, chance: random.Random) -> str:
    """Return the view asked for, one of its group for a group, else a favorite."""
    views = settings("writer")["views"]
    group = [view for view in views if labels.canonical("view", view) == asked]
    return asked if asked and not group and len(asked) < 60 else _favorite(group or views, chance)


def _favorite(items: Sequence[str], chance: random.Random, *, steep: float = 3) -> str:
    return chance.choices(items, [1 / (n + steep) for n in range(len(items))])[0]
