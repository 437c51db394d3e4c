"""Linear time: eight times the text of a model takes about eight times as long to read, whatever is in it."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medinstruct import assist, audits, evaluation, filtering, labels, llm, review, tasks
from medinstruct.benchmarks import extraction
from medinstruct.diversity import metrics
from medinstruct.evaluation import rubric
from medinstruct.filtering import content_rules
from medinstruct.llm import messages
from medinstruct.plotting import display
from medinstruct.records import Answer, Example, Task

LABELS = {"type": "multiple choice", "topic": "Cardiology", "view": "nurse", "difficulty": 2}
OPTIONS = ["yes", "no", "aspirin 5 mg"]
# Runs of one piece of text; any reader of a model's words can get them.
RUNS = [
    " ",
    "\n",
    "\t \n",
    "*",
    "-",
    ".",
    "?",
    "'",
    "#",
    "1",
    "a",
    "Aa",
    "A ",
    "A) ",
    "\u200b",
    "é",
]
RUNS += ["- ", "1. ", "the ", "[", "Aa-", ", ", "a. ", "😀", "中", "answer ", '{"a":', "input: "]
READERS = {
    tasks.parse_tasks: [
        "### ",
        "###\n",
        "Type: x; ",
        "Style:\n",
        "```\n",
        "Task ",
        '[{"a": [',
        "]},",
    ],
    messages.split_thought: [
        "<think>",
        "</think>",
        "[THINK]",
        "<|channel|>final",
        "<|channel|>",
        "</s>",
        "<think x",
        "<s>",
        "<|im_start|>",
        "<start_of_turn>",
    ],
    messages.is_unfinished: ["- a\n", "| a ", "(", "5 mg ", "**a ", "a"],
    lambda text: messages.settled(text, ["###", "\n\n"]): ["<", "<|", "<think ", "#"],
    evaluation.verdicts.parse_verdict: ["@a ", "not (a) ", "my ", "(a) and ", '"', "\n?\n", "as "],
    rubric.parse_grade: ["met ", "not met ", "criterion is ", "yes, "],
    lambda text: extraction.extract_choice(text, OPTIONS): ["\n?\n", "answer is the ", "option  "],
    lambda text: extraction.extract_word(text, OPTIONS): ["answer is", "no ", "answer ("],
    extraction.extract_exact: ["answer is ", "$"],
    audits.find_identifiers: ["ID ", "Aa'Aa-", "May 1 ", "a@b.", "Mr. Aa ", "van ", "MRN ", "www."],
    lambda text: audits.phi.masked(text, audits.find_identifiers(text)): ["Mr. Oskar Trell. "],
    lambda text: audits.texts.risks(example(text)): ["5 x ", "1.0 ", "no risk "],
    audits.texts.grade: ["ea", "eoe", "io", "!", "Dr. "],
    audits.texts.mentions: ["12 year ", "age ", "older "],
    lambda text: content_rules.broken(task(text, "")): ["following a ", "5-word ", "(a ", "A) b "],
    lambda text: content_rules.broken(task("Summarize it", text)): ["a 5 word ", "[insert ", "5-"],
    lambda text: filtering.tokenize(text, tokenizer="unicode"): ["a_"],
    lambda text: metrics.distinct_n([text]): ["a-", "n't "],
    lambda text: labels.canonical("topic", text): ["heart ", "a/", "(a "],
    assist.second_reader.parse: ['{"a": ["', "[[", '"none", '],
    lambda text: assist.grounding.marks(text, "5 mg"): ["5 ", "1,000,", "5 mg/", "aspirin "],
    lambda text: assist.use_cases.chat_task("", text): ["## ", "\n##"],
    lambda text: evaluation.judge.fenced({"answer": text}): ["<", "</ ", "<answer"],
    lambda text: review.cards([example(text)]): ["<a ", "Mr. Trell "],
    lambda text: evaluation.answers.statistics([Answer(item="1", model="m", text=text)]): ["a b "],
    lambda text: display.reader([{"a": text}], text=["a"]): ["<", "&"],
}
BEFORE = [
    "",
    "###",
    "Type:",
    "Instruction: a\nInput:",
    "The answer is (",
    "Call",
    "MRN",
    "ID",
    "(",
    "x",
]


def task(instruction, input):
    return Task(**LABELS, instruction=f"x{instruction}x", input=input)


def example(text):
    return Example(**LABELS, task="1", instruction="Why?", output=f"x{text}x")


def seconds(read, text):
    start = time.thread_time()  # other processes do not count
    read(text)
    return time.thread_time() - start


def is_linear(read, text, size):
    """Compare `size` characters with an eighth of them; a quadratic reader takes 64 times as long."""
    texts = [text(size // 8), text(size)]
    for _ in range(4):  # a pause of the collector is not the reader's
        short, long = (seconds(read, text) for text in texts)
        if long < 24 * short + 0.002:
            return True
    return False


def test_a_huge_page_in_place_of_an_error_is_read_at_once():
    assert seconds(llm.retry.words, ValueError("<html>" + "<script " * 200_000)) < 2


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__qualname__)
def test_a_run_of_anything_is_read_in_linear_time(read):
    slow = [
        run
        for run in [*RUNS, *READERS[read]]
        if not is_linear(read, lambda n: f"x\n{run * (n // len(run))}x", 4_000)  # noqa: B023
    ]
    assert slow == []


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\u00a0"])
def test_blanks_after_any_mark_are_read_in_linear_time(blank):
    marks = [*BEFORE, *(run for runs in READERS.values() for run in runs[:3])]
    readers = [tasks.parse_tasks, audits.find_identifiers, extraction.extract_exact]
    readers += [lambda text: extraction.extract_choice(text, OPTIONS)]
    slow = [
        mark
        for mark in marks
        if not all(is_linear(read, lambda n: f"{mark}{blank * n}x", 3_000) for read in readers)  # noqa: B023
    ]
    assert slow == []


def test_a_reply_that_ends_in_blanks_has_the_tasks_of_the_reply_before_them():
    for blanks in (" " * 200_000, "\n" * 200_000, "###" + " " * 200_000 + "x"):
        assert tasks.parse_tasks(f"{BLOCK}\n{blanks}")[0][0].instruction == "Why?"


BLOCK = "Type: chat\nTopic: Genetics\nView: patient\nDifficulty: 2\nInstruction: Why?\nInput: a\n"
PIECES = st.sampled_from([*RUNS, *BEFORE, "### 1.\n", "View: nurse\n", "Style: a\n", "```json\n"])


@settings(max_examples=25, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=3), PIECES)
def test_any_mixture_of_marks_is_parsed_in_linear_time(pieces, before):
    unit = "".join(pieces) or "x"
    assert is_linear(tasks.parse_tasks, lambda n: before + unit * (n // len(unit)) + "x", 8_000)


@pytest.mark.parametrize("size", [900, 990, 100_000])
@pytest.mark.parametrize("open", ['[{"instruction": ' + "[", '{"a":', "[", '[{"a":1},{"b":['])
def test_json_that_is_nested_too_deeply_is_a_reject(open, size):
    found, rejects = tasks.parse_tasks('[{"instruction": ' + open * size)
    assert found == [] and len(rejects) >= 1
    assert assist.second_reader.parse(open * size) is None


def test_a_number_of_5000_digits_and_half_an_emoji_in_json_cost_no_other_task():
    fields = (
        '"type": "chat", "topic": "Sleep", "view": "parent", "input": "", "instruction": "Why?"'
    )
    good = f'{{{fields}, "difficulty": 2}}'
    found, rejects = tasks.parse_tasks(f'[{good}, {{{fields}, "difficulty": {"1" * 5000}}}]')
    assert [task.instruction for task in found] == ["Why?"] and len(rejects) == 1
    half = good.replace("Why?", "Why \\ud83d?")
    found, rejects = tasks.parse_tasks(f'[{half}, {{"instruction": "\\ud83d"}}]')
    assert found[0].instruction == "Why ??" and rejects[0].raw.encode()
    assert llm.is_refusal("I can't help \ud83d")
