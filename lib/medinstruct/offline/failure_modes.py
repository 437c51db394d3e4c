"""Failure modes: how often the stand-in errs as real models do, and how a spoiled task reads."""

import random
from collections.abc import Mapping

from medinstruct.errors import UserError
from medinstruct.offline.knowledge import settings

RATES: Mapping[str, float] = settings("writer")["rates"]


def rates(changes: Mapping[str, float]) -> dict[str, float]:
    """Return the rates with some of them changed; raise for an unknown name or a bad share."""
    for name, value in changes.items():
        if name not in RATES or not 0 <= value <= 1:
            do = f"Known, each from 0 to 1: {', '.join(RATES)}."
            raise UserError("The stand-in has no such rate.", got=f"{name}={value}", do=do)
    return {**RATES, **changes}


def spoil(
    fields: dict[str, str], rate: Mapping[str, float], chance: random.Random
) -> dict[str, str]:
    """Return the fields of a task after its failures."""
    fields = dict(fields)
    if chance.random() < rate["label_variant"]:
        fields["Type"] = settings("writer")["type_variants"][fields["Type"]]
    if chance.random() < rate["word_input"]:
        fields["Instruction"] += " If the Input is empty, rely on general knowledge."
    if chance.random() < rate["missing_field"]:
        del fields[chance.choice(["View", "Difficulty", "Topic"])]
    return fields


def near_duplicate(instruction: str, chance: random.Random) -> str:
    """Return nearly the same instruction again."""
    body, mark = instruction.rstrip(".?"), instruction[-1:]
    please = f"Please, {body[:1].lower()}{body[1:]}{mark}"
    return chance.choice([please, f"{body} once more{mark}", f"Again: {body}{mark}"])
