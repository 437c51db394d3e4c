"""Parsing: each task whole, or a reject with its reason; the faults of the released code are claims here (paper.md, 2.4)."""

import asyncio
import functools
import itertools
import json
import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medinstruct import labels, llm, paths, records, stats, tasks
from medinstruct.errors import UserError
from medinstruct.records import Task

BLOCK = "Type: chat\nTopic: Genetics\nView: patient\nDifficulty: 2\nInstruction: {}\nInput: {}\n"


def one(reply):
    found, rejects = tasks.parse_tasks(reply)
    assert len(found) == 1 and not rejects, (found, rejects)
    return found[0]


@pytest.mark.parametrize("style", ["", "lay message"])
def test_what_a_prompt_shows_is_read_back(style):
    task = Task(
        type="chat",
        topic="Sleep",
        view="parent",
        difficulty=3,
        style=style,
        instruction="Why?",
        input="(A) one\n(B) two",
    )
    shown = tasks.task_prompt([task], new=1)[1]["content"].split("### 1.\n")[1].split("### 2.")[0]
    assert one(shown) == task


@pytest.mark.parametrize(
    "text",
    [
        "Use the Input below to name the Type.",
        "BP 132/82 at age 12",
        "Give the options.",
        "Hb 13.5, 3.5 mg",
    ],
)
def test_words_numbers_and_last_letters_of_an_instruction_stay(text):
    assert one(BLOCK.format(text, "<noinput>")).instruction == text


@pytest.mark.parametrize("text", ["DNA and tRNA {output_1}", "한국어 입력", "(A) NAFLD\n(B) ANA"])
def test_inputs_stay_whole(text):
    assert one(BLOCK.format("Explain.", text)).input == text


def test_two_tasks_without_a_separator_are_two():
    found, rejects = tasks.parse_tasks(
        BLOCK.format("One?", "<noinput>") + "2. " + BLOCK.format("Two?", '"<noinput>"')
    )
    assert [task.instruction for task in found] == ["One?", "Two?"] and not rejects
    assert [task.input for task in found] == ["", ""]


def test_a_missing_field_is_a_reject_and_shifts_nothing():
    block = BLOCK.format("One?", "x").replace("Difficulty: 2\n", "")
    found, rejects = tasks.parse_tasks(f"### 1.\n{block}### 2.\n{BLOCK.format('Two?', 'y')}")
    assert [task.input for task in found] == ["y"] and [r.reason for r in rejects] == [
        "missing difficulty"
    ]
    assert "One?" in rejects[0].raw


def test_the_last_task_of_a_cut_reply_is_a_reject():
    found, rejects = tasks.parse_tasks(
        BLOCK.format("One?", "x") + BLOCK.format("Two?", "half"), finish_reason="length"
    )
    assert len(found) == 1 and rejects[0].reason == "cut at the token limit"


@pytest.mark.parametrize("sign", ["; ", ";", " | ", ", ", "   ", "\t", " / ", " · ", ". ", " – "])
def test_labels_may_share_a_line_and_texts_keep_their_signs(sign):
    """A 1.5B teacher lost 4 of 25 pieces so, and as many by leaving out an empty Input."""
    text, given = "Explain; then list: Topic; View: one, two | three.", "Na; K   140 | View: 4"
    labels, marks = ("Type: open Q&A", "Topic: ENT, Eyes", "View: a | b", "Difficulty: 2"), []
    for cuts in itertools.product([sign, "\n"], repeat=3):
        head = "".join(map("".join, zip(labels, (*cuts, "\n"), strict=True)))
        marks.append(one(f"### 4.\n{head}Instruction: {text}\nInput: {given}"))
        assert one(f"{head[:-1]}{sign}Instruction: {text}\nInput: {given}") == marks[0]
    assert set(task.id for task in marks) == {marks[0].id}
    assert (marks[0].topic, marks[0].view) == ("ENT, Eyes", "a | b")
    assert (marks[0].instruction, marks[0].input) == (text, given)


def test_bold_labels_may_share_a_line_with_one_blank_between_them():
    labels = "**Type:** chat **Topic:** ENT **View:** nurse **Difficulty:** 2"
    task = one(f"{labels}\n**Instruction:** Why? **View:** is text.\n**Input:** x")
    assert (task.type, task.topic, task.view, task.difficulty) == ("chat", "ENT", "nurse", 2)
    assert task.instruction == "Why? **View:** is text."


