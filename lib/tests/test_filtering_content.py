"""Content rules, contamination and paraphrases."""

import json
import re
import sys
import types
import unicodedata

import numpy as np
import pandas as pd
import pytest

from medinstruct import paths, records
from medinstruct.errors import UserError
from medinstruct.filtering import contamination, content_rules
from medinstruct.records import Example, Task


def task(instruction, input="", *, type="chat", topic="Cardiology"):
    return Task(
        type=type, topic=topic, view="nurse", difficulty=2, instruction=instruction, input=input
    )


@pytest.mark.parametrize("rule", content_rules.rules())
def test_each_rule_catches_its_example(rule):
    offender = content_rules.example(rule)
    assert rule in content_rules.broken(offender)
    assert content_rules.rules()[rule]["finds"]


@pytest.mark.parametrize(
    "good",
    [
        task(
            'Rewrite the following sentence for a patient: "The myocardium lacks blood when a vessel is blocked."'
        ),
        task(
            "Choose.", "Which one is a statin?\nA) aspirin\nB) simvastatin", type="multiple choice"
        ),
        task(
            "Summarize the chest x-ray report below.",
            "The x-ray shows a shadow in the left upper lobe.",
        ),
        task("Explain what a CT image of a stroke shows in the first hour."),
        task("My baby cries when I put her down. What helps?"),
        task("What should every villager do with water after a flood?", topic="Public health"),
    ],
    ids=lambda one: one.instruction[:30],
)
def test_a_good_task_breaks_no_rule(good):
    assert content_rules.broken(good) == []


def test_the_rules_spare_the_published_seeds_and_our_own(real_data):
    rows = json.loads((real_data / "alpacare/med_seed.json").read_text())
    published = [Task(**{k: v for k, v in row.items()}) for row in rows]
    assert [content_rules.broken(one) for one in published if content_rules.broken(one)] == []
    own = records.read(paths.data("seeds.jsonl"), Task)
    assert sum(bool(content_rules.broken(one)) for one in own) <= 2


def test_ordinary_english_without_a_medical_topic_is_not_medical(real_data):
    lines = (real_data / "ud_ewt/en_ewt-ud-dev.conllu").read_text().splitlines()
    texts = [line[9:] for line in lines if line.startswith("# text = ")]
    caught = ["not_medical" in content_rules.broken(task(text, topic="(none)")) for text in texts]
    assert np.mean(caught) > 0.9


def test_a_copied_test_question_is_found_in_all_three_ways():
    item = (
        "mcq",
        "q1",
        "A 70-year-old man faints while he carries firewood uphill. Which treatment helps him most?",
    )
    other = (
        "mcq",
        "q2",
        "A child of three swallows a button battery. What is the first step in the ward?",
    )
    same = task(
        "A 70-YEAR-OLD man faints, while he carries firewood uphill: which treatment helps him most"
    )
    inside = task(
        "Answer as a nurse.",
        "So: A 70-year-old man faints while he carries firewood uphill. Which treatment, now, "
        + "why " * 40,
    )
    edited = task(
        "A 71-year-old man faints when he carries firewood uphill. Which treatment may help him most?"
    )
    clean = task("Which treatment helps a man with heart failure most?")
    items = pd.DataFrame([other, item], columns=["set", "id", "text"])
    hits = contamination.find([same, inside, edited, clean], items)
    found = {hit.task: (hit.how, hit.id) for hit in hits.itertuples()}
    assert found == {
        same.id: ("exact", "q1"),
        inside.id: ("8-grams", "q1"),
        edited.id: ("ROUGE-L", "q1"),
    }


