"""Records: read, written, and refused with file, line and field."""

import hashlib
import json
import os

import pandas as pd
import pytest

from medinstruct import labels, records
from medinstruct.errors import UserError
from medinstruct.records import Task

GOOD = {
    "type": "chat",
    "topic": "Sleep",
    "view": "patient",
    "difficulty": "2",
    "instruction": "Why do I snore?",
    "input": "<noinput>",
}


def test_what_is_written_is_read_back(tmp_path):
    tasks = [Task(**GOOD), Task(**GOOD | {"input": "I take DNA tests {1}\nand more"})]
    assert records.read(records.write(tmp_path / "t.jsonl", tasks), Task) == tasks


def test_an_id_is_a_hash_of_the_content_alone():
    assert (
        Task(**GOOD).id
        == Task(**GOOD | {"view": "nurse"}).id
        != Task(**GOOD | {"input": "more"}).id
    )


def test_a_no_input_marker_is_no_input_but_words_with_na_stay():
    assert Task(**GOOD).input == "" and Task(**GOOD | {"input": "DNA"}).input == "DNA"


def test_a_broken_line_names_file_and_line(tmp_path):
    path = tmp_path / "seeds.jsonl"
    path.write_text("\n".join([Task(**GOOD).model_dump_json()] * 6 + ['{"type": ']))
    with pytest.raises(UserError, match="seeds.jsonl, line 7 is not valid JSON"):
        records.read(path, Task)


def test_a_seed_without_instruction_names_the_field(tmp_path):
    path = records.write_json(
        tmp_path / "seeds.json", [{k: v for k, v in GOOD.items() if k != "instruction"}]
    )
    with pytest.raises(UserError, match="entry 1, field `instruction`"):
        records.read(path, Task)


def test_a_missing_file_is_said_in_one_message(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        records.read(tmp_path / "none.jsonl", Task)


ROWS = [{"id": "1", "question": "NA", "n": "07"}, {"id": "2", "question": "Größe?", "n": ""}]


def write_table(path):
    frame = pd.DataFrame(ROWS)
    writers = {
        ".json": lambda: frame.to_json(path, orient="records"),
        ".jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        ".csv": lambda: frame.to_csv(path, index=False, encoding="utf-8-sig"),
        ".tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        ".parquet": lambda: frame.to_parquet(path),
        ".xlsx": lambda: frame.to_excel(path, index=False),
    }
    writers[path.suffix.lower()]()
    return path


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "TSV", "parquet", "xlsx"])
def test_every_kind_of_table_file_gives_the_same_rows(tmp_path, kind):
    assert records.load_table(write_table(tmp_path / f"rows.{kind}")) == ROWS


@pytest.mark.parametrize(
    "content", [{"data": ROWS}, {"anything": ROWS}, {"version": 1, "rows": ROWS}]
)
def test_rows_under_a_wrapping_key_are_unwrapped(tmp_path, content):
    assert records.load_table(records.write_json(tmp_path / "t.json", content)) == ROWS


def test_an_object_by_id_gives_rows_with_ids_and_any_other_is_one_row(tmp_path):
    path = tmp_path / "t.json"
    by_id = {row["id"]: {"question": row["question"]} for row in ROWS}
    assert records.load_table(records.write_json(path, by_id))[1] == {
        "id": "2",
        "question": "Größe?",
    }
    chat = {"id": "a", "messages": [{"role": "user"}]}
    assert records.load_table(records.write_json(path, chat)) == [chat]