@pytest.mark.parametrize("left_out", ["", "\n\n", "\n---", "\n### 8."])
def test_two_tasks_without_an_input_line_are_two_tasks_without_input(left_out):
    block = BLOCK.format("Why?", "").replace("Input: \n", "")
    reply = f"### 7.\n{block}{left_out}\n{block.replace('Why', 'How')}"
    found, rejects = tasks.parse_tasks(reply)
    assert [(task.instruction, task.input) for task in found] == [("Why?", ""), ("How?", "")]
    found, rejects = tasks.parse_tasks(reply, "length")
    assert [task.instruction for task in found] == ["Why?"] and len(rejects) == 1


def test_a_task_that_lacks_only_the_input_has_none_unless_the_reply_was_cut():
    block = BLOCK.format("Why?", "").replace("Input: \n", "")
    assert one(block).input == one(BLOCK.format("Why?", "<noinput>")).input == ""
    row = {
        "type": "chat",
        "topic": "Sleep",
        "view": "nurse",
        "difficulty": 2,
        "instruction": "Why?",
    }
    assert one(json.dumps([row])).input == ""
    assert tasks.parse_tasks(block, "length")[1][0].reason == "cut at the token limit"
    hidden = block.replace("Why?", "Why? Input: a child coughs.")
    assert [r.reason for r in tasks.parse_tasks(hidden)[1]] == ["missing input"]


def test_a_style_is_read_as_a_label_and_may_be_missing():
    styled = BLOCK.replace("Instruction", "Style: lay message\nInstruction").format("Why?", "x")
    bold = styled.replace("Style:", "**Style:**").replace("2\n", "2\n\n")
    shared = styled.replace("2\n", "2; ")
    upside_down = "".join(reversed(styled.splitlines(keepends=True)))
    for text in (styled, bold, shared, upside_down):
        assert (one(text).style, one(text).input, one(text).difficulty) == ("lay message", "x", 2)
    plain = one(BLOCK.format("Why?", "x"))
    assert plain.style == "" and plain.id == one(styled).id
    row = plain.model_dump(exclude={"id", "provenance", "style"})
    assert one(json.dumps([row])).style == ""
    assert one(json.dumps([row | {"style": "SOAP note"}])).style == "SOAP note"


@pytest.mark.parametrize("line", ["Style: APA", "Style", "Style: Input by hand"])
def test_a_line_about_style_in_a_text_is_no_label(line):
    text = f"A draft.\n{line}\nThe end, in 40 words."
    assert one(BLOCK.format("Rewrite.", text)).input == text
    styled = BLOCK.replace("Instruction", "Style: lay message\nInstruction")
    assert one(styled.format(text, "<noinput>")).instruction == text
    last = one(BLOCK.format("Rewrite.", f"A draft.\n{line}"))
    assert last.input == f"A draft.\n{line}" and last.style == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda t: "\ufeff" + t,
        lambda t: t.replace("\n", "\r\n"),
        str.upper,
        lambda t: t.replace("Type:", "**Type:**"),
    ],
)
def test_marks_and_line_ends_do_not_matter(change):
    assert one(change(BLOCK.format("Why?", "<noinput>"))).instruction.lower() == "why?"


@pytest.mark.parametrize("reply", ["", "I'm sorry, I cannot do that.", "### 4."])
def test_a_reply_without_a_task_is_one_reject(reply):
    found, rejects = tasks.parse_tasks(reply)
    assert not found and len(rejects) == 1


# A corpus of hostile replies: fourteen pairs of awkward tasks in eighteen shapes. Whatever is accepted must be word for word what was meant.
AWKWARD = [
    (
        "Use the Input below: name the Type of each drug.",
        "Type 2 diabetes\nInput from the ward: none needed",
    ),
    ("Explain DNA, RNA and NA+ channels.", "NA"),
    ("Choose one.", "A child coughs.\n(A) Croup\n(B) Asthma\n(C) Foreign body\n(D) Pneumonia"),
    ("Summarize the note.", "1. Chest pain\n2. Cough\n3. Fever"),
    ("Fill {output_1} and {{braces}} literally.", "{input} {0} %s"),
    ("열이 나는 아이를 어떻게 돌볼까요?", "한국어 입력 문장입니다."),
    ("What is BP 132/82 at 5 pm?", ""),
    ('Rewrite for a patient: "NSTEMI".', '"NSTEMI" is a heart attack.'),
    ("List 3 causes; difficulty may vary.", "- first\n- second"),
    ("Classify as benign or malignant.", "Topic sentence first. View of the lung: clear."),
    ("Interpret the table.", "| Na | K |\n| --- | --- |\n| 140 | 4 |"),
    ("Why is the answer 42?", "Dose: 5 mg\nRoute: oral"),
    ("Explain <script>alert(1)</script> in HTML.", "<b>bold</b> & more"),
    ("Ends with a number 7", "Ends with 12."),
]
NAMES = ("Type", "Topic", "View", "Difficulty", "Style", "Instruction", "Input")


