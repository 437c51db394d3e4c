"""Files of others: columns that are no text, conversations, doubles, encodings, forms of benchmarks."""

import asyncio
import codecs
import gzip
import json
import logging

import pandas as pd
import pytest
from support import tiny_model

from medinstruct import (
    benchmarks,
    diversity,
    evaluation,
    params,
    records,
    safety,
    tasks,
    training,
)
from medinstruct.errors import UserError
from medinstruct.filtering import contamination
from medinstruct.records import Example, Task

TASK = {"type": "chat", "topic": "Sleep", "view": "patient", "difficulty": 2}
NAN = float("nan")


def lines(path, rows, encoding="utf-8"):
    path.write_bytes("".join(json.dumps(row) + "\n" for row in rows).encode(encoding))
    return str(path)


def seeds(*texts):
    return [TASK | {"instruction": text, "input": ""} for text in texts]


def items(tmp_path, *questions):
    rows = [{"instruction": q, "reference": f"Reference to {q}"} for q in questions]
    return evaluation.load_items(lines(tmp_path / "test.jsonl", rows))


# Columns that are no text.


def answers(tmp_path, *values, field="output"):
    asked = [f"What is {n}?" for n in range(len(values))]
    rows = [{"instruction": q, field: v} for q, v in zip(asked, values, strict=True)]
    file = lines(tmp_path / "answers.jsonl", rows)
    return [a.text for a in evaluation.load_answers({"m": file}, items(tmp_path, *asked))]


def test_a_list_of_one_text_is_that_text_and_null_and_nan_are_empty_answers(tmp_path):
    given = ["A bulge."], "Bleeding.", None, NAN, "", "NaN", "None"
    assert answers(tmp_path, *given) == ["A bulge.", "Bleeding.", "", "", "", "NaN", "None"]


@pytest.mark.parametrize("value", [{"text": "x"}, ["a", "b"], 42, 0.5, True, [], [["a"]], [None]])
def test_any_other_answer_is_refused_with_file_line_and_field(tmp_path, value):
    with pytest.raises(UserError, match=r"answers.jsonl, line 2, field `output` is not a text"):
        answers(tmp_path, "Rest.", value)


@pytest.mark.parametrize("rows", [[{"reference": 7}], [{"references": {"gpt": ["a", "b"]}}]])
def test_a_reference_that_is_no_text_is_refused_in_a_list_by_its_entry(tmp_path, rows):
    file = records.write_json(tmp_path / "t.json", [{"instruction": "Why?"} | row for row in rows])
    with pytest.raises(UserError, match="t.json, entry 1, field `references"):
        evaluation.load_items(str(file))


def test_a_seed_may_hold_its_text_in_a_list_of_one_but_no_number(tmp_path):
    row = seeds("Why?")[0] | {"instruction": ["Why do I snore?"], "input": None, "style": NAN}
    [task] = records.load(lines(tmp_path / "seeds.jsonl", [row]), Task)
    assert (task.instruction, task.input, task.style) == ("Why do I snore?", "", "")
    for wrong in (3, True, {"a": 1}, ["a", "b"]):
        with pytest.raises(UserError, match="line 2, field `instruction`"):
            records.load(lines(tmp_path / "s.jsonl", [row, row | {"instruction": wrong}]), Task)


def test_a_dataset_to_measure_names_the_row_and_the_field_of_a_map(tmp_path):
    rows = [{"instruction": "Why?", "topic": ["Sleep"], "difficulty": 3, "view": NAN}]
    table = diversity.load(lines(tmp_path / "d.jsonl", rows))
    assert table[["topic", "difficulty_of", "view_of"]].iloc[0].tolist() == [
        "Sleep",
        3,
        "(no label)",
    ]
    for field in ("instruction", "output", "topic"):
        with pytest.raises(UserError, match=f"d.jsonl, line 2, field `{field}` is not a text"):
            diversity.load(lines(tmp_path / "d.jsonl", [*rows, rows[0] | {field: {"a": 1}}]))


def test_a_vote_and_a_stored_verdict_that_are_no_text_are_refused(tmp_path):
    vote = dict.fromkeys(("model", "reference", "question", "rater"), "x") | {"winner": "tie"}
    votes = [vote | {"id": n} for n in (1, 2)]
    read = evaluation.judge_checks.load_votes(lines(tmp_path / "v.jsonl", votes))
    assert read["id"].tolist() == ["1", "2"]
    with pytest.raises(UserError, match="v.jsonl, line 3, rater is not a text"):
        evaluation.judge_checks.load_votes(
            lines(tmp_path / "v.jsonl", [*votes, vote | {"rater": [1, 2]}])
        )
    with pytest.raises(UserError, match="1 votes .*(\n|.)*vote 3"):
        evaluation.judge_checks.load_votes(lines(tmp_path / "v.jsonl", [*votes, votes[0]]))
    verdict = {"id": "a", "reference": "r", "order": "model_first", "reply": {"text": "[[A]]"}}
    with pytest.raises(UserError, match="v.jsonl, line 1, reply is not a text"):
        evaluation.verdicts.load_verdicts(lines(tmp_path / "v.jsonl", [verdict]))


