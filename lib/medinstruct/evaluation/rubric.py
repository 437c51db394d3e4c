"""Rubric grading, a second instrument: weighted criteria an item, each asked about on its own, scored and clipped as in HealthBench."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from medinstruct import paths, records, stats
from medinstruct.evaluation.items import question
from medinstruct.evaluation.prompts import grade_prompt
from medinstruct.evaluation.replay import Replay
from medinstruct.llm import Client, Request
from medinstruct.records import Answer, TestItem

ROOM = 50  # tokens of a grader's reply
METS = {
    "met": True,
    "yes": True,
    "true": True,
    "not met": False,
    "unmet": False,
    "no": False,
    "false": False,
}


class Criterion(BaseModel):
    """What an answer should (points above 0) or must not do (below 0); `axis` is its kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    criterion: str = Field(min_length=10)
    points: int = Field(ge=-10, le=10)
    axis: str


class Rubric(BaseModel):
    """The criteria of one test item."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    item: str
    criteria: tuple[Criterion, ...]

    @property
    def possible(self) -> int:
        """The most that an answer can get."""
        return sum(one.points for one in self.criteria if one.points > 0)


class Grade(BaseModel):
    """Whether one answer meets one criterion; None where the grader could not be read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    item: str
    model: str
    criterion: str
    points: int
    axis: str
    met: bool | None
    judge: str = ""
    reply: str = ""


def load_rubrics(path: str = "", *, limit: int = 0) -> list[Rubric]:
    """The rubrics that ship (not reviewed by clinicians), or those of a file of the same shape; 0 for all, -1 for none."""
    found = records.read(paths.resolve(path) if path else paths.data("rubrics.jsonl"), Rubric)
    return found[:limit] if limit > 0 else [] if limit < 0 else found


async def grade(
    client: Client | Replay,
    rubrics: Iterable[Rubric],
    items: Iterable[TestItem],
    answers: Iterable[Answer],
) -> list[Grade]:
    """One grade an answer and criterion; an empty answer meets nothing and is not asked about. None from a replay."""
    if isinstance(client, Replay):
        return []
    by_item, by_answer = {item.id: item for item in items}, {}
    for answer in answers:
        by_answer.setdefault(answer.item, []).append(answer)
    wanted = [
        (rubric.item, answer, one)
        for rubric in rubrics
        if rubric.item in by_item
        for answer in by_answer.get(rubric.item, ())
        for one in rubric.criteria
    ]
    asked = [n for n, (_, answer, _) in enumerate(wanted) if answer.text.strip()]
    requests = [_request(by_item[wanted[n][0]], wanted[n][1], wanted[n][2]) for n in asked]
    told = dict(zip(asked, await client.ask_all(requests, label="criteria"), strict=True))
    grades = []
    for n, (item, answer, one) in enumerate(wanted):
        reply = told[n].text if n in told else "(by rule: an empty answer meets nothing)"
        met = parse_grade(reply) if n in told else False
        grades.append(
            Grade(
                item=item,
                model=answer.model,
                **one.model_dump(),
                met=met,
                judge=client.model,
                reply=reply,
            )
        )
    return grades


def parse_grade(reply: str) -> bool | None:
    """Whether a criterion is met, from what graders really write; None where it is not clear.

    >>> parse_grade("Met"), parse_grade("**Not met.** It says nothing of fever."), parse_grade('{"criteria_met": true}')
    (True, False, True)
    >>> parse_grade("It depends.") is None
    True
    """
    text = " ".join(
        reply.lower().replace("*", "").replace('"', "").replace("{", "").replace("}", "").split()
    ).strip(" .:")
    for start in ("verdict:", "answer:", "criteria_met:", "criterion:"):
        text = text.removeprefix(start).strip()
    return next(
        (
            met
            for word, met in METS.items()
            if text == word or text.startswith((f"{word}.", f"{word},", f"{word} ", f"{word}:"))
        ),
        None,
    )


def rubric_scores(grades: Iterable[Grade], *, seed: int = 42) -> pd.DataFrame:
    """One row a model: n items, score with interval, and unread grades.

    An item's score is the points met over the most that could be got; it may be negative. The mean over items is clipped to 0 to 1,
    as in HealthBench. An unread grade counts as not met.
    """
    items = item_points(grades)
    rows = {}
    for model, group in items.groupby("model", sort=False):
        scores = (group["got"] / group["possible"]).to_numpy(dtype=float)
        low, high = stats.bootstrap_interval(scores, seed=seed)
        rows[model] = [len(scores), scores.mean(), low, high, int(group["unread"].sum())]
    found = pd.DataFrame.from_dict(
        rows, orient="index", columns=["n", "score", "low", "high", "unread"]
    ).rename_axis("model")
    return found.assign(
        **{name: found[name].astype(float).clip(0, 1) for name in ("score", "low", "high")}
    )


def item_points(grades: Iterable[Grade]) -> pd.DataFrame:
    """One row a model and item: points got, points possible, unread grades."""
    rows: list[dict[str, Any]] = [
        {
            "model": g.model,
            "item": g.item,
            "got": g.points * bool(g.met),
            "possible": max(g.points, 0),
            "unread": g.met is None,
        }
        for g in grades
    ]
    frame = pd.DataFrame(rows, columns=["model", "item", "got", "possible", "unread"])
    return frame.groupby(["model", "item"], sort=False, as_index=False).sum()


def by_axis(grades: Sequence[Grade]) -> pd.DataFrame:
    """Share of criteria met, one row a kind of criterion (the bad ones apart, at the end), one column a model."""
    ordered = sorted(grades, key=lambda grade: (grade.points < 0, grade.axis))
    rows = [
        (f"{g.axis}{' (bad, not to be met)' if g.points < 0 else ''}", g.model, float(bool(g.met)))
        for g in ordered
    ]
    return pd.DataFrame(rows, columns=["axis", "model", "met"]).pivot_table(
        index="axis", columns="model", values="met", sort=False
    )


def _request(item: TestItem, answer: Answer, one: Criterion) -> Request:
    return Request(
        messages=grade_prompt(question(item), answer.text, one.criterion),
        parameters={"temperature": 0.0, "max_tokens": ROOM},
    )
