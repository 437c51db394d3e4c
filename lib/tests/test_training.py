"""Fine-tuning: loss on the response alone, resuming, refusals, export; with a tiny model."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import tiny_model

from medinstruct import llm, paths, records, training
from medinstruct.errors import UserError
from medinstruct.records import Example

QUICK = {"epochs": 2, "learning_rate": 1e-2, "batch_size": 8, "micro_batch_size": 4}
QUICK |= {"lora_rank": 4, "max_length": 500, "eval_share": 0.2}


def test_trained_weights_of_a_float16_model_are_float32_and_frozen_ones_stay(tmp_path):
    import torch

    model = torch.nn.Linear(2, 2).half()
    model.weight.requires_grad = False

    class Trainer:  # as on a T4, where loss scaling refuses gradients in float16
        args = SimpleNamespace(fp16=True)
        accelerator = SimpleNamespace(wait_for_everyone=lambda: None)

        def train(self, resume_from_checkpoint):
            types = {name: part.dtype for name, part in self.model.named_parameters()}
            return SimpleNamespace(metrics=types)

        def is_world_process_zero(self):
            return True

        def remove_callback(self, callback):
            pass

        add_callback = remove_callback

    Trainer.model = model
    types = training.trainer.fit(Trainer(), tmp_path / "draft", "name")
    assert types == {"weight": torch.float16, "bias": torch.float32}


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("model") / "student")


def examples(count):
    labels = {"topic": "Sleep", "view": "patient", "difficulty": 2}
    return [
        Example(
            **labels | {"type": ("chat", "classification")[n % 2]},
            instruction=f"What is condition {n}?",
            input="DNA" * (n % 2),
            output="Rest. " * (n % 5) + f"Rest for {n} days.",
            task=str(n),
        )
        for n in range(count)
    ]


def finetune(student, folder, data=None, **more):
    return training.finetune_lora(data or examples(40), base=student, folder=folder, **QUICK | more)


@pytest.fixture(scope="module")
def undisturbed(student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "adapter"
    return folder, finetune(student, folder)


@pytest.fixture
def trainers(monkeypatch):
    """The SFTTrainers that are built from here on."""
    import trl

    built = []

    class Kept(trl.SFTTrainer):
        def __init__(self, *given, **more):
            super().__init__(*given, **more)
            built.append(self)

    monkeypatch.setattr(trl, "SFTTrainer", Kept)
    return built


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def difference(one, other):
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    return max((first[name] - second[name]).abs().max().item() for name in first)


@pytest.mark.parametrize("template", ["alpaca", "chat"])
def test_trl_trains_just_the_tokens_that_the_survey_says(
    student, tmp_path, trainers, template, chat_student
):
    """TRL's own tokens and labels beside the survey's: the response and its end, nothing else."""
    base = chat_student if template == "chat" else student
    data = examples(10)
    finetune(base, tmp_path / "a", data, template=template, epochs=1)
    tokenizer = training.load_tokenizer(base)
    survey = training.survey(data, tokenizer=tokenizer, template=template)
    rows, _ = training.split(survey.rows, share=0.2, seed=42)
    assert len(trainers[0].train_dataset) == len(rows)
    for row, fields in zip(rows, trainers[0].train_dataset, strict=True):
        assert fields["input_ids"] == row.ids
        assert fields["labels"] == [-100] * row.start + row.ids[row.start :]
        response = tokenizer.decode(row.ids[row.start :])
        assert response.startswith(row.example.output + "</s>")
        question = (row.example.instruction, row.example.input)
        if template == "alpaca":
            asked = tokenizer(training.prompt(*question))["input_ids"]
        else:
            turns = [{"role": "user", "content": training.message(*question)}]
            text = {"tokenize": False, "add_generation_prompt": True}
            asked = tokenizer.apply_chat_template(turns, **text)
            asked = tokenizer(asked, add_special_tokens=False)["input_ids"]
        assert asked == row.ids[: row.start]


def test_the_loss_on_a_processor_and_its_gradient_are_those_of_trl(student, tmp_path, trainers):
    import torch
    import trl

    finetune(student, tmp_path / "a", examples(12), epochs=1)
    (trainer,) = trainers
    batch = next(iter(trainer.get_train_dataloader()))
    assert (batch["attention_mask"] == 0).any() and len(batch["labels"]) > 1
    weights = [w for w in trainer.model.parameters() if w.requires_grad]
    for count in (None, torch.tensor(70)):
        form = {"num_items_in_batch": count}
        own = trainer.compute_loss(trainer.model, dict(batch), **form)
        theirs = trl.SFTTrainer.compute_loss(trainer, trainer.model, dict(batch), **form)
        assert trainer.compute_loss.__func__ is not trl.SFTTrainer.compute_loss
        assert own.item() == pytest.approx(theirs.item(), rel=1e-5)
        gradients = [torch.autograd.grad(loss, weights) for loss in (own, theirs)]
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def chat_student(student, tmp_path_factory):
    """The student with a chat template."""
    folder = tmp_path_factory.mktemp("model") / "chat"
    shutil.copytree(student, folder)
    tokenizer = training.load_tokenizer(folder)
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    tokenizer.save_pretrained(folder)
    return folder


def test_an_adapter_is_saved_with_its_card_and_answers_beside_the_base(student, undisturbed):
    folder, result = undisturbed
    assert result["eval_after"] < result["eval_before"]
    assert result["examples"] + result["held_out"] == 40
    assert set(result["by_type"]["after"]) == {"all", "chat", "classification"}
    assert [row["step"] for row in result["held_out_losses"]] == [4, 8]
    assert result["trainable"] < result["parameters"]
    card = (folder / "README.md").read_text()
    assert training.dataset_hash(examples(40)) in card and str(result["eval_after"]) in card
    assert str(student) not in card and "base_model: student" in card
    assert not list(folder.glob("checkpoint*")) and not list(folder.glob("*.bin"))
    prompts = [training.prompt(e.instruction, e.input) for e in examples(3)]
    model = llm.LocalModel(student, adapter=folder).views["tuned"]
    parameters = {"max_tokens": 8}
    requests = [
        llm.Request(messages=[{"role": "user", "content": text}], parameters=parameters)
        for text in prompts
    ]
    together = asyncio.run(model.ask_all(requests))
    alone = [asyncio.run(model.ask_all([request]))[0] for request in requests]
    assert [reply.text for reply in together] == [reply.text for reply in alone]


def test_the_held_out_loss_is_that_of_the_model_itself_over_the_responses(student, undisturbed):
    """transformers' own loss of each held-out response, averaged: the old code's is by token."""
    import torch
    from peft import AutoPeftModelForCausalLM

    folder, result = undisturbed
    model = AutoPeftModelForCausalLM.from_pretrained(folder).eval()
    survey = training.survey(examples(40), tokenizer=training.load_tokenizer(student))
    losses = {"chat": [], "classification": []}
    for row in survey.rows:
        if row.example.id in result["held_out_ids"]:
            labels = torch.tensor([[-100] * row.start + row.ids[row.start :]])
            with torch.inference_mode():
                loss = model(input_ids=torch.tensor([row.ids]), labels=labels).loss.item()
            losses[row.type].append(loss)
    for name, values in losses.items():
        mean = sum(values) / len(values)
        assert result["by_type"]["after"][name] == pytest.approx(mean, abs=2e-3)  # saved in 16 bits
    everything = [*losses["chat"], *losses["classification"]]
    mean = sum(everything) / len(everything)
    assert result["eval_after"] == pytest.approx(mean, abs=2e-3)  # saved in 16 bits


def test_a_run_that_was_killed_at_any_step_ends_in_the_same_adapter(
    student, undisturbed, tmp_path, monkeypatch
):
    """Killed three times; same machine, CPU: same losses, weights within 1e-6. 4 ends an epoch."""
    import trl

    steps, kills, real = [], [1, 4, 6], trl.SFTTrainer.training_step

    def step(self, *given, **more):
        steps.append(self.state.global_step)
        if kills and steps[-1] == kills[0]:
            raise KeyboardInterrupt
        return real(self, *given, **more)

    monkeypatch.setattr(trl.SFTTrainer, "training_step", step)
    while kills:
        with pytest.raises(KeyboardInterrupt):
            finetune(student, tmp_path / "adapter")
        assert not (tmp_path / "adapter").exists()
        kills.pop(0)
    result = finetune(student, tmp_path / "adapter")
    twice = [step for step in range(8) for _ in range(2)]  # micro-batches a step
    assert steps == sorted([*twice, 1, 4, 6]), "each run goes on from the last checkpoint"
    assert result["train_losses"] == undisturbed[1]["train_losses"]
    assert result["held_out_losses"] == undisturbed[1]["held_out_losses"]
    assert result["eval_before"] == undisturbed[1]["eval_before"]
    assert difference(tmp_path / "adapter", undisturbed[0]) < 1e-6


def test_another_seed_gives_another_adapter(student, tmp_path):
    """That the same seed gives the same one, the trainer of the page shows below."""
    for seed in (42, 43):
        finetune(student, tmp_path / str(seed), examples(10), seed=seed, epochs=1)
    assert difference(tmp_path / "42", tmp_path / "43") > 1e-3


def test_another_dataset_does_not_resume_from_the_checkpoints_of_this_one(student, tmp_path):
    draft = tmp_path / ".adapter"
    (draft / "checkpoint-3").mkdir(parents=True)
    (draft / "checkpoint-3/trainer_state.json").write_text("{}")
    records.write_json(draft / "run.json", {"name": "another"})
    assert finetune(student, tmp_path / "adapter", examples(10))["steps"] == 2


def test_where_memory_ends_the_micro_batch_shrinks_or_one_message_says_so(
    student, tmp_path, monkeypatch
):
    import torch
    import trl

    real, limit = trl.SFTTrainer.training_step, {"examples": 3}

    def step(self, model, inputs, *more, **fields):
        if len(inputs["input_ids"]) > limit["examples"]:
            raise torch.OutOfMemoryError("CUDA out of memory. Simulated.")
        return real(self, model, inputs, *more, **fields)

    monkeypatch.setattr(trl.SFTTrainer, "training_step", step)
    result = finetune(student, tmp_path / "adapter", epochs=1)
    assert result["micro_batch_size"] == 3 and result["eval_after"] < result["eval_before"]
    limit["examples"] = 0
    with pytest.raises(UserError, match="does not fit into memory"):
        finetune(student, tmp_path / "b", examples(10))


def test_two_processes_train_the_same_steps_and_the_notebook_takes_their_result(
    student, undisturbed, tmp_path
):
    """`accelerate launch` on two CPU processes: held-out losses within 0.02 of one process."""
    out = tmp_path / "two"
    records.write(out / "dataset.jsonl", examples(40))
    named = {"epochs", "learning_rate", "lora_rank"}
    sets = [f"{name}={value}" for name, value in QUICK.items() if name in named]
    options = {name: value for name, value in QUICK.items() if name not in named}
    sets += [f"training_options={json.dumps(options)}"]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--main_process_port", "0"]
    launch += ["--config_file", str(paths.root() / "params" / "accelerate" / "cpu.yaml")]
    program = ["-m", "medinstruct.training", str(paths.root() / "params/demo.yaml")]
    room = {"MEDINSTRUCT_OUTPUTS": str(tmp_path), "OMP_NUM_THREADS": "1"}
    room |= {"PYTHONPATH": str(paths.PACKAGE.parent)}
    sets += [f"base_model={student}", "template=alpaca"]
    command = [*launch, *program, "run=two", *sets]
    pipes = {"capture_output": True, "text": True, "timeout": 240}
    done = subprocess.run(command, env=os.environ | room, **pipes)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((out / "training.json").read_text())["lora"]
    assert finetune(student, out / "adapter") == result
    assert result["steps"] == undisturbed[1]["steps"]
    assert result["eval_before"] == pytest.approx(undisturbed[1]["eval_before"], abs=1e-3)
    assert result["eval_after"] == pytest.approx(undisturbed[1]["eval_after"], abs=0.02)


def test_the_same_call_returns_the_finished_result_and_trains_no_more(
    student, undisturbed, trainers
):
    assert finetune(student, undisturbed[0]) == undisturbed[1]
    assert not trainers


def test_all_parameters_are_trained_by_parameter_and_the_folder_is_a_whole_model(student, tmp_path):
    folder = tmp_path / "full"
    result = finetune(student, folder, lora_rank=0, learning_rate=3e-3)
    assert result["trainable"] == result["parameters"]
    assert result["eval_after"] < result["eval_before"]
    model = llm.LocalModel(student, adapter=folder)
    request = llm.Request(messages=[])
    assert model.views["tuned"].key(request) != model.views["base"].key(request)
    ask = llm.Request(messages=[{"role": "user", "content": "Rest"}], parameters={"max_tokens": 4})
    assert asyncio.run(model.views["tuned"].ask_all([ask]))[0].completion_tokens


def test_replay_is_trained_on_beside_the_dataset_and_never_held_out(
    student, undisturbed, tmp_path, trainers, caplog
):
    rows = [
        {"instruction": f"Say {word}.", "output": f"{word}!"} for word in ("sun", "tree", "sea")
    ]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    replay = {"replay": str(tmp_path / "set.jsonl"), "epochs": 1}
    result = finetune(student, tmp_path / "a", **replay, replay_share=0.05)
    trained = undisturbed[1]["examples"]
    assert result["replay"] == round(trained * 0.05 / 0.95) == result["examples"] - trained
    assert result["held_out_ids"] == undisturbed[1]["held_out_ids"]
    decode, data = training.load_tokenizer(student).decode, trainers[0].train_dataset
    texts = map(decode, data[:]["input_ids"])
    assert sum("Say " in text for text in texts) == result["replay"]
    card = (tmp_path / "a/README.md").read_text()
    assert "general instructions of `set.jsonl`" in card and str(tmp_path) not in card
    assert finetune(student, tmp_path / "b", **replay, replay_share=0.5)["replay"] == 3
    assert f"3 of {trained} examples" in caplog.text
    assert finetune(student, undisturbed[0], replay=str(tmp_path)) == undisturbed[1], "share 0"


def test_files_that_are_no_adapter_are_never_replaced(student, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds other files"):
        finetune(student, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_an_adapter_of_another_base_is_refused(undisturbed, tmp_path):
    wide = tmp_path / "wide"
    tiny_model.build(wide, hidden_size=64, steps=0)
    with pytest.raises(UserError, match="adapter could not be loaded"):
        llm.LocalModel(wide, adapter=undisturbed[0])


def test_a_trainer_and_an_adapter_of_the_page_are_those_that_train(student, undisturbed, tmp_path):
    """The defaults' own LoraConfig and SFTTrainer give the same adapter; another is trained anew."""
    from peft import LoraConfig
    from trl import SFTTrainer

    built = []

    def build(args, train_dataset, eval_dataset, peft_config):
        datasets = {"train_dataset": train_dataset, "eval_dataset": eval_dataset}
        tokenizer = training.load_tokenizer(student)
        built.append(peft_config)
        return SFTTrainer(
            model=str(student),
            args=args,
            processing_class=tokenizer,
            peft_config=peft_config,
            **datasets,
        )

    form = {"lora_alpha": 32, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    page = {"adapter": LoraConfig(r=4, **form), "build": build}
    assert finetune(student, tmp_path / "a", **page) == finetune(student, tmp_path / "a")
    assert difference(tmp_path / "a", undisturbed[0]) == 0
    assert finetune(student, tmp_path / "a", **page) and len(built) == 1, "trained twice"
    page["adapter"] = LoraConfig(r=4, **form | {"target_modules": ["q_proj"]})
    result = finetune(student, tmp_path / "a", **page)
    assert len(built) == 2 and result["trainable"] == 2 * 4 * (32 + 32)
    assert finetune(student, tmp_path / "b", examples(20), lora_rank=0, build=build)
    assert built[2] is None


def test_the_notebook_takes_the_shipped_adapter_as_it_is(tmp_path, trainers, monkeypatch):
    """`make demo` does not train: the hash fits the data, the settings and the page's adapter."""
    demo, run = paths.root() / "outputs/demo", tmp_path / "demo"
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    shutil.copytree(demo / "adapter", run / "adapter")
    shutil.copy(demo / "dataset.jsonl", run)
    cells = paths.cells(paths.notebook("08_finetune_lora"))
    source = {cell["id"]: "".join(cell["source"]) for cell in cells}
    scope = {}
    for name in ("parameters", "imports", "data", "tune", "tune"):
        exec(source[name], scope)
    assert not trainers and {path.name for path in run.iterdir()} == {"adapter", "dataset.jsonl"}
    shipped = json.loads((demo / "training.json").read_text())
    assert shipped["lora"].items() <= scope["lora"].items()
    assert scope["adapter"].target_modules == "all-linear", "the page's LoraConfig was changed"


def test_an_adapter_loads_with_plain_peft(undisturbed):
    from peft import AutoPeftModelForCausalLM

    model = AutoPeftModelForCausalLM.from_pretrained(undisturbed[0])
    assert model.num_parameters() == undisturbed[1]["parameters"]


def test_a_saved_adapter_is_small_and_names_its_base_as_others_know_it(
    student, undisturbed, tmp_path, monkeypatch
):
    """In 16 bits, without a tokenizer; a base in the cache has its name on the Hub."""
    monkeypatch.setenv("MEDINSTRUCT_CACHE", str(tmp_path))
    base = shutil.copytree(student, tmp_path / "SmolLM2-135M-Instruct")
    finetune(base, tmp_path / "adapter", examples(10), epochs=1)
    settings = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    name = "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert settings["base_model_name_or_path"] == name
    assert f"base_model: {name}" in (tmp_path / "adapter/README.md").read_text()
    assert settings["target_modules"] == sorted(settings["target_modules"])
    assert {str(tensor.dtype) for tensor in weights(tmp_path / "adapter").values()} == {
        "torch.bfloat16"
    }
    assert not list((tmp_path / "adapter").glob("*token*"))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"lora_rnk": 4}, "lora_rnk`(.|\n)*Did you mean `lora_rank`"),
        ({"method": "full"}, "`method`"),
        ({"batch_size": "8"}, "`batch_size` must be int"),
        ({"batch_size": 9, "micro_batch_size": 2}, "do not fit"),
        ({"load_in_4bit": True}, "CUDA GPU"),
        ({"template": "chat"}, "no chat template"),
        ({"replay_share": 1.0}, "from 0 to 0.99"),
    ],
)
def test_settings_that_cannot_be_are_refused(student, tmp_path, settings, reason):
    with pytest.raises(UserError, match=reason):
        finetune(student, tmp_path / "a", examples(4), **settings)


