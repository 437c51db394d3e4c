"""Bad input is detected and named: files that do not fit, answers that are none, judges that do not judge."""

import asyncio
import json

import pytest

from medinstruct import evaluation, llm, tasks
from medinstruct.errors import UserError
from medinstruct.records import Answer, TestItem, Verdict

ITEMS = [
    TestItem(instruction=f"Explain condition number {n}.", references={"r": f"Reference {n}."})
    for n in range(12)
]
ROWS = [
    {"instruction": item.instruction, "response": f"answer {n}"} for n, item in enumerate(ITEMS)
]


def written(tmp_path, rows, name="answers.json"):
    (tmp_path / name).write_text(json.dumps(rows))
    return {"m": str(tmp_path / name)}


def test_another_order_of_rows_changes_nothing(tmp_path):
    straight = evaluation.load_answers(written(tmp_path, ROWS), ITEMS)
    turned = evaluation.load_answers(written(tmp_path, ROWS[::-1], "turned.json"), ITEMS)
    assert straight == turned and [answer.text for answer in straight] == [
        f"answer {n}" for n in range(12)
    ]


def test_numbers_in_a_file_do_not_outweigh_what_the_rows_say(tmp_path):
    shifted = [{"id": n, **ROWS[(n + 3) % 12]} for n in range(12)]
    assert evaluation.load_answers(written(tmp_path, shifted), ITEMS) == evaluation.load_answers(
        written(tmp_path, ROWS, "b.json"), ITEMS
    )


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (ROWS[:5] + ROWS[6:], f"1 missing .*{ITEMS[5].id}"),
        ([{"response": row["response"]} for row in ROWS], "12 missing"),
        ([{"instruction": row["instruction"]} for row in ROWS], "12 missing"),
        ([{**row, "instruction": "Something else."} for row in ROWS], "12 missing"),
        ([], "12 missing"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_ids(tmp_path, rows, says):
    with pytest.raises(UserError, match=says):
        evaluation.load_answers(written(tmp_path, rows), ITEMS)


def test_answers_of_an_earlier_run_are_matched_by_item(tmp_path):
    rows = [
        {"item": item.id, "model": "m", "text": f"t{n}", "finish_reason": "length"}
        for n, item in enumerate(ITEMS)
    ]
    rows += [{"item": item.id, "model": "other", "text": "no"} for item in ITEMS]
    found = evaluation.load_answers(written(tmp_path, rows), ITEMS)
    assert [a.text for a in found] == [f"t{n}" for n in range(12)] and {
        a.finish_reason for a in found
    } == {"length"}


def test_references_that_do_not_fit_are_refused(tmp_path):
    rows = [{"instruction": "Same?", "reference": "x"}]
    (tmp_path / "set.json").write_text(json.dumps(rows))
    items = evaluation.load_items(str(tmp_path / "set.json"))
    (tmp_path / "gpt.jsonl").write_text(json.dumps({"instruction": "Other?", "output": "z"}))
    with pytest.raises(UserError, match="gpt"):
        evaluation.answers.reference_answers(items, {"gpt": str(tmp_path / "gpt.jsonl")})
    with pytest.raises(UserError, match="no reference"):
        evaluation.answers.reference_answers([TestItem(instruction="Only a question?")])


def test_an_alpacafarm_file_brings_its_own_reference(tmp_path):
    rows = [
        {
            "instruction": "Name a fruit.",
            "output": "An apple.",
            "generator": "text_davinci_003",
            "dataset": "helpful_base",
        }
    ]
    (tmp_path / "alpaca_eval.json").write_text(json.dumps(rows))
    assert evaluation.load_items(str(tmp_path / "alpaca_eval.json"))[0].references == {
        "text_davinci_003": "An apple."
    }


def judged(answers, url="offline", items=ITEMS):
    pairs = evaluation.judge.build_pairs(
        items, answers, references=evaluation.answers.reference_answers(items)
    )
    client = llm.Client(url=url, model="judge")
    return pairs, asyncio.run(evaluation.judge.ask(client, pairs)), client


def test_an_empty_answer_loses_by_rule_and_nobody_is_asked():
    answers = [
        Answer(item=item.id, model="m", text=" " if n < 4 else "An answer.")
        for n, item in enumerate(ITEMS)
    ]
    _, verdicts, client = judged(answers)
    ruled = [v for v in verdicts if v.asked == 0]
    assert (
        len(ruled) == 8
        and {v.winner for v in ruled} == {"reference"}
        and client.usage["asked"] == 16
    )
    assert (
        len(evaluation.verdicts.by_judge(verdicts)) == 1
        and evaluation.win_rates(verdicts).loc["r", "n"] == 12
    )
    assert evaluation.answers.statistics(answers).loc["m", "empty"] == pytest.approx(4 / 12)


def test_an_answer_of_30000_words_is_cut_for_the_judge_and_named():
    answers = [Answer(item=item.id, model="m", text="word " * 30_000) for item in ITEMS]
    pairs, verdicts, _ = judged(answers)
    assert all(
        len(evaluation.judge.judge_request(pair).messages[1]["content"].split())
        < evaluation.judge.MAX_WORDS + 300
        for pair in pairs
    )
    assert "cut after" in evaluation.judge.judge_request(pairs[0]).messages[1]["content"] and all(
        v.winner for v in verdicts
    )
    assert evaluation.answers.statistics(answers).loc["m", "repeated"] == 1.0


def test_an_answer_to_no_item_is_refused():
    with pytest.raises(KeyError):
        evaluation.judge.build_pairs(
            ITEMS[:1],
            [Answer(item="?", model="m", text="x")],
            references=[Answer(item="?", model="r", text="y")],
        )


def says(reply):
    return [
        Verdict(
            id=item.id,
            model="m",
            reference="r",
            order=order,
            judge="j",
            reply=reply,
            winner=winner(reply, order),
        )
        for item in ITEMS
        for order in ("model_first", "reference_first")
    ]


def winner(reply, order):
    letter = evaluation.parse_verdict(reply)
    return {None: None, "tie": "tie", "a": "model" if order == "model_first" else "reference"}.get(
        letter, "other"
    )


@pytest.mark.parametrize(
    ("reply", "check"),
    [
        ("Output (a)", "position bias"),
        ("Tie", "ties"),
        ("I'm sorry, but I can't help with that.", "unreadable"),
        ("두 번째 답변이 더 정확하고 완전합니다.", "unreadable"),
        ("Both have merits.", "unreadable"),
    ],
)
def test_a_judge_that_does_not_judge_is_named(reply, check):
    assert evaluation.judge_checks.summary(says(reply)).loc[check, "finding"] == "alarm"


def test_a_judge_that_always_says_a_leaves_parity_without_consistency():
    row = evaluation.win_rates(says("Output (a)")).loc["r"]
    assert (row["score"], row["consistency"], row["position_bias"], row["win_rate"]) == (
        0.5,
        0.0,
        1.0,
        0.0,
    )


def test_a_judge_that_refuses_is_bounded_and_not_dropped():
    row = evaluation.win_rates(says("I'm sorry, but I can't help with that.")).loc["r"]
    assert (row["n"], row["invalid"], row["score_worst"], row["score_best"]) == (0, 24, 0.0, 1.0)


def test_a_judge_that_cannot_be_read_is_stopped_after_forty():
    items = evaluation.load_items("own", limit=100)
    answers = [Answer(item=item.id, model="m", text="Rest.") for item in items]
    pairs = evaluation.judge.build_pairs(
        items, answers, references=evaluation.answers.reference_answers(items)
    )
    client = llm.Client(url="offline?unclear=1", model="judge")
    with pytest.raises(UserError, match="None of the first 40"):
        asyncio.run(evaluation.judge.ask(client, pairs))
    assert client.usage["asked"] == 40


def stored(tmp_path, verdicts):
    path = tmp_path / "verdicts.jsonl"
    path.write_text("".join(v.model_dump_json(exclude_defaults=True) + "\n" for v in verdicts))
    return f"replay:{path}"


def test_a_replay_says_what_was_said_and_asks_nobody(tmp_path):
    answers = [
        Answer(item=item.id, model="m", text="" if n == 3 else f"Answer {n}.")
        for n, item in enumerate(ITEMS)
    ]
    pairs, verdicts, _ = judged(answers, "offline?first_wins=0.5")
    replay = evaluation.judge.jury([stored(tmp_path, verdicts)])[0]
    assert asyncio.run(evaluation.judge.ask(replay, pairs)) == verdicts and replay.model == "judge"
    assert asyncio.run(evaluation.judge.ask(replay, pairs[:6])) == verdicts[:6]
    assert replay.source == "Verdicts of judge, read from a file."


def test_a_replay_refuses_what_it_was_not_asked_about(tmp_path):
    answers = [Answer(item=item.id, model="m", text=f"Answer {n}.") for n, item in enumerate(ITEMS)]
    pairs, verdicts, _ = judged(answers)
    replay = evaluation.judge.jury([stored(tmp_path, verdicts[:-2])])[0]
    with pytest.raises(UserError, match=f"2 of 24 .*{ITEMS[-1].id}"):
        asyncio.run(evaluation.judge.ask(replay, pairs))
    other, _, _ = judged(
        [answer.model_copy(update={"text": "Other.", "id": "x"}) for answer in answers]
    )
    with pytest.raises(UserError, match="other answers"):
        asyncio.run(evaluation.judge.ask(replay, other[:4]))
    mixed = [*verdicts[:3], *(v.model_copy(update={"judge": "second"}) for v in verdicts[3:])]
    with pytest.raises(UserError, match="not one measurement"):
        evaluation.judge.jury([stored(tmp_path, mixed)])
    with pytest.raises(UserError, match="twice"):
        evaluation.judge.jury([stored(tmp_path, [*verdicts, verdicts[0]])])


def test_a_stored_verdict_that_its_reply_contradicts_is_refused(tmp_path):
    row = {
        "item": 0,
        "reference": "r",
        "order": "reference_first",
        "judge": "j",
        "judge_response": "So: [[A]]",
        "verdict": "WIN",
    }
    path = tmp_path / "v.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(UserError, match="contradicts"):
        evaluation.verdicts.load_verdicts(str(path), items=ITEMS)
    path.write_text(json.dumps(row | {"verdict": "LOSE", "item": 99}))
    with pytest.raises(UserError, match="no item"):
        evaluation.verdicts.load_verdicts(str(path), items=ITEMS)


def test_the_half_that_steers_does_not_depend_on_order_limit_or_neighbors():
    items = evaluation.load_items("own")
    half = evaluation.answers.focus_half(items)
    assert 0.4 < len(half) / len(items) < 0.6
    assert evaluation.answers.focus_half(items[::-1]) == half[::-1]
    assert evaluation.answers.focus_half(items[:40]) == [
        item for item in half if item in items[:40]
    ]


def test_items_that_steered_a_run_are_left_out_of_its_scores(tmp_path):
    assert evaluation.answers.unseen(ITEMS, tmp_path) == ITEMS
    content = {"focus_items": [item.id for item in ITEMS[:5]]}
    (tmp_path / "generation.json").write_text(json.dumps(content))
    assert evaluation.answers.unseen(ITEMS, tmp_path) == ITEMS[5:]


def test_a_focus_that_does_not_name_its_items_is_refused(tmp_path):
    path = tmp_path / "focus.json"
    path.write_text(json.dumps({"cells": [{"type": "chat", "weight": 1}]}))
    with pytest.raises(UserError, match="cells and items"):
        tasks.load_focus(str(path))
    assert tasks.load_focus("") == ([], [])
