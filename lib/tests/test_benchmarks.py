"""Benchmarks: what a reply says, what each set's rows become, scores that can be computed by hand, results that are kept."""

import json
import os
import re
import sys
from contextlib import nullcontext
from types import SimpleNamespace as Namespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import tiny_model

from medinstruct import benchmarks, paths, records
from medinstruct.benchmarks import extraction, question_sets, scores
from medinstruct.errors import UserError
from medinstruct.filtering import contamination

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is in the extra `train`")

FOUR = ["Aspirin", "Beta blocker", "Calcium gluconate", "Digoxin"]
REPLIES = [
    ("The answer is (C).", 2),
    ("The answer is C.", 2),
    ("Answer: c", 2),
    ("Answer: C", 2),
    ("answer:B", 1),
    ("**B**", 1),
    ("B", 1),
    ("(D)", 3),
    ("d", 3),
    ("D.", 3),
    ("B) Beta blocker", 1),
    ("B. Beta blocker is right because it slows the rate.", 1),
    ("**Answer: (A) Aspirin**", 0),
    ("The correct option is A", 0),
    ("The correct answer is: **D**", 3),
    ("Option C is correct.", 2),
    ("I would choose option B.", 1),
    ("I'd go with D", 3),
    ("\\boxed{C}", 2),
    ("The final answer is $\\boxed{\\text{B}}$.", 1),
    (
        "The patient is hyperkalemic. Calcium protects the heart.\n\nThe answer is (C) Calcium gluconate.",
        2,
    ),
    ("A is wrong, B is wrong, D is harmful. Therefore the answer is C.", 2),
    ("First I thought the answer is A. But the answer is D.", 3),
    ("<think>The answer is A.</think>The answer is B.", 1),
    ("<think>Perhaps the answer is A, or", None),
    ("[B]", 1),
    ("Answer - B", 1),
    ("The answer is option (B).", 1),
    ("The most appropriate answer is (D): Digoxin.", 3),
    ("정답은 C입니다.", 2),
    ("정답: B", 1),
    ("답은 (A)입니다", 0),
    ("정답은 (D) 디곡신입니다.", 3),
    ("答案是B。", 1),
    ("Digoxin", 3),
    ("calcium gluconate", 2),
    ("The answer is Beta blocker.", 1),
    ("The best treatment is a beta blocker.", 1),
    ("A patient with gout should rest.", None),
    ("The answer is a difficult one.", None),
    ("I'm sorry, but I cannot give medical advice.", None),
    ("", None),
    ("   \n ", None),
    ("The answer is A or C.", None),
    ("It could be (A) or (B).", None),
    ("Both (B) and (D) are reasonable.", None),
    ("The answer is E.", None),
    ("Aspirin or digoxin, it depends.", None),
    ("As an AI language model, I have no opinion.", None),
    ("Step 1: rule out (A). Step 2: weigh (B).\nSo my answer: **(B)**", 1),
    ("The answer is B because A and C are wrong.", 1),
    ("Explanation: rate control.\n\nB", 1),
    ("The answer to this question is (C).", 2),
    ("Correct answer: (A)", 0),
    ("The answer is B, a drug that slows the rate.", 1),
    ("Answer: a or c", None),
    ("The answer is C, not D.", 2),
    ("The answer is None of the above.", None),
    ("(C) Calcium gluconate", 2),
    ("I'd say option (A), since aspirin thins the blood.", 0),
]


@pytest.mark.parametrize(
    ("reply", "choice"), REPLIES, ids=[reply[:40] or "empty" for reply, _ in REPLIES]
)
def test_the_option_is_read_from_a_reply_as_models_write_it(reply, choice):
    assert extraction.extract_choice(reply, FOUR) == choice


def test_at_least_forty_kinds_of_reply_are_tried():
    assert len(REPLIES) >= 40


@pytest.mark.parametrize(
    ("reply", "choice"),
    [
        ("yes", 0),
        ("No.", 1),
        ("Maybe", 2),
        ("The answer is yes.", 0),
        ("**Answer: no**", 1),
        ("Yes. There is no doubt about it.", 0),
        ("No effect was seen in the maybe group.\nThe answer is (maybe).", 2),
        ("The data are unclear.", None),
        ("yesterday", None),
        ("It is known that noise matters. The answer is: yes", 0),
        ("Perhaps yes, perhaps no.", None),
        ("", None),
    ],
)
def test_yes_no_and_maybe_are_read_as_words(reply, choice):
    assert extraction.extract_word(reply, ["yes", "no", "maybe"]) == choice


@given(st.text(max_size=200))
def test_reading_never_fails_and_never_leaves_the_options(reply):
    assert extraction.extract_choice(reply, FOUR) in (None, 0, 1, 2, 3)
    assert extraction.extract_word(reply, ["yes", "no", "maybe"]) in (None, 0, 1, 2)


@given(
    st.integers(0, 12),
    st.sampled_from(
        ["The answer is ({}).", "Answer: {}", "**{}**", "So the correct option is {}."]
    ),
)
def test_every_letter_is_read_in_every_common_form(n, form):
    options = [f"option number {k}" for k in range(13)]
    assert extraction.extract_choice(form.format(extraction.LETTERS[n]), options) == n


