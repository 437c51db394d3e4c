"""What a score owes to the wording of the judge's prompt is measured, and a planted judge shows it."""

import asyncio
from dataclasses import replace

import pytest

from medinstruct import evaluation, llm
from medinstruct.offline import responder
from medinstruct.records import Answer, Verdict

CHECKS, JUDGE = evaluation.judge_checks, evaluation.judge
ORDERS = evaluation.verdicts.ORDERS


def pairs_of(write, *, limit=40):
    """Pairs of an answer written from each reference, against the reference."""
    items = evaluation.load_items("own", limit=limit)
    references = evaluation.answers.reference_answers(items)
    answers = [Answer(item=r.item, model="m", text=write(r.text)) for r in references]
    return JUDGE.build_pairs(items, answers, references=references)


def test_a_policy_changes_the_prompt_and_its_hash_and_unstated_is_the_usual_prompt():
    [pair, *_] = pairs_of(str.upper, limit=2)
    prompts = {
        policy: JUDGE.judge_request(replace(pair, policy=policy)).messages[1]["content"]
        for policy in ("unstated", "strict", "lenient")
    }
    assert set(prompts) == set(JUDGE.POLICIES) and len(set(prompts.values())) == 3
    assert prompts["unstated"] == JUDGE.judge_request(pair).messages[1]["content"]
    assert "verify" not in prompts["unstated"]
    hashes = {JUDGE.prompt_hash("short", policy) for policy in prompts}
    assert len(hashes) == 3 and JUDGE.prompt_hash("short") in hashes
    for style in JUDGE.STYLES:  # the words that tell the stand-in what to weigh are in the prompt
        assert all(
            any(phrase in JUDGE.criteria(policy) for policy in ("strict", "lenient"))
            for phrase in responder.GRADING["policies"]
        ), style


def test_a_strict_stand_in_prefers_the_short_text_and_a_lenient_one_the_complete_text():
    question = "Explain asthma."
    whole = responder.answer(question)
    short = " ".join(whole.split()[: len(whole.split()) // 2]).rstrip(".,;:") + "."
    padded = f"{whole} {responder.answer('Explain gout.')}"
    verdicts = {
        policy: responder.winner(question, short, padded, wording=JUDGE.criteria(policy))
        for policy in JUDGE.POLICIES
    }
    assert (verdicts["strict"], verdicts["lenient"]) == ("a", "b")
    assert verdicts["unstated"] == responder.winner(question, short, padded)


def test_the_sweep_keeps_the_score_of_the_usual_prompt_and_pays_for_nothing_twice(tmp_path):
    pairs = pairs_of(lambda text: " ".join(text.split()[:30]) + ".")
    judge = llm.Client(url="offline", model="judge", cache=tmp_path / "cache.sqlite")
    usual = asyncio.run(JUDGE.ask(judge, pairs))
    swept = asyncio.run(CHECKS.sweep(judge, pairs, items=20))
    assert judge.usage["cached"] == 40 and [len(part) for part in swept.values()] == [40] * 3
    ids = {verdict.id for verdict in swept["strict"]}
    assert swept["unstated"] == [verdict for verdict in usual if verdict.id in ids]
    assert len({verdict.prompt for part in swept.values() for verdict in part}) == 3
    rows = CHECKS.sweep_results(swept).set_index("wording")
    assert rows.loc["unstated", "shift"] == 0 and (rows["n"] == 20).all()
    assert rows["shift"].tolist() == pytest.approx(rows["score"] - rows.loc["unstated", "score"])
    replay = JUDGE.Replay("replay:x", "gpt-4", usual)
    assert asyncio.run(CHECKS.sweep(replay, pairs)) == {}
    assert CHECKS.sweep_results({}).empty


@pytest.mark.parametrize(("moved", "finding"), [(0, "fine"), (7, "unclear"), (20, "alarm")])
def test_a_judge_whose_score_moves_with_the_wording_raises_an_alarm(moved, finding):
    """Of forty items, `moved` are won with one wording and lost with the others."""

    def judged(policy, wins):
        winner = ["reference", "model"]
        return [
            Verdict(
                id=str(n), model="m", reference="r", order=o, winner=winner[n < wins], prompt=policy
            )
            for n in range(40)
            for o in ORDERS
        ]

    swept = {policy: judged(policy, 10) for policy in ("unstated", "strict")}
    swept["lenient"] = judged("lenient", 10 + moved)
    row = CHECKS.summary(swept["unstated"], swept=swept).loc["wording"]
    assert row["finding"] == finding and row["value"] == pytest.approx(moved / 40)
    assert row["n"] == 40
    assert CHECKS.summary(swept["unstated"]).loc["wording", "finding"] == "not measured"