def test_a_formula_that_many_test_items_share_is_no_contamination():
    ask = "which of the following is the most likely diagnosis"
    items = [
        ("mcq", str(n), f"{name} comes with {sign}; {ask}?")
        for n, (name, sign) in enumerate(
            [
                ("A boy of two", "a barking cough"),
                ("A woman of 60", "a red hot knee"),
                ("An old man", "a droopy left eyelid"),
            ]
        )
    ]
    read = task(f"Read the case and say {ask}.", "A nurse has a rash on both hands after work.")
    items = pd.DataFrame(items, columns=["set", "id", "text"])
    assert contamination.find([read], items).empty


def test_every_own_test_item_is_found_when_it_is_planted():
    items = contamination.load_items()
    assert set(items["set"]) == {"freeform", "mcq", "safety"}
    planted = [task(text.upper()) for text in items["text"]]
    hits = contamination.find(planted, items)
    assert list(hits["text"]) == list(items["text"]) and set(hits["how"]) == {"exact"}
    summary = contamination.summarize(hits, items, contamination.find([], items))
    keys = {"task", "how", "share", "item", "set", "id", "text"}
    assert all(hit.keys() == keys and hit["share"] == 1 for hit in summary["hits"])
    assert all(len(entry["hit"]) == entry["items"] for entry in summary["sets"].values())


def test_planted_questions_are_caught_or_counted_as_missed():
    items = contamination.load_items()
    halves = contamination.plant(items, lambda row: " ".join(row.text.split()[::2]))
    halves = halves.groupby("set")["caught"].mean()
    assert contamination.plant(items, lambda row: row.text.upper())["caught"].all()
    assert set(halves.index) == {"freeform", "mcq", "safety"} and (halves < 0.2).all()
    assert not contamination.plant(items, lambda row: "Define asthma.")["caught"].any()
    turned = contamination.plant(items, lambda row: " ".join(row.options[::-1]) and row.text)
    assert set(turned["set"]) == {"mcq"} and turned["caught"].all()  # others have no options


def paraphrases():
    return {row["id"]: row["text"] for row in records.load_table(paths.data("paraphrases.jsonl"))}


def test_paraphrases_of_test_questions_are_missed_by_a_comparison_of_words():
    """The audit can fail, and does: at most a tenth of the hand-written paraphrases is caught."""
    items, texts = contamination.load_items(), paraphrases()
    assert set(texts) <= set(items["id"]) and len(texts) >= 40
    assert contamination.plant(items, lambda row: texts.get(row.id, ""))["caught"].mean() < 0.1


def test_a_test_question_in_the_output_of_an_example_is_found():
    items = contamination.load_items()
    fields = {"type": "chat", "topic": "", "view": "", "difficulty": 1, "task": "t"}
    text = items["text"][items["text"].str.split().map(len) > 20].iloc[0]
    leaked = Example(**fields, instruction="Ask me something.", output=text)
    clean = Example(**fields, instruction="Ask me something.", output="What is asthma?")
    assert list(contamination.find([leaked, clean], items)["task"]) == [leaked.id]


def test_questions_of_benchmarks_are_searched_and_saved_for_later(tmp_path):
    question = {"id": "q7", "question": "Which cells of a seaweed make iodine?", "options": ["a"]}
    items = contamination.load_items(sets={"medqa": [question]})
    hits = contamination.find([task(question["question"])], items)
    assert hits[["set", "id"]].to_numpy().tolist() == [["medqa", "q7"]]
    path = tmp_path / "test_questions.jsonl"
    items.to_json(path, orient="records", lines=True, force_ascii=False)
    assert contamination.read_items(path).to_dict("records") == items.to_dict("records")
    assert len(contamination.read_items(tmp_path / "absent")) == len(items) - 1


CHINESE = [
    "一位六十五岁的男性患者因胸痛三小时来急诊，心电图显示下壁导联抬高，请说明最初的处理步骤。",
    "孩子从昨晚开始发烧到三十九度，吃了退烧药以后又烧起来了，什么情况下必须马上去医院？",
    "请用通俗的语言向老年患者解释为什么服用华法林期间需要定期抽血检查凝血功能。",
]