def test_free_targets_are_compared_without_brackets_and_case():
    doc = {"target": "(B)"}
    assert extraction.score_exact(doc, ["Let us think. So the answer is (b)."]) == {
        "acc": 1.0,
        "unread": 0.0,
    }
    assert extraction.score_exact(doc, ["I do not know."]) == {"acc": 0.0, "unread": 1.0}
    assert extraction.extract_exact("The answer is not this. The answer is valid.") == "valid"


# The sets.

ROWS = {
    "medqa": {
        "question": "Q?",
        "options": {"A": "w", "B": "x", "C": "y", "D": "z"},
        "answer_idx": "C",
        "answer": "y",
    },
    "medmcqa": {
        "id": "1",
        "question": "Q?",
        "opa": "w",
        "opb": "x",
        "opc": "y",
        "opd": "z",
        "cop": 2,
        "subject_name": "Anatomy",
    },
    "pubmedqa": {
        "pubid": 7,
        "question": "Q?",
        "context": {"contexts": ["a", "b"]},
        "final_decision": "maybe",
    },
    "headqa": {
        "qtext": "Q?",
        "ra": 3,
        "answers": [{"aid": n, "atext": t} for n, t in enumerate("wxyz", 1)],
        "category": "biology",
    },
    "mmlu": {"question": "Q?", "choices": ["w", "x", "y", "z"], "answer": 2, "subject": "anatomy"},
    "truthfulqa": {
        "question": "Q?",
        "mc1_targets": {"choices": ["right", "w", "x"], "labels": [1, 0, 0]},
    },
    "meqsum": {
        "File": "1",
        "CHQ": "SUBJECT: a\nMESSAGE: I want to know who makes it.",
        "Summary": "Who makes it?",
    },
    "kormedmcqa": dict(zip("ABCDE", "vwxyz", strict=True)) | {"question": "Q?", "answer": 3},
    "bbh": {"input": "Q?", "target": "(B)"},
}


def test_kormedmcqa_counts_its_five_options_from_one_and_is_asked_in_korean():
    row = dict(zip("ABCDE", "vwxyz", strict=True)) | {"subject": "doctor", "question": "무엇인가?"}
    made = question_sets.convert("kormedmcqa", row | {"answer": 4})
    assert (made["target"], made["letters"], made["answer"]) == ("y", list("ABCDE"), 3)
    assert made["question"] == "무엇인가?"
    tasks = [name for name in question_sets.task_files() if name.startswith("kormedmcqa")]
    assert tasks == ["kormedmcqa_gen", "kormedmcqa_ll"]


def test_each_published_form_becomes_the_same_question():
    made = {name: question_sets.convert(name, row) for name, row in ROWS.items()}
    for name in ("medqa", "medmcqa", "headqa", "mmlu"):
        assert (
            made[name]["options"] == ["w", "x", "y", "z"]
            and made[name]["answer"] == 2
            and made[name]["target"] == "y"
        )
    assert (
        made["pubmedqa"]["target"] == "maybe"
        and made["pubmedqa"]["context"] == "a\nb"
        and made["pubmedqa"]["id"] == "7"
    )
    assert made["truthfulqa"]["target"] == "right" and sorted(made["truthfulqa"]["options"]) == [
        "right",
        "w",
        "x",
    ]
    assert (
        made["meqsum"]["question"] == "I want to know who makes it."
        and made["bbh"]["target"] == "(B)"
    )


@pytest.mark.parametrize(
    ("change", "say"),
    [
        ({"question": None}, "'question' is undefined"),
        ({"options": dict(zip("ABCDE", "vwxyz", strict=True))}, "5 options"),
        ({"answer_idx": "E"}, "label outside"),
        ({"answer_idx": None}, "label outside"),
        ({"question": " "}, "is empty"),
    ],
)
def test_a_bad_row_names_the_benchmark_the_row_and_the_remedy(change, say, tmp_path):
    row = {
        key: value
        for key, value in (ROWS["medqa"] | change).items()
        if value is not None or key == "answer_idx"
    }
    path = tmp_path / "medqa.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in (ROWS["medqa"], row)))
    with pytest.raises(UserError) as caught:
        benchmarks.load(["medqa_ll"], data={"medqa": str(path)})
    assert (
        "medqa" in str(caught.value)
        and "line 2" in str(caught.value)
        and say in str(caught.value)
        and "do:" in str(caught.value)
    )


def test_an_empty_split_an_unknown_task_and_an_unknown_set_are_told(tmp_path):
    (tmp_path / "medqa.jsonl").write_text("")
    with pytest.raises(UserError, match="no rows"):
        benchmarks.load(["medqa_ll"], data={"folder": str(tmp_path)})
    with pytest.raises(UserError, match="benchmark_tasks"):
        benchmarks.load(["medqa"])
    with pytest.raises(UserError, match="benchmark_data"):
        benchmarks.load(["own_ll"], data={"nothing": str(tmp_path)})


def test_what_cannot_be_reached_is_listed_and_the_rest_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(question_sets, "hub_answers", lambda: False)
    found = benchmarks.load(["medqa_ll", "own_ll", "mmlu_gen"], limit=4)
    assert [bool(one.problem) for one in found] == [True, False, True] and "not reachable" in found[
        0
    ].problem
    results = benchmarks.run(found, [contestant(Rigged("B"))], folder=tmp_path)
    table = scores.score_table(found, results)
    assert list(table["task"]) == ["medqa_ll", "own_ll", "mmlu_gen"] and table[
        "score"
    ].isna().tolist() == [True, False, True]
    assert table["status"].tolist()[1] == "a quick look: 4 of 212"


