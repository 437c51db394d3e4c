"""Versions are compared with alarms that ring for drift and not for chance; papers say what the files say; a conflict is named."""

import random

import numpy as np
import pytest
import yaml

from medinstruct import audits, labels, paths, records
from medinstruct.audits import cards, drift
from medinstruct.errors import UserError
from medinstruct.records import Example, Provenance

TYPES = ("chat", "rewrite", "open Q&A", "classification")


def examples(n, *, seed=0, types=TYPES, words=20, model="offline-stand-in"):
    chance = random.Random(seed)
    return [
        Example(
            task="",
            type=chance.choice(types),
            topic="Cardiology",
            view="patient",
            difficulty=chance.randint(1, 5),
            instruction=f"Explain {seed} {i} " + "a " * chance.randint(5, words),
            output="Rest. " * chance.randint(3, words),
            provenance=Provenance(source="teacher", model=model),
        )
        for i in range(n)
    ]


def test_chance_rings_no_alarm_and_drift_does():
    rung = [
        audits.drift.compare_versions(examples(150, seed=n), examples(150, seed=n + 100))[
            "alarm"
        ].sum()
        for n in range(20)
    ]
    assert sum(rung) <= 4
    table = audits.drift.compare_versions(
        examples(300), examples(300, seed=1, types=("chat", "chat", "chat", "rewrite"), words=60)
    )
    assert (
        table.loc["type", "alarm"]
        and "classification" in table.loc["type", "gone"]
        and table.loc["words of output", "alarm"]
    )
    assert not table.loc["difficulty", "alarm"]


def test_a_new_label_is_named():
    table = audits.drift.compare_versions(
        examples(100, types=("chat", "rewrite")),
        examples(100, types=("chat", "rewrite", "summarization")),
    )
    assert table.loc["type", "new"] == "summarization" and not table.loc["type", "gone"]


def test_the_index_is_zero_for_the_same_symmetric_and_the_worked_sum():
    a, b = np.array([199.5, 299.5]), np.array([299.5, 199.5])
    assert drift.psi(a, a) == 0 and drift.psi(a, b) == pytest.approx(drift.psi(b, a))
    assert drift.psi(a, b) == pytest.approx(
        2 * 0.2 * 0.4054651
    )  # (0.6 - 0.4) ln(0.6 / 0.4), both ways


def test_a_rate_rings_only_if_it_moves_and_is_certain():
    table = audits.drift.compare_rates(
        {"a": (5, 100), "b": (50, 1000), "c": (0, 500)},
        {"a": (8, 100), "b": (150, 1000), "c": (1, 500)},
    )
    assert list(table["alarm"]) == [False, True, False]
    # Newcombe (1998), method 10: 56/70 against 48/80 is 0.2 [0.0524, 0.3339]
    row = audits.drift.compare_rates({"x": (48, 80)}, {"x": (56, 70)}).loc["x"]
    assert [round(row[name], 4) for name in ("change", "low", "high")] == [0.2, 0.0524, 0.3339]


def test_a_rate_that_moves_for_certain_and_by_enough_rings():
    before = {"refusal": (150, 200), "dose": (2, 200), "gone": (1, 200)}
    after = {"refusal": (80, 200), "dose": (3, 200), "new": (1, 200)}
    table = audits.drift.compare_rates(before, after)
    assert list(table.index) == ["refusal", "dose"]
    assert table.loc["refusal", "alarm"] and table.loc["refusal", "change"] == pytest.approx(-0.35)
    assert not table.loc["dose", "alarm"] and audits.drift.compare_rates({}, {}).empty


def test_labels_dealt_at_random_ring_once_in_a_hundred():
    chance = random.Random(0)
    pool = [
        one.model_copy(update={"topic": chance.choice(sorted(labels.SPECIALTIES))})
        for one in examples(300)
    ]
    rung = 0
    for _ in range(40):
        dealt = chance.sample(pool, len(pool))
        rung += audits.drift.compare_versions(dealt[::2], dealt[1::2])["alarm"].sum()
    assert rung <= 6, "seven axes, forty times: 2.8 are to be expected"


@pytest.fixture
def folder(tmp_path):
    records.write(tmp_path / "dataset.jsonl", examples(40))
    found = [
        audits.finding("identifiers", 0.0, n=40, subject="in the dataset"),
        audits.finding("female share", 0.3, low=0.25, high=0.36, n=250),
        audits.finding("PHI recall", 1.0, low=0.944, high=1.0, n=65),
    ]
    (tmp_path / "dropped.jsonl").write_text('{"a": 1}\n{"a": 2}\n', encoding="utf-8")
    records.write_json(tmp_path / "audits.json", {"findings": [row._asdict() for row in found]})
    return tmp_path


def test_the_papers_say_what_the_files_say(folder):
    known = audits.dataset_facts(folder)
    audits.write_card(folder, known, name="demo")
    head = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert (
        head["license"] == "apache-2.0"
        and head["size_categories"] == ["n<1K"]
        and head["configs"][0]["data_files"] == "dataset.jsonl"
    )
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert (
        "40 medical instructions" in text
        and "stand-in" in text
        and "| female share | 0.3 | 0.4 to 0.6 | **no** |" in text
        and "| PHI recall | 1 | at least 0.95 | not shown |" in text
    )
    assert "| --- |\n| identifiers" in text, "a blank line would end the table"
    assert "No example was reviewed by clinicians" in text and known["sha256"] in text
    assert "2 tasks that a filter removed." in text and "Who maintains it?** Not answered" in text


