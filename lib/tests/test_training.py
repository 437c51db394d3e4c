"""The loss counts the response and its end alone, in what the trainer really sees; a killed run ends like an undisturbed one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medinstruct import llm, paths, records, training
from medinstruct.errors import UserError
from medinstruct.records import Example
from medinstruct.training import loading, lora, trainer, watch

PROSE = [
    f"Condition {n} causes cough and fever. It is treated with rest and fluids." for n in range(40)
]
QUICK = {
    "epochs": 2,
    "learning_rate": 1e-2,
    "batch_size": 8,
    "micro_batch_size": 4,
    "lora_rank": 4,
    "max_length": 500,
}
QUICK |= {"live": False, "eval_share": 0.2}


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "student"
    training.build_student(
        PROSE,
        folder=folder,
        vocab_size=400,
        hidden_size=32,
        layers=2,
        heads=2,
        max_length=300,
        epochs=2,
    )
    return folder


def examples(count):
    labels = {"type": "chat", "topic": "Sleep", "view": "patient", "difficulty": 2}
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


@pytest.fixture(scope="module")
def undisturbed(student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "adapter"
    return folder, training.finetune_lora(examples(40), base=student, folder=folder, **QUICK)


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def difference(one, other):
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    return max((first[name] - second[name]).abs().max().item() for name in first)


@pytest.mark.parametrize("batching", ["padded", "sorted", "padding_free"])
def test_the_trainer_trains_just_the_tokens_that_the_mask_shows(student, tmp_path, batching):
    found = examples(6)
    planned = training.plan(
        found, base=student, timed=False, **QUICK | {"batching": batching, "micro_batch_size": 1}
    )
    args = trainer.arguments(tmp_path / "x", steps=1, settings=planned.settings)
    tokenizer = training.load_tokenizer(student)
    model = loading.load_model(student, precision="float32")
    built = trainer.build(model, tokenizer, planned.trained, args, planned.settings, [])
    by_id = {example.id: example for example in found}
    for row, fields in zip(planned.trained, built.train_dataset, strict=True):
        batch = built.data_collator([fields])
        trained = (batch["labels"][0] != -100).tolist()
        assert trained == [
            is_trained for _, is_trained in training.loss_mask(by_id[row.id], tokenizer=tokenizer)
        ]
        assert batch["input_ids"][0, -1] == tokenizer.eos_token_id and trained[-1]


def test_our_lean_loss_is_the_loss_of_trl(student, tmp_path):
    planned = training.plan(examples(8), base=student, timed=False, **QUICK)
    args = trainer.arguments(tmp_path / "x", steps=1, settings=planned.settings)
    model, tokenizer = (
        loading.load_model(student, precision="float32"),
        training.load_tokenizer(student),
    )
    built = trainer.build(model, tokenizer, planned.trained, args, planned.settings, [])
    batch = built.data_collator([built.train_dataset[n] for n in range(4)])
    count = (batch["labels"] != -100).sum()
    ours = built.compute_loss(built.model, dict(batch), num_items_in_batch=count)
    theirs = (
        type(built)
        .__mro__[1]
        .compute_loss(built, built.model, dict(batch), num_items_in_batch=count)
    )
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_an_adapter_is_saved_with_its_card_and_answers_beside_the_base(student, undisturbed):
    folder, result = undisturbed
    assert (
        result["eval_after"] < result["eval_before"]
        and result["examples"] + result["held_out"] == 40
    )
    assert set(result["by_type"]["after"]) == {"all", "chat", "classification"}
    assert len(result["held_out_losses"]) == 2 and result["trainable"] < result["parameters"]
    card = (folder / "README.md").read_text()
    assert (
        training.dataset_hash(examples(40)) in card
        and str(result["eval_after"]) in card
        and str(student) not in card
    )
    assert not list(folder.glob("checkpoint*")) and not list(folder.glob("*.bin"))
    model = llm.LocalModel(student, adapter=folder)
    prompts = [training.prompt(e.instruction, e.input) for e in examples(3)]
    together = model.tuned.answer(prompts, max_new_tokens=8)
    assert together == [model.answer([text], max_new_tokens=8)[0] for text in prompts]


@pytest.mark.parametrize("at", [1, 4, 5])
def test_a_run_that_was_killed_at_any_step_ends_in_the_same_adapter(
    student, undisturbed, tmp_path, monkeypatch, at
):
    """Same machine, CPU: loss curve equal to four decimals, weights within 1e-6. Step 4 ends an epoch."""
    from transformers import TrainerCallback

    done = []

    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control, **more):
            done.append(state.global_step)
            if len(done) == at:
                raise KeyboardInterrupt

    real = trainer.build
    monkeypatch.setattr(trainer, "build", lambda *parts: real(*parts[:-1], [*parts[-1], Kill()]))
    more = QUICK | {"checkpoints": 4}
    with pytest.raises(KeyboardInterrupt):
        training.finetune_lora(examples(40), base=student, folder=tmp_path / "adapter", **more)
    assert not (tmp_path / "adapter").exists()
    result = training.finetune_lora(examples(40), base=student, folder=tmp_path / "adapter", **more)
    assert (
        done[at] == (at - 1) // 2 * 2 + 1 and done[-1] == 8
    )  # from the checkpoint at 2 or 4, if any
    assert result["train_losses"] == undisturbed[1]["train_losses"]
    assert result["held_out_losses"] == undisturbed[1]["held_out_losses"]
    assert difference(tmp_path / "adapter", undisturbed[0]) < 1e-6


def test_another_dataset_does_not_go_on_from_the_checkpoints_of_this_one(student, tmp_path):
    draft = tmp_path / ".adapter"
    (draft / "checkpoint-3").mkdir(parents=True)
    (draft / "checkpoint-3/trainer_state.json").write_text("{}")
    records.write_json(draft / "run.json", {"name": "another"})
    assert (
        training.finetune_lora(examples(10), base=student, folder=tmp_path / "adapter", **QUICK)[
            "steps"
        ]
        == 2
    )


def test_when_memory_ends_the_micro_batch_halves_and_the_result_stays(
    student, undisturbed, tmp_path, monkeypatch
):
    import torch

    real, sizes = lora.loading.load_model, []

    def load(*given, **more):
        model = real(*given, **more)
        forward = model.forward

        def narrow(*parts, **fields):
            sizes.append(len(fields["input_ids"]))
            if model.training and len(fields["input_ids"]) > 2:
                raise torch.OutOfMemoryError("simulated")
            return forward(*parts, **fields)

        model.forward = narrow
        return model

    monkeypatch.setattr(lora.loading, "load_model", load)
    result = training.finetune_lora(
        examples(40), base=student, folder=tmp_path / "adapter", **QUICK
    )
    assert result["micro_batch_size"] == 2 and result["steps"] == undisturbed[1]["steps"]
    assert difference(tmp_path / "adapter", undisturbed[0]) < 1e-4
    with pytest.raises(UserError, match=r"used up(.|\n)*micro_batch_size: [12]"):
        training.finetune_lora(
            examples(40), base=student, folder=tmp_path / "b", **QUICK | {"auto_batch": False}
        )


def test_two_processes_train_what_one_does(student, undisturbed, tmp_path):
    """`accelerate launch` on two CPU processes: the same global batches; losses within 1e-3, weights within 1e-3."""
    out = tmp_path / "two"
    records.write(out / "dataset.jsonl", examples(40))
    shutil.copytree(student, out / "student")
    sets = [f"{name}={value}" for name, value in QUICK.items() if name != "live"]
    config = paths.root() / "params" / "accelerate" / "cpu.yaml"
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        str(config),
        "--main_process_port",
        "0",
    ]
    command += [
        "-m",
        "medinstruct.training",
        str(paths.root() / "params/demo.yaml"),
        "--set",
        "run=two",
        *sets,
    ]
    room = {
        "MEDINSTRUCT_OUTPUTS": str(tmp_path),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(paths.PACKAGE.parent),
    }
    done = subprocess.run(
        command, env=os.environ | room, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((out / "training.json").read_text())["lora"]
    chosen = QUICK | {"checkpoints": 4, "lora_dropout": 0.0}
    assert (
        training.finetune_lora(examples(40), base=out / "student", folder=out / "adapter", **chosen)
        == result
    )
    curve = [row["loss"] for row in result["train_losses"]]
    assert curve == pytest.approx([row["loss"] for row in undisturbed[1]["train_losses"]], abs=1e-3)
    assert difference(out / "adapter", undisturbed[0]) < 1e-3


def test_the_same_call_gives_back_what_was_made_and_trains_no_more(
    student, undisturbed, monkeypatch
):
    monkeypatch.setattr(trainer, "build", None)
    assert (
        training.finetune_lora(examples(40), base=student, folder=undisturbed[0], **QUICK)
        == undisturbed[1]
    )
    with pytest.raises(TypeError):
        training.finetune_lora(
            examples(40), base=student, folder=undisturbed[0], **QUICK | {"seed": 43}
        )


def test_a_run_over_spread_weights_gets_its_held_out_losses_afterwards(
    student, undisturbed, tmp_path
):
    folder, result = undisturbed
    shutil.copytree(folder, tmp_path / "adapter")
    made = json.loads((folder / "made.json").read_text())
    blank = {
        "eval_before": None,
        "eval_after": None,
        "by_type": {"before": {}, "after": {}},
        "held_out_losses": [],
    }
    records.write_json(tmp_path / "adapter" / "made.json", made | {"result": result | blank})
    found = training.finetune_lora(examples(40), base=student, folder=tmp_path / "adapter", **QUICK)
    assert found["eval_before"] == result["eval_before"] and found["eval_after"] == pytest.approx(
        result["eval_after"], abs=2e-4
    )
    assert found["by_type"]["after"].keys() == result["by_type"]["after"].keys()
    assert f"{found['eval_after']} after" in (tmp_path / "adapter" / "README.md").read_text()


def test_the_plan_says_what_the_run_then_does(student, undisturbed):
    planned = training.plan(examples(40), base=student, **QUICK)
    assert (
        planned.steps == undisturbed[1]["steps"]
        and planned.seconds > 0
        and sum(planned.memory.values()) > 0
    )
    assert [row.id for row in planned.held_out] == undisturbed[1]["held_out_ids"]
    assert planned.trained_tokens < planned.tokens and all(
        choice.why for choice in planned.choices.values()
    )


def test_the_live_curve_is_drawn_from_two_losses_on_and_escaped():
    drawn = watch.curve_svg([{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}], title="<b>")
    assert drawn.count("<polyline") == 1 and "<b>" not in drawn and "loss 2.000" in drawn


def test_packed_rows_train_and_hold_about_as_many_examples_a_step(student, tmp_path):
    result = training.finetune_lora(
        examples(30), base=student, folder=tmp_path / "a", **QUICK | {"batching": "packed"}
    )
    assert result["eval_after"] < result["eval_before"] and 4 <= result["steps"] <= 10


def test_all_parameters_are_trained_by_parameter_and_the_folder_is_a_whole_model(student, tmp_path):
    result = training.finetune_lora(
        examples(20),
        base=student,
        folder=tmp_path / "full",
        **QUICK | {"method": "full", "learning_rate": 1e-3},
    )
    assert (
        result["trainable"] == result["parameters"] and result["eval_after"] < result["eval_before"]
    )
    model = llm.LocalModel(student, adapter=tmp_path / "full")
    keys = {view.key(llm.Request(messages=[])) for view in (model.base, model.tuned)}
    assert len(keys) == 2 and model.answer(["Rest"], max_new_tokens=4)


@pytest.mark.parametrize("kind", ["rslora", "dora"])
def test_other_kinds_of_adapter_and_noise_train_too(student, tmp_path, kind):
    more = {"lora_kind": kind, "neftune_alpha": 5.0, "max_steps": 2}
    assert (
        training.finetune_lora(examples(12), base=student, folder=tmp_path / "a", **QUICK | more)[
            "steps"
        ]
        == 2
    )


def test_a_merged_model_gives_the_same_logits_and_loads_without_peft(
    student, undisturbed, tmp_path
):
    from transformers import AutoModelForCausalLM

    assert training.merge(student, adapter=undisturbed[0], folder=tmp_path / "merged") < 1e-3
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert not any("lora" in name for name, _ in model.named_parameters())


def test_an_adapter_loads_with_plain_peft(undisturbed):
    from peft import AutoPeftModelForCausalLM

    assert (
        AutoPeftModelForCausalLM.from_pretrained(undisturbed[0]).num_parameters()
        == undisturbed[1]["parameters"]
    )


def test_an_adapter_of_a_run_names_its_base_without_the_machines_path_and_its_modules_in_order(
    tmp_path,
):
    from medinstruct.training.lora import _portable

    (tmp_path / "student").mkdir()
    file, modules = tmp_path / "adapter_config.json", ["v_proj", "gate_proj"]
    for base, found in (
        (tmp_path / "student", "student"),
        (tmp_path.parent, str(tmp_path.parent)),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
    ):
        file.write_text(
            json.dumps({"base_model_name_or_path": str(base), "target_modules": modules})
        )
        _portable(file, tmp_path)
        assert json.loads(file.read_text()) == {
            "base_model_name_or_path": found,
            "target_modules": sorted(modules),
        }


def test_a_missing_model_an_unknown_setting_and_an_uneven_batch_are_refused(student, tmp_path):
    with pytest.raises(UserError, match="could not be loaded"):
        training.finetune_lora(examples(4), base=tmp_path, folder=tmp_path / "a")
    with pytest.raises(UserError, match="no such setting"):
        training.finetune_lora(examples(4), base=student, folder=tmp_path / "a", lora_rnk=4)
    with pytest.raises(UserError, match="shared out evenly"):
        training.finetune_lora(
            examples(4), base=student, folder=tmp_path / "a", batch_size=9, micro_batch_size=2
        )
    with pytest.raises(UserError, match="than the base model can read"):
        long = examples(4)[0].model_copy(update={"output": "Rest. " * 300})
        training.plan([long, *examples(4)], base=student, timed=False, max_length=5000)
    with pytest.raises(UserError, match="too few"):
        training.finetune_lora([], base=student, folder=tmp_path / "a")
    with pytest.raises(UserError, match="could not be loaded"):
        llm.LocalModel(tmp_path / "none")