def test_the_harness_alone_reads_our_task_files():
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(paths.data("benchmarks")), include_defaults=False)
    assert (
        manager.all_subtasks == list(question_sets.task_files())
        and len(list(question_sets.task_files())) == 22
    )
    task = manager.load(["own_ll"])["tasks"]["own_ll"]
    assert len(task.test_docs()) == 212 and task.doc_to_choice(task.test_docs()[0]) == [
        "A",
        "B",
        "C",
        "D",
    ]


def test_every_set_of_the_hub_is_pinned_to_a_commit():
    for name, setup in question_sets.task_files().items():
        if "dataset_path" in setup:
            assert len(setup["dataset_kwargs"]["revision"]) == 40, name
        elif name.startswith("meqsum"):
            assert "#sha256=" in setup["metadata"]["url"]


# A model of which everything is known.


class _Rigged:
    """Prefers one continuation (or the first it is given), and replies with one sentence."""

    def __init__(self, liked, reply="The answer is (B)."):
        super().__init__()
        self.liked, self.reply, self.asked = liked, reply, []

    tokenizer_name = "rigged"

    def loglikelihood(self, requests, **_):
        self.asked += [request.args for request in requests]
        return [
            (-1.0 if request.args[1].strip() == self.liked else -3.0, False) for request in requests
        ]

    def loglikelihood_rolling(self, requests, **_):
        raise NotImplementedError

    def generate_until(self, requests, **_):
        self.asked += [request.args for request in requests]
        return [self.reply for _ in requests]


def Rigged(liked, reply="The answer is (B)."):
    from lm_eval.api.model import LM

    return type("RiggedLM", (_Rigged, LM), {})(liked, reply)


def contestant(lm, name="rigged", key="1"):
    return benchmarks.Contestant(name, key, lambda: nullcontext(lm))


def accuracy(result):
    return np.mean([sample.score for sample in result.samples])


def test_a_model_that_always_says_b_scores_the_share_of_b(tmp_path):
    found = benchmarks.load(["own_ll", "own_gen"])
    likelihood, generation = benchmarks.run(found, [contestant(Rigged("B"))], folder=tmp_path)
    right = [one["answer"] == 1 for one in found[0].questions]
    assert (
        [sample.score for sample in likelihood.samples]
        == [sample.score for sample in generation.samples]
        == right
    )
    assert accuracy(likelihood) == 0.25
    shares = np.exp([-3, -1, -3, -3]) / np.exp([-3, -1, -3, -3]).sum()
    assert likelihood.samples[0].probabilities == pytest.approx(shares, abs=1e-5)
    table = scores.score_table(found, [likelihood, generation])
    assert (
        (table["chance"] == 0.25).all()
        and (table["majority"] == 0.25).all()
        and table["unread"].iloc[1] == 0
    )
    assert table["error"].iloc[0] == pytest.approx(
        np.sqrt(0.25 * 0.75 / (len(found[0].questions) - 1))
    )


def test_replies_without_an_option_are_wrong_and_counted(tmp_path):
    found = benchmarks.load(["own_gen"], generation_limit=10)
    results = benchmarks.run(found, [contestant(Rigged("", "I cannot say."))], folder=tmp_path)
    table = scores.score_table(found, results)
    assert table["score"].item() == 0 and table["unread"].item() == 1


def test_every_published_form_scores_what_can_be_computed_by_hand(tmp_path):
    for name in ("medqa", "headqa", "medmcqa", "mmlu"):
        rows = [ROWS[name] | {"question": f"Q{n}?", "qtext": f"Q{n}?"} for n in range(5)]
        rows = [row | {"cop": row.get("cop", 2) + 1} for row in rows]  # the authors count from 1
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = benchmarks.load(
        ["medqa_ll", "headqa_ll", "medmcqa_ll", "mmlu_ll", "medqa_gen"],
        data={"folder": str(tmp_path)},
    )
    assert [one.problem for one in found] == [""] * 5
    for liked, score in (("C", 1.0), ("A", 0.0)):
        results = benchmarks.run(
            found,
            [contestant(Rigged(liked, f"So it is {liked}.\n{liked}"), key=liked)],
            folder=tmp_path,
        )
        assert [accuracy(result) for result in results] == [score] * 5


def test_the_question_is_asked_in_the_template_with_options_and_examples(tmp_path):
    found = benchmarks.load(["own_ll"], limit=2)
    lm = Rigged("A")
    benchmarks.run(found, [contestant(lm)], folder=tmp_path, template="alpaca", shots=1)
    text, continuation = lm.asked[0]
    assert (
        text.count("### Instruction:") == 2
        and text.endswith("### Response:\nThe answer is (")
        and continuation == "A"
    )
    example = text.split("### Response:\nThe answer is (")[1]
    assert example[1:3] == ")." and example[0] in "ABCD", "an example is written out in full"
    assert f"(A) {found[0].questions[0]['options'][0]}" in text


