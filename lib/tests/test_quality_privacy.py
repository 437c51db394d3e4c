"""What could name a person is found: on labeled snippets, in published dialogues, anywhere in a long text."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medinstruct import audits, paths, records
from medinstruct.audits import phi as privacy
from medinstruct.records import Task


def test_there_are_enough_snippets_and_every_label_stands_where_it_says():
    rows = audits.phi.phi_snippets()
    assert len(rows) >= 150 and Counter(row["split"] for row in rows)["held_out"] >= 80
    assert len({row["text"] for row in rows}) == len(rows)
    for row in rows:
        for label in row["found"]:
            assert (
                row["text"][label["start"] :].startswith(label["text"])
                and label["kind"] in privacy.rules()
            )


def test_recall_and_precision_on_the_held_out_part_keep_to_the_threshold():
    held = audits.phi.phi_accuracy(audits.phi.phi_snippets("held_out")).loc["all"]
    assert held["recall"] >= audits.LIMITS["PHI recall"][0] and held["precision"] >= 0.95
    assert held["labels"] >= 60 and held["recall_low"] < held["recall"]


def test_the_hard_part_is_told_apart_and_is_harder():
    held, hard = (
        audits.phi.phi_accuracy(audits.phi.phi_snippets(part)).loc["all"]
        for part in ("held_out", "hard")
    )
    assert 0.5 < hard["recall"] < held["recall"] and hard["labels"] >= 20


def test_a_recogniser_that_finds_nothing_gets_no_recall(monkeypatch):
    monkeypatch.setattr(privacy, "find_identifiers", lambda text: [])
    assert audits.phi.phi_accuracy(audits.phi.phi_snippets("held_out")).loc["all", "recall"] == 0


@pytest.mark.parametrize(
    "text",
    [
        "Graves disease, Wolff-Parkinson-White syndrome.",
        "BP 142/88, pulse 96, Na 128 mmol/L.",
        "Call 911 or 112.",
        "Take 1-2 tablets every 4-6 hours.",
    ],
)
def test_medical_words_and_numbers_are_nobodys_identifiers(text):
    assert audits.find_identifiers(text) == []


def test_the_list_of_what_was_found_does_not_give_it_away():
    text = {"x": "Mr. Oskar Trell, MRN 00482913, was seen on 14 March 2023 and on 2 July."}
    table = audits.scan_identifiers(text)
    assert (
        len(table) == 4
        and not audits.scan_identifiers(dict(enumerate(table["around"])))["where"].size
    )
    assert "Oskar Trell" in set(audits.scan_identifiers(text, mask=False)["text"])


@given(st.text(max_size=300))
def test_any_text_is_searched_and_every_hit_stands_in_it(text):
    for hit in audits.find_identifiers(text):
        assert text[hit.start :].startswith(hit.text) and hit.text


def test_an_identifier_is_found_wherever_it_stands_in_a_long_text():
    text = "word " * 20_000 + "Her mail is tessa@example.org."
    assert [hit.text for hit in audits.find_identifiers(text)] == ["tessa@example.org"]
    assert text[audits.find_identifiers(text)[0].start :].startswith("tessa@")
    for before in (*range(8_970, 9_010), *range(9_970, 10_010)):  # where a long text is cut
        assert [
            hit.text
            for hit in audits.find_identifiers("x" * (before - 1) + " Mr. Oskar Trell came.")
        ] == ["Oskar Trell"]


def test_hostile_texts_take_no_quadratic_time():
    import time

    start = time.process_time()
    for text in (
        "A" * 50_000,
        "1-" * 25_000,
        "Mr. " * 12_000,
        "a@" * 20_000,
        "Aa " * 16_000,
        "1 A" * 16_000,
    ):
        audits.find_identifiers(text)
    assert time.process_time() - start < 12


def test_published_dialogues_without_people_raise_few_hits(real_data):
    rows = json.loads((real_data / "chatdoctor" / "chatdoctor5k.json").read_text(encoding="utf-8"))[
        :500
    ]
    hits = audits.scan_identifiers(
        {str(n): f"{row['input']} {row['output']}" for n, row in enumerate(rows)}
    )
    assert hits["where"].nunique() <= 5


def test_a_day_without_its_year_counts_only_beside_another_identifier():
    texts = {
        "case": "On 2 July her knee hurt.",
        "person": "Mr. Oskar Trell came on 2 July.",
        "year": "Born 2 July 1961.",
    }
    hits = audits.scan_identifiers(texts)
    assert list(hits["where"]) == ["case", "person", "person", "year"] and list(
        hits["counted"]
    ) == [False, True, True, True]
    dates = audits.phi.phi_accuracy(audits.phi.phi_snippets()).loc["date"]
    assert dates["labels"] >= 30 and dates["recall"] == 1, "what is not counted is still found"


def test_no_text_of_ours_could_name_anybody():
    seeds = records.read(paths.data("seeds.jsonl"), Task)
    assert (
        audits.scan_identifiers({one.id: f"{one.instruction} {one.input}" for one in seeds})
        .query("counted")
        .empty
    )


OTHERS = ("ko", "de", "es", "fr")


@pytest.mark.parametrize("language", OTHERS)
def test_identifiers_of_other_countries_are_recognized_without_false_alarms(language):
    tuned, held = (
        audits.phi.phi_accuracy(audits.phi.phi_snippets(split, language)).loc["all"]
        for split in ("develop", "held_out")
    )
    assert tuned["recall"] == tuned["precision"] == 1 and tuned["labels"] >= 14
    assert held["recall"] > 0.75 and held["precision"] == 1 and held["labels"] >= 10


def test_hard_snippets_of_other_countries_are_missed():
    for language in OTHERS:
        hard = audits.phi.phi_accuracy(audits.phi.phi_snippets("hard", language)).loc["all"]
        assert hard["labels"] == 3 and hard["recall"] == 0, "better now: say so in notebook 06"


@pytest.mark.parametrize(
    "text",
    [
        "고혈압 환자와 신부전 환자 교육은 중요하다. 고위험군과 정상군을 비교하였다.",
        "선생님, 보호자님, 신경과 교수님과 전문 간호사에게 물어보세요. 1577-0199에 전화하세요.",
        "검진에서 혈압 142/91, 하루 3-4회, 3월 5일간. 90세 이상에서는 날씨에 주의한다.",
        "Frau Doktor, am Morgen 5 mg; in der 12. Woche. Herr Kollege, Tel. siehe Anhang.",
        "La paciente tiene dolor desde hace 90 años. Enfermedad de Crohn.",
        "M. tuberculosis est une bactérie. Madame, le dossier est complet. Maladie de Crohn.",
        "12345678A, X1234567A and 255081416802539 have wrong check letters and keys.",
    ],
)
def test_ordinary_sentences_of_other_languages_hold_no_identifier(text):
    assert audits.find_identifiers(text) == []


def test_a_number_with_the_right_check_letter_or_key_needs_no_label():
    for number in ("12345678Z", "X1234567L", "2 55 08 14 168 025 38", "2 01 03 2B 123 456 20"):
        [hit] = audits.find_identifiers(f"({number})")
        assert (hit.kind, hit.text) == ("id", number)


def test_the_date_in_a_korean_resident_number_is_checked():
    assert [hit.kind for hit in audits.find_identifiers("991231-3012345")] == ["id"]
    assert audits.find_identifiers("991331-3012345") == []


def test_no_korean_text_of_ours_could_name_a_person():
    for path in sorted(paths.data("korean").iterdir()):
        texts = dict(enumerate(path.read_text(encoding="utf-8").splitlines()))
        assert audits.scan_identifiers(texts).query("counted").empty, path.name


def test_a_masked_identifier_keeps_the_first_letters():
    text = "Mr. Oskar Trell, seen on 14 March 2023"
    masked = privacy.masked(text, privacy.find_identifiers(text))
    assert masked == "Mr. O•••• T••••, seen on 1• M•••• 2•••"
