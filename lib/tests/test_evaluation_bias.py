"""What moves a score besides quality is planted, and found again; judges, people and earlier runs are compared."""

import asyncio

import numpy as np
import pandas as pd
import pytest

from medinstruct import evaluation, llm, paths, stats, tasks
from medinstruct.errors import UserError
from medinstruct.records import Answer, TestItem, Verdict

CHECKS = evaluation.judge_checks
ORDERS = (("model_first", 0.5), ("reference_first", -0.5))


def planted(n, seed, *, strength=-0.3, length=1.5, position=0.8):
    """Verdicts of a judge with a known taste for length and for the first place."""
    chance = np.random.default_rng(seed)
    texts, found = [], []
    for item in map(str, range(n)):
        own, other = chance.integers(20, 300, 2)
        texts.append(Answer(item=item, model="m", text="w " * own))
        texts.append(Answer(item=item, model="r", text="w " * other))
        for order, side in ORDERS:
            odds = strength + length * np.log((own + 1) / (other + 1)) + position * side
            winner = "model" if chance.random() < 1 / (1 + np.exp(-odds)) else "reference"
            found.append(Verdict(id=item, model="m", reference="r", order=order, winner=winner))
    return found, texts


def test_planted_length_and_position_effects_are_recovered_within_their_intervals():
    at_equal_lengths = np.mean([1 / (1 + np.exp(0.3 - side)) for side in (0.4, -0.4)])
    truth = {"lc_score": at_equal_lengths, "length": 1.5, "position": 0.8}
    hits, means = dict.fromkeys(truth, 0), {name: [] for name in truth}
    for seed in range(60):
        row = evaluation.win_rate.length_controlled(*planted(216, seed)).iloc[0]
        for name, value in truth.items():
            hits[name] += row[f"{name}_low"] <= value <= row[f"{name}_high"]
            means[name].append(row[name])
    assert all(count >= 52 for count in hits.values()), hits
    assert all(
        np.mean(means[name]) == pytest.approx(value, rel=0.06) for name, value in truth.items()
    )


def test_without_a_taste_for_length_control_changes_nothing():
    verdicts, texts = planted(400, 1, length=0.0, position=0.0)
    row = evaluation.judge_checks.bias_panel(verdicts, texts).iloc[0]
    assert row["length_low"] < 0 < row["length_high"] and row["lc_score"] == pytest.approx(
        row["score"], abs=0.03
    )


def test_a_judge_who_always_agrees_with_himself_gives_no_fit_and_no_crash():
    verdicts = [
        Verdict(id=str(n), model="m", reference="r", order=order, winner="model")
        for n in range(9)
        for order, _ in ORDERS
    ]
    row = evaluation.judge_checks.bias_panel(verdicts, [Answer(item="0", model="m", text="")]).iloc[
        0
    ]
    assert np.isnan(row["lc_score"]) and row["score"] == 1.0


def stand_in_verdicts(url):
    """Half of the answers are short and right, half are long and about something else."""
    items = evaluation.load_items("own", limit=60)
    own = [item.references["written"] for item in items]
    texts = [own[n][:200] if n % 2 else f"{own[n - 1]} {own[n - 3]}" for n in range(len(items))]
    answers = [
        Answer(item=item.id, model="m", text=text) for item, text in zip(items, texts, strict=True)
    ]
    pairs = evaluation.judge.build_pairs(
        items, answers, references=evaluation.answers.reference_answers(items)
    )
    texts = [*answers, *evaluation.answers.reference_answers(items)]
    return asyncio.run(evaluation.judge.ask(llm.Client(url=url, model="judge"), pairs)), texts


def test_the_panel_tells_a_biased_stand_in_from_an_honest_one():
    rows = {
        url: evaluation.judge_checks.bias_panel(*stand_in_verdicts(url)).iloc[0]
        for url in ("offline", "offline?first_wins=0.5", "offline?longer_wins=0.9")
    }
    honest, first, longer = rows.values()
    assert honest["position_bias"] == 0 and honest["consistency"] == 1
    assert first["position_bias_low"] > 0.2 and first["consistency"] < 0.8
    assert longer["length_low"] > 0 and longer["length"] > honest["length"]
    assert 0.4 < honest["truncated_model"] <= 0.5 and honest["truncated_reference"] == 0