def test_a_worked_example_ends_on_its_letter_its_word_or_its_text(tmp_path):
    for name in ("medqa", "pubmedqa", "truthfulqa", "bbh"):
        column = "input" if name == "bbh" else "question"
        rows = [ROWS[name] | {column: f"Q{n}?", "pubid": n} for n in range(3)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "test_ground_truth.json").write_text('{"1": "maybe"}')
    found = benchmarks.load(
        ["medqa_gen", "pubmedqa_gen", "truthfulqa_gen", "bbh_gen"], data={"folder": str(tmp_path)}
    )
    prompts = []
    for benchmark in found:
        lm = Rigged("A")
        benchmarks.run([benchmark], [contestant(lm)], folder=tmp_path, shots=1)
        prompts.append(lm.asked[0][0])
    ends = [f"The answer is ({'ABC'[one['answer']]})." for one in found[2].questions]
    assert "The answer is (C)." in prompts[0] and "The answer is maybe." in prompts[1]
    assert any(end in prompts[2] for end in ends) and "(B)\n" in prompts[3]


def test_a_chat_template_that_is_not_there_is_a_problem(tmp_path, monkeypatch):
    bare = Namespace(chat_template=None, name_or_path="rigged")
    monkeypatch.setattr(_Rigged, "tokenizer", bare, raising=False)
    with pytest.raises(UserError, match="no chat template"):
        benchmarks.run(
            benchmarks.load(["own_ll"], limit=2),
            [contestant(Rigged("A"))],
            folder=tmp_path,
            template="chat",
        )
    with pytest.raises(UserError, match="unknown value"):
        benchmarks.run(
            benchmarks.load(["own_ll"], limit=2),
            [contestant(Rigged("A"))],
            folder=tmp_path,
            template="vicuna",
        )


def test_a_second_run_asks_nothing_and_a_killed_one_goes_on(tmp_path):
    found = benchmarks.load(["own_ll", "own_gen"], limit=6, generation_limit=6)
    dying = Rigged("B")
    dying.generate_until = None
    with pytest.raises(TypeError):
        benchmarks.run(found, [contestant(dying)], folder=tmp_path)
    lm = Rigged("B")
    results = benchmarks.run(found, [contestant(lm)], folder=tmp_path)
    assert len(lm.asked) == 6, "only the generation task was left"
    never = benchmarks.Contestant("rigged", "1", lambda: pytest.fail("opened again"))
    assert benchmarks.run(found, [never], folder=tmp_path) == results
    for more in ({"shots": 1}, {"seed": 1}, {"max_tokens": 9}):
        other = Rigged("B")
        benchmarks.run(found, [contestant(other)], folder=tmp_path, **more)
        assert other.asked, "another setting is another result"
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


# The statistics.


def result(values, *, model="base", probabilities=(), task="own_ll", **more):
    samples = [
        benchmarks.Sample(
            id=str(n),
            score=score,
            answer=0,
            choice=0,
            probabilities=probabilities[n] if probabilities else (),
            **more,
        )
        for n, score in enumerate(values)
    ]
    about = {"model": model, "task": task, "variant": "likelihood", "version": ""}
    return benchmarks.Result(**about, samples=samples)


def test_mcnemar_counts_only_the_questions_that_one_model_got_right():
    from scipy.stats import binom

    before, after = (
        [1] * 50 + [1] * 3 + [0] * 12 + [0] * 35,
        [1] * 50 + [0] * 3 + [1] * 12 + [0] * 35,
    )
    row = scores.paired([result(before), result(after, model="tuned")]).iloc[0]
    assert (row["gained"], row["lost"], row["n"]) == (12, 3, 100) and row[
        "change"
    ] == pytest.approx(0.09)
    assert row["p"] == pytest.approx(2 * binom.cdf(3, 15, 0.5))


def test_two_models_that_answered_different_questions_are_not_compared():
    with pytest.raises(UserError, match="different questions"):
        scores.paired([result([1, 0]), result([1, 0, 1], model="tuned")])


def test_every_model_is_compared_with_base_and_aligned_with_tuned_and_a_loss_has_a_state():
    """Kept is what excludes a loss of ten points, lost what excludes none; else it is not shown."""
    values = {
        "base": [1] * 60,
        "tuned": [1] * 60,
        "aligned": [0] * 9 + [1] * 51,
        "more": [0] * 3 + [1] * 57,
    }
    form = {"task": "own_general_gen"}
    change = scores.paired([result(v, model=m, **form) for m, v in values.items()])
    pairs = list(zip(change["model"], change["minus"], strict=True))
    assert pairs == [*((m, "base") for m in [*values][1:]), ("aligned", "tuned")]
    assert change["lost"].tolist() == [0, 9, 3, 9] and (change["p_holm"] >= change["p"]).all()
    sets = benchmarks.load(["own_general_gen", "own_ll"], limit=5, generation_limit=2)
    assert [len(one.questions) for one in sets] == [60, 5], "short replies are all asked"
    cells = paths.cells(paths.notebook("12_run_benchmarks"))
    (rule,) = ("".join(cell["source"]) for cell in cells if cell["id"] == "forgetting")
    scope = {"change": change, "sets": sets, "np": np}
    exec(rule, scope)
    assert scope["forgotten"]["state"].tolist() == ["kept", "lost", "not shown"]
    for other in (scores.paired([]), change.assign(task="own_ll")):
        exec(rule, scope | {"change": other})


