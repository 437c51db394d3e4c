"""A verdict is what a reply states: no letter in passing, no negation, no comparison read the wrong way."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from medinstruct import evaluation

TABLE = Path(__file__).parent / "support" / "verdicts.yaml"
REPLIES = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
OTHER = {"a": "b", "b": "a"}
NAMES = [("(a)", "(b)"), ("（a）", "（b）"), ("Assistant A", "Assistant B")]
NAMES += [("Response A", "Response B"), ("답변 A", "답변 B")]


def exchanged(reply):
    for first, second in NAMES:
        reply = reply.replace(first, "\0").replace(second, first).replace("\0", second)
    return reply


def misread(rows, read):
    return {reply: read(reply) for reply, value in rows if read(reply) != value}


def test_every_phrasing_gives_its_verdict_and_the_unclear_ones_none():
    rows = [(reply, value) for value in REPLIES["verdicts"] for reply in REPLIES["verdicts"][value]]
    rows = [(reply, None if value == "unclear" else value) for reply, value in rows]
    assert len(rows) > 600
    assert misread(rows, evaluation.parse_verdict) == {}


def test_the_same_phrasing_with_the_letters_exchanged_gives_the_other_verdict():
    rows = [
        (exchanged(reply), OTHER.get(value, None if value == "unclear" else value))
        for value, replies in REPLIES["verdicts"].items()
        for reply in replies
        if exchanged(reply) != reply and "{" not in reply
    ]
    assert len(rows) > 500
    assert misread(rows, evaluation.parse_verdict) == {}


def test_grades_are_read_by_the_same_rules():
    known = {"met": True, "unmet": False, "unclear": None}
    rows = [(reply, known[value]) for value in known for reply in REPLIES["grades"][value]]
    assert misread(rows, evaluation.rubric.parse_grade) == {}


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Output (a) is better", None),
        ("Output (a)", None),
        ("Verdict: Output (a)", None),
        ("Both are fair. [[A]]", "a"),
        ('{"verdict": "B", "reason": "It names the', "b"),
        ('{"reason": "Output (a) is better", "verdict": "', None),
        ('{"reason": "Output (a) is better and', None),
        ('{"verdict": "A', None),
    ],
)
def test_a_reply_that_was_cut_counts_only_if_its_verdict_is_closed(reply, verdict):
    assert evaluation.parse_verdict(reply, "length") == verdict
    assert evaluation.rubric.parse_grade("Met", "length") is None


@given(st.text(max_size=60))
def test_a_thought_never_gives_a_verdict(text):
    thought = f"<think>Output (a) is better. [[A]] {text}"
    assert evaluation.parse_verdict(thought.replace("</think>", "")) is None
    assert evaluation.parse_verdict(f"{thought}</think>\nOutput (b)") == "b"


@given(st.text(alphabet="@§ab()[]{}\"':.,;!?<> \nisnotbetterthan", max_size=200))
def test_any_text_is_read_without_an_error(text):
    assert evaluation.parse_verdict(text) in ("a", "b", "tie", None)
    assert evaluation.rubric.parse_grade(text) in (True, False, None)


def test_a_very_long_reply_is_read_in_a_moment():
    assert (
        evaluation.parse_verdict("Output (a) is not so (good), but [" * 30_000 + "\n[[B]]") == "b"
    )
