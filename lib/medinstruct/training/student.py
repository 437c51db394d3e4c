"""The demo's student: a tiny Llama with its own tokenizer, trained from scratch on plain prose, so that nothing is downloaded."""

import json
import shutil
from pathlib import Path
from typing import Any

from medinstruct import records
from medinstruct.training.watch import losses

SPECIAL = ["<pad>", "<s>", "</s>"]


def build_student(
    texts: list[str],
    *,
    folder: str | Path,
    vocab_size: int = 2048,
    hidden_size: int = 128,
    layers: int = 4,
    heads: int = 4,
    max_length: int = 512,
    epochs: int = 10,
    batch_size: int = 4,
    learning_rate: float = 3e-3,
    seed: int = 42,
) -> dict[str, Any]:
    """Train the student on some texts and save it in `folder`; built once and reused while texts and settings are unchanged.

    Returns parameters, tokens (of one pass over the texts) and the losses in nats a token by step.
    """
    folder = Path(folder)
    shape = {
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "layers": layers,
        "heads": heads,
        "max_length": max_length,
    }
    name = records.content_hash(texts, shape, epochs, batch_size, learning_rate, seed)
    built = folder / "built.json"
    if built.exists() and (found := json.loads(built.read_text()))["fingerprint"] == name:
        return found["result"]
    draft = folder.with_name(f".{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    tokenizer = _tokenizer(texts, size=vocab_size, max_length=max_length)
    model = _model(tokenizer, shape, seed=seed)
    blocks = _blocks(texts, tokenizer, length=max_length // 2)
    curve = _train(
        model,
        blocks,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        folder=draft,
    )
    model.save_pretrained(draft, safe_serialization=True)
    tokenizer.save_pretrained(draft)
    result = {
        "parameters": model.num_parameters(),
        "tokens": sum(map(len, blocks)),
        "losses": curve,
    }
    records.write_json(draft / "built.json", {"fingerprint": name, "result": result})
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return result


def _tokenizer(texts: list[str], *, size: int, max_length: int) -> Any:
    """A byte-level BPE tokenizer that begins with <s> and whose pad and end tokens differ."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    # A sequence begins with <s> and does not end with </s>: the trainers put that where a text ends.
    bpe.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", bpe.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=10**6,
    )


def _model(tokenizer: Any, shape: dict[str, int], *, seed: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape["hidden_size"],
        intermediate_size=shape["hidden_size"] * 3,
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        max_position_embeddings=shape["max_length"] * 2,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def _blocks(texts: list[str], tokenizer: Any, *, length: int) -> list[list[int]]:
    """All texts as one row of tokens, each ended by </s>, cut into blocks of equal length."""
    row = [
        token for text in texts for token in [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
    ]
    return [row[n : n + length] for n in range(0, len(row) - length + 1, length)] or [row]


def _train(
    model: Any,
    blocks: list[list[int]],
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    folder: Path,
) -> list[dict[str, float]]:
    import torch
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=batch_size,
        learning_rate=learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.05,
        weight_decay=0.01,
        seed=seed,
        save_strategy="no",
        report_to="none",
        logging_steps=10,
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=[{"input_ids": block, "labels": block} for block in blocks],
    )
    quiet(trainer)
    trainer.train()
    return losses(trainer.state)


def quiet(trainer: Any) -> None:
    """Take away the callbacks that print; the losses are in the trainer's history."""
    from transformers import PrinterCallback
    from transformers.utils import logging

    trainer.remove_callback(PrinterCallback)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