def fields_of(text, given):
    return dict(
        zip(
            NAMES,
            ("open Q&A", "Genetics", "patient", "3", "SOAP note", text, given or "<noinput>"),
            strict=True,
        )
    )


def lines(fields, shape="{}: {}\n", order=NAMES):
    return "".join(shape.format(name, fields[name]) for name in order)


def joined(pair, head, **shape):
    return "".join(head.format(n=n) + lines(fields, **shape) for n, fields in enumerate(pair, 4))


SHAPES = {
    "plain": lambda p: joined(p, "### {n}.\n"),
    "numbered": lambda p: joined(p, "{n}. "),
    "run together": lambda p: joined(p, ""),
    "both": lambda p: joined(p, "###\n{n}. "),
    "rulers": lambda p: joined(p, "---\n"),
    "task heads": lambda p: joined(p, "### Task {n}:\n"),
    "bold heads": lambda p: joined(p, "**Task {n}**\n\n"),
    "bold fields": lambda p: joined(p, "### {n}.\n", shape="**{}:** {}\n"),
    "bold names": lambda p: joined(p, "### {n}.\n", shape="**{}**: {}\n"),
    "bullets": lambda p: joined(p, "{n}.\n", shape="- {}: {}\n"),
    "upside down": lambda p: joined(
        p,
        "### {n}.\n",
        order=("Input", "Instruction", "Style", "Difficulty", "View", "Topic", "Type"),
    ),
    "upper case": lambda p: (
        joined(p, "### {n}.\n").replace("Type:", "TYPE:").replace("Instruction:", "INSTRUCTION:")
    ),
    "blank lines": lambda p: joined(p, "\n\n### {n}.\n\n", shape="{}: {}\n\n"),
    "BOM and CRLF": lambda p: "\ufeff" + joined(p, "### {n}.\n").replace("\n", "\r\n"),
    "chatter before": lambda p: "Sure! Here are the tasks:\n\n" + joined(p, "### {n}.\n"),
    "next number after": lambda p: joined(p, "### {n}.\n") + "### 6.",
    "JSON": lambda p: json.dumps({"tasks": [{k.lower(): v for k, v in f.items()} for f in p]}),
    "fenced JSON": lambda p: (
        "```json\n"
        + json.dumps([{k.lower(): v for k, v in f.items()} for f in p], indent=1)
        + "\n```"
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("number", range(len(AWKWARD)))
def test_of_252_hostile_replies_nothing_is_silently_corrupted(shape, number):
    pair = [AWKWARD[number], AWKWARD[number - 1]]
    truth = {(text, given) for text, given in pair}
    reply = SHAPES[shape]([fields_of(*one) for one in pair])
    found, rejects = tasks.parse_tasks(reply)
    assert {(task.instruction, task.input) for task in found} == truth, (found, rejects)
    assert {task.style for task in found} == {"SOAP note"}
    for cut in range(40, len(reply), 37):  # and cut anywhere: whole tasks only
        found, _ = tasks.parse_tasks(reply[:cut], finish_reason="length")
        assert {(task.instruction, task.input) for task in found} <= truth


def test_a_swallowed_second_task_is_given_back():
    """12 of the released sample rows hold a second task inside the first one's input (paper.md, 1.5)."""
    reply = BLOCK.format("One?", "case A") + BLOCK.format("Two?", "case B")
    assert [task.input for task in tasks.parse_tasks(reply)[0]] == ["case A", "case B"]


@pytest.mark.parametrize("level", ["0", "6", "hard", "12", ""])
def test_a_difficulty_outside_one_to_five_is_a_reject(level):
    found, rejects = tasks.parse_tasks(
        BLOCK.format("Why?", "x").replace("Difficulty: 2", f"Difficulty: {level}")
    )
    assert not found and "difficulty" in rejects[0].reason


@given(st.text(max_size=400))
def test_any_text_is_parsed_without_loss_of_rejects(text):
    found, rejects = tasks.parse_tasks(text)
    assert found or rejects


def seeds_of_ours():
    return records.read(paths.data("seeds.jsonl"), Task)


@functools.cache
def made_with(**settings):
    client = llm.Client(url=settings.pop("url", "offline"), model="m")
    made = asyncio.run(tasks.generate(client, seeds_of_ours(), **({"requests": 60} | settings)))
    return made, client


def test_the_first_round_is_what_a_pilot_may_ask_without_paying_twice():
    for settings in ({"steer": "none"}, {"steer": "coverage"}):
        client = llm.Client(url="offline", model="m")
        first = tasks.first_requests(seeds_of_ours(), requests=24, **settings)
        asyncio.run(client.ask_all(first))
        before = client.usage["asked"]
        asyncio.run(tasks.generate(client, seeds_of_ours(), requests=24, **settings))
        assert client.usage["cached"] >= len(first) and client.usage["asked"] - before <= 2 * (
            24 - len(first)
        )


def test_steering_levels_the_labels():
    spread = {}
    for steer in ("none", "coverage"):
        made, _ = made_with(steer=steer)
        topics = [labels.canonical("topic", task.topic) for task in made.tasks]
        spread[steer] = stats.entropy(map(topics.count, set(topics)))
    assert spread["coverage"] > spread["none"] + 0.3


@pytest.mark.parametrize("style", ["", "lay message", "SOAP note"])
def test_a_task_fills_one_cell_of_each_pair_of_its_labels(style):
    """A pair that no request asks for, such as a SOAP note by a patient, has no cell to fill."""
    coverage, pairs = tasks.Coverage(576), list(itertools.combinations(labels.VALUES, 2))
    before = {pair: coverage.deficits(*pair) for pair in pairs}
    assert before["type", "difficulty"].stack().unique().tolist() == [576 // 50]
    assert before["topic", "view"].stack().unique().tolist() == [1]  # at least one a cell
    task = one(BLOCK.format("Why?", "<noinput>")).model_copy(update={"style": style})
    coverage.add([task])
    names = {"type": "chat", "topic": "Genetics", "view": "patient/public", "difficulty": 2}
    names["style"] = style
    for pair, table in before.items():
        filled = (table - coverage.deficits(*pair)).stack()
        is_cell = "style" not in pair or bool(style)
        is_cell &= pair != ("view", "style") or style != "SOAP note"
        assert filled.sum() == is_cell
        assert not is_cell or filled.idxmax() == tuple(names[axis] for axis in pair)


def test_steering_asks_for_every_style_and_for_no_soap_note_by_a_patient():
    for size in (576, 10_000):
        plan = tasks.Coverage(size).plan(140, random.Random(1))
        counts = Counter(cell["style"] for cell in plan)
        assert set(counts) == set(labels.STYLES)
        assert min(counts.values()) / 140 > 0.05 and max(counts.values()) / 140 < 0.2
        views = {cell["style"]: set() for cell in plan}
        for cell in plan:
            views[cell["style"]].add(labels.canonical("view", cell["view"]))
        assert all(views[style] <= set(names) for style, names in labels.STYLE_VIEWS.items())
        assert len(views["plain prose"]) == len(labels.VIEW_GROUPS)


def test_an_answer_is_asked_for_without_the_style():
    task = one(BLOCK.format("Why?", "x")).model_copy(update={"style": "SOAP note"})
    assert "soap" not in str(tasks.response_requests([task])[0].messages).lower()


def test_deficits_sum_four_labels_and_pairs_with_style_for_many_tasks_never_below_zero():
    coverage = tasks.Coverage(10_000)
    assert coverage.deficits("type", "difficulty").loc["chat", 2] == 61 * 7
    assert coverage.deficits("type", "style").loc["chat", "SOAP note"] == 10_000 // 70
    block = tasks.parse_tasks(BLOCK.format("Why?", "<noinput>"))[0]
    coverage.add(block * 3)
    assert coverage.deficits("type", "difficulty").loc["chat", 2] == 61 * 7 - 1


def test_the_wanted_labels_are_shown_in_the_form_that_is_wanted_back():
    cells = tasks.Coverage(90).plan(9, random.Random(1))
    shown = tasks.task_prompt(seeds_of_ours()[:3], new=9, cells=cells)[1]["content"]
    copied = shown.split("to each:\n")[1].split("\n\nList")[0]
    filled = re.sub(r"(?m)^(Style: .*)$", r"\1\nInstruction: Why?\nInput: <noinput>", copied)
    found, rejects = tasks.parse_tasks(filled)
    for axis in ("topic", "style"):
        assert [getattr(task, axis) for task in found] == [cell[axis] for cell in cells]
    assert not rejects


def test_the_first_request_asks_for_the_labels_that_coverage_plans():
    request = tasks.first_requests(seeds_of_ours(), requests=24, steer="coverage")[0]
    for cell in tasks.Coverage(24 * 9).plan(9, random.Random(42)):
        assert f"Type: {cell['type']}\nTopic: {cell['topic']}\n" in request.messages[1]["content"]


def test_a_topic_that_the_teacher_never_delivers_is_given_up():
    made, _ = made_with(steer="coverage")
    assert "Biostatistics" in made.given_up and "Cardiology" not in made.given_up


def test_a_teacher_that_says_nothing_new_ends_the_run():
    with pytest.raises(UserError, match="no usable task in 3 round(.|\n)*got: refused"):
        made_with(steer="coverage", url="offline?refusal=1", requests=200)


def test_json_and_blocks_give_the_same_kind_of_tasks():
    made, _ = made_with(form="json", url="offline?missing_field=0&refusal=0")
    assert len(made.tasks) > 450 and all(task.provenance.parents for task in made.tasks)


@pytest.mark.parametrize(
    "wrong",
    [{"steer": "steep"}, {"form": "yaml"}, {"seeds_per_request": 999}],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UserError):
        made_with(**wrong)


def test_the_ledger_adds_up(tmp_path):
    made, _ = made_with(steer="none", requests=20)
    records.write(tmp_path / "raw_tasks.jsonl", made.tasks)
    records.write(tmp_path / "rejects.jsonl", made.rejects)
    table = tasks.load_ledger(tmp_path, asked=180)
    assert table["out"].iloc[0] == len(made.tasks) == 180 - table["lost"].iloc[0]


def test_files_that_do_not_belong_together_are_found_out(tmp_path):
    made, _ = made_with(steer="none", requests=8)
    for name, rows in (
        ("raw_tasks.jsonl", made.tasks),
        ("rejects.jsonl", made.rejects),
        ("tasks.jsonl", made.tasks[:5]),
    ):
        records.write(tmp_path / name, rows)
    with pytest.raises(UserError, match="add up"):
        tasks.load_ledger(tmp_path, asked=72)
    assert (
        len(tasks.load_ledger(tmp_path, asked=72, stages=1)) == 1
    )  # a rerun does not look at what an earlier run left


def test_what_a_content_filter_has_cut_is_a_reject():
    found, rejects = tasks.parse_tasks(
        BLOCK.format("One?", "x") + BLOCK.format("Two?", "half"), finish_reason="content_filter"
    )
    assert len(found) == 1 and rejects[0].reason == "cut: content_filter"


ROW = {"type": "chat", "topic": "Genetics", "view": "patient", "difficulty": 2, "input": ""}
JSON = [json.dumps(ROW | {"instruction": text}) for text in ("One?", "Two [a, b]?")]
IN_JSON = {
    "a line each": "\n".join(JSON),
    "a line each, fenced": "```jsonl\n" + "\n".join(JSON) + "\n```",
    "between words": f"Here they are:\n\n```json\n[{', '.join(JSON)}]\n```\n\nShall I write more?",
    "one of them broken off": f'{{"tasks": [{", ".join(JSON)}, {{"type',
}


@pytest.mark.parametrize("form", IN_JSON)
def test_json_is_read_however_a_model_packs_it(form):
    found, rejects = tasks.parse_tasks(IN_JSON[form])
    assert [task.instruction for task in found] == ["One?", "Two [a, b]?"]
    assert len(rejects) == ("broken" in form)


def test_json_in_an_input_is_no_reply_in_json():
    text = 'Read the record.\n```json\n[{"drug": "aspirin"}]\n```'
    assert one(BLOCK.format("Name the drug.", text)).input == text


@pytest.mark.parametrize(
    "text",
    ["(no input)", "No input needed.", "-", "<noinput>\n```", "<noinput>\n\nShall I write more?"],
)
def test_an_input_that_only_says_that_there_is_none_is_none(text):
    assert one(BLOCK.format("One?", text)).input == ""


def test_a_difficulty_may_have_a_decimal():
    assert one(json.dumps([json.loads(JSON[0]) | {"difficulty": 2.0}])).difficulty == 2
    assert not tasks.parse_tasks(BLOCK.replace("2", "2.5").format("One?", ""))[0]
