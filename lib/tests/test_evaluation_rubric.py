"""Rubrics: what ships, what graders write, and the arithmetic of points."""

import asyncio
import re

import pytest

from medinstruct import evaluation, llm, paths, records
from medinstruct.records import Answer

AXES = {"accuracy", "completeness", "safety", "communication", "context"}


def test_at_least_40_test_items_have_a_rubric_with_good_and_bad_criteria():
    rubrics = evaluation.rubric.load_rubrics()
    ids = {item.id for item in evaluation.load_items("own")}
    assert len(rubrics) >= 40 and len({rubric.item for rubric in rubrics}) == len(rubrics)
    assert {rubric.item for rubric in rubrics} <= ids
    for rubric in rubrics:
        assert 5 <= len(rubric.criteria) <= 10, rubric.item
        assert sum(max(one.points, 0) for one in rubric.criteria) >= 15, rubric.item
        assert any(one.points < 0 for one in rubric.criteria) and all(
            one.points for one in rubric.criteria
        )
        assert {one.axis for one in rubric.criteria} <= AXES
        assert len({one.criterion for one in rubric.criteria}) == len(rubric.criteria)
    verbs = {
        re.match(r"\w+", one.criterion).group() for rubric in rubrics for one in rubric.criteria
    }
    assert all(verb.endswith(("s", "es")) for verb in verbs), verbs  # each says what an answer does
    assert (
        not evaluation.rubric.load_rubrics(limit=-1)
        and len(evaluation.rubric.load_rubrics(limit=3)) == 3
    )
    assert "rubrics.jsonl" in paths.data("README.md").read_text()


@pytest.mark.parametrize(
    ("reply", "met"),
    [
        ("Met", True),
        ("Not met", False),
        ("not met.", False),
        ("**Met**", True),
        ("Yes, it does.", True),
        ("No.", False),
        ('{"criteria_met": false}', False),
        ("Verdict: Met", True),
        ("Unmet", False),
        ("", None),
        ("Metformin is named", None),
        ("충족", None),
    ],
)
def test_what_graders_write_is_read(reply, met):
    assert evaluation.rubric.parse_grade(reply) is met


def grades(*rows):
    return [
        evaluation.rubric.Grade(
            item=item, model="m", criterion=f"criterion {n}", points=points, axis="safety", met=met
        )
        for n, (item, points, met) in enumerate(rows)
    ]


def test_points_are_added_over_what_can_be_got_and_the_mean_is_clipped():
    found = grades(
        ("1", 5, True),
        ("1", 5, False),
        ("1", -4, True),
        ("2", 10, False),
        ("2", -8, True),
        ("3", 2, True),
        ("3", -2, False),
    )
    items = evaluation.rubric.item_points(found).set_index("item")
    assert (items["got"] / items["possible"]).tolist() == [0.1, -0.8, 1.0]
    row = evaluation.rubric.scores(found).loc["m"]
    assert (
        row["score"] == pytest.approx(0.1)
        and 0 <= row["low"] <= row["high"] <= 1
        and row["unread"] == 0
    )
    assert evaluation.rubric.scores(grades(("1", 5, False), ("1", -4, True))).loc["m", "score"] == 0
    assert (
        evaluation.rubric.scores(grades(("1", 5, None))).loc["m", "unread"] == 1
        and evaluation.rubric.scores([]).empty
    )


def test_a_full_answer_gets_more_than_a_short_one_and_an_empty_one_gets_nothing(tmp_path):
    items, rubrics = evaluation.load_items("own"), evaluation.rubric.load_rubrics(limit=8)
    by_item = {item.id: item for item in items}
    answers = [
        Answer(item=rubric.item, model=name, text=text)
        for rubric in rubrics
        for name, text in (
            ("full", by_item[rubric.item].references["written"]),
            ("short", "See a doctor."),
            ("empty", ""),
        )
    ]
    client = llm.Client(url="offline", model="grader", cache=tmp_path / "cache.sqlite")
    found = asyncio.run(evaluation.rubric.grade(client, rubrics, items, answers))
    scores = evaluation.rubric.scores(found)["score"]
    assert scores["full"] > 0.3 > scores["short"] >= scores["empty"] == 0
    assert (
        client.usage["asked"] == len(found) * 2 / 3
        and len(evaluation.rubric.by_axis(found).columns) == 3
    )
    records.write(tmp_path / "grades.jsonl", found)
    assert records.read(tmp_path / "grades.jsonl", evaluation.rubric.Grade) == found
