"""Ends of answers: whole or cut, in many scripts, by labels that were written before the rule."""

from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from medinstruct import audits, evaluation, llm, paths, records
from medinstruct.records import Answer, Example

FILE = paths.root() / "lib" / "tests" / "support" / "endings.yaml"
LABELS = yaml.load(FILE.read_text(encoding="utf-8"), yaml.CSafeLoader)
ENDS = [
    (label, kind, text)
    for label, kinds in LABELS.items()
    for kind, texts in kinds.items()
    for text in texts
]
BEFORE = (0.47, 0.47)  # right of the rules that this one replaces, of the audit and of the answers


def is_right(label, text):
    return llm.is_unfinished(text) == (label == "cut")


@pytest.mark.parametrize("kind", sorted({(label, kind) for label, kind, _ in ENDS}))
def test_ends_of_answers_are_judged_as_they_are_labeled(kind):
    wrong = [text for *about, text in ENDS if (*about,) == kind and not is_right(kind[0], text)]
    assert len(wrong) <= (kind == ("whole", "list, table or code")), wrong


def test_of_all_labeled_ends_99_of_100_are_right():
    right = sum(is_right(label, text) for label, _, text in ENDS)
    assert len(ENDS) >= 120 and right / len(ENDS) > 0.99 > max(BEFORE)


@pytest.mark.parametrize("end", ["😊", "✅", "40 kg", "।", "؟", "[3]", "»", "5 mg/kg", "3️⃣"])
def test_a_whole_answer_is_neither_flagged_nor_counted_as_truncated(end):
    text = f"Nothing else is needed but {end}"
    answer = Answer(item="1", model="m", text=text)
    assert audits.texts.risks(SimpleNamespace(output=text, type="chat")) == {}
    assert evaluation.answers.statistics([answer])["truncated"].tolist() == [0]


@pytest.mark.parametrize("end", ["and", "the", "drug,", "beta-", "(of", "lifesty", "und", "de la"])
def test_a_cut_answer_is_flagged_and_counted_as_truncated(end):
    text = f"That is well known. It is treated with {end}"
    answer = Answer(item="1", model="m", text=text)
    flags = audits.texts.risks(SimpleNamespace(output=text, type="chat"))
    assert flags == {"truncated": text[-27:]}
    assert evaluation.answers.statistics([answer])["truncated"].tolist() == [1]


@given(st.text(st.characters(min_codepoint=0xE00, max_codepoint=0xEFF), min_size=1))
def test_a_script_without_full_stops_is_never_called_cut(text):
    assert not llm.is_unfinished("ผู้ป่วย" + text + "ก")


@given(st.text())
def test_any_text_has_an_end_and_blanks_behind_it_do_not_matter(text):
    assert llm.is_unfinished(text.rstrip()) == llm.is_unfinished(text.rstrip() + " \n\u200b\ufeff ")


def test_the_answers_of_the_demo_are_whole():
    examples = records.read(paths.root() / "outputs" / "demo" / "dataset.jsonl", Example)
    assert len(examples) > 100 and not any(llm.is_unfinished(e.output) for e in examples)