@pytest.mark.parametrize("language", ["ko", "zh"])
def test_near_copies_of_questions_without_spaces_are_caught_and_other_texts_are_not(language):
    korean = str(paths.data("korean/test_freeform.jsonl"))
    items = contamination.load_items(korean).query("set == 'freeform'")
    if language == "zh":
        items = pd.DataFrame({"set": "zh", "id": ["1", "2", "3"], "text": CHINESE})
    edits = {
        "shortened": lambda row: "".join(c for n, c in enumerate(row.text) if n % 6),
        "decomposed": lambda row: unicodedata.normalize("NFD", row.text),
        "inside a longer text": lambda row: f"{CHINESE[0][:20]}{row.text}{CHINESE[1]}",
        "start moved": lambda row: row.text[9:] + row.text[:9],
    }
    for edit in edits.values():
        assert contamination.plant(items, edit)["caught"].mean() > 0.9
    seeds = records.read(paths.data("korean/seeds.jsonl"), Task)
    formulas = [task("어떻게 해야 하는지 알려 주세요."), task("什么情况下必须马上去医院？")]
    assert contamination.find([*seeds, *formulas], items).empty


def test_the_length_limits_count_words_in_any_script():
    for word in ("기침 ", "咳嗽", "cough "):
        assert "too_long" not in content_rules.broken(task(word * 200))
        assert "too_long" in content_rules.broken(task(word * 201))


def test_the_rules_spare_the_korean_seeds_and_catch_a_missing_text():
    seeds = records.read(paths.data("korean/seeds.jsonl"), Task)
    assert [content_rules.broken(seed) for seed in seeds] == [[]] * len(seeds)
    assert content_rules.broken(task("다음 초록을 쉬운 말로 요약해 주세요.")) == ["missing_input"]
    assert content_rules.broken(task("기차에 대한 시를 써 주세요.", topic="Poetry")) == [
        "not_medical"
    ]


def test_the_ids_are_those_that_the_later_notebooks_use():
    items = contamination.load_items()
    for name in ("freeform", "mcq", "safety"):
        rows = records.load_table(paths.data(f"test_{name}.jsonl"))
        assert set(items["id"][items["set"] == name]) == {row["id"] for row in rows}


def test_real_benchmark_files_are_read(real_data, tmp_path):
    table = tmp_path / "more.csv"
    table.write_text("id,question\nz1,What is the dose of aspirin after a heart attack?\n")
    files = [str(real_data / "benchmarks/pubmedqa_ori_pqal.json"), str(table)]
    items = contamination.load_items(str(real_data / "alpacare/MedInstruct-test.jsonl"), files)
    assert items["set"].value_counts().to_dict() == {
        "freeform": 216,
        "mcq": 212,
        "safety": 60,
        "pubmedqa_ori_pqal": 1000,
        "more": 1,
    }
    assert items["id"].iloc[-1] == "z1"


def test_a_benchmark_file_without_questions_is_one_clear_problem(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"answer": "yes"}\n')
    with pytest.raises(UserError, match="holds no question"):
        contamination.load_items("own", [str(path)])
    with pytest.raises(UserError, match="does not exist"):
        contamination.load_items("own", ["nowhere.jsonl"])


PAINS = ["What causes chest pain?", "가슴 통증의 원인은 무엇인가요?", "How is gout treated?"]


def test_a_page_in_two_languages_says_that_translations_are_not_compared():
    items = pd.DataFrame({"text": PAINS[:1] + PAINS[2:]})
    assert "English and Korean" in contamination.not_compared(PAINS[1:2], items, "")
    assert contamination.not_compared(PAINS[1:2], items, "mini") == ""
    assert contamination.not_compared(PAINS[:1], items, "") == ""