def test_a_general_question_is_scored_by_its_pattern_after_the_thoughts(tmp_path):
    (general,) = benchmarks.load(["own_general_gen"])
    lm = Rigged("", "<think>Berlin? No.</think>It is PARIS, or 12.")
    (outcome,) = benchmarks.run([general], [contestant(lm)], folder=tmp_path)
    right = [
        row["question"]
        for row, s in zip(general.questions, outcome.samples, strict=True)
        if s.score
    ]
    assert "What is the capital of France?" in right and "What is 7 plus 5?" in right
    assert len(right) == 5 and scores.score_table([general], [outcome]).loc[0, "score"] == 5 / 60


def test_a_set_whose_scorer_lacks_a_package_says_so_and_asks_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "immutabledict", None)
    rule = {"key": 1, "prompt": "Write in lowercase.", "kwargs": [{"num_words": None}]}
    rule["instruction_id_list"] = ["change_case:english_lowercase"]
    file = written(tmp_path, "ifeval.jsonl", [rule])
    (found,) = benchmarks.load(["ifeval_gen"], data=file)
    assert "not scored: " in found.problem and "lm-eval[ifeval]" in found.problem
    monkeypatch.setattr(question_sets, "_lacking", lambda _: "")
    (found,) = benchmarks.load(["ifeval_gen"], data=file)
    kept = json.loads(found.questions[0]["target"])
    assert kept == {name: rule[name] for name in ("kwargs", "instruction_id_list")}


def test_order_sensitivity_tells_a_reader_from_a_lover_of_letters(tmp_path):
    benchmark = benchmarks.load(["own_ll"], limit=24)[0]
    reader = Rigged("")
    right = {one["question"]: one["options"][one["answer"]] for one in benchmark.questions}
    reader.loglikelihood = lambda requests, **_: [
        (
            -1.0
            if request.doc["options"][extraction.LETTERS.index(request.args[1].strip())]
            == right[request.doc["question"]]
            else -3.0,
            False,
        )
        for request in requests
    ]
    both = [contestant(reader, "reader", "r"), contestant(Rigged("C"), "lover", "l")]
    choices = scores.rotated_choices(benchmark, both, items=8, folder=tmp_path)
    rows, places = scores.order_sensitivity(choices)
    assert rows.loc["reader", ["same", "score", "spread"]].tolist() == [1.0, 1.0, 0.0]
    assert (
        rows.loc["lover", ["same", "score", "spread"]].tolist() == [0.0, 0.25, 1.0]
        and places.loc["C", "lover"] == 1
    )
    assert places["reader"].tolist() == [0.25] * 4


def reading(benchmark):
    """A model that chooses the right option by its words."""
    target = {row["question"]: row["options"][row["answer"]] for row in benchmark.questions}

    def loglikelihood(requests, **_):
        letters = [extraction.LETTERS.index(request.args[1].strip()) for request in requests]
        pairs = zip(requests, letters, strict=True)
        chosen = [r.doc["options"][n] == target[r.doc["question"]] for r, n in pairs]
        return [(-1.0 if hit else -3.0, False) for hit in chosen]

    model = Rigged("")
    model.loglikelihood = loglikelihood
    return model


def test_a_lover_of_letters_is_not_shown_to_read_the_options(tmp_path):
    benchmark = benchmarks.load(["own_ll"], limit=60)[0]
    models = [contestant(reading(benchmark), "reader", "r"), contestant(Rigged("C"), "lover", "l")]
    options = {"items": 0, "folder": tmp_path}
    choices = scores.rotated_choices(benchmark, models, **options)
    table, _ = scores.order_sensitivity(choices)
    assert table.loc["lover", ["letter", "share", "agreement", "p"]].tolist() == ["C", 1.0, 0.0, 1]
    assert table.loc["reader", "share"] < 0.3 and table.loc["reader", "agreement"] == 1
    assert table["reads_options"].tolist() == [True, False]


def test_order_sensitivity_counts_replies_that_name_no_option(tmp_path):
    benchmark = benchmarks.load(["own_gen"], generation_limit=6)[0]
    mute = contestant(Rigged("", "I cannot say."))
    choices = scores.rotated_choices(benchmark, [mute], items=2, folder=tmp_path)
    rows, places = scores.order_sensitivity(choices)
    assert rows.loc["rigged", ["questions", "same", "score"]].tolist() == [2, 0.0, 0.0]
    assert places["rigged"].tolist() == [0.0] * 4
    assert not rows["reads_options"].any()


def turned(letter_of, *, questions=6, size=4):
    """The choices of a model that puts `letter_of(question, steps)`, as `rotated_choices` has them."""
    cells = [(f"q{n}", steps) for n in range(questions) for steps in range(size)]
    table = pd.DataFrame(cells, columns=["question", "steps"]).assign(model="m", size=size)
    table["choice"] = [letter_of(int(name[1:]), steps) for name, steps in cells]
    return table.assign(letter=table["choice"].map(dict(enumerate("ABCD"))), answer=0, score=0.0)


def test_a_model_of_many_letters_that_follows_none_of_the_options_is_not_said_to_read():
    """No letter has 90%, and yet no choice survives: the rule of 90% named no model."""
    by_place = turned(lambda n, steps: n % 3)  # one letter a question, whatever stands there
    table = scores.order_sensitivity(by_place)[0].loc["m"]
    assert table["share"] < 0.9 and table["agreement"] == 0 and not table["reads_options"]
    chance = np.random.default_rng(5)
    guessed = [
        scores.order_sensitivity(turned(lambda *_: chance.integers(4)))[0] for _ in range(60)
    ]
    assert np.mean([row["reads_options"].item() for row in guessed]) <= 0.1  # 5% of guessers pass
    assert np.mean([row["by_chance"].item() for row in guessed]) == pytest.approx(0.25, abs=0.03)


