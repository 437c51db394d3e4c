"""Rubrics: what ships, what graders write, and the arithmetic of points."""

import asyncio
import re

import numpy as np
import pandas as pd
import pytest

from medinstruct import evaluation, llm, paths
from medinstruct.records import Answer

AXES = {"accuracy", "completeness", "safety", "communication", "context"}


def test_at_least_100_test_items_have_a_rubric_with_good_and_bad_criteria():
    rubrics = evaluation.rubric.load_rubrics()
    ids = {item.id for item in evaluation.load_items("own")}
    assert len(rubrics) >= 100 and len({rubric["item"] for rubric in rubrics}) == len(rubrics)
    assert {rubric["item"] for rubric in rubrics} <= ids
    for rubric in rubrics:
        points = [criterion["points"] for criterion in rubric["criteria"]]
        texts = [criterion["criterion"] for criterion in rubric["criteria"]]
        assert 5 <= len(points) <= 11 and sum(max(point, 0) for point in points) >= 15
        assert min(points) < 0 and max(map(abs, points)) <= 10 and all(points)
        assert {criterion["axis"] for criterion in rubric["criteria"]} <= AXES
        assert len(set(texts)) == len(texts) and all(len(text) >= 10 for text in texts)
        verbs = [re.match(r"\w+", text).group() for text in texts]
        assert all(verb.endswith("s") for verb in verbs), verbs  # each says what an answer does
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
    frame = pd.DataFrame(rows, columns=["item", "points", "met"])
    return frame.astype({"met": object}).assign(model="m", axis="safety")


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
    row = evaluation.rubric.scores(found).loc["m"]
    assert (
        row["score"] == pytest.approx((0.1 - 0.8 + 1.0) / 3)
        and np.isnan(row["low"])  # three items
        and row["unread"] == 0
    )
    assert evaluation.rubric.scores(grades(("1", 5, False), ("1", -4, True))).loc["m", "score"] == 0
    assert (
        evaluation.rubric.scores(grades(("1", 5, None))).loc["m", "unread"] == 1
        and evaluation.rubric.scores(grades()).empty
    )


def test_a_full_answer_gets_more_than_a_short_one_and_an_empty_one_gets_nothing(tmp_path):
    items, rubrics = evaluation.load_items("own"), evaluation.rubric.load_rubrics()[:8]
    by_item = {item.id: item for item in items}
    answers = [
        Answer(item=rubric["item"], model=name, text=text)
        for rubric in rubrics
        for name, text in (
            ("full", by_item[rubric["item"]].references["written"]),
            ("short", "See a doctor."),
            ("empty", ""),
        )
    ]
    client = llm.Client(url="offline", model="grader", cache=tmp_path / "cache.sqlite")
    found = asyncio.run(evaluation.rubric.grade(client, rubrics, items, answers))
    scores = evaluation.rubric.scores(found)["score"]
    assert scores["full"] > 0.3 > scores["short"] >= scores["empty"] == 0
    assert client.usage["asked"] == len(found) * 2 / 3
    bad = found["points"] < 0
    assert (found["good"] == (found["met"] != bad)).all()
    assert found[bad & found["model"].eq("empty")]["good"].all()  # it does nothing bad
