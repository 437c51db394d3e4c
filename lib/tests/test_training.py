"""The loss counts the response and its end alone, in what the trainer really sees."""

from pathlib import Path

import pytest

from medinstruct import llm, training
from medinstruct.errors import Problem
from medinstruct.records import Example
from medinstruct.training import lora

PROSE = [f"Condition {n} causes cough and fever. It is treated with rest and fluids." for n in range(40)]


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "student"
    training.build_student(PROSE, folder=folder, vocab_size=400, hidden_size=32, layers=1, heads=2, max_length=64, epochs=2)
    return folder


def examples(count):
    labels = {"type": "chat", "topic": "Sleep", "view": "patient", "difficulty": 2}
    return [
        Example(
            **labels, instruction=f"What is condition {n}?", input="DNA" * (n % 2), output=f"Rest for {n} days.", task=str(n)
        )
        for n in range(count)
    ]


def test_the_trainer_trains_just_the_tokens_that_the_mask_shows(student):
    model, tokenizer = lora._loaded(str(student), precision="auto", quantization="none")
    found = examples(4)
    settings = {
        "num_train_epochs": 1,
        "max_length": 256,
        "output_dir": str(student.parent / "x"),
        "per_device_train_batch_size": 1,
    }
    trainer = lora._trainer(model, tokenizer, found, found, settings, lora._lora(2, 4, 0.0))
    for row, example in zip(trainer.train_dataset, found, strict=True):
        batch = trainer.data_collator([row])
        trained = (batch["labels"][0] != -100).tolist()
        mask = training.loss_mask(example, tokenizer=tokenizer)
        assert trained == [is_trained for _, is_trained in mask]
        assert batch["input_ids"][0, -1] == tokenizer.eos_token_id and trained[-1]


def test_an_adapter_is_saved_and_answers_beside_the_base(student, tmp_path):
    result = training.finetune_lora(
        examples(20), base=student, folder=tmp_path / "adapter", epochs=3, learning_rate=1e-2, lora_rank=4
    )
    assert result["eval_after"] < result["eval_before"] and result["examples"] + result["held_out"] == 20
    assert (tmp_path / "adapter/adapter_model.safetensors").exists()
    model = llm.LocalModel(student, adapter=tmp_path / "adapter")
    prompts = [training.prompt(e.instruction, e.input) for e in examples(3)]
    together = model.with_adapter(True).answer(prompts, max_new_tokens=8)
    assert together == [model.answer([text], max_new_tokens=8)[0] for text in prompts]


def test_a_missing_model_and_an_empty_dataset_are_refused(tmp_path):
    with pytest.raises(Problem, match="too few"):
        training.finetune_lora([], base=tmp_path, folder=tmp_path / "a")
    with pytest.raises(Problem, match="could not be loaded"):
        llm.LocalModel(tmp_path / "none")