def test_a_missing_model_too_long_examples_and_an_empty_dataset_are_refused(student, tmp_path):
    with pytest.raises(UserError, match="could not be loaded"):
        finetune(tmp_path, tmp_path / "a", examples(4))
    with pytest.raises(UserError, match="could not be loaded"):
        llm.LocalModel(tmp_path / "none")
    long = examples(1)[0].model_copy(update={"output": "Rest. " * 300})
    with pytest.raises(UserError, match="than the base model can read"):
        finetune(student, tmp_path / "a", [long, *examples(4)], max_length=5000)
    with pytest.raises(UserError, match="too few"):
        training.finetune_lora([], base=student, folder=tmp_path / "a")


def test_the_memory_estimate_grows_with_what_takes_memory(student):
    def total(**more):
        return sum(training.estimate_memory(student, **QUICK | more).values())

    lora = total()
    assert total(lora_rank=0) > lora and total(micro_batch_size=8) > lora
    assert total(gradient_checkpointing=True) < lora


def test_the_memory_estimate_of_llama_7b_counts_its_parameters(tmp_path):
    from transformers import LlamaConfig

    LlamaConfig().save_pretrained(tmp_path)
    parts = training.estimate_memory(tmp_path, lora_rank=16)
    adapter = 39_976_960
    assert parts["weights"] == pytest.approx(4 * (6_738_415_616 + adapter) / 1024**3)
    assert parts["optimizer"] == pytest.approx(8 * adapter / 1024**3)
