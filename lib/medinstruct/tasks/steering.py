"""Coverage steering: what has survived so far, cell by cell, and where the next requests should go."""

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

from medinstruct import labels, paths
from medinstruct.errors import UserError
from medinstruct.records import Task

AXES = ("type", "topic", "view", "difficulty")
VALUES = {
    "type": labels.TYPES,
    "topic": labels.SPECIALTIES,
    "view": labels.VIEW_GROUPS,
    "difficulty": labels.LEVELS,
}
# Who may stand for a view group in a request.
WHO = {
    "patient/public": (
        "patient",
        "parent",
        "caregiver",
        "family member",
        "school pupil",
        "athlete",
    ),
    "student/trainee": (
        "medical student",
        "nursing student",
        "resident",
        "intern",
        "pharmacy student",
    ),
    "clinician": (
        "general practitioner",
        "surgeon",
        "emergency physician",
        "psychiatrist",
        "pediatrician",
        "radiologist",
        "intensivist",
    ),
    "allied health": (
        "nurse",
        "pharmacist",
        "physiotherapist",
        "dietitian",
        "paramedic",
        "midwife",
        "occupational therapist",
    ),
    "public health/policy": (
        "public health officer",
        "epidemiologist",
        "health policy adviser",
        "hospital administrator",
    ),
    "researcher": ("clinical researcher", "biostatistician", "laboratory scientist"),
    "educator/writer": ("medical educator", "medical writer", "health journalist"),
}
ALL_FOUR_FROM = 10_000  # tasks; below, pairs of axes are filled
GIVE_UP_AFTER = 6  # tasks of a topic that were asked for without one that survived
FOCUS_SHARE = 0.5  # of the tasks: what the cells of a focus get beside their even share

Cell = tuple[tuple[str, object], ...]


class Coverage:
    """A table of cells with their targets: every pair of axes for hundreds of tasks, all four axes for tens of thousands.

    The target is even over the cells, at least one task each; half as much again goes to the cells of a `focus`, by their weight. A
    topic that the teacher never delivers is given up.
    """

    def __init__(self, size: int, *, focus: Sequence[Mapping[str, Any]] = ()) -> None:
        groups = [AXES] if size >= ALL_FOUR_FROM else list(combinations(AXES, 2))
        self.target: dict[Cell, int] = {}
        for group in groups:
            cells = [
                tuple(zip(group, values, strict=True))
                for values in product(*(VALUES[axis] for axis in group))
            ]
            self.target |= dict.fromkeys(cells, max(1, size // len(cells)))
        for cell, extra in _extra(self.target, focus, size).items():
            self.target[cell] += extra
        self._groups = groups
        self.have: Counter[Cell] = Counter()
        self._asked: Counter[object] = Counter()
        self._survived: Counter[object] = Counter()

    def add(self, tasks: Iterable[Task]) -> None:
        """Count tasks that have survived parsing, labelling and novelty."""
        for task in tasks:
            known = {axis: labels.canonical(axis, getattr(task, axis)) for axis in AXES}
            self._survived.update((known["topic"], known["type"]))
            self.have.update(cell for cell in self._cells(known) if None not in dict(cell).values())

    def plan(self, count: int, chance: random.Random) -> list[dict[str, object]]:
        """The labels for so many new tasks, each where the deficit that it can be expected to fill is greatest."""
        missing = {
            cell: self.target[cell] - self.have[cell] for cell in self.target if self._can(cell)
        }
        open_cells = [cell for cell, gap in missing.items() if gap > 0]
        topics = [topic for topic in VALUES["topic"] if self._is_able(topic)]
        planned = []
        for _ in range(count):
            tries = [self._draw(open_cells, topics, chance) for _ in range(24)]
            best = max(tries, key=lambda wanted: self._gain(wanted, missing))
            for cell in self._cells(best):
                missing[cell] = missing.get(cell, 0) - 1
            self._asked.update((best["topic"], best["type"]))
            planned.append(best | {"view": chance.choice(WHO[str(best["view"])])})
        return planned

    @property
    def filled(self) -> float:
        """The share of cells, without those given up, that have reached their target."""
        able = [cell for cell in self.target if self._can(cell)]
        return sum(self.have[cell] >= self.target[cell] for cell in able) / max(len(able), 1)

    @property
    def given_up(self) -> list[object]:
        """The topics that the teacher does not deliver."""
        return [topic for topic in VALUES["topic"] if not self._is_able(topic)]

    def _draw(
        self, open_cells: list[Cell], topics: list[object], chance: random.Random
    ) -> dict[str, object]:
        """A full set of labels around a cell that is still open."""
        drawn = {axis: chance.choice(VALUES[axis]) for axis in AXES} | {
            "topic": chance.choice(topics or list(VALUES["topic"]))
        }
        return drawn | (dict(chance.choice(open_cells)) if open_cells else {})

    def _cells(self, known: dict[str, object]) -> list[Cell]:
        return [tuple((axis, known[axis]) for axis in group) for group in self._groups]

    def _gain(self, wanted: dict[str, object], missing: Mapping[Cell, int]) -> float:
        """The deficit that a task with these labels would fill, weighed by the share of its type's tasks that survived so far.

        Squared, since a type whose wordings are used up costs its request and the place of another task.
        """
        deficit = sum(max(0, missing.get(cell, 0)) for cell in self._cells(wanted))
        share = (self._survived[wanted["type"]] + 2) / (self._asked[wanted["type"]] + 2)
        return deficit * min(share, 1.0) ** 2

    def _is_able(self, topic: object) -> bool:
        return self._survived[topic] > 0 or self._asked[topic] < GIVE_UP_AFTER

    def _can(self, cell: Cell) -> bool:
        return self._is_able(dict(cell)["topic"]) if "topic" in dict(cell) else True


def load_focus(path: str) -> list[dict[str, Any]]:
    """The cells of a `focus.json` that notebook 08 wrote, "" for none: labels of one or more axes, and a weight."""
    try:
        cells = json.loads(paths.resolve(path).read_text(encoding="utf-8"))["cells"] if path else []
        known = [
            {axis: _value(axis, cell[axis]) for axis in AXES if axis in cell}
            | {"weight": float(cell["weight"])}
            for cell in cells
        ]
    except (ValueError, KeyError, TypeError) as error:
        do = "Give the focus.json of a run's notebook 08."
        raise UserError(
            "`focus` is not a file of cells.", got=f"{path}: {error!r}", do=do
        ) from None
    return [cell for cell in known if None not in cell.values()]


def _value(axis: str, raw: object) -> object:
    return raw if raw in VALUES[axis] else labels.canonical(axis, raw)


def _extra(
    target: Mapping[Cell, int], focus: Sequence[Mapping[str, Any]], size: int
) -> Counter[Cell]:
    """How many more tasks each cell gets: a focus cell's part is spread over the cells that agree with it on most axes."""
    found: Counter[Cell] = Counter()
    for wish in focus:
        agreeing = {cell: sum(wish.get(axis) == value for axis, value in cell) for cell in target}
        best = max(agreeing.values(), default=0)
        near = [cell for cell, count in agreeing.items() if count == best and best]
        for cell in near:
            found[cell] += max(
                1,
                round(FOCUS_SHARE * size * wish.get("weight", 1 / len(focus)) / max(len(near), 1)),
            )
    return found