def test_half_an_emoji_in_an_answer_is_replaced(tmp_path):
    assert answers(tmp_path, "Rest \ud83d now.") == ["Rest ? now."]


# Conversations.

TURNS = ("What is gout?", "A crystal arthritis.")
OPENAI = [{"role": "user", "content": TURNS[0]}, {"role": "assistant", "content": TURNS[1]}]
SYSTEM = {"role": "system", "content": "Be brief."}
PARTS = [{"role": "user", "content": [{"type": "text", "text": TURNS[0]}, {"type": "image_url"}]}]
SHAREGPT = [{"from": "human", "value": TURNS[0]}, {"from": "gpt", "value": TURNS[1]}]
FORMS = {
    "ShareGPT": {"conversations": SHAREGPT, "system": "Be brief."},
    "ShareGPT that begins with its model": {"conversations": [SHAREGPT[1], *SHAREGPT, *SHAREGPT]},
    "messages": {"messages": [SYSTEM, *OPENAI, {"role": "user", "content": "And pseudogout?"}]},
    "messages in parts": {"messages": [*PARTS, OPENAI[1]]},
    "prompt and completion": {"prompt": OPENAI[:1], "completion": OPENAI[1:]},
    "prompt and chosen": {"prompt": OPENAI[:1], "chosen": OPENAI, "rejected": OPENAI[:1]},
    "chosen alone": {"chosen": OPENAI, "rejected": OPENAI[:1]},
    "messages in a cell": {"messages": json.dumps([SYSTEM | {"name": None}, *OPENAI])},
    "messages in a cell of pandas": {"prompt": str(OPENAI[:1]), "response": str(OPENAI[1:])},
    "an answer in a message": {"instruction": TURNS[0], "output": OPENAI[1:]},
    "an empty column beside": {"instruction": "", "output": None, "messages": OPENAI},
    "prompt with its messages": {"prompt": TURNS[0], "messages": OPENAI},
    "plain prompt and completion": {"prompt": TURNS[0], "completion": TURNS[1]},
    "Alpaca with the whole prompt": {"instruction": TURNS[0], "output": TURNS[1], "text": "### …"},
    "question and answer": {"Question": TURNS[0], "Answer": TURNS[1]},
    "query and response": {"query": TURNS[0], "response": TURNS[1]},
}


def test_the_whole_prompt_of_alpaca_is_no_answer_where_the_output_is_empty(tmp_path):
    file = lines(tmp_path / "d.jsonl", [FORMS["Alpaca with the whole prompt"] | {"output": ""}])
    assert diversity.load(file)["output"].tolist() == [""]


@pytest.mark.parametrize("form", FORMS)
def test_a_row_of_another_project_is_its_first_question_and_the_answer(tmp_path, form):
    file = lines(tmp_path / "d.jsonl", [FORMS[form]])
    assert diversity.load(file)[["instruction", "output"]].to_numpy().tolist() == [[*TURNS]]
    [item] = evaluation.load_items(file)
    assert (item.instruction, item.references) == (TURNS[0], {"given": TURNS[1]})
    assert evaluation.load_answers({"m": file}, [item])[0].text == TURNS[1]


def test_the_question_of_a_conversation_is_searched_as_a_test_question(tmp_path):
    rows = [{"conversations": SHAREGPT}, {"messages": OPENAI}, {"prompt": OPENAI[:1]}]
    items = contamination.load_items("own", [lines(tmp_path / "more.jsonl", rows)])
    assert items["text"].tolist()[-3:] == [TURNS[0]] * 3


@pytest.mark.parametrize(
    "row",
    [
        {"text": "### Human: Why? ### Assistant: So."},
        {"conversations": SHAREGPT[1:]},
        {"dialogue": OPENAI, "source": "x"},
        {"conversations": [{"speaker": "a", "utterance": "Why?"}]},
    ],
)
def test_a_row_without_a_question_is_refused_with_the_names_of_its_fields(tmp_path, row):
    file = lines(tmp_path / "d.jsonl", [{"instruction": "Why?"}, row])
    for read in (diversity.load, evaluation.load_items):
        with pytest.raises(UserError, match=f"line 2 (.|\n)*{', '.join(row)}(.|\n)*messages"):
            read(file)
    with pytest.raises(UserError, match="field `type`"):
        records.load(file, Task)


def test_an_answer_to_a_question_with_input_is_recognized_in_the_turn_of_the_user(tmp_path):
    rows = [{"instruction": "Explain it.", "input": f"Text {n} on gout."} for n in range(2)]
    items = evaluation.load_items(lines(tmp_path / "t.jsonl", rows))
    chats = [
        [
            SYSTEM,
            {"role": "user", "content": f"Explain it.\n\n{row['input']}"},
            OPENAI[1] | {"content": row["input"]},
        ]
        for row in rows[::-1]
    ]
    file = lines(tmp_path / "a.jsonl", [{"messages": chat} for chat in chats])
    read = evaluation.load_answers({"m": file}, items)
    assert [answer.text for answer in read] == [row["input"] for row in rows]


# Empty ones and doubles.


