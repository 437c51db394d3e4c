"""Which items people read first: balanced over type, difficulty and topic, and more of what looks suspicious."""

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from medinstruct import labels
from medinstruct.audits.risk import risks
from medinstruct.records import Task

AXES = ("type", "difficulty", "topic")
SIGNS = {
    "markup": re.compile(
        r"<\s*/?\s*(?:script|img|iframe|svg|a|div|style|object)\b|!\[[^\]]*\]\(|javascript:",
        re.IGNORECASE,
    ),
    "control characters": re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]"),
}


class Drawn(NamedTuple):
    """An item of the sample; `weight` is how many items of the dataset it stands for, `reasons` why it looks suspicious."""

    item: Any
    weight: float
    reasons: tuple[str, ...]


def reasons(item: Task) -> tuple[str, ...]:
    """Why eyes should rest on an item: markup, odd characters and lengths, and the flags of the audit; hints, never the truth.

    >>> reasons(Task(type="chat", topic="", view="", difficulty=1, instruction="Is it <img src=x> safe?"))
    ('markup',)
    """
    answer = getattr(item, "output", None)
    text = "\n".join((item.instruction, item.input, answer or ""))
    found = [name for name, sign in SIGNS.items() if sign.search(text)]
    found += ["very long"] if len(text) > 8000 else []
    if answer is None:
        return tuple(found)
    return (*found, *(["very short"] if len(answer.split()) < 3 else []), *risks(item))


def sample(
    items: Sequence[Task],
    number: int,
    *,
    seed: int = 42,
    suspicion: Mapping[str, Sequence[str]] | None = None,
    share: float = 0.3,
) -> list[Drawn]:
    """The first `number` items of a fixed order: a larger sample holds the smaller one, so that no vote is wasted.

    Each beginning of the order holds types in proportion, within a type the difficulties, within these the topics. Suspicious
    items (`suspicion`: id -> reasons; by default what `reasons` finds) make up at least `share` of it; the weights undo that.
    """
    why = {
        item.id: tuple((suspicion or {}).get(item.id, ()))
        if suspicion is not None
        else reasons(item)
        for item in items
    }
    groups = [[item for item in items if bool(why[item.id]) == wanted] for wanted in (True, False)]
    odd, plain = (
        _ordered(group, AXES, random.Random(f"{seed}/{n}")) for n, group in enumerate(groups)
    )
    rate = max(share, len(odd) / max(len(items), 1))
    number = min(number, len(items))
    many = min(len(odd), max(round(number * rate), number - len(plain)))
    chosen = {True: odd[:many], False: plain[: number - many]}
    size = {True: len(odd), False: len(plain)}
    weight = {kind: size[kind] / max(len(of), 1) for kind, of in chosen.items()}
    mixed = _interleaved([chosen[True], chosen[False]], random.Random(f"{seed}/mix"))
    return [Drawn(item, weight[bool(why[item.id])], why[item.id]) for item in mixed]


def stratum(item: Task, axis: str) -> str:
    """The group of an item on an axis, with labels as the tables name them."""
    raw = getattr(item, axis)
    return str(labels.canonical(axis, str(raw)) or raw or "(none)")


def _ordered(items: Sequence[Task], axes: Sequence[str], rng: random.Random) -> list[Task]:
    """Items so that every beginning is in proportion on the first axis, and within its groups on the next."""
    if not axes:
        return rng.sample(sorted(items, key=lambda item: item.id), len(items))
    groups: dict[str, list[Task]] = {}
    for item in items:
        groups.setdefault(stratum(item, axes[0]), []).append(item)
    return _interleaved([_ordered(groups[name], axes[1:], rng) for name in sorted(groups)], rng)


def _interleaved(lists: Sequence[Sequence[Any]], rng: random.Random) -> list[Any]:
    """Several lists as one, each spread evenly over it; a random start for each, so that no group always comes first."""
    placed = []
    for of in lists:
        start = rng.random()
        placed += [((n + start) / len(of), rng.random(), item) for n, item in enumerate(of)]
    return [item for *_, item in sorted(placed, key=lambda place: place[:2])]
