"""Languages: shares of a mix, what a text is written in, what prompts add, drift of a server."""

import pytest

from medinstruct import evaluation, languages, paths, records
from medinstruct.errors import UserError


def texts(name, *fields):
    rows = [row for _, row in records.rows(paths.data(name))]
    return [" ".join(filter(None, (row.get(field, "") for field in fields))) for row in rows]


@pytest.mark.parametrize(
    "mix, sizes",
    [
        ("ko", {"ko": 1}),
        ("en 0.7, ko 0.3", {"en": 0.7, "ko": 0.3}),
        ("en, ko", dict(en=0.5, ko=0.5)),
    ],
)
def test_a_mix_is_languages_with_shares(mix, sizes):
    assert languages.shares(mix) == sizes


@pytest.mark.parametrize(
    "mix",
    ["", "xx", "korean", "en 0.7", "en 0.7, ko 0.7", "en, en", "en 0, ko 1", "en 0.7; ko 0.3"],
)
def test_what_is_no_mix_is_an_error_that_lists_the_languages(mix):
    with pytest.raises(UserError, match="languages.*\n.*\n.*shares that add up to 1.*ko, es, de"):
        languages.shares(mix)


def test_medical_texts_are_identified_also_korean_mixed_with_english_abbreviations():
    korean = texts("korean/seeds.jsonl", "instruction", "input")
    korean += texts("korean/test_freeform.jsonl", "reference")
    assert {languages.detect(text) for text in korean} == {"ko"}
    english = texts("seeds.jsonl", "instruction", "input")
    assert sum(languages.detect(text) == "en" for text in english) >= 0.99 * len(english)
    other = [row for _, row in records.rows(paths.data("phi_snippets_other.jsonl"))]
    right = [languages.detect(row["text"]) in (row["language"], "") for row in other]
    assert sum(right) >= 0.98 * len(other)


@pytest.mark.parametrize(
    "text, code",
    [
        ("熱が三日続いています。", "ja"),
        ("发热三天，咳嗽。", "zh"),
        ("¿Cuántas veces al día tomo la pastilla?", "es"),
        ("B. 148/92", ""),
        ("네.", ""),
        ("아침에 드세요. In the evening you may take one more tablet with a glass of water.", ""),
        ("The Korean word 고혈압 means high blood pressure.", "en"),
    ],
)
def test_scripts_decide_and_short_or_mixed_texts_have_no_language(text, code):
    assert languages.detect(text) == code


def test_only_prompts_in_another_language_have_a_sentence():
    for part in ("tasks", "responses", "judge", "grader"):
        assert not languages.sentence("en", part) and not languages.sentence("", part)
        assert "한국어" in languages.sentence("ko", part) or part == "grader"
        assert languages.sentence("sv", part).isascii()
    assert "Swedish" in languages.sentence("sv", "tasks")
    assert languages.label_name("topic", "Surgery", "ko") == "외과"
    assert languages.label_name("topic", "no such", "ko") == "no such"


def test_judge_and_grader_read_of_the_language_only_where_it_is_not_english():
    def prompts(item):
        answers = [records.Answer(item=item.id, model=name, text="…") for name in ("a", "b")]
        pair = evaluation.judge.build_pairs([item], answers[:1], references=answers[1:])[0]
        parts = {"question": pair.question, "answer": "…", "criterion": "…"}
        graded = evaluation.rubric.criterion_request(parts, wording="Is it met?")
        return evaluation.judge.judge_request(pair).messages[1]["content"], str(graded.messages)

    path = str(paths.data("korean/test_freeform.jsonl"))
    korean, english = evaluation.load_items(path)[0], evaluation.load_items("own")[0]
    judge, grader = prompts(korean)
    assert (
        languages.sentence("ko", "judge") in judge and languages.sentence("ko", "grader") in grader
    )
    assert not [text for text in prompts(english) if "한국어" in text]