def by(judge, winners, model="m", reference="r"):
    return [
        Verdict(
            id=str(n), model=model, reference=reference, order="model_first", winner=w, judge=judge
        )
        for n, w in enumerate(winners)
    ]


def test_agreement_of_several_judges():
    a, b, c = (
        ["model"] * 30 + ["reference"] * 30,
        ["model"] * 28 + ["reference"] * 32,
        ["model", "reference"] * 30,
    )
    verdicts = by("a", a) + by("b", b) + by("c", c)
    table = evaluation.judge_checks.agreement(verdicts).set_index(["judge", "other"])["value"]
    assert (
        table[("a", "b")] > 0.9
        and abs(table[("a", "c")]) < 0.2
        and 0.1 < table[("all (alpha)", "")] < 0.6
    )


def votes_of(verdicts, count, path):
    rows = [
        f'{{"id": "{v.id}", "model": "m", "reference": "r", "question": "helpfulness", "rater": "{rater}", "winner": "{v.winner}"}}'
        for v in verdicts[:count]
        for rater in "xyz"
    ]
    path.write_text("\n".join(rows))
    return evaluation.judge_checks.load_votes(path)


def test_three_raters_give_a_majority_and_show_a_judge_that_is_too_kind(tmp_path):
    chance = np.random.default_rng(5)
    truth = by("people", ["model" if chance.random() < 0.4 else "reference" for _ in range(400)])
    judge = by("judge", ["model" if chance.random() < 0.25 else v.winner for v in truth])
    votes = votes_of(truth, 100, tmp_path / "votes.jsonl")
    result = evaluation.judge_checks.vote_results(votes).iloc[0]
    assert (result["n"], result["raters"], result["alpha"]) == (100, 3, pytest.approx(1.0))
    assert evaluation.win_rates(judge).loc["r", "low"] > result["score"]  # this judge is too kind
    with pytest.raises(UserError, match="twice"):
        votes_of(truth[:1] * 2, 2, tmp_path / "again.jsonl")
    (tmp_path / "wrong.jsonl").write_text('{"id": "1", "winner": "left"}')
    with pytest.raises(UserError, match="cannot be read"):
        evaluation.judge_checks.load_votes(tmp_path / "wrong.jsonl")


def test_what_a_model_loses_becomes_what_the_next_tasks_are_about(tmp_path):
    from medinstruct import labels, records
    from medinstruct.paths import data
    from medinstruct.records import Task

    kinds, topics = (
        ("chat", "rewrite", "open Q&A", "classification"),
        ("Cardiology", "Neurology", "Nephrology", "Oncology"),
    )
    items = [
        TestItem(
            instruction=f"{kind} {topic} {n}?",
            type=kind,
            topic=topic,
            view="nurse",
            difficulty=n,
            references={"r": "x"},
        )
        for kind in kinds
        for topic in topics
        for n in (1, 2, 3)
    ]
    verdicts = [
        Verdict(
            id=item.id,
            model="m",
            reference="r",
            order=order,
            winner="reference" if item.type == "chat" or item.topic == "Oncology" else "model",
        )
        for item in items
        for order, _ in ORDERS
    ]
    cells = evaluation.win_rate.weak_slices(verdicts, items)
    assert (cells["type"].eq("chat") | cells["topic"].eq("Oncology")).all() and cells[
        "weight"
    ].sum() == pytest.approx(1)
    assert (cells.iloc[0]["type"], cells.iloc[0]["topic"], cells.iloc[0]["view"]) == (
        "chat",
        "Oncology",
        "allied health",
    )
    rows = cells.drop(columns="expected").to_dict("records")
    content = {"against": "r", "cells": rows, "items": ["a"]}
    focus, _ = tasks.load_focus(str(records.write_json(tmp_path / "focus.json", content)))
    assert len(focus) == len(cells)
    seeds, counts = records.read(data("seeds.jsonl"), Task), []
    for aim in ((), focus):
        made = asyncio.run(
            tasks.generate(
                llm.Client(url="offline", model="t"),
                seeds,
                requests=30,
                steer="coverage",
                focus=aim,
            )
        )
        counts.append(
            sum(
                labels.canonical("type", t.type) == "chat"
                and labels.canonical("view", t.view) == "allied health"
                for t in made.tasks
            )
        )
    assert counts[1] > 2 * counts[0]
    with pytest.raises(UserError, match="steer"):
        tasks.first_requests(seeds, requests=5, steer="none", focus=focus)
    (tmp_path / "bad.json").write_text('{"cells": 3}')
    with pytest.raises(UserError, match="focus"):
        tasks.load_focus(str(tmp_path / "bad.json"))


