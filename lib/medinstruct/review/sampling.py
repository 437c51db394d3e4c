"""Stratified sample for review: proportional by label, with more suspicious items."""

import random
import re
from collections.abc import Sequence
from typing import NamedTuple

from medinstruct import audits, labels
from medinstruct.records import Task

AXES = ("type", "difficulty", "topic")
MARKUP = re.compile(
    r"<\s*/?\s*(?:script|img|iframe|svg|a|div|style|object)\b|!\[[^\]]*\]\(|javascript:"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]",
    re.IGNORECASE,
)


class Sampled(NamedTuple):
    """A sampled item: `weight` is how many items it represents, `reasons` make it suspicious."""

    item: Task
    weight: float
    reasons: tuple[str, ...] = ()


def reasons(item: Task) -> tuple[str, ...]:
    """Return why an item looks suspicious: markup, control characters, flags of the audit.

    >>> text = "Is <img src=x> safe?"
    >>> reasons(Task(type="chat", topic="", view="", difficulty=1, instruction=text))
    ('markup',)
    """
    output = getattr(item, "output", "")
    markup = MARKUP.search("\n".join((item.instruction, item.input, output)))
    return (*(["markup"] if markup else []), *(audits.risk.risks(item) if output else ()))


def sample(items: Sequence[Task], number: int, *, seed=42, share: float = 0.3) -> list[Sampled]:
    """Return the first `number` items of a fixed order; a larger sample contains the smaller one.

    Every prefix of the order has the types in proportion, within a type the difficulties, within
    these the topics. Suspicious items are at least `share` of it; the weights correct for that.
    """
    why = {item.id: reasons(item) for item in items}
    strata = [[item for item in items if bool(why[item.id]) == odd] for odd in (True, False)]
    odd, plain = (_ordered(s, AXES, random.Random(f"{seed}/{n}")) for n, s in enumerate(strata))
    number = min(number, len(items))
    rate = max(share, len(odd) / max(len(items), 1))
    size = min(len(odd), max(round(number * rate), number - len(plain)))
    parts = [odd[:size], plain[: number - size]]
    order = _interleaved(parts, random.Random(f"{seed}/mix"))
    weights = [len(odd) / max(size, 1), len(plain) / max(number - size, 1)]
    return [Sampled(item, weights[not why[item.id]], why[item.id]) for item in order]


def _ordered(items: Sequence[Task], axes: Sequence[str], rng: random.Random) -> list[Task]:
    """Return the items so that every prefix is proportional on the first axis, then the next."""
    if not axes:
        return rng.sample(sorted(items, key=lambda item: item.id), len(items))
    groups: dict[str, list[Task]] = {}
    for item in items:
        label = str(getattr(item, axes[0]))
        groups.setdefault(labels.canonical(axes[0], label) or label or "(none)", []).append(item)
    return _interleaved([_ordered(groups[name], axes[1:], rng) for name in sorted(groups)], rng)


def _interleaved(groups: Sequence[Sequence[Task]], rng: random.Random) -> list[Task]:
    """Return the items of all groups, each group spread evenly from a random start."""
    places = []
    for group in groups:
        start = rng.random()
        places += [((n + start) / len(group), rng.random(), item) for n, item in enumerate(group)]
    return [item for *_, item in sorted(places, key=lambda place: place[:2])]