def test_empty_references_are_left_out_with_their_number_and_lose_nothing(tmp_path, caplog):
    rows = [
        {"instruction": f"What is {n}?", "output": v}
        for n, v in enumerate(("Rest.", "", " ", None))
    ]
    items = evaluation.load_items(lines(tmp_path / "t.jsonl", rows))
    written = evaluation.answers.reference_answers(items)
    assert [answer.item for answer in written] == [items[0].id]
    assert "given for 3 of 4 items" in caplog.text
    read = [records.Answer(item=item.id, model="m", text="Sleep.") for item in items]
    pairs = evaluation.judge.build_pairs(items, read, references=written)
    assert len(pairs) == 2 and not any(map(evaluation.judge.winner_by_rule, pairs))
    with pytest.raises(UserError, match="(?s)no reference answer.*1 items"):
        evaluation.answers.reference_answers(
            items[1:2], {"given": lines(tmp_path / "r.jsonl", rows[1:2])}
        )


def test_a_published_answer_that_is_null_is_missing_for_that_reference_alone(tmp_path, caplog):
    row = {"instruction": "Why?", "gpt-4-answer": None, "claude-2": "So."}
    items = evaluation.load_items(
        lines(tmp_path / "t.jsonl", [row, row | {"instruction": "How?", "gpt-4-answer": "Thus."}])
    )
    written = evaluation.answers.reference_answers(items)
    given = [(answer.model, answer.text) for answer in written]
    assert given == [("gpt-4", "Thus."), ("claude-2", "So."), ("claude-2", "So.")]
    assert "gpt-4 for 1 of 2 items" in caplog.text and "claude-2 for" not in caplog.text


def test_empty_rows_of_a_dataset_are_no_tasks(tmp_path, caplog):
    rows = [{"instruction": "Why?"}, {"instruction": None}, {"instruction": " "}, {"prompt": NAN}]
    assert len(diversity.load(lines(tmp_path / "d.jsonl", rows))) == 1
    assert "3 of 4 rows" in caplog.text
    with pytest.raises(UserError, match="holds no task"):
        diversity.load(lines(tmp_path / "d.jsonl", rows[1:]))


PROMPT = {"category": "emergency", "topic": "x", "behavior": "escalate", "expected": "x"}
DOUBLED = {
    "seeds": lambda file: records.load(file, Task),
    "test set": evaluation.load_items,
    "safety prompts": safety.load_safety,
}


@pytest.mark.parametrize("name", DOUBLED)
def test_a_double_is_left_out_and_named_with_the_file_and_both_lines(tmp_path, caplog, name):
    texts = ["Why?", "How?", "When?", "How?", "Why?"]
    rows = [TASK | {"instruction": text} for text in texts]
    rows = [PROMPT | {"prompt": text} for text in texts] if name == "safety prompts" else rows
    assert len(DOUBLED[name](lines(tmp_path / "doubled.jsonl", rows))) == 3
    assert "doubled.jsonl: 2 of 5" in caplog.text
    assert "line 4 (as line 2), line 5 (as line 1)" in caplog.text


def test_the_first_of_two_answers_counts_and_the_other_is_named(tmp_path, caplog):
    [item] = items(tmp_path, "Why?")
    file = lines(tmp_path / "a.jsonl", [{"instruction": "Why?", "output": text} for text in "xy"])
    assert evaluation.load_answers({"m": file}, [item])[0].text == "x"
    assert "a.jsonl: 1 of 2" in caplog.text and "line 2 (as line 1)" in caplog.text


def test_many_doubles_are_counted_and_the_first_five_named(tmp_path, caplog):
    file = lines(tmp_path / "t.jsonl", [{"instruction": f"What is {n % 9}?"} for n in range(900)])
    assert len(evaluation.load_items(file)) == 9
    assert "891 of 900" in caplog.text and caplog.text.count("as line") == 5


@pytest.mark.parametrize("content", ["", "[]", " \n\n", '{"data": []}', "\ufeff"])
def test_an_empty_file_of_seeds_tests_or_prompts_is_one_message(tmp_path, content):
    file = tmp_path / "empty.json"
    file.write_text(content, encoding="utf-8")
    for read in DOUBLED.values():
        with pytest.raises(UserError, match="empty.json is empty"):
            read(str(file))
    with pytest.raises(UserError, match="holds no task"):
        diversity.load(file)


def test_a_note_is_on_the_page_and_not_among_the_bars_that_are_taken_out(capsys):
    logger = logging.getLogger("medinstruct")
    scope = {"get_ipython": None}
    params.check(scope)
    params.check(scope)
    records.note("1 of 9 is left out", ["line 2"])
    records.note("0 of 9 are left out", [])
    logger.removeHandler(logger.handlers[-1])
    assert capsys.readouterr().out == "1 of 9 is left out: line 2.\n" and not logger.handlers


# Encodings and shapes of files.