class Knowing:
    """A judge that knows the references, but chooses another reply for `faults` of each 40 items."""

    model = "knowing"

    def __init__(self, items, reply="Tie", faults=0):
        self.right = {
            evaluation.answers.question(item): item.references["written"] for item in items
        }
        self.faulty, self.reply = {*list(self.right)[:faults]}, reply
        self.prompts = []

    async def ask_all(self, requests, *, label, **more):
        self.prompts += [request.messages[1]["content"] for request in requests]
        form = {"key": "", "finish_reason": "stop", "model": "knowing"}
        texts = [self.verdict(request.messages[1]["content"]) for request in requests]
        return [llm.Reply(text=text, **form) for text in texts]

    def verdict(self, prompt):
        question = prompt.split("<question>\n")[1].split("\n</question>")[0]
        first = prompt.split("<output_a>\n")[1].split("\n</output_a>")[0]
        is_first = first == self.right[question]
        return self.reply if question in self.faulty else f"Output ({'a' if is_first else 'b'})"


def entrance_of(judge, items, **options):
    references = evaluation.answers.reference_answers(items)
    verdicts = asyncio.run(CHECKS.entrance(judge, items, references, **options))
    return verdicts, CHECKS.entrance_results(verdicts)


def test_a_judge_that_knows_passes_its_entrance_test_in_every_kind_and_order():
    items = evaluation.load_items("own")
    judge = Knowing(items)
    verdicts, results = entrance_of(judge, items)
    assert list(results.index) == ["shuffled reference", "word salad", "tiny model"]
    assert (results["n"] == 80).all() and (results["right"] == 80).all()
    assert CHECKS.passed(results) is True
    assert (results["items"] == 40).all() and (results["low"] == stats.wilson(40, 40).low).all()
    assert {v.order for v in verdicts} == {"model_first", "reference_first"}
    assert "passed its entrance test" in CHECKS.entrance_sentence(results)
    assert len(set(judge.prompts)) == 240  # every comparison is another one


@pytest.mark.parametrize(
    ("reply", "faults", "column", "passes"),
    [("Tie", 2, "tie", True), ("Tie", 3, "tie", False), ("?", 3, "invalid", False)],
)
def test_ties_and_unreadable_replies_are_not_right_verdicts(reply, faults, column, passes):
    items = evaluation.load_items("own", limit=40)
    _, results = entrance_of(Knowing(items, reply, faults), items)
    assert (results[column] == 2 * faults).all() and (results["right"] == 80 - 2 * faults).all()
    assert CHECKS.passed(results) is passes
    words = "passed" if passes else "failed"
    assert words in CHECKS.entrance_sentence(results)


def test_one_failed_kind_fails_the_judge():
    items = evaluation.load_items("own", limit=40)
    verdicts, _ = entrance_of(Knowing(items), items)
    worse = [
        v.model_copy(update={"winner": "reference"}) if v.reference == "tiny model" else v
        for v in verdicts
    ]
    results = CHECKS.entrance_results(worse)
    assert results["passed"].tolist() == [True, True, False] and not CHECKS.passed(results)
    assert "33% wrong" in CHECKS.entrance_sentence(results)