def test_a_model_that_reads_half_of_the_questions_is_said_to_read():
    chance = np.random.default_rng(6)
    half = turned(lambda n, steps: (n + steps) % 4 if n < 3 else chance.integers(4))
    row = scores.order_sensitivity(half)[0].loc["m"]
    assert row["reads_options"] and 0.5 <= row["agreement"] < 0.9


@given(st.integers(2, 6), st.integers(0, 12))
def test_turning_keeps_the_right_option_right_and_a_full_turn_changes_nothing(size, steps):
    one = {"id": "q", "options": [str(n) for n in range(size)], "answer": size - 1}
    moved = scores.rotate(one, steps)
    assert moved["options"][moved["answer"]] == one["options"][one["answer"]]
    assert scores.rotate(one, size)["options"] == one["options"]


def test_the_majority_is_that_of_the_whole_set_and_not_of_the_questions_asked(tmp_path):
    named = {"A": "w", "B": "x"}
    keys = [{"answer_idx": "ABBB"[n % 4], "answer": named["ABBB"[n % 4]]} for n in range(40)]
    rows = [ROWS["medqa"] | {"question": f"Q{n}?"} | key for n, key in enumerate(keys)]
    path = tmp_path / "medqa.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    few = benchmarks.load(["medqa_ll"], data={"medqa": str(path)}, limit=10)
    asked = [row["answer"] for row in few[0].questions]
    results = benchmarks.run(few, [contestant(Rigged("A"))], folder=tmp_path)
    row = scores.score_table(few, results).iloc[0]
    assert set(asked) == {0}, "a sample that would put the majority at 100%"
    assert (row["majority"], row["always"]) == (0.75, "x")
    assert (row["n"], row["total"]) == (10, 40)


def test_worked_examples_are_of_the_subject_of_the_question_and_never_the_question(tmp_path):
    subjects = ["anatomy"] * 3 + ["virology"] * 3 + ["law"]
    rows = [ROWS["mmlu"] | {"question": f"Q{n}?", "subject": s} for n, s in enumerate(subjects)]
    path = tmp_path / "mmlu.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sets = benchmarks.load(["mmlu_ll"], data={"mmlu": str(path)})
    lm = Rigged("A")
    benchmarks.run(sets, [contestant(lm)], folder=tmp_path, shots=2)
    of = dict(zip([f"Q{n}?" for n in range(7)], subjects, strict=True))
    for text in dict.fromkeys(text for text, _ in lm.asked):
        *shots, asked = re.findall(r"(?m)^Q\d\?", text)
        assert len(shots) == 2 and asked not in shots
        assert of[asked] == "law" or {of[shot] for shot in shots} == {of[asked]}


def test_examples_of_every_subject_are_kept(monkeypatch):
    rows = [ROWS["mmlu"] | {"question": f"Q{n}?", "subject": f"s{n // 50}"} for n in range(200)]
    pairs = [(f"row {n}", row) for n, row in enumerate(rows, 1)]
    monkeypatch.setattr(question_sets, "_splits", lambda *_: ([pairs[:4], pairs], "nowhere"))
    examples = benchmarks.load(["mmlu_ll"])[0].examples
    assert pd.Series([row["subject"] for row in examples]).value_counts().tolist() == [50] * 4


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("Let us see. The answer is ] ) >.", 1.0),
        ("The answer is: **])>**", 1.0),
        ("The answer is ] ) )", 0.0),
        ("The answer is ] )", 0.0),
        ("I cannot say.", 0.0),
    ],
)
def test_a_target_of_brackets_is_compared_with_its_brackets(reply, score):
    assert extraction.score_exact({"target": "] ) >"}, [reply])["acc"] == score


def test_closing_brackets_are_not_opening_ones():
    assert extraction.score_exact({"target": ") )"}, ["The answer is ( ("])["acc"] == 0


def written(folder, name, content):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return {name.partition(".")[0]: str(path)}