ROWS = [{"question": "Größe\u2028in cm?", "answer": "None"}, {"question": "Why?", "answer": "NA"}]
TEXT = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
LIST = json.dumps(ROWS, ensure_ascii=False, indent=2)
PRETTY = "\n".join(json.dumps(row, ensure_ascii=False, indent=2) for row in ROWS)
CSV = pd.DataFrame(ROWS).to_csv(index=False)
CONTENTS = {
    "mark.jsonl": codecs.BOM_UTF8 + TEXT.encode(),
    "mark.json": codecs.BOM_UTF8 + LIST.encode(),
    "mark.csv": codecs.BOM_UTF8 + CSV.encode(),
    "wide.jsonl": TEXT.encode("utf-16"),
    "wide.csv": CSV.encode("utf-16"),
    "big-endian.json": codecs.BOM_UTF16_BE + LIST.encode("utf-16-be"),
    "windows.jsonl": TEXT.replace("\n", "\r\n").encode(),
    "windows.csv": CSV.replace("\n", "\r\n").encode(),
    "lines.json": TEXT.encode(),
    "list.jsonl": LIST.encode(),
    "pretty.jsonl": PRETTY.encode(),
    "pretty.json": PRETTY.encode(),
    "no line at the end.jsonl": TEXT.rstrip("\n").encode(),
    "packed.jsonl.gz": gzip.compress(TEXT.encode()),
    "packed.json.gz": gzip.compress(LIST.encode()),
    "packed.CSV.gz": gzip.compress(CSV.encode()),
    "rows.jsonl?download=true": TEXT.encode(),
    "rows.csv?download=true": CSV.encode(),
    "case #2.json": LIST.encode(),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_the_same_rows_are_read_whatever_they_are_packed_in(tmp_path, name):
    (tmp_path / name).write_bytes(CONTENTS[name])
    assert records.table_kind(name) in records.TABLES
    assert records.load_table(tmp_path / name) == ROWS
    assert [item.instruction for item in evaluation.load_items(str(tmp_path / name))] == [
        row["question"] for row in ROWS
    ]


def test_the_kind_of_a_table_is_that_of_the_path_of_its_address():
    link = "https://x.org/a/rows.CSV?download=true&from=a.b/c#sha256=" + "0" * 64
    assert records.table_kind(link) == ".csv" and records.table_kind("/a #1/b?c/d.json") == ".json"
    assert not records.table_kind("https://x.org/v1") and not records.table_kind(
        "gpt-4.1@https://x.org/v1"
    )


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl?download=true"])
def test_a_contestant_in_a_packed_or_downloaded_file_is_read_and_no_model_is_asked(tmp_path, name):
    [item] = items(tmp_path, "Why?")
    text = json.dumps({"instruction": "Why?", "output": "So."}).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    files = {"m": str(tmp_path / name)}
    [answer] = asyncio.run(evaluation.answers.of_others(files, [item], max_tokens=9))
    assert answer.text == "So."


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv", "a.json", "a.xlsx", "a.parquet", "a.zip"])
def test_a_broken_file_of_any_kind_is_one_message(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x1f\x8b\x08 broken")
    with pytest.raises(UserError, match="read"):
        records.load_table(tmp_path / name)


def test_a_focus_and_official_ids_may_begin_with_a_mark(tmp_path):
    focus = tmp_path / "focus.json"
    focus.write_bytes(
        codecs.BOM_UTF8 + b'{"cells": [{"type": "chat", "weight": 1}], "items": ["a"]}'
    )
    assert tasks.load_focus(str(focus)) == ([{"type": "chat", "weight": 1.0}], ["a"])
    (tmp_path / "x_test_ground_truth.json").write_bytes(codecs.BOM_UTF8 + b"[7]")
    assert asked(tmp_path, "pubmedqa", [PUBMEDQA])[0]["id"] == "7"


@pytest.mark.parametrize("sign", [";", "\t", ", ", ","])
def test_a_csv_file_of_any_excel_is_read(tmp_path, sign):
    file = tmp_path / "a.csv"
    file.write_text(f"instruction{sign}input{sign}output\nWhy; or how?{sign}x{sign}So.\n")
    if sign == ";":
        file.write_text(file.read_text().replace("Why; or how?", '"Why; or how?"'))
    (row,) = diversity.load(str(file)).itertuples()
    assert (row.instruction, row.output.strip()) == ("Why; or how?", "So.")


def test_an_answer_among_the_instances_of_self_instruct_is_read(tmp_path):
    rows = [{"instruction": "Name it.", "instances": [{"input": "a rash", "output": "Eczema."}]}]
    (row,) = diversity.load(lines(tmp_path / "s.jsonl", rows)).itertuples()
    assert (row.input, row.output) == ("a rash", "Eczema.")


@pytest.mark.parametrize("field", ["options", "Options", "choices"])
def test_a_multiple_choice_question_is_no_test_item(tmp_path, field):
    row = {"question": "Which?", field: {"A": "x", "B": "y"}, "answer": "A"}
    with pytest.raises(UserError, match=rf"(?s)line 1 has options \(`{field}`\).*notebook 12"):
        evaluation.load_items(lines(tmp_path / "t.jsonl", [row]))
    assert evaluation.load_items(lines(tmp_path / "t.jsonl", [row | {field: None}]))


# Benchmarks in the forms of their authors and of the hub.

PUBMEDQA = {
    "pubid": 7,
    "question": "Q?",
    "context": {"contexts": ["a", "b"]},
    "final_decision": "Yes",
}
MEDMCQA = {"question": "Q?", "opa": "w", "opb": "x", "opc": "y", "opd": "z"}
MEDQA = {
    "question": "Q?",
    "options": dict(zip("ABCD", "wxyz", strict=True)),
    "answer_idx": "C",
    "answer": "y",
}
EXAM = {
    "qid": "1",
    "qtext": "Q?",
    "ra": "3",
    "answers": [{"aid": n, "atext": t} for n, t in enumerate("wxyz", 1)],
}
MMLU = {"question": "Q?", "choices": [*"wxyz"], "answer": 2}
FORMS_OF_SETS = {
    "medqa of its authors": ("medqa", MEDQA | {"meta_info": "step1", "metamap_phrases": ["a"]}),
    "medqa with a lower letter": ("medqa", MEDQA | {"answer_idx": "c"}),
    "medqa in a list": (
        "medqa",
        MEDQA | {"options": [{"key": k, "value": v} for k, v in MEDQA["options"].items()]},
    ),
    "medqa by its answer": ("medqa", {k: v for k, v in MEDQA.items() if k != "answer_idx"}),
    "medqa as sentences": (
        "medqa",
        {"sent1": "Q?", "ending0": "w", "ending1": "x", "ending2": "y", "ending3": "z", "label": 2},
    ),
    "medmcqa by letter": ("medmcqa", MEDMCQA | {"cop": "c"}),
    "headqa": ("headqa", EXAM),
    "headqa of the hub": (
        "headqa",
        EXAM | {"ra": 3, "answers": {"aid": [1, 2, 3, 4], "atext": [*"wxyz"]}},
    ),
    "mmlu": ("mmlu", MMLU),
    "mmlu by letter": ("mmlu", MMLU | {"answer": "C"}),
    "mmlu by a float": ("mmlu", MMLU | {"answer": 2.0}),
    "mmlu in columns": (
        "mmlu",
        {"input": "Q?", "A": "w", "B": "x", "C": "y", "D": "z", "target": "C"},
    ),
    "mmlu in a cell": ("mmlu", MMLU | {"choices": "['w', 'x', 'y', 'z']"}),
    "medqa in a cell": ("medqa", MEDQA | {"options": str(MEDQA["options"])}),
    "headqa in a cell": ("headqa", EXAM | {"answers": json.dumps(EXAM["answers"])}),
}


def asked(tmp_path, name, rows, kind="jsonl"):
    file = tmp_path / f"{name}.{kind}"
    lines(file, rows) if kind == "jsonl" else file.write_text(rows, encoding="utf-8")
    return benchmarks.load([f"{name}_ll"], data={name: str(file)})[0].questions


@pytest.mark.parametrize("form", FORMS_OF_SETS)
def test_a_form_of_a_benchmark_has_its_key(tmp_path, form):
    name, row = FORMS_OF_SETS[form]
    [question] = asked(tmp_path, name, [row])
    assert (question["options"], question["answer"], question["target"]) == ([*"wxyz"], 2, "y")


WRONG = {
    "medqa whose answer is another option": (
        "medqa",
        MEDQA | {"answer": "x"},
        "label of another option",
    ),
    "medqa without one of four": (
        "medqa",
        MEDQA | {"options": MEDQA["options"] | {"B": None}},
        "3 options",
    ),
    "medqa of five": ("medqa", MEDQA | {"options": MEDQA["options"] | {"E": "v"}}, "5 options"),
    "mmlu with a null": ("mmlu", MMLU | {"choices": ["w", None, "y", "z"]}, "an option is empty"),
    "mmlu with a NaN": ("mmlu", MMLU | {"choices": ["w", "x", NAN, "z"]}, "an option is empty"),
    "mmlu with a blank": ("mmlu", MMLU | {"choices": ["w", "x", "y", " "]}, "an option is empty"),
    "mmlu with a map": (
        "mmlu",
        MMLU | {"choices": ["w", {"a": 1}, "y", "z"]},
        "an option is not a text",
    ),
    "mmlu in one word": ("mmlu", MMLU | {"choices": "wxyz"}, "cannot be read"),
    "mmlu with a number for an option": (
        "mmlu",
        MMLU | {"choices": [*"4321"], "answer": 4},
        "label outside",
    ),
    "mmlu without a key": ("mmlu", MMLU | {"answer": None}, "label outside"),
    "a question that is null": ("mmlu", MMLU | {"question": None}, "is empty"),
    "a question in a list": ("mmlu", MMLU | {"question": ["a", "b"]}, "question is not a text"),
    "medmcqa of the test split": ("medmcqa", MEDMCQA | {"cop": -1}, "label outside"),
    "a context that is a map": (
        "pubmedqa",
        PUBMEDQA | {"context": {"a": "b"}},
        "context is not a text",
    ),
}


@pytest.mark.parametrize("form", WRONG)
def test_a_row_that_would_have_a_wrong_key_or_text_is_one_message(tmp_path, form):
    name, row, message = WRONG[form]
    (tmp_path / "test_ground_truth.json").write_text('{"7": "yes"}')
    with pytest.raises(UserError, match=f"{name}.*line 1.*{message}"):
        asked(tmp_path, name, [row])


@pytest.mark.parametrize(
    ("labels", "right", "noted"),
    [
        ([1, 2, 3], "wxy", True),
        ([1, 4, 2], "wzx", False),
        ([0, 1, 3], "wxz", False),
        (["1.0", "4.0"], "wz", False),
        ([1.0, 3.0, 4.0], "wyz", False),
    ],
)
def test_the_first_option_of_medmcqa_is_decided_over_the_file_and_a_guess_is_noted(
    tmp_path, caplog, labels, right, noted
):
    rows = [MEDMCQA | {"id": f"q{n}", "cop": label} for n, label in enumerate(labels)]
    assert [q["target"] for q in asked(tmp_path, "medmcqa", rows)] == [*right]
    assert ("is counted from 1" in caplog.text) == noted


@pytest.mark.parametrize("labels", [[0, 4], [1, None, 4], ["", 2], [5, 1]])
def test_labels_of_medmcqa_that_fit_no_count_are_refused(tmp_path, labels):
    rows = [MEDMCQA | {"id": f"q{n}", "cop": label} for n, label in enumerate(labels)]
    with pytest.raises(UserError, match="label outside"):
        asked(tmp_path, "medmcqa", rows)


@pytest.mark.parametrize(
    "context",
    [
        {"CONTEXTS": ["a", "b"]},
        {"CONTEXTS": "a\nb"},
        {"context": "a\nb"},
        {"context": ["a", "b"]},
        {"context": {"contexts": ["a", "b"], "labels": ["x", "y"]}},
        {"context": {"contexts": "a\nb"}},
    ],
)
def test_the_context_of_pubmedqa_is_shown_as_it_is_written(tmp_path, context):
    (tmp_path / "test_ground_truth.json").write_text('{"7": "yes"}')
    row = {"pubid": 7, "QUESTION": "Q?", "final_decision": "yes"} | context
    assert asked(tmp_path, "pubmedqa", [row])[0]["context"] == "a\nb"


def test_truthfulqa_of_its_authors_is_a_map_from_option_to_label(tmp_path):
    row = {"question": "Q?", "mc1_targets": {"right": 1, "w": 0, "x": 0}, "mc2_targets": {}}
    [question] = asked(tmp_path, "truthfulqa", [row])
    assert question["target"] == "right" and sorted(question["options"]) == ["right", "w", "x"]


def test_mmlu_of_its_authors_is_a_csv_file_without_a_header_or_a_folder_of_them(tmp_path):
    rows = '"Which of these, if any?",None,NA,"null, nan",N/A,C\nQ?,0,1,0.0,1.0,A\n'
    first, second = asked(tmp_path, "mmlu", rows, "csv")
    assert (first["options"], first["answer"]) == (["None", "NA", "null, nan", "N/A"], 2)
    assert (second["options"], second["target"]) == (["0", "1", "0.0", "1.0"], "0")
    assert asked(tmp_path, "mmlu", "question,A,B,C,D,answer\n" + rows, "csv")[0] == first
    folder = tmp_path / "test"
    folder.mkdir()
    for name in ("anatomy_test.csv", "virology_test.csv", "law_test.csv"):
        (folder / name).write_text(rows)
    [loaded] = benchmarks.load(["mmlu_medical_ll"], data={"mmlu_medical": str(folder)})
    assert [q["subject"] for q in loaded.questions] == ["anatomy"] * 2 + ["virology"] * 2
    assert len({q["id"] for q in loaded.questions}) == 4


ODD = ["None", "NA", "null", "nan"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "xlsx", "json", "parquet"])
def test_an_option_called_none_or_na_stays_a_text(tmp_path, kind):
    frame = pd.DataFrame(
        [MEDMCQA | dict(zip(("opa", "opb", "opc", "opd"), ODD, strict=True)) | {"cop": "4"}]
    )
    file = tmp_path / f"medmcqa.{kind}"
    write = {"csv": frame.to_csv, "xlsx": frame.to_excel}
    options = {"index": False}
    if kind == "tsv":
        frame.to_csv(file, sep="\t", index=False)
    elif kind in write:
        write[kind](file, **options)
    else:
        frame.to_json(file, orient="records") if kind == "json" else frame.to_parquet(file)
    [loaded] = benchmarks.load(["medmcqa_ll"], data={"medmcqa": str(file)})
    assert loaded.questions[0]["options"] == ODD and loaded.questions[0]["target"] == "nan"
    found = contamination.load_items("own", [str(file)])
    assert found["text"].iloc[-1] == "Q?"


def test_copies_of_a_question_are_left_out_and_one_of_two_subjects_is_kept(tmp_path, caplog):
    rows = [MMLU | {"subject": name} for name in ("anatomy", "law", "anatomy")]
    questions = asked(tmp_path, "mmlu", rows)
    assert len({q["id"] for q in questions}) == 2 and "line 3 (as line 1)" in caplog.text
    same = [MEDMCQA | {"id": "q", "question": text, "cop": 4} for text in ("Q?", "R?")]
    assert len({q["id"] for q in asked(tmp_path, "medmcqa", same)}) == 2


# One bad row of many.


def numbered(row, count=30, **changes):
    """Rows whose questions differ and whose right option is the third."""
    return [row | {"question": f"Q{n}?"} | changes for n in range(count)]


def without(row, name):
    return {key: value for key, value in row.items() if key != name}


BAD = {
    "an empty option": ("mmlu", MMLU | {"choices": ["w", "", "y", "z"]}, "an option is empty"),
    "a null option": ("medqa", MEDQA | {"options": MEDQA["options"] | {"B": None}}, "3 options"),
    "an option that is a map": ("mmlu", MMLU | {"choices": [{}, *"xyz"]}, "option is not a text"),
    "no key": ("mmlu", without(MMLU, "answer"), "'target' is undefined"),
    "an empty key": ("mmlu", MMLU | {"answer": ""}, "label outside its options"),
    "a null key": ("medmcqa", MEDMCQA | {"cop": None}, "label outside its options"),
    "a letter outside": ("medqa", MEDQA | {"answer_idx": "E"}, "label outside its options"),
    "a number outside": ("mmlu", MMLU | {"answer": 4}, "label outside its options"),
    "another key than its answer": ("medqa", MEDQA | {"answer": "w"}, "label of another option"),
    "an empty question": ("mmlu", MMLU | {"question": " "}, "the question is empty"),
    "a null question": ("medqa", MEDQA | {"question": None}, "the question is empty"),
    "no options": ("headqa", without(EXAM, "answers") | {"qid": "bad"}, "'answers' is undefined"),
}
GOOD = {
    "mmlu": numbered(MMLU),
    "medqa": numbered(MEDQA),
    "medmcqa": [row | {"cop": n % 4 + 1} for n, row in enumerate(numbered(MEDMCQA))],
    "headqa": [EXAM | {"qid": str(n), "qtext": f"Q{n}?"} for n in range(30)],
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_of_a_benchmark_is_left_out_with_place_and_reason(tmp_path, caplog, kind):
    name, row, reason = BAD[kind]
    good = asked(tmp_path, name, GOOD[name])
    assert len(good) == 30 and not caplog.records
    assert asked(tmp_path, name, GOOD[name][:8] + [row] + GOOD[name][8:]) == good
    [note] = caplog.messages
    assert f"{name}.jsonl: 1 of 31 rows are left out: line 9 (" in note and reason in note


def test_up_to_a_tenth_may_be_bad_and_more_is_a_form_that_is_misread(tmp_path, caplog):
    bad = numbered(MMLU, 4, choices=["w", None, "y", "z"])
    assert len(asked(tmp_path, "mmlu", bad[:3] + GOOD["mmlu"][:27])) == 27
    assert "3 of 30 rows" in caplog.text
    with pytest.raises(UserError, match=r"line 1.*an option is empty(.|\n)*4 of 30 rows"):
        asked(tmp_path, "mmlu", bad + GOOD["mmlu"][:26])


def test_many_bad_rows_are_counted_and_the_first_five_named_on_the_page(tmp_path, capsys):
    logger = logging.getLogger("medinstruct")
    params.check({"get_ipython": None})
    asked(tmp_path, "medqa", numbered(MEDQA, 1990) + numbered(MEDQA, 10, answer_idx="F"))
    logger.removeHandler(logger.handlers[-1])
    page = capsys.readouterr().out
    assert "medqa.jsonl: 10 of 2,000 rows are left out: line 1991 (" in page
    assert page.count("label outside") == 5 and page.endswith(
        "line 1995 (it has a label outside its options (A, B, C, D)), ….\n"
    )


def test_labels_that_count_from_one_are_refused_though_few_are_outside(tmp_path):
    labels = [1, 2, 3] * 10 + [4]
    rows = [MMLU | {"question": f"Q{n}?", "answer": label} for n, label in enumerate(labels)]
    with pytest.raises(UserError, match="no first option is right(.|\n)*from 0"):
        asked(tmp_path, "mmlu", rows)
    assert len(asked(tmp_path, "mmlu", [*rows, MMLU | {"answer": 0}])) == 31


@pytest.mark.parametrize("first", [0, 1])
def test_one_label_of_medmcqa_outside_its_count_does_not_turn_the_others(tmp_path, caplog, first):
    labels = [first + n % 4 for n in range(60)]
    rows = [MEDMCQA | {"id": f"{n}", "cop": label} for n, label in enumerate(labels)]
    odd = MEDMCQA | {"id": "odd", "cop": 4 - 4 * first}
    read = asked(tmp_path, "medmcqa", [*rows, odd])
    assert [question["target"] for question in read] == [*"wxyz"] * 15
    assert "1 of 61 rows are left out: line 61" in caplog.text
    with pytest.raises(UserError, match="label outside(.|\n)*0 15 times, 4 15 times"):
        other = [row | {"id": row["id"] + "x", "cop": row["cop"] + 1 - 2 * first} for row in rows]
        asked(tmp_path, "medmcqa", rows + other)


def test_a_file_of_a_folder_is_named_with_the_bad_row(tmp_path, caplog):
    folder = tmp_path / "test"
    folder.mkdir()
    (folder / "anatomy_test.csv").write_text("".join(f"Q{n}?,w,x,y,z,C\n" for n in range(20)))
    (folder / "virology_test.csv").write_text("Q?,w,x,y,z,C\nR?,w,,y,z,C\n")
    [loaded] = benchmarks.load(["mmlu_ll"], data={"mmlu": str(folder)})
    assert len(loaded.questions) == 21
    assert "1 of 22 rows are left out: virology_test.csv, row 2 (" in caplog.text


TESTS = [{"instruction": f"What is {n}?", "output": "So."} for n in range(20)]
READERS = {
    "test set": evaluation.load_items,
    "contamination": lambda file: contamination.load_items(file).query("set == 'freeform'"),
    "dataset": diversity.load,
    "seeds": lambda file: records.load(file, Task),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("bad", [{"instruction": ""}, {"instruction": None}, {"other": "x"}])
def test_one_row_without_a_question_does_not_end_a_stage(tmp_path, caplog, name, bad):
    rows = [row | TASK for row in TESTS] if name == "seeds" else TESTS
    rows = [without(row, "output") for row in rows] if name == "seeds" else rows
    rows = [*rows[:4], bad | (TASK if name == "seeds" else {}), *rows[4:]]
    if name == "seeds" and "other" in bad:
        rows[4] = without(rows[4], "other")
    assert len(READERS[name](lines(tmp_path / "t.jsonl", rows))) == 20
    assert "t.jsonl: 1 of 21 rows are" in caplog.text
    if name != "dataset":
        assert "left out: line 5 (" in caplog.text


def test_a_test_set_reads_the_same_in_filtering_as_in_judging(tmp_path):
    rows = [{"instruction": " ", "question": "Why?"}, {"input": "I cough. What is it?"}]
    rows += [{"instruction": ["How?"], "input": None}]
    file = lines(tmp_path / "t.jsonl", rows)
    texts = contamination.load_items(file).query("set == 'freeform'")["text"]
    read = [item.input or item.instruction for item in evaluation.load_items(file)]
    assert texts.tolist() == read == ["Why?", "I cough. What is it?", "How?"]


@pytest.mark.parametrize("held", [["gpt-4"], ["gpt-4", "llama-2"], ["m", "gpt-4"]])
def test_answers_of_other_models_are_named_by_their_column(tmp_path, held):
    tests = items(tmp_path, "Why?", "How?")
    rows = [
        {"instruction": q, "output": "So.", "model": model}
        for model in held
        for q in (["Why?"] if model == "m" else ["Why?", "How?"])
    ]
    file = lines(tmp_path / "a.jsonl", rows)
    others = ", ".join(name for name in held if name != "m")
    with pytest.raises(UserError, match=f"of m do not fit(.|\n)*missing .*`model` has {others}\n"):
        evaluation.load_answers({"m": file}, tests)
    assert len(evaluation.load_answers({"gpt-4": file}, tests)) == 2


def test_a_place_is_the_line_where_the_value_begins(tmp_path):
    text = '{"q": 1}\n\n{\n  "q": 2\n}\n{"q": 3} {"q": 4}\n'
    (tmp_path / "t.jsonl").write_text(text)
    places = [place for place, _ in records.table(tmp_path / "t.jsonl")]
    assert places == ["line 1", "line 3", "line 6", "line 6"]
    for broken, line in (('{"q": \n', 7), ('{\n "q": 1,\n "r" 2\n}\n', 9), ("<p>", 7)):
        (tmp_path / "t.jsonl").write_text(text + broken)
        with pytest.raises(UserError, match=f"line {line} is not valid JSON"):
            records.table(tmp_path / "t.jsonl")


# Tags and control tokens.


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_model.build(folder, ["Rest and fluids help with cough and fever."], steps=1)
    tokenizer = training.load_tokenizer(folder)
    tokenizer.add_tokens(["<sub>", "</sub>", "<|im_start|>", "<table>", "\n\n"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|end|>"]})
    tokenizer.chat_template = "{% for m in messages %}<|im_start|>{{ m.content }}\n\n{% endfor %}"
    return tokenizer


def example(text):
    return Example(**TASK, task="t", instruction=text, output="Less of it is\n\nbreathed out.")


def test_tags_of_html_are_trained_on_though_the_vocabulary_has_them(tokenizer):
    texts = "Why is CO<sub>2</sub> high?", "Read the <table>.", "Is p < 0.05 and FEV1 > 80 %?"
    assert len(training.survey(list(map(example, texts)), tokenizer=tokenizer).rows) == 3


@pytest.mark.parametrize("mark", ["<|end|>", "<|im_start|>", "</s>"])
def test_a_special_token_or_one_of_the_chat_template_is_refused_with_the_id(tokenizer, mark):
    bad = example(f"What does {mark} mean?")
    with pytest.raises(UserError, match=f"control token(.|\n)*{bad.id}"):
        training.survey([example("Why?"), bad], tokenizer=tokenizer)
