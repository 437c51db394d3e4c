"""Training examples: prompts, checks before training, held-out split; launch configurations."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from support import tiny_model

from medinstruct import benchmarks, filtering, labels, llm, params, paths, records, training
from medinstruct.benchmarks import extraction
from medinstruct.errors import UserError
from medinstruct.records import Example


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    texts = ["Rest and fluids help with cough and fever.", training.prompt("a", "b")]
    tiny_model.build(folder, texts, steps=0)
    return training.load_tokenizer(folder)


def example(number=0, **fields):
    labels = {"type": "chat", "topic": "Sleep", "view": "patient", "difficulty": 2}
    texts = {"instruction": f"What is condition {number}?", "output": "Rest."}
    return Example(**labels | {"task": str(number)} | texts | fields)


def test_the_prompts_are_those_of_stanford_alpaca_byte_by_byte():
    with_input = (
        "Below is an instruction that describes a task, paired with an input that provides "
        "further context. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nA {input}\n\n### Input:\nB\n\n### Response:\n"
    )
    without = (
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\nA\n\n### Response:\n"
    )
    assert training.prompt("A {input}", "B") == with_input and training.prompt("A") == without
    assert training.message("A", "B") == "A\n\nB" and training.message("A") == "A"


def test_examples_that_are_too_long_are_listed_and_dropped_or_cut(tokenizer):
    short, long = example(1), example(2, output="Rest and fluids help. " * 60)
    most = {"tokenizer": tokenizer, "max_length": 120}
    survey = training.survey([short, long], **most)
    assert survey.over == [long.id] and [row.example for row in survey.rows] == [short]
    assert len(survey.lengths) == 2 and survey.lengths[1] > 120
    cut = training.survey([short, long], **most, over_length="cut").rows[1]
    assert len(cut.ids) == 120 and cut.ids[-1] != tokenizer.eos_token_id


def test_empty_answers_and_control_tokens_are_refused_with_their_ids(tokenizer):
    empty = Example.model_construct(**vars(example(1)) | {"output": " "})
    with pytest.raises(UserError, match=empty.id):
        training.survey([empty], tokenizer=tokenizer)
    with pytest.raises(UserError, match="control token"):
        training.survey([example(3, instruction="What is </s> in this text?")], tokenizer=tokenizer)
    with pytest.raises(UserError, match="`over_length` has an unknown value"):
        training.survey([example(1)], tokenizer=tokenizer, over_length="keep")


def test_held_out_examples_are_spread_over_the_types_and_the_training_share_keeps_them(tokenizer):
    types = ["chat", "summarization", "rewrite", "classification"]
    data = [example(n, type=types[n % 4]) for n in range(80)]
    rows = training.survey(data, tokenizer=tokenizer).rows
    trained, held = training.split(rows, share=0.1, seed=1)
    assert len(held) == 8
    assert {row.type for row in held} == {labels.canonical("type", name) for name in types}
    assert not {row.example.id for row in trained} & {row.example.id for row in held}
    part, same = training.split(rows, share=0.1, seed=1, train_share=0.25)
    assert same == held and part == trained[:18]


@pytest.mark.parametrize("seed", range(5))
def test_no_request_is_on_both_sides_and_the_types_keep_their_proportions(tokenizer, seed):
    """Tasks of one request are kin: with random rows every request was on both sides."""
    types = ["chat", "summarization", "rewrite", "classification"]
    data = [
        example(n, type=types[(n // 2 + n // 9) % 4], request=f"request {n // 9}")
        for n in range(360)
    ]
    rows = training.survey(data, tokenizer=tokenizer).rows
    trained, held = training.split(rows, share=0.1, seed=seed)
    sides = [{row.example.request for row in part} for part in (trained, held)]
    assert not sides[0] & sides[1] and len(trained) + len(held) == 360
    assert 30 <= len(held) <= 42
    for name in types:
        kind = labels.canonical("type", name)
        assert 6 <= sum(row.type == kind for row in held) <= 12
    assert training.split(rows, share=0.1, seed=seed)[1] == held


def test_a_dataset_of_one_request_has_nothing_to_hold_out(tokenizer):
    rows = training.survey([example(n, request="r") for n in range(9)], tokenizer=tokenizer).rows
    with pytest.raises(UserError, match="1 request"):
        training.split(rows, share=0.1, seed=1)
    trained, held = training.split(
        rows + training.survey([example(9)], tokenizer=tokenizer).rows, share=0.1, seed=1
    )
    assert (len(trained), len(held)) in ((9, 1), (1, 9))


class Merging:
    """A tokenizer in which a newline and a following letter are one token."""

    eos_token, all_special_ids, chat_template, name_or_path = "~", [ord("~")], None, "merging"
    added_tokens_decoder = {}

    def __call__(self, texts, add_special_tokens=True):
        if isinstance(texts, list):
            return {"input_ids": [self(text)["input_ids"] for text in texts]}
        return {"input_ids": [ord(letter) for letter in texts.replace("\nR", "Я")]}


def test_a_prompt_that_shares_a_token_with_its_response_is_refused():
    with pytest.raises(UserError, match=f"share a token(.|\n)*{example(1).id}"):
        training.survey([example(1)], tokenizer=Merging())
    assert training.survey([example(1, output="No.")], tokenizer=Merging()).rows


TEMPLATES = Path(importlib.util.find_spec("trl").origin).with_name("chat_templates")


@pytest.mark.parametrize("file", sorted(TEMPLATES.glob("*.jinja")), ids=lambda file: file.stem)
def test_a_chat_is_trained_as_it_is_asked_and_without_thinking_in_every_template_of_trl(
    tokenizer, file, monkeypatch
):
    """The prompt of training, of a model in this process, and of lm-evaluation-harness."""
    monkeypatch.setattr(tokenizer, "chat_template", file.read_text(encoding="utf-8"))
    form = {"tokenizer": tokenizer, "template": "chat", "max_length": 9999}
    (row,) = training.survey([example()], **form).rows
    question = [{"role": "user", "content": training.message(example().instruction)}]
    local = llm.LocalModel.__new__(llm.LocalModel)
    local.chat, local.tokenizer = True, tokenizer
    lm = type("HFLM", (), {"tokenizer": tokenizer})()
    benchmarks.harness._apply_template(lm, "chat")
    asked = local._prompt(llm.Request(messages=question))
    assert asked == lm.apply_chat_template(question, add_generation_prompt=True)
    ids = tokenizer(asked, add_special_tokens=False)["input_ids"]
    assert ids == row.ids[: row.start]
    trained = tokenizer.decode(row.ids[row.start :])
    assert re.fullmatch(r" ?Rest\.\W.*", trained, re.DOTALL)  # the response and the end of its turn
    assert question[0]["content"] in asked and llm.messages.split_thought(asked)[0] is not None
    begun = [*question, {"role": "assistant", "content": "The answer is"}]
    assert re.fullmatch(re.escape(asked) + " ?The answer is", lm.apply_chat_template(begun))


@pytest.mark.parametrize(
    "name, end",
    [
        ("qwen3", "<think>\n\n</think>\n\n"),
        ("deepseek_r1_distill", "<think>\n\n</think>\n\n"),
        ("glm4moe", "/nothink<|assistant|>\n<think></think>\n"),
        ("gptoss", "<|channel|>final<|message|>"),
    ],
)
def test_a_template_that_lets_think_is_asked_with_the_thought_closed(tokenizer, name, end):
    tokenizer.chat_template = (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    asked, _ = llm.render_chat(tokenizer, [{"role": "user", "content": "Why?"}])
    assert asked.endswith(end)


def test_a_template_without_system_role_gets_that_text_in_the_users_turn(tokenizer, monkeypatch):
    template = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    monkeypatch.setattr(tokenizer, "chat_template", template)
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    assert llm.render_chat(tokenizer, turns) == ("<user>Be brief.\n\nWhy?<assistant>", "</s>")
    monkeypatch.setattr(tokenizer, "chat_template", "{{ nothing.at_all }}")
    with pytest.raises(UserError, match="cannot render"):
        llm.render_chat(tokenizer, turns)


def test_shipped_launch_configurations_load():
    from accelerate.commands.config.config_args import load_config_from_file

    files = (paths.root() / "params/accelerate").glob("*.yaml")
    found = {path.stem: load_config_from_file(str(path)) for path in files}
    kinds = {name: str(c.distributed_type).rpartition(".")[2] for name, c in found.items()}
    assert kinds == {"cpu": "MULTI_CPU", "ddp": "MULTI_GPU", "fsdp": "FSDP", "zero3": "DEEPSPEED"}


def test_the_reviewed_dataset_is_trained_on_where_there_is_one(tmp_path):
    assert training.training_file(tmp_path).name == "dataset.jsonl"
    (tmp_path / "dataset.reviewed.jsonl").write_text("")
    assert training.training_file(tmp_path).name == "dataset.reviewed.jsonl"


def test_settings_are_defaults_then_parameters_then_options():
    scope = {"lora_rank": 0, "epochs": 5, "run": "x", "training_options": {"max_length": 99}}
    settings = training.settings(scope)
    assert settings["lora_rank"] == 0 and settings["epochs"] == 5 and settings["max_length"] == 99
    assert settings["batch_size"] == 8 and "run" not in settings
    with pytest.raises(UserError, match="Did you mean `max_length`"):
        training.settings({"training_options": {"max_lenght": 99}})
    for profile in params.profiles():
        values = params.merged(profile) | {"load_in_4bit": False}
        values["training_options"] = values["training_options"] | {"load_in_4bit": False}
        assert training.settings(values)["epochs"] == values["epochs"]


def test_no_replay_instruction_shares_a_template_with_a_general_question():
    """The gate on general questions would else be trained on; a right answer is no echo."""
    general = records.load_table(paths.data("test_general.jsonl"))
    rows = records.load_table(paths.data("replay.jsonl"))
    pool = [
        *(r["instruction"] for r in rows),
        *(training.message(r["instruction"], r["input"]) for r in rows),
    ]
    questions = [r["instruction"] for r in general]
    assert (len(questions), len(rows)) == (60, 120)
    near = filtering.nearest(questions, pool, tokenizer="unicode")
    assert not [(a, pool[n]) for a, (n, s) in zip(questions, near, strict=True) if s > 0.6]
    for row in general:
        doc, texts = {"target": row["pattern"]}, (row["answer"], row["instruction"])
        assert [extraction.score_pattern(doc, [t])["acc"] for t in texts] == [1, 0], row


def test_replay_leaves_out_test_questions_and_rows_without_an_answer_are_refused(tmp_path, caplog):
    item = {"instruction": "What is the capital of  France", "output": "Paris."}
    words = ["rivers", "trees", "poets", "lakes", "stars", "fruits", "games", "colors", "tools"]
    rows = [{"question": f"Name {n} {words[n]}.", "answer": f"{n}."} for n in range(9)]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, [*rows, item, rows[0]])))
    saved = {"set": "medqa", "id": "1", "text": "Name 3 lakes", "options": []}
    (tmp_path / "tests.jsonl").write_text(json.dumps(saved))
    general = training.examples.replay(str(tmp_path / "set.jsonl"), tests=tmp_path / "tests.jsonl")
    assert [e.output for e in general] == [f"{n}." for n in range(9) if n != 3]
    assert "2 repeat test questions" in caplog.text
    (tmp_path / "bad.jsonl").write_text(json.dumps({"text": "All in one."}))
    with pytest.raises(UserError, match="instruction"):
        training.examples.replay(str(tmp_path / "bad.jsonl"), tests=tmp_path)
