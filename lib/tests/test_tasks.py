"""Parsing: each task whole, or a reject with its reason; the faults of the released code are claims here (paper.md, 2.4)."""

import pytest

from medinstruct import tasks
from medinstruct.records import Task

BLOCK = "Type: chat\nTopic: Genetics\nView: patient\nDifficulty: 2\nInstruction: {}\nInput: {}\n"


def one(reply):
    found, rejects = tasks.parse_tasks(reply)
    assert len(found) == 1 and not rejects, (found, rejects)
    return found[0]


def test_what_a_prompt_shows_is_read_back():
    task = Task(type="chat", topic="Sleep", view="parent", difficulty=3, instruction="Why?", input="(A) one\n(B) two")
    shown = tasks.task_prompt([task], new=1)[1]["content"].split("### 1.\n")[1].split("### 2.")[0]
    assert one(shown) == task


@pytest.mark.parametrize(
    "text", ["Use the Input below to name the Type.", "BP 132/82 at age 12", "Give the options.", "Hb 13.5, 3.5 mg"]
)
def test_words_numbers_and_last_letters_of_an_instruction_stay(text):
    assert one(BLOCK.format(text, "<noinput>")).instruction == text


@pytest.mark.parametrize("text", ["DNA and tRNA {output_1}", "한국어 입력", "(A) NAFLD\n(B) ANA"])
def test_inputs_stay_whole(text):
    assert one(BLOCK.format("Explain.", text)).input == text


def test_two_tasks_without_a_separator_are_two():
    found, rejects = tasks.parse_tasks(BLOCK.format("One?", "<noinput>") + "2. " + BLOCK.format("Two?", '"<noinput>"'))
    assert [task.instruction for task in found] == ["One?", "Two?"] and not rejects
    assert [task.input for task in found] == ["", ""]


def test_a_missing_field_is_a_reject_and_shifts_nothing():
    block = BLOCK.format("One?", "x").replace("Difficulty: 2\n", "")
    found, rejects = tasks.parse_tasks(f"### 1.\n{block}### 2.\n{BLOCK.format('Two?', 'y')}")
    assert [task.input for task in found] == ["y"] and [r.reason for r in rejects] == ["missing difficulty"]
    assert "One?" in rejects[0].raw


def test_the_last_task_of_a_cut_reply_is_a_reject():
    found, rejects = tasks.parse_tasks(BLOCK.format("One?", "x") + BLOCK.format("Two?", "half"), finish_reason="length")
    assert len(found) == 1 and rejects[0].reason == "cut at the token limit"


@pytest.mark.parametrize(
    "change", [lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n"), str.upper, lambda t: t.replace("Type:", "**Type:**")]
)
def test_marks_and_line_ends_do_not_matter(change):
    assert one(change(BLOCK.format("Why?", "<noinput>"))).instruction.lower() == "why?"


@pytest.mark.parametrize("reply", ["", "I'm sorry, I cannot do that.", "### 4."])
def test_a_reply_without_a_task_is_one_reject(reply):
    found, rejects = tasks.parse_tasks(reply)
    assert not found and len(rejects) == 1