def test_the_hubs_own_reader_understands_the_card_and_loads_the_data_that_it_names(folder):
    from huggingface_hub import DatasetCard, DatasetCardData

    audits.write_card(folder, audits.dataset_facts(folder), name="demo")
    card = DatasetCard.load(folder / "README.md")
    assert (
        isinstance(card.data, DatasetCardData)
        and card.data.license == "apache-2.0"
        and card.data.pretty_name == "demo"
    )
    assert not DatasetCardData(**card.data.to_dict()).to_dict().keys() ^ card.data.to_dict().keys()
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(folder / "cache"))
    assert len(loaded) == 40 and set(loaded.column_names) >= {"instruction", "output", "difficulty"}


@pytest.mark.parametrize(
    ("seeds", "model", "words"),
    [
        ("https://x.org/AlpaCare/med_seed.json", "offline-stand-in", "non-commercial"),
        ("own", "gpt-4", "competing"),
        ("own", "claude-2", "competing"),
        ("/data/mine.json", "offline-stand-in", "not known"),
        ("own", "some-model", "not known"),
        ("https://x.org/AlpaCare/med_seed.json", "gpt-4", "Several restrictions"),
    ],
)
def test_licenses_that_do_not_go_together_are_named(seeds, model, words):
    assert any(
        words in conflict
        for conflict in cards.license_conflicts(cards.input_licenses(seeds=seeds, models=[model]))
    )


@pytest.mark.parametrize(
    ("model", "restricts"),
    [
        ("meta-llama/Meta-Llama-3-8B-Instruct", "no other models improved"),
        ("Llama-2-7b-chat", "no other models improved"),
        ("meta-llama/Llama-3.3-70B-Instruct", "name carried on"),
        ("Qwen/Qwen2.5-72B-Instruct", "notice carried on"),
        ("Qwen/Qwen3-32B", ""),
        ("deepseek-ai/DeepSeek-R1", ""),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "name carried on"),
        ("deepseek-ai/DeepSeek-V3", "use restrictions passed on"),
        ("mistralai/Mistral-7B-Instruct-v0.3", ""),
        ("openai/gpt-oss-120b", ""),
        ("mistralai/Mistral-Large-Instruct-2411", "non-commercial"),
        ("gemini-2.5-pro", "no clinical practice"),
    ],
)
def test_the_terms_of_a_model_depend_on_its_version(model, restricts):
    found = cards.input_licenses(seeds="own", models=[model])[1]
    assert (
        restricts in found.restricts
        if restricts
        else not found.restricts and found.license != "unknown"
    )


def test_every_row_of_the_table_of_terms_is_whole_and_each_conflict_says_when_it_was_looked_at():
    table = paths.load("input_licenses")
    for row in table["seeds"] + table["models"]:
        assert (
            row["terms"].endswith(".")
            and row["url"].startswith("https://")
            and row["license"]
            and row["hub"]
        )
    told = cards.license_conflicts(cards.input_licenses(seeds="own", models=["gpt-4"]))
    assert str(table["looked"]) in told[0] and "https://openai.com" in told[0]


def test_where_a_local_file_lies_says_nothing_of_its_licence():
    assert (
        cards.input_licenses(seeds="/home/me/alpacare/mine.jsonl", models=[])[0].license
        == "unknown"
    )


def test_our_own_seeds_and_the_stand_in_are_free():
    assert (
        cards.license_conflicts(cards.input_licenses(seeds="own", models=["offline-stand-in"]))
        == []
    )


def test_nothing_is_uploaded_unless_asked_nor_in_public_with_a_conflict_nor_with_a_name(folder):
    known = audits.dataset_facts(folder)
    assert audits.push_to_hub(folder, "", facts=known) == ""
    with pytest.raises(UserError, match="license conflicts"):
        audits.push_to_hub(folder, "me/data", facts=known | {"conflicts": ["x"]}, private=False)
    named = examples(3)[0].model_copy(update={"output": "Mr. Oskar Trell, MRN 00482913, was seen."})
    records.write(folder / "dataset.jsonl", [*examples(40), named])
    with pytest.raises(
        UserError, match="may name people"
    ):  # though the audit that was written before says that it does not
        audits.push_to_hub(folder, "me/data", facts=known)


def test_an_upload_is_private_and_sends_the_papers_and_the_data_alone(folder, monkeypatch):
    import huggingface_hub

    sent = {}

    class Api:
        def create_repo(self, repo, **more):
            sent.update(more, repo=repo)
            return f"https://hub/{repo}"

        def upload_folder(self, **more):
            sent.update(more)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    known = audits.dataset_facts(folder) | {"conflicts": ["x"]}
    assert audits.push_to_hub(folder, "me/data", facts=known) == "https://hub/me/data"
    assert sent["private"] and set(sent["allow_patterns"]) == {
        "dataset.jsonl",
        "README.md",
    }
    assert "# data" in (folder / "README.md").read_text(encoding="utf-8")


def test_findings_that_miss_their_threshold_stand_first():
    rows = [
        audits.finding("version alarms", 0),
        audits.finding("identifiers", 0.1),
        audits.finding("female share", float("nan")),
    ]
    table = audits.cards.findings_table(rows)
    assert list(table.index) == ["identifiers", "female share", "version alarms"]
