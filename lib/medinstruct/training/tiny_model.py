"""Tiny model: the demo's student, a small Llama with its own tokenizer, trained on plain prose."""

import json
import shutil
from pathlib import Path
from typing import Any

from medinstruct import records
from medinstruct.training.config import recipe
from medinstruct.training.trainer import show_progress, train_losses

NAMES = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}


def build_student(
    texts: list[str], *, folder: str | Path, epochs: int = 10, seed: int = 42, **shape: int
) -> dict[str, Any]:
    """Train the student from scratch, save it, and return its size and losses by step.

    `shape` overrides the LlamaConfig of data/training.yaml. Returns parameters, the tokens of one
    pass, and losses in nats a token. A student of the same texts and settings is built once.
    """
    folder, shape, trainer = Path(folder), recipe("student") | shape, recipe("student_trainer")
    learning = (trainer["per_device_train_batch_size"], trainer["learning_rate"])
    fingerprint = records.content_hash(texts, shape, epochs, *learning, seed)
    built = folder / "built.json"
    if built.exists() and (earlier := json.loads(built.read_text()))["fingerprint"] == fingerprint:
        return earlier["result"]
    draft = folder.with_name(f".{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    tokenizer = _tokenizer(texts, size=shape["vocab_size"])
    model = _model(tokenizer, shape, seed=seed)
    blocks = _blocks(texts, tokenizer, length=shape["max_position_embeddings"] // 4)
    losses = _train(model, blocks, output_dir=str(draft), num_train_epochs=epochs, seed=seed)
    model.save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    size = {"parameters": model.num_parameters(), "tokens": sum(map(len, blocks))}
    result = size | {"losses": losses}
    records.write_json(draft / "built.json", {"fingerprint": fingerprint, "result": result})
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return result


def _tokenizer(texts: list[str], *, size: int) -> Any:
    """Return a byte-level BPE tokenizer; <s> begins a sequence, and pad and end tokens differ."""
    from tokenizers import ByteLevelBPETokenizer, Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    form = {"min_frequency": 0, "show_progress": False, "special_tokens": [*NAMES.values()]}
    bpe.train_from_iterator(texts, size, **form)
    bpe = Tokenizer.from_str(bpe.to_str())
    # No </s> at the end: the trainers put it where a text ends.
    begin = [("<s>", bpe.token_to_id("<s>"))]
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=begin)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, model_max_length=10**6, **NAMES)


def _model(tokenizer: Any, shape: dict[str, int], *, seed: int) -> Any:
    """Return a Llama of this shape with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(seed)
    shape = shape | {"vocab_size": len(tokenizer), "intermediate_size": 3 * shape["hidden_size"]}
    ids = {f"{name}_id": getattr(tokenizer, f"{name}_id") for name in NAMES}
    return LlamaForCausalLM(LlamaConfig(**shape, **ids, tie_word_embeddings=True))


def _blocks(texts: list[str], tokenizer: Any, *, length: int) -> list[list[int]]:
    """Return all texts as one sequence of tokens, each ended by </s>, in blocks of `length`."""
    tokens = []
    for text in texts:
        tokens += [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
    starts = range(0, len(tokens) - length + 1, length)
    return [tokens[start : start + length] for start in starts] or [tokens]


def _train(model: Any, blocks: list[list[int]], **arguments: Any) -> list[dict[str, float]]:
    """Train all parameters on the blocks; return the losses by step."""
    from transformers import Trainer, TrainingArguments

    args = TrainingArguments(**recipe("student_trainer"), **arguments)
    data = [{"input_ids": block, "labels": block} for block in blocks]
    trainer = Trainer(model=model, args=args, train_dataset=data)
    show_progress(trainer)
    trainer.train()
    return train_losses(trainer.state)