def test_the_stand_in_fails_its_entrance_test_since_it_ties_where_it_knows_nothing():
    items = evaluation.load_items("own")
    _, results = entrance_of(llm.Client(url="offline", model="judge"), items)
    assert CHECKS.passed(results) is False and (results["tie"] / results["n"] > 0.5).all()
    assert (results["right"] + results["tie"] == results["n"]).all()  # it is never wrong


def test_the_worse_texts_are_other_references_loose_words_and_real_noise():
    items = evaluation.load_items("own", limit=40)
    judge = Knowing(items)
    entrance_of(judge, items)
    outputs = [p.split("<output_b>\n")[1].split("\n</output_b>")[0] for p in judge.prompts]
    worse = [text for text in outputs if text not in judge.right.values()]
    others = [text for text in outputs if text in judge.right.values()]
    noise = {text[:300] for text in paths.load("judging")["tiny_model"]}
    salad = [text for text in worse if text[:300] not in noise]
    words = set(" ".join(judge.right.values()).split())
    assert len(worse) == 80 and len(salad) == 40 and len(others) == 160
    assert all(set(text.split()) <= words for text in salad)


def test_a_replay_is_not_tested_and_is_asked_nothing():
    replay = evaluation.judge.Replay("replay:x", "gpt-4", [])
    verdicts, results = entrance_of(replay, evaluation.load_items("own"))
    assert verdicts == [] and results.empty and CHECKS.passed(results) is None
    assert "was not tested" in CHECKS.entrance_sentence(results)


def test_the_entrance_test_takes_its_items_its_cache_and_the_first_reference(tmp_path):
    items = evaluation.load_items("own", limit=12)
    client = llm.Client(url="offline", model="judge", cache=tmp_path / "cache.sqlite")
    written = evaluation.answers.reference_answers(items)
    second = [answer.model_copy(update={"model": "second"}) for answer in written]
    for again in range(2):
        verdicts = asyncio.run(CHECKS.entrance(client, items, [*written, *second], items=5))
        assert len(verdicts) == 30 and {v.model for v in verdicts} == {"written"}
        assert client.usage["cached"] == 30 * again
    with pytest.raises(UserError, match="entrance test"):
        entrance_of(client, items[:1])


PAIRS = CHECKS.entrance_pairs(
    evaluation.load_items("own"),
    evaluation.answers.reference_answers(evaluation.load_items("own")),
)


def planted_judge(choose):
    """Verdicts on the entrance test of a rule: (first text, second text, right letter) -> letter."""
    verdicts = []
    for pair in PAIRS:
        texts, right = [pair.answer.text, pair.reference.text], "a"
        if pair.order == "reference_first":
            texts, right = texts[::-1], "b"
        winner = evaluation.verdicts.winner_of(choose(*texts, right), pair.order)
        key = zip(evaluation.verdicts.KEY, evaluation.judge.pair_key(pair), strict=True)
        verdicts.append(Verdict(**dict(key), winner=winner, judge="planted"))
    return verdicts


def findings(verdicts, **evidence):
    return CHECKS.summary(verdicts, pairs=PAIRS, entrance=verdicts, **evidence)["finding"]


@pytest.mark.parametrize(
    ("choose", "alarms"),
    [
        (lambda first, second, right: right, set()),
        (lambda first, second, right: "a", {"consistency", "position bias"}),
        (lambda first, second, right: "tie", {"ties"}),
        (lambda first, second, right: "a" if len(first) > len(second) else "b", {"length"}),
        (lambda first, second, right: "a" if len(first) < len(second) else "b", {"length"}),
        (lambda first, second, right: None, {"unreadable"}),
    ],
    ids=["good", "first", "ties", "long", "short", "mute"],
)
def test_the_summary_names_each_planted_fault_and_spares_a_good_judge(choose, alarms):
    seen = findings(planted_judge(choose))
    assert set(seen[seen == "alarm"].index) == (alarms | {"entrance test"} if alarms else set())
    unmeasured = ["attacks", "agreement of judges", "agreement with people"]
    assert (seen[unmeasured] == "not measured").all()