@pytest.fixture
def encoder(monkeypatch):
    """A model "mini" of unit vectors by meaning: texts on pain are near in any language."""

    class Encoder:
        def __init__(self, name, trust_remote_code):
            assert (name, trust_remote_code) == ("mini", False)

        def encode(self, texts, normalize_embeddings):
            rows = [
                [1, 0.1 * ("통증" in t)] if re.search("pain|통증", t) else [0, 1] for t in texts
            ]
            vectors = np.array(rows, dtype=np.float32)
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = Encoder
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)


def test_a_translation_is_near_where_the_named_model_knows_both_languages(encoder):
    assert contamination.paraphrases(PAINS, "mini") == [(0.995, 0, 1)]
    near = contamination.paraphrases(PAINS[1:], "mini", pool=[PAINS[2], PAINS[0]])
    assert near == [(1.0, 1, 0), (0.995, 0, 1)]
    many = contamination.paraphrases([PAINS[2]] * 600 + PAINS[:2], "mini", least=0.9)
    assert len(many) == 600 * 599 / 2 + 1 and many[-1] == (0.995, 600, 601)


def test_without_a_model_there_are_no_paraphrases_and_a_missing_extra_is_named(monkeypatch):
    assert contamination.paraphrases(["a", "b"], "") == []
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(UserError, match="embedding_model"):
        contamination.paraphrases(["a", "b"], "mini")


def test_the_notebook_drops_each_task_for_its_reason_and_the_ledger_adds_up(tmp_path, monkeypatch):
    from medinstruct import tasks
    from medinstruct.pipeline import runner

    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    out = tmp_path / "small"
    seeds = records.read(paths.data("seeds.jsonl"), Task)
    good, copy = seeds[100:130], task(f"{seeds[0].instruction} Please.")
    item = contamination.load_items().iloc[0]
    records.write(out / "seeds.jsonl", seeds[:100])
    records.write(
        out / "raw_tasks.jsonl",
        [*good, copy, task(item.text), content_rules.example("image_or_file")],
    )
    records.write(out / "rejects.jsonl", [])
    runner.run(str(paths.root() / "params" / "demo.yaml"), only=["03"], sets=["run=small"])
    dropped = [json.loads(line) for line in (out / "dropped.jsonl").read_text().splitlines()]
    reasons = {row["task"]: row["rule"] for row in dropped}
    assert (reasons[copy.id], reasons[task(item.text).id]) == ("ROUGE-L", "test set (exact)")
    assert reasons[content_rules.example("image_or_file").id] == "image_or_file"
    assert json.loads((out / "contamination.json").read_text())["sets"][item["set"]]["hit"] == [
        item.id
    ]
    assert tasks.load_ledger(out, asked=33, stages=2)["out"].tolist() == [33, 30]


def test_two_test_files_of_one_name_are_two_sets(tmp_path):
    files = [tmp_path / name / "test.jsonl" for name in ("medqa", "other")]
    for n, path in enumerate(files):
        path.parent.mkdir()
        path.write_text(f'{{"question": "What is {n}?"}}\n')
    items = contamination.load_items("own", [str(path) for path in (*files, files[0])])
    assert items[["set", "text"]].tail(3).to_numpy().tolist() == [
        ["test", "What is 0?"],
        ["test-2", "What is 1?"],
        ["test-3", "What is 0?"],
    ]


@pytest.mark.parametrize(
    "text", ['{"data": [{"answer": "Why?"}]}', '{"a": {"question": "Why?"}', "[]", "", "{}"]
)
def test_a_json_file_in_another_shape_is_a_problem_and_never_an_empty_set(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(UserError):
        contamination.load_items("own", [str(path)])


@pytest.mark.parametrize(
    "text",
    [
        '{"question": "Why?"}',
        '{"a": {"question": "Why?"}}',
        '[{"question": "Why?"}]',
        '{"data": [{"question": "Why?"}]}',
    ],
)
def test_one_question_is_read_from_every_shape_of_json(tmp_path, text):
    path = tmp_path / "good.json"
    path.write_text(text)
    assert contamination.load_items("own", [str(path)])["text"].iloc[-1] == "Why?"
