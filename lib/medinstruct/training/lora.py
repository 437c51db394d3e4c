"""LoRA with TRL and PEFT: all linear layers, loss on the response alone, the end-of-sequence token trained."""

import random
import shutil
import warnings
from pathlib import Path
from typing import Any

from medinstruct.errors import Problem
from medinstruct.records import Example
from medinstruct.training.student import losses_of, quiet
from medinstruct.training.templates import prompt


def finetune_lora(
    examples: list[Example],
    *,
    base: str | Path,
    folder: str | Path,
    epochs: float = 3,
    learning_rate: float = 2e-4,
    batch_size: int = 16,
    micro_batch_size: int = 8,
    max_length: int = 1024,
    lora_rank: int = 16,
    lora_alpha: int = 32,
    lora_dropout: float = 0.0,
    warmup_ratio: float = 0.03,
    eval_share: float = 0.1,
    precision: str = "auto",
    quantization: str = "none",
    seed: int = 42,
) -> dict[str, Any]:
    """Tune an adapter on some examples and save it in `folder`; returns losses (nats a response token), sizes and counts.

    `precision`: auto, float32, bfloat16 or float16; `quantization`: none, or 4bit (QLoRA, needs a CUDA GPU).
    """
    trained, held_out = split(examples, share=eval_share, seed=seed)
    model, tokenizer = _loaded(str(base), precision=precision, quantization=quantization)
    draft = Path(folder).with_name(f".{Path(folder).name}")
    shutil.rmtree(draft, ignore_errors=True)
    settings = {
        "num_train_epochs": epochs, "learning_rate": learning_rate, "per_device_train_batch_size": micro_batch_size,
        "gradient_accumulation_steps": max(1, batch_size // micro_batch_size), "warmup_steps": warmup_ratio,
        "max_length": max_length, "seed": seed, "output_dir": str(draft),
    }  # fmt: skip
    trainer = _trainer(model, tokenizer, trained, held_out, settings, _lora(lora_rank, lora_alpha, lora_dropout))
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    after = trainer.evaluate()["eval_loss"]
    trainer.model.save_pretrained(draft, safe_serialization=True)
    tokenizer.save_pretrained(draft)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return {
        "train_losses": losses_of(trainer), "eval_before": round(before, 4), "eval_after": round(after, 4),
        "trainable": trainer.model.num_parameters(only_trainable=True), "parameters": trainer.model.num_parameters(),
        "examples": len(trained), "held_out": len(held_out), "cut": _cut(examples, tokenizer, max_length),
    }  # fmt: skip


def split(examples: list[Example], *, share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Training and held-out examples, drawn by `seed`; at least one of each."""
    if len(examples) < 2:
        raise Problem(
            "There are too few examples to train on.", got=len(examples), do="Generate more tasks, or lower the limits."
        )
    empty = [example.id for example in examples if not example.output.strip()]
    if empty:
        raise Problem("Examples have an empty response.", got=empty[:5], do="Leave them out of the dataset.")
    shuffled = random.Random(seed).sample(examples, len(examples))
    size = min(max(1, round(share * len(examples))), len(examples) - 1)
    return shuffled[size:], shuffled[:size]


def loss_mask(example: Example, *, tokenizer: Any, max_length: int = 1024) -> list[tuple[str, bool]]:
    """The tokens of an example as the trainer sees them, and whether each is trained: the response and its end are."""
    asked = tokenizer(prompt(example.instruction, example.input))["input_ids"]
    whole = tokenizer(prompt(example.instruction, example.input) + example.output + tokenizer.eos_token)["input_ids"]
    return [(tokenizer.decode([token]), n >= len(asked)) for n, token in enumerate(whole[:max_length])]


def rows(examples: list[Example]) -> Any:
    """The examples as TRL's prompt and completion columns; TRL puts the end-of-sequence token after the completion."""
    from datasets import Dataset

    return Dataset.from_list([{"prompt": prompt(e.instruction, e.input), "completion": e.output} for e in examples])


def _trainer(model: Any, tokenizer: Any, trained: list[Example], held_out: list[Example], settings: dict, lora: Any) -> Any:
    import datasets
    import torch
    from trl import SFTConfig, SFTTrainer

    datasets.disable_progress_bars()
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
    kinds = {"bf16": model.dtype == torch.bfloat16, "fp16": model.dtype == torch.float16}
    arguments = SFTConfig(
        **settings, **kinds, lr_scheduler_type="cosine", completion_only_loss=True, packing=False, save_strategy="no",
        per_device_eval_batch_size=settings["per_device_train_batch_size"], logging_steps=5, report_to="none",
        disable_tqdm=True, dataloader_pin_memory=model.device.type == "cuda", gradient_checkpointing=model.device.type == "cuda",
    )  # fmt: skip
    data = {"train_dataset": rows(trained), "eval_dataset": rows(held_out)}
    trainer = SFTTrainer(model=model, args=arguments, processing_class=tokenizer, peft_config=lora, **data)
    quiet(trainer)
    return trainer


def _lora(rank: int, alpha: int, dropout: float) -> Any:
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules="all-linear", task_type="CAUSAL_LM")


def _loaded(base: str, *, precision: str, quantization: str) -> tuple[Any, Any]:
    """The base model and its tokenizer; safetensors only, no remote code."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if quantization not in ("none", "4bit") or precision not in ("auto", "float32", "bfloat16", "float16"):
        raise Problem(
            "`quantization` or `precision` is not known.", got=(quantization, precision), do="See the parameters cell."
        )
    has_gpu = torch.cuda.is_available()
    if quantization == "4bit" and not has_gpu:
        raise Problem("4-bit training needs a CUDA GPU.", got="no GPU", do="Set quantization: none.")
    auto = "float32" if not has_gpu else "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    dtype = getattr(torch, auto if precision == "auto" else precision)
    more = {"quantization_config": _four_bit(dtype)} if quantization == "4bit" else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, use_safetensors=True, **more)
    except OSError as error:
        do = "Check the name or folder of the model, and the network if it is on the hub."
        raise Problem("The base model could not be loaded.", got=str(error).split("\n")[0], do=do) from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return model.to("cuda") if has_gpu and not more else model, tokenizer


def _four_bit(dtype: Any) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def _cut(examples: list[Example], tokenizer: Any, max_length: int) -> int:
    """How many examples are longer than the maximum length and lose their end."""
    return sum(len(tokenizer(prompt(e.instruction, e.input) + e.output)["input_ids"]) + 1 > max_length for e in examples)
