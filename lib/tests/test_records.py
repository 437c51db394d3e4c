"""Records: read, written, and refused with file, line and field."""

import json
import os

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
    with pytest.raises(UserError, match="line 1, field `instruction`"):
        records.read(path, Task)


def test_a_missing_file_is_said_in_one_message(tmp_path):
    with pytest.raises(UserError, match="not there"):
        records.read(tmp_path / "none.jsonl", Task)


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


def test_a_label_that_fits_nowhere_is_none():
    assert [
        labels.canonical(kind, "zebra quilting") for kind in ("type", "topic", "view", "difficulty")
    ] == [None] * 4