def test_parquet_keeps_lists_numbers_and_gaps(tmp_path):
    rows = [{"options": ["a", "b"], "answer": 1, "why": None}]
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    assert records.load_table(tmp_path / "t.parquet") == rows


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.xlsx", "t.json", "t.docx"])
def test_a_broken_or_unknown_table_file_is_a_user_error(tmp_path, name):
    (tmp_path / name).write_bytes(b'"open \xff')
    with pytest.raises(UserError, match="read|table"):
        records.load_table(tmp_path / name)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = records.write_text(tmp_path / "a.txt", "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="could not be written"):
        records.write_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_every_label_of_the_published_seeds_has_its_place(real_data):
    seeds = json.loads((real_data / "alpacare" / "med_seed.json").read_text(encoding="utf-8"))
    for kind in ("type", "topic", "view", "difficulty"):
        unmapped = {seed[kind] for seed in seeds if labels.canonical(kind, seed[kind]) is None}
        assert not unmapped, (kind, unmapped)


# what the rules of version 1 gave for all labels of the 167 seeds (labels, sha256 of the sorted pairs)
PUBLISHED = {
    "type": (28, "e121243cda8adbf0"),
    "view": (84, "54c02b7b4f10280b"),
    "topic": (67, "c571771d8ac113ac"),
}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_the_published_seeds_keep_the_labels_of_version_1(real_data, kind):
    seeds = json.loads((real_data / "alpacare" / "med_seed.json").read_text(encoding="utf-8"))
    pairs = sorted({(seed[kind], labels.canonical(kind, seed[kind])) for seed in seeds})
    digest = hashlib.sha256(json.dumps(pairs).encode()).hexdigest()[:16]
    assert (len(pairs), digest) == PUBLISHED[kind]


# labels that version 1 got wrong by matching letters inside or at the start of other words
EXAMPLES = {
    ("topic", "Early detection of disease"): "General Medicine",
    ("topic", "Enteral nutrition"): "Nutrition",
    ("topic", "Enteric fever"): "Infectious Diseases",
    ("topic", "Early Intervention"): None,
    ("topic", "Entrepreneurship in health care"): None,
    ("topic", "Hearing loss"): "Otolaryngology",
    ("topic", "ENT"): "Otolaryngology",
    ("topic", "Ear, nose and throat"): "Otolaryngology",
    ("topic", "Oral contraceptives"): "Sexual Health",
    ("topic", "Oral Hypoglycemic Agents"): "Endocrinology",
    ("topic", "Oral hygiene"): "Dentistry",
    ("topic", "Diethylstilbestrol"): None,
    ("topic", "Dietary advice"): "Nutrition",
    ("topic", "Public Speaking"): None,
    ("topic", "Public health"): "Public Health",
    ("topic", "Childbirth"): "Obstetrics",
    ("topic", "Childhood asthma"): "Pulmonology",
    ("topic", "Cardinal signs"): None,
    ("topic", "Critical thinking"): None,
    ("topic", "Women’s Health"): "Gynecology",
    ("topic", "Diseases of the eyes"): "Ophthalmology",
    ("type", "Multi-turn dialogue"): "chat",
    ("type", "multimodal classification"): "classification",
    ("type", "Open-ended text generation"): "text generation",
    ("type", "Multihop Reasoning"): "multiple-hop reasoning",
    ("view", "hospital personnel"): "clinician",
    ("view", "Internist"): "clinician",
    ("view", "Internal medicine physician"): "clinician",
    ("view", "interns"): "student/trainee",
    ("view", "Person with diabetes"): "patient/public",
}


@pytest.mark.parametrize(("kind", "raw"), EXAMPLES)
def test_labels_match_whole_words(kind, raw):
    assert labels.canonical(kind, raw) == EXAMPLES[kind, raw]


@pytest.mark.parametrize("kind", ["type", "view", "topic"])
def test_every_name_is_its_own_label(kind):
    names = {"type": labels.TYPES, "view": labels.VIEW_GROUPS, "topic": labels.SPECIALTIES}[kind]
    assert [labels.canonical(kind, name.upper()) for name in names] == list(names)


def test_every_specialty_belongs_to_one_field_and_every_rule_to_a_name():
    assert sorted(name for names in labels.FIELDS.values() for name in names) == sorted(
        labels.SPECIALTIES
    )
    assert labels.canonical("topic", ["a", "list"]) is None


def test_a_label_that_fits_nowhere_is_none():
    assert [
        labels.canonical(kind, "zebra quilting") for kind in ("type", "topic", "view", "difficulty")
    ] == [None] * 4


def test_the_hash_of_a_content_is_the_same_on_every_machine():
    assert records.content_hash("Explain asthma.", "") == "a41c90dfee35ca93"
