"""Steering: coverage of label cells, targets, and the cells that the next requests ask for."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

import pandas as pd

from medinstruct import labels, paths
from medinstruct.errors import UserError
from medinstruct.labels import VALUES
from medinstruct.records import Task

JOINT_FROM = 10_000  # tasks; below, pairs of axes are filled
JOINT = ("type", "topic", "view", "difficulty")  # the published axes
GIVE_UP_AFTER = 6  # tasks requested on a topic, none of which survived
FOCUS_SHARE = 0.5  # of the tasks: extra for the cells of a focus
DRAWS = 24  # label sets compared for each task

Cell = tuple[tuple[str, object], ...]


class Coverage:
    """Cells of labels with targets: pairs of axes for hundreds of tasks.

    From `JOINT_FROM` tasks on, type, topic, view and difficulty are combined, style is paired.
    `size` tasks are spread evenly over the cells, at least one each; the cells of a `focus` get
    half as many again, by weight. A topic that the teacher never delivers is given up.
    """

    def __init__(self, size: int, *, focus: Sequence[Mapping[str, Any]] = ()) -> None:
        joint = [JOINT, *((axis, "style") for axis in JOINT)]
        self._groups = joint if size >= JOINT_FROM else list(combinations(VALUES, 2))
        self._target: Counter[Cell] = Counter()
        for group in self._groups:
            cells = product(*([(axis, name) for name in VALUES[axis]] for axis in group))
            cells = [cell for cell in cells if is_plausible(dict(cell))]
            self._target.update(dict.fromkeys(cells, max(1, size // len(cells))))
        self._target.update(_extra(self._target, focus, size))
        self._have, self._asked, self._survived = Counter(), Counter(), Counter()
        self._roles, self._known = paths.load("view_roles"), (None, ())

    def add(self, tasks: Iterable[Task]) -> None:
        """Count tasks that survived parsing and novelty."""
        for task in tasks:
            known = {axis: labels.canonical(axis, getattr(task, axis)) for axis in VALUES}
            self._survived.update((known["topic"], known["type"]))
            cells = self._cells(known)
            self._have.update(cell for cell in cells if None not in dict(cell).values())
        self._known = None, ()

    def plan(self, count: int, chance: random.Random) -> list[dict[str, object]]:
        """Return labels for `count` new tasks, each where it fills the greatest deficit."""
        missing, wanted = self._missing()
        missing, given_up, plans = missing.copy(), self.given_up, []
        topics = [topic for topic in VALUES["topic"] if topic not in given_up]
        for _ in range(count):
            draws = [self._draw(wanted, topics, chance) for _ in range(DRAWS)]
            best = max(draws, key=lambda draw: self._gain(draw, missing))
            for cell in self._cells(best):
                missing[cell] = missing.get(cell, 0) - 1
            self._asked.update((best["topic"], best["type"]))
            plans.append(best | {"view": chance.choice(self._roles[best["view"]])})
        return plans

    def deficits(self, rows: str, columns: str) -> pd.DataFrame:
        """Return how many tasks the cells of two axes still need, such as type by difficulty."""
        table = pd.DataFrame(0, index=VALUES[rows], columns=VALUES[columns])
        for cell, count in self._missing()[0].items():
            names = dict(cell)
            if {rows, columns} <= names.keys():
                table.loc[names[rows], names[columns]] += max(0, count)
        return table

    @property
    def filled(self) -> float:
        """Return the share of cells, without given-up topics, that have reached their target."""
        missing, wanted = self._missing()
        return (len(missing) - len(wanted)) / max(len(missing), 1)

    @property
    def given_up(self) -> list[str]:
        """Return the topics that the teacher does not deliver."""
        asked = [topic for topic in VALUES["topic"] if self._asked[topic] >= GIVE_UP_AFTER]
        return [topic for topic in asked if not self._survived[topic]]

    def _draw(self, wanted: list[Cell], topics: list[str], chance: random.Random) -> dict:
        """Draw a full set of labels around a cell below its target."""
        draw = {axis: chance.choice(names) for axis, names in VALUES.items()}
        draw["topic"] = chance.choice(topics or VALUES["topic"])
        return draw | (dict(chance.choice(wanted)) if wanted else {})

    def _gain(self, draw: dict[str, object], missing: Mapping[Cell, int]) -> float:
        """Return the deficit that a task would fill, times its type's squared survival rate."""
        deficit = sum(max(0, missing.get(cell, 0)) for cell in self._cells(draw))
        deficit = deficit if is_plausible(draw) else -1
        survival = (self._survived[draw["type"]] + 2) / (self._asked[draw["type"]] + 2)
        return deficit * min(survival, 1.0) ** 2

    def _cells(self, known: dict[str, object]) -> list[Cell]:
        return [tuple((axis, known[axis]) for axis in group) for group in self._groups]

    def _missing(self) -> tuple[dict[Cell, int], list[Cell]]:
        """Return what the open cells need, and those that need something; kept until `add`."""
        given_up = self.given_up
        if self._known[0] != given_up:
            cells = [cell for cell in self._target if dict(cell).get("topic") not in given_up]
            missing = {cell: self._target[cell] - self._have[cell] for cell in cells}
            self._known = given_up, (missing, [cell for cell, gap in missing.items() if gap > 0])
        return self._known[1]


def is_plausible(names: Mapping[str, object]) -> bool:
    """Return whether people of the view write in the style, if both are named."""
    views = labels.STYLE_VIEWS.get(names.get("style"), labels.VIEW_GROUPS)
    return names.get("view", views[0]) in views


def load_focus(path: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Load a focus.json: cells (labels of some axes, a weight), none for an empty path.

    Second are the ids of the test items behind it, which must not be scored in its run.
    """
    if not path:
        return [], []
    cells = []
    try:
        content = paths.read_json(paths.resolve(path))
        for cell in content["cells"]:
            known = {axis: labels.canonical(axis, cell[axis]) for axis in VALUES if axis in cell}
            cells.append(known | {"weight": float(cell["weight"])})
        return [cell for cell in cells if None not in cell.values()], list(content["items"])
    except (ValueError, KeyError, TypeError) as error:
        do = "Give a focus.json that 10_judge_answers wrote in another run."
        got = f"{path}: {error!r}"
        raise UserError("`focus` is not a file with cells and items.", got=got, do=do) from None


def _extra(target: Counter[Cell], focus: Sequence[Mapping], size: int) -> Counter[Cell]:
    """Return extra tasks by cell: a focus cell is spread over the cells that share most labels."""
    extra: Counter[Cell] = Counter()
    for focused in focus:
        shared = {cell: sum(focused.get(axis) == value for axis, value in cell) for cell in target}
        most = max(shared.values())
        near = [cell for cell, count in shared.items() if count == most > 0]
        tasks = FOCUS_SHARE * size * focused.get("weight", 1 / len(focus))
        extra.update(dict.fromkeys(near, max(1, round(tasks / max(len(near), 1)))))
    return extra
