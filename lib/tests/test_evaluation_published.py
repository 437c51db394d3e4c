"""On real data: 1,728 verdicts of gpt-4o-mini, and the published answers of four references and three models."""

import asyncio
import json
import re

import pandas as pd
import pytest

from medinstruct import evaluation, paths

MODEL = "Alpaca-Llama-2-7b-chat"
TEST_SET = "alpacare/MedInstruct-test.jsonl"


# column of the published table -> column of win_rates
PUBLISHED = {
    "win_rate": "win_rate",
    "win_rate_non_tied": "win_rate_non_tied",
    "win_rate_half_ties": "half_ties",
    "consistency": "consistency",
}


@pytest.fixture(scope="module")
def replay():
    """Items, and the stored verdicts as a judge: their replies are read once, which takes seconds."""
    data = paths.root().parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip("the published data is not beside the repository")
    items = evaluation.load_items(str(data / TEST_SET))
    url = f"replay:{data}/judge_verdicts/{MODEL}.jsonl"
    return items, evaluation.judge.jury([url], items=items, judged=MODEL)[0]


@pytest.fixture(scope="module")
def example(replay):
    """Items, stored verdicts, and the answers of the model and the references."""
    items, judge = replay
    stored = judge.url.removeprefix("replay:").removesuffix(".jsonl")
    answers = evaluation.load_answers({MODEL: f"{stored}.answers.json"}, items)
    return items, judge.verdicts, answers + evaluation.answers.reference_answers(items)


def test_the_raw_replies_give_the_stored_verdicts_again(real_data):
    """Every fifth reply: of all, the loader itself refuses those that say another verdict."""
    rows = [
        json.loads(line)
        for line in (real_data / f"judge_verdicts/{MODEL}.jsonl").read_text().splitlines()
    ]
    assert len(rows) == 1728
    for row in rows[::5]:
        letter, first = (
            evaluation.parse_verdict(row["judge_response"]),
            row["order"] == "model_first",
        )
        assert {"a": "WIN" if first else "LOSE", "b": "LOSE" if first else "WIN", "tie": "TIE"}[
            letter
        ] == row["verdict"]


def test_the_four_published_rows_come_out_to_the_printed_digit(example, real_data):
    path = real_data / "judge_verdicts" / f"{MODEL}.published.csv"
    published = pd.read_csv(path, index_col="reference")[list(PUBLISHED)]
    rates = evaluation.win_rates(example[1]).loc[published.index, list(PUBLISHED.values())]
    assert (100 * rates).round(1).to_numpy().tolist() == published.to_numpy().tolist()


def test_what_the_published_table_does_not_say(example):
    _, verdicts, answers = example
    panel = evaluation.judge_checks.bias_panel(verdicts, answers).droplevel("model")
    assert (
        round(100 * panel.loc["claude-2", "position_bias"]) == 29
        and panel.loc["claude-2", "position_bias_low"] > 0.2
    )
    assert (panel["length_low"] > 0).all()
    assert (
        panel["lc_score"] < panel["score"]
    ).all()  # at equal lengths the model would score less against all four
    assert panel.loc[["gpt-4", "gpt-3.5-turbo"], "truncated_reference"].round(3).tolist() == [
        0.579,
        0.583,
    ]
    assert panel["kin"].to_dict() == {
        "claude-2": "",
        "gpt-3.5-turbo": "reference",
        "gpt-4": "reference",
        "text-davinci-003": "reference",
    }
    assert panel["score"].round(3).to_dict() == {
        "claude-2": 0.19,
        "gpt-3.5-turbo": 0.398,
        "gpt-4": 0.363,
        "text-davinci-003": 0.892,
    }
    assert panel["lc_score"].round(3).to_dict() == {
        "claude-2": 0.18,
        "gpt-3.5-turbo": 0.338,
        "gpt-4": 0.246,
        "text-davinci-003": 0.65,
    }


def test_harder_questions_are_lost_more_often_once_verdicts_are_aligned_by_item(example):
    level = {item.id: item.difficulty for item in example[0]}
    scores = evaluation.win_rate.item_scores(example[1]).xs("gpt-4", axis=1, level="reference")
    score = scores.iloc[:, 0].groupby(level).mean().round(3)
    assert score.to_dict() == {1: 0.477, 2: 0.489, 3: 0.256, 4: 0.305, 5: 0.273}


def test_stored_verdicts_are_a_judge_without_a_key(example, replay):
    items, verdicts, answers = example
    answers = [answer for answer in answers if answer.model == MODEL]
    references = evaluation.answers.reference_answers(items)
    pairs = evaluation.judge.build_pairs(items, answers, references=references)
    asked = asyncio.run(evaluation.judge.ask(replay[1], pairs))
    assert len(asked) == 1728 and {v.id for v in asked} == {v.id for v in verdicts}


def test_the_published_answers_look_as_they_were_counted(real_data):
    data = real_data / "alpacare"
    items = evaluation.load_items(str(real_data / TEST_SET))
    names = ("AlpaCare-7b", "PMC_LLAMA_7B", "alpaca")
    files = {name: f"{data}/model_outputs/{name}/medinstruct.json" for name in names}
    answers = evaluation.load_answers(files, items)
    looks = evaluation.answers.statistics(answers + evaluation.answers.reference_answers(items))
    assert (
        looks["n"].eq(216).all()
        and looks["words"].round(1)["AlpaCare-7b"] == 218.1
        and looks["words"].round(1)["alpaca"] == 68.2
    )
    assert looks["truncated"].round(3)[
        ["AlpaCare-7b", "PMC_LLAMA_7B", "gpt-4", "gpt-3.5-turbo"]
    ].tolist() == [
        0.37,
        0.806,
        0.579,
        0.583,
    ]
    assert looks.loc["PMC_LLAMA_7B", "repeated"] > 0.35
    assert (
        looks.loc["PMC_LLAMA_7B", "empty"] == pytest.approx(1 / 216)
        and looks.drop("PMC_LLAMA_7B")["empty"].eq(0).all()
    )


def references(real_data, name):
    folder = real_data / "alpacare" / "reference_outputs"
    models = ("gpt-4", "claude-2", "gpt-3.5-turbo", "text-davinci-003")
    return {model: str(folder / model / name) for model in models}


def test_icliniq_questions_load_from_the_reference_files_and_align_by_input(real_data):
    data = real_data / "alpacare"
    items = evaluation.load_items(str(data / "reference_outputs/gpt-4/iCliniq_output.jsonl"))
    files = references(real_data, "iCliniq_output.jsonl")
    assert len(items) == 1000
    assert len(evaluation.answers.reference_answers(items, files)) == 4000
    answers = evaluation.load_answers(
        {"AlpaCare-7b": f"{data}/model_outputs/AlpaCare-7b/iCliniq.json"}, items
    )
    assert len(answers) == 1000 and items[0].instruction.startswith("If you are a doctor")


def test_the_published_test_set_loads_with_four_references(real_data):
    items = evaluation.load_items(str(real_data / TEST_SET))
    own = evaluation.answers.reference_answers(items)
    files = references(real_data, "medsi_output.jsonl")
    assert len(items) == 216 and len(own) == 864
    assert evaluation.answers.reference_answers(items, files) == own


def test_no_published_number_is_recalled_or_unverified():
    for path in paths.data("").rglob("*.yaml"):
        text = path.read_text(encoding="utf-8").lower()
        assert not re.search(r"\b(?:recalled|unverified|from memory|do not quote)\b", text), path
