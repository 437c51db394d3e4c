"""How the stand-in writes tasks: favourite topics, ten types, many wordings, and the slips of real models."""

import json
import random
from collections.abc import Mapping, Sequence
from functools import cache

from medinstruct import labels
from medinstruct.offline import slips
from medinstruct.offline.kinds import KINDS
from medinstruct.offline.knowledge import Condition, conditions

# Favourites first, with a preference that falls with the rank (Zipf): as in the published data, where the nine topics that the
# prompt names are the nine most frequent (paper.md, 3.2).
FAVOURITES = (
    "Pharmacology",
    "Epidemiology",
    "Pathophysiology",
    "Medical Education",
    "Neurology",
    "Cardiology",
    "Radiology",
    "Pediatrics",
    "Oncology",
    "Public Health",
    "Dermatology",
    "Endocrinology",
)
# Fields that cut across the specialties, and the facets of any condition that belong to them.
FIELDS = {
    "Pharmacology": ("drug",),
    "Pharmacy": ("drug", "treatment"),
    "Epidemiology": ("causes", "prevention"),
    "Pathophysiology": ("mechanism",),
    "Physiology": ("mechanism",),
    "Pathology": ("mechanism", "tests"),
    "Public Health": ("prevention", "causes"),
    "Medical Education": ("pearl", "differential"),
    "Laboratory Medicine": ("tests",),
    "Nursing": ("red_flags", "treatment"),
    "Family Medicine": ("presentation", "red_flags"),
    "Radiology": ("tests",),
}
IMAGING = (
    "radiograph",
    "ray",
    "ct ",
    "mri",
    "ultraso",
    "tomograph",
    "imaging",
    "angiogr",
    "scan",
    "echocardiogr",
)
VIEWS = (
    "medical student",
    "patient",
    "clinician",
    "pharmacist",
    "nurse",
    "physician",
    "parent",
    "radiologist",
    "resident",
    "public health officer",
    "general practitioner",
    "medical educator",
    "epidemiologist",
    "clinical researcher",
    "caregiver",
    "genetic counselor",
    "paramedic",
    "emergency physician",
    "nursing student",
    "dietitian",
    "medical writer",
    "surgeon",
    "family member",
    "physiotherapist",
    "health policy adviser",
    "pharmacy student",
    "intern",
    "midwife",
    "pediatrician",
    "psychiatrist",
    "hospital administrator",
    "health journalist",
    "laboratory technician",
    "athlete",
    "occupational therapist",
    "laboratory scientist",
    "intensivist",
    "school pupil",
    "biostatistician",
    "pathologist",
)
WEIGHTS = {
    "text generation": 14.2,
    "chat": 14.1,
    "open Q&A": 11.5,
    "single-hop reasoning": 10.7,
    "summarization": 10.1,
    "multiple-hop reasoning": 9.0,
    "classification": 8.2,
    "rewrite": 7.4,
    "USMLE-style Q&A": 6.3,
    "multiple-choice Q&A": 5.6,
}
LEVELS = {1: 3, 2: 5, 3: 5, 4: 4, 5: 2}
AXES = ("type", "topic", "view", "difficulty")


def write_tasks(
    count: int,
    *,
    chance: random.Random,
    wanted: Sequence[Mapping[str, str]] = (),
    rate: Mapping[str, float] = slips.RATES,
) -> list[dict[str, str]] | None:
    """`count` tasks as fields by name, slips inside the tasks included; None for a refusal.

    `wanted` gives the labels asked for, one mapping a task (type, topic, view, difficulty; any may be missing).
    """
    if chance.random() < rate["refusal"]:
        return None
    tasks: list[dict[str, str]] = []
    clean: dict[str, str] = {}
    for n in range(count):
        if clean and chance.random() < rate["near_duplicate"]:
            fields = clean | {"Instruction": slips.reworded(clean["Instruction"], chance)}
        else:
            fields = clean = compose(chance, asked=wanted[n] if n < len(wanted) else {}, rate=rate)[
                0
            ]
        tasks.append(slips.spoiled(fields, rate, chance))
    return tasks


def as_blocks(
    tasks: list[dict[str, str]],
    *,
    first: int,
    chance: random.Random,
    rate: Mapping[str, float] = slips.RATES,
) -> str:
    """The tasks in the block format, which goes wrong now and then."""
    numbered = chance.random() < rate["numbered"]
    text = ""
    for n, fields in enumerate(tasks, first):
        if n > first and chance.random() >= rate["no_separator"]:
            text += f"{n}. " if numbered else f"### {n}.\n"
        text += "".join(f"{name}: {value}\n" for name, value in fields.items())
    return text


def as_json(tasks: list[dict[str, str]]) -> str:
    """The tasks as the JSON object that a schema asks for."""
    rows = [{name.lower(): value for name, value in fields.items()} for fields in tasks]
    for row in rows:
        row["input"] = "" if row["input"] == "<noinput>" else row["input"]
        row["difficulty"] = int(row["difficulty"]) if row.get("difficulty") else None
    return json.dumps({"tasks": rows}, ensure_ascii=False)


def compose(
    chance: random.Random,
    *,
    asked: Mapping[str, str] | None = None,
    rate: Mapping[str, float] = slips.RATES,
) -> tuple[dict[str, str], Condition]:
    """One clean task, and the condition that it is about."""
    asked = {
        axis: value
        for axis, value in (asked or {}).items()
        if axis in AXES and chance.random() >= rate["disobedience"]
    }
    topic = (
        asked.get("topic")
        if asked.get("topic") in _topics()
        else _favourite(_topics(), chance, steep=1)
    )
    condition = chance.choice(_about(topic))
    facets = FIELDS.get(topic, ()) if condition.specialty != topic else ()
    kind = (
        labels.canonical("type", asked.get("type", ""))
        or chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    )
    view = _view(asked.get("view", ""), chance)
    level = (
        labels.canonical("difficulty", asked.get("difficulty", ""))
        or chance.choices(list(LEVELS), list(LEVELS.values()))[0]
    )
    instruction, context = KINDS[kind](
        condition, view=view, level=level, facets=facets, chance=chance
    )
    values = (kind, topic, view, str(level), instruction, context or "<noinput>")
    return dict(
        zip(("Type", "Topic", "View", "Difficulty", "Instruction", "Input"), values, strict=True)
    ), condition


@cache
def _topics() -> tuple[str, ...]:
    """The topics that it can write about, favourites first."""
    able = {condition.specialty for condition in conditions()} | set(FIELDS)
    return tuple(
        sorted(
            able,
            key=lambda name: (
                FAVOURITES.index(name) if name in FAVOURITES else len(FAVOURITES),
                name,
            ),
        )
    )


@cache
def _about(topic: str) -> tuple[Condition, ...]:
    """The conditions of a topic: its own, or all for a field that cuts across."""
    own = tuple(c for c in conditions() if c.specialty == topic)
    if topic == "Radiology":
        return tuple(
            c
            for c in conditions()
            if any(word in t.test.lower() + " " for t in c.tests for word in IMAGING)
        )
    return own + (conditions() if topic in FIELDS else ())


def _view(asked: str, chance: random.Random) -> str:
    """The view asked for; one of the group where a group is asked for; else a favourite."""
    group = tuple(view for view in VIEWS if labels.canonical("view", view) == asked)
    return asked if asked and not group and len(asked) < 60 else _favourite(group or VIEWS, chance)


def _favourite(items: tuple[str, ...], chance: random.Random, *, steep: float = 3) -> str:
    return chance.choices(items, [1 / (n + steep) for n in range(len(items))])[0]