@pytest.mark.parametrize("first", [0, 1])
def test_medmcqa_is_read_as_its_authors_and_as_the_hub_count_the_options(tmp_path, first):
    rows = [ROWS["medmcqa"] | {"id": str(n), "cop": n + first} for n in range(3)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    questions = benchmarks.load(["medmcqa_ll"], data=written(tmp_path, "medmcqa.json", lines))[0]
    assert [row["target"] for row in questions.questions] == ["w", "x", "y"]


def test_headqa_is_read_as_its_authors_nest_it(tmp_path):
    answers = [{"aid": n, "atext": text} for n, text in enumerate("wxyz", 1)]
    row = {"qid": "1", "qtext": "Which?", "ra": "2", "answers": answers}
    exams = {name: {"category": name, "data": [row]} for name in ("biology", "nursing")}
    content = {"version": "1.0", "language": "en", "exams": exams}
    questions = benchmarks.load(["headqa_ll"], data=written(tmp_path, "headqa.json", content))[0]
    read = [(row["target"], row["subject"]) for row in questions.questions]
    assert read == [("x", "biology"), ("x", "nursing")]


def test_a_context_that_is_one_text_stays_one_text():
    row = {"pubid": "0", "question": "Q?", "context": "We measured it.", "final_decision": "yes"}
    assert question_sets.convert("pubmedqa", row)["context"] == "We measured it."


CASES = [
    ("medmcqa", "25_medmcqa_of_its_authors/medmcqa.json", ["Vitamin C", "Naloxone", "Pancreas"]),
    ("medmcqa", "25_medmcqa_of_its_authors/medmcqa.jsonl", ["Vitamin C", "Naloxone", "Pancreas"]),
    ("pubmedqa", "27_pubmedqa_context_is_one_text/pubmedqa.jsonl", ["yes"] * 3),
    ("headqa", "28_headqa_of_its_authors/headqa.json", ["Liver"]),
    ("pubmedqa", "29_benchmark_with_a_bom/pubmedqa.json", ["yes"]),
]


@pytest.mark.parametrize(("name", "file", "targets"), CASES, ids=[file for _, file, _ in CASES])
def test_the_collected_cases_are_read(real_data, name, file, targets):
    (loaded,) = benchmarks.load([f"{name}_ll"], data={name: str(real_data / "cases" / file)})
    assert [row["target"] for row in loaded.questions] == targets
    assert all(" " in row["context"] for row in loaded.questions if name == "pubmedqa")


def test_the_questions_of_every_set_are_searched_and_what_is_missing_is_named(
    monkeypatch, tmp_path
):
    """Notebook 03 joins the two; sets are read without the harness, an extra of training."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "lm_eval"]:
        monkeypatch.setitem(sys.modules, name, None)
    question_sets.sets.cache_clear()
    monkeypatch.setattr(question_sets, "hub_answers", lambda: False)
    lines = "".join(json.dumps(ROWS["medqa"] | {"question": f"Q{n}?"}) + "\n" for n in range(2))
    data = written(tmp_path, "medqa.jsonl", lines)
    found = benchmarks.load(["own_ll", "medqa_ll", "medqa_gen", "mmlu_ll"], data=data)
    questions = {one.set: one.whole for one in found if one.set != "own"}
    items = contamination.load_items(sets=questions)
    sizes = items["set"].value_counts()
    assert sizes["medqa"] == 2 and set(sizes.index) == {"mcq", "freeform", "safety", "medqa"}
    assert items["options"].map(len).max() == 4
    assert ["not reachable" in one.problem for one in found] == [False, False, False, True]


# Real data and a real, tiny model.


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    """An untrained Llama with one layer, saved as any other."""

    questions = records.load_table(paths.data("test_mcq.jsonl"))
    texts = [question["question"] + question["rationale"] for question in questions]
    folder = tmp_path_factory.mktemp("model") / "untrained"
    shape = {
        "vocab_size": 1500,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 1024,
    }
    return tiny_model.build(folder, texts, **shape, steps=0, seed=1)


@pytest.fixture(scope="module")
def tiny(tiny_folder):
    from medinstruct import llm

    return llm.LocalModel(tiny_folder)


def test_the_official_pubmedqa_runs_from_its_file_and_its_majority_is_yes(
    real_data, tiny, tmp_path
):
    file = {"pubmedqa": str(real_data / "benchmarks" / "pubmedqa_ori_pqal.json")}
    found = benchmarks.load(["pubmedqa_ll"], data=file)
    assert len(found[0].questions) == 500 and len(found[0].examples) == 500
    assert not {one["id"] for one in found[0].questions} & {one["id"] for one in found[0].examples}
    results = benchmarks.run(found, [contestant(Rigged("yes"))], folder=tmp_path)
    row = scores.score_table(found, results).iloc[0]
    assert row["score"] == row["majority"] == pytest.approx(0.552) and row["always"] == "yes"
    assert row["chance"] == pytest.approx(1 / 3) and row["status"] == "all"
    few = benchmarks.load(["pubmedqa_ll", "pubmedqa_gen"], data=file, limit=16, generation_limit=4)
    likelihood, generation = benchmarks.run(
        few, benchmarks.contestants(tiny), folder=tmp_path, max_tokens=4
    )
    truth = json.loads((real_data / "benchmarks" / "pubmedqa_test_ground_truth.json").read_text())
    picked = [("yes", "no", "maybe")[sample.choice] for sample in likelihood.samples]
    right = [
        truth[sample.id] == one for sample, one in zip(likelihood.samples, picked, strict=True)
    ]
    assert [sample.score for sample in likelihood.samples] == right and len(generation.samples) == 4


def test_base_and_tuned_are_one_loaded_copy_and_a_further_model_is_loaded_in_its_turn(
    tiny, tiny_folder, tmp_path
):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from medinstruct import llm

    torch.manual_seed(3)
    config = LoraConfig(
        r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"
    )
    get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_folder), config).save_pretrained(
        tmp_path / "adapter"
    )
    both = llm.LocalModel(tiny_folder, adapter=tmp_path / "adapter")
    sat = benchmarks.contestants(both, more={"again": str(tiny_folder)})
    found = benchmarks.load(["own_ll"], limit=6)
    base, tuned, again = benchmarks.run(found, sat, folder=tmp_path / "kept")
    assert [one.name for one in sat] == ["base", "tuned", "again"] and len(
        {one.key for one in sat}
    ) == 3
    assert base.samples == again.samples != tuned.samples
    direct = benchmarks.run(found, benchmarks.contestants(tiny), folder=tmp_path / "direct")[0]
    assert direct.samples == base.samples, "the adapter is really off for the base"
    with pytest.raises(UserError, match="benchmark_models"):
        benchmarks.contestants(both, more={"base": "another model"})


def test_scores_equal_those_of_every_logit(tiny, monkeypatch, tmp_path):
    from lm_eval.models.huggingface import HFLM

    found = benchmarks.load(["own_ll", "own_gen"], limit=9, generation_limit=9)
    form = {"models": benchmarks.contestants(tiny), "max_tokens": 32}
    first = benchmarks.run(found, **form, folder=tmp_path / "last")
    monkeypatch.setattr("medinstruct.benchmarks.harness._last_logits", lambda: HFLM)
    whole = benchmarks.run(found, **form, folder=tmp_path / "whole")
    assert [result.samples for result in first] == [result.samples for result in whole]


def test_what_the_hub_holds_is_read_by_split_subject_and_official_ids(monkeypatch, tmp_path):
    import datasets

    def published(path, part, revision):
        assert len(revision) == 40
        name = max((one for one in ROWS if one in path.lower().replace("_", "")), key=len)
        rows = [
            ROWS[name]
            | dict.fromkeys(("question", "input", "qtext"), f"Q{n}?")
            | {"pubid": n, "subject": subject}
            for n, subject in enumerate(("anatomy", "law"))
        ]
        whole = datasets.Dataset.from_list(rows)
        splits = ("train", "test", "validation", "dev", "fewshot")
        return datasets.DatasetDict(dict.fromkeys(splits, whole))

    ids = tmp_path / "ids.json"
    ids.write_text('{"1": "maybe"}')
    monkeypatch.setattr(datasets, "load_dataset", published)
    monkeypatch.setattr(paths, "resolve", lambda link: ids)
    monkeypatch.setattr(question_sets, "hub_answers", lambda: True)
    tasks = [name for name in question_sets.task_files() if not name.startswith(("own", "meqsum"))]
    found = {one.task: one for one in benchmarks.load(tasks)}
    problems = {task: one.problem for task, one in found.items() if one.problem}
    if "install lm-eval[ifeval]" in problems.get("ifeval_gen", ""):
        problems.pop("ifeval_gen")  # its packages are no dependency of ours
    assert not problems
    sizes = {
        "bbh_gen": 54,
        "medqa_ll": 2,
        "mmlu_ll": 2,
        "mmlu_medical_ll": 1,
        "pubmedqa_ll": 1,
        "truthfulqa_gen": 2,
    }
    assert {task: len(found[task].whole) for task in sizes} == sizes and len(
        found["pubmedqa_ll"].examples
    ) == 1
    assert (
        found["bbh_gen"].questions[-1]["subject"] == "word_sorting"
        and "at c30699e8" in found["mmlu_ll"].source
    )
    results = benchmarks.run(
        list(found.values()), [contestant(Rigged("C", "So the answer is (B)."))], folder=tmp_path
    )
    got = {result.task: accuracy(result) for result in results}
    assert (
        got["bbh_gen"] == 1
        and got["medqa_gen"] == 0
        and got["mmlu_ll"] == got["headqa_ll"] == got["medmcqa_ll"] == 1
    )


def test_meqsums_thousand_run_from_the_spreadsheet(real_data, tiny, tmp_path):
    pytest.importorskip("openpyxl")
    file = {"meqsum": str(real_data / "benchmarks" / "MeQSum.xlsx")}
    found = benchmarks.load(["meqsum_gen"], data=file)
    assert len(found[0].questions) == 1000 and not any(
        "MESSAGE:" in one["question"][:20] for one in found[0].questions
    )
    results = benchmarks.run(
        found, [contestant(Rigged("", "Who manufactures cetirizine?"))], folder=tmp_path
    )
    row = scores.score_table(found, results).iloc[0]
    assert (
        results[0].samples[0].score == 1.0
        and row["n"] == 1000
        and row["always"] == "the question itself"
    )
    assert 0 < row["score"] < row["majority"] < 0.4
    few = benchmarks.load(["meqsum_gen"], data=file, generation_limit=8)
    made = benchmarks.run(few, benchmarks.contestants(tiny), folder=tmp_path, max_tokens=8)
    assert len(made[0].samples) == 8 and accuracy(made[0]) < 0.2


def test_rotated_options_keep_the_right_one():
    rotated = scores.rotate({"id": "q", "options": ["a", "b", "c"], "answer": 2}, 1)
    assert (rotated["options"], rotated["answer"]) == (["c", "a", "b"], 0)


def test_the_alpaca_template_leaves_the_last_turn_open():
    turns = [{"role": "user", "content": "Name a bone."}, {"role": "assistant", "content": "A"}]
    assert benchmarks.harness.alpaca(turns, False).endswith("Response:\nA")


def test_a_file_is_named_for_a_set_by_its_beginning():
    assert question_sets.named_set("PubMedQA_ori_pqal") == "pubmedqa"
    assert question_sets.named_set("mmlu_medical") == "mmlu_medical"
    assert question_sets.named_set("mmlu_test") == "mmlu" and not question_sets.named_set("law")


def test_rouge_l_reads_the_tokens_of_rouge_score():
    found = extraction.rouge_l("who makes cetirizine", "Who manufactures cetirizine?")
    assert round(found, 2) == 0.67
