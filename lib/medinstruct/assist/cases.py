"""The worked cases that ship: what is asked, what an answer should hold, and an answer by hand (not reviewed by clinicians)."""

import re
from functools import cache

import yaml
from pydantic import BaseModel, ConfigDict

from medinstruct import paths
from medinstruct.assist.ways import WAYS
from medinstruct.errors import UserError


class Point(BaseModel):
    """One thing that an answer should hold, and the words by which a rule finds it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    point: str
    words: str


class Case(BaseModel):
    """A case of one way of working. `points` and `written` are by reader; "" where the way has one reader."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    way: str
    name: str
    question: str
    given: str
    points: dict[str, tuple[Point, ...]] = {}
    written: dict[str, str] = {}

    @property
    def readers(self) -> tuple[str, ...]:
        """For whom an answer is written."""
        return tuple(WAYS[self.way].readers) or ("",)

    def points_for(self, reader: str) -> tuple[Point, ...]:
        """What an answer for one reader should hold."""
        return self.points.get(reader) or self.points.get("", ())


def cases(way: str = "") -> list[Case]:
    """All cases, or those of one way.

    >>> [case.name for case in cases("decision")]
    ['Breathless after a long flight', 'An old man confused since last night']
    """
    if way and way not in WAYS:
        raise UserError(
            "There is no such way of working.", got=way, do=f"Choose from {', '.join(WAYS)}."
        )
    return [case for case in _every() if not way or case.way == way]


@cache
def _every() -> tuple[Case, ...]:
    rows = yaml.safe_load(paths.data("assist_cases.yaml").read_text(encoding="utf-8"))
    return tuple(Case(**row) for row in rows)


def points_held(text: str, case: Case, *, reader: str = "") -> dict[str, bool]:
    """For each point that an answer should hold whether a rule finds its words; words that are there may still be wrong.

    >>> points_held("Weigh yourself.", cases("education")[0])["weigh every day"]
    True
    """
    return {
        one.point: bool(re.search(rf"(?<![a-z])(?:{one.words})", text, re.IGNORECASE))
        for one in case.points_for(reader)
    }