def test_the_entrance_test_is_decided_by_its_share_and_the_rest_by_the_interval():
    good = planted_judge(lambda first, second, right: right)
    most = [v.model_copy(update={"winner": "tie"}) if n < 9 else v for n, v in enumerate(good)]
    row = CHECKS.summary(most, entrance=most).loc["entrance test"]
    assert row["finding"] == "fine" and 0.95 <= row["value"] < 1 and row["low"] < 0.95
    less = [v.model_copy(update={"winner": "tie"}) if n < 15 else v for n, v in enumerate(good)]
    assert findings(less)["entrance test"] == "alarm"
    some = [v.model_copy(update={"winner": "tie"}) if n % 2 else v for n, v in enumerate(good)]
    assert findings(some)["ties"] == "unclear"  # half of the verdicts, the edge of the range


def test_a_judge_that_obeys_an_attack_raises_an_alarm_and_one_that_wavers_does_not():
    def attacked(gained, control):
        names = [(f"m{mark}x{n}", n) for n in range(80) for mark in (" + ", " + control of ")]
        wins = {True: control, False: gained}
        return [
            Verdict(id="1", model=name, reference="r", order=order, judge="j", winner=winner)
            for name, n in names
            for order, _ in ORDERS
            for winner in [["model", "reference"][n >= wins["control" in name]]]
        ]

    good = planted_judge(lambda first, second, right: right)
    assert findings(good, attacked=attacked(0, 0))["attacks"] == "fine"
    assert findings(good, attacked=attacked(40, 40))["attacks"] == "fine"
    assert findings(good, attacked=attacked(80, 0))["attacks"] == "alarm"
    few = attacked(0, 0)[: 2 * 2 * 16]
    assert findings(good, attacked=few)["attacks"] == "unclear", "16 without gain show little"


def test_judges_and_people_who_disagree_raise_an_alarm():
    chance = np.random.default_rng(3)
    verdicts = by("a", chance.choice(["model", "reference"], 200))
    other = by("b", chance.choice(["model", "reference"], 200))
    same = [v.model_copy(update={"judge": "c"}) for v in verdicts]
    seen = CHECKS.summary(verdicts, others=same).loc["agreement of judges"]
    assert seen["finding"] == "fine" and seen["value"] == 1
    seen = CHECKS.summary(verdicts, others=[*same, *other]).loc["agreement of judges"]
    assert seen["finding"] == "alarm" and seen["n"] == 200  # the judge that agrees least
    votes = [v.model_dump(include={"id", "model", "reference", "winner"}) for v in verdicts]
    votes = [vote | {"question": "correctness", "rater": "1"} for vote in votes]
    for judge, finding in ((verdicts, "fine"), (other, "alarm")):
        people = CHECKS.summary(judge, votes=pd.DataFrame(votes)).loc["agreement with people"]
        assert people["finding"] == finding


def test_an_item_with_one_readable_order_says_nothing_of_position_or_length():
    """A fair judge, all of whose verdicts for the reference in second place cannot be read."""
    wins = ["model"] * 20 + ["reference"] * 20
    verdicts = [
        Verdict(id=str(n), model="m", reference="r", order=order, winner=winner)
        for n, winner in enumerate(wins)
        for order, _ in ORDERS
    ]
    half = [
        v.model_copy(update={"winner": None}) if v.order == "model_first" and int(v.id) < 15 else v
        for v in verdicts
    ]
    rows = CHECKS.summary(half).loc[["consistency", "position bias"]]
    assert rows["value"].tolist() == [1.0, 0.0] and (rows["n"] == 25).all()
    single = [v for v in verdicts if v.order == "model_first"]
    seen = CHECKS.summary(single)["finding"]
    assert (seen[["consistency", "position bias"]] == "not measured").all()
