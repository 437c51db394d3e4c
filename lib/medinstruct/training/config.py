"""Training configuration: settings and their checks, device and precision, TRL's arguments."""

import os
import warnings
from pathlib import Path
from typing import Any

from medinstruct import paths
from medinstruct.errors import UserError
from medinstruct.training.examples import check_choice


def recipe(part: str) -> dict[str, Any]:
    """Return a part of data/training.yaml, such as `settings`: those a user may set."""
    return paths.load("training")[part]


def settings(scope: dict[str, Any]) -> dict[str, Any]:
    """Return the training settings among a notebook's `globals()` or a profile's values."""
    return {name: scope[name] for name in recipe("settings") if name in scope}


def training_file(folder: Path, train_on: str = "reviewed") -> Path:
    """Return the run's dataset to train on: as reviewers left it where it exists, or as written."""
    files = {"reviewed": folder / "dataset.reviewed.jsonl", "dataset": folder / "dataset.jsonl"}
    check_choice("train_on", train_on, tuple(files))
    return files[train_on] if files[train_on].exists() else files["dataset"]


def complete(given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with their defaults; unknown or incompatible ones are refused."""
    if unknown := sorted(set(given) - set(recipe("settings"))):
        do = f"Known: {', '.join(recipe('settings'))}."
        raise UserError("Fine-tuning has no such setting.", got=", ".join(unknown), do=do)
    values = recipe("settings") | given
    check_choice("method", values["method"], ("lora", "full"))
    if values["load_in_4bit"] and (values["method"] == "full" or device() == "CPU"):
        got, do = f"method {values['method']} on {device()}", "Set load_in_4bit: false."
        raise UserError("4-bit weights need method: lora and a CUDA GPU.", got=got, do=do)
    at_once = values["micro_batch_size"] * processes()
    if not at_once or values["batch_size"] % at_once:
        do = "Make batch_size a multiple of micro_batch_size times the number of processes."
        got = f"{values['batch_size']} and {values['micro_batch_size']} on {processes()} processes"
        raise UserError("`batch_size` and `micro_batch_size` do not fit.", got=got, do=do)
    return values


def processes() -> int:
    """Return the number of training processes (more than 1 under `accelerate launch`)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def device() -> str:
    """Return the GPU's name, or CPU."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"


def precision() -> str:
    """Return the number format to compute in: bfloat16 where the GPU has it; float32 on a CPU."""
    import torch

    if not torch.cuda.is_available():
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def trainer_arguments(folder: Path, values: dict[str, Any]) -> Any:
    """Return TRL's SFTConfig.

    On one device, a micro-batch that does not fit into memory is reduced by a tenth until it does,
    and with it the examples a step. Full fine-tuning keeps float32 weights.
    """
    from trl import SFTConfig

    warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
    names = ("learning_rate", "max_length", "gradient_checkpointing", "report_to", "seed")
    dtype = precision() if values["method"] == "lora" else "float32"
    size = values["micro_batch_size"]
    return SFTConfig(
        **recipe("trainer"),
        **{name: values[name] for name in names},
        output_dir=str(folder),
        model_init_kwargs={"dtype": dtype, "use_safetensors": True},
        num_train_epochs=values["epochs"],
        per_device_train_batch_size=size,
        gradient_accumulation_steps=values["batch_size"] // (size * processes()),
        auto_find_batch_size=processes() == 1,
        bf16=precision() == "bfloat16",
        fp16=precision() == "float16",
        use_cpu=device() == "CPU",
        dataloader_pin_memory=device() != "CPU",
    )


def method_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """Return SFTTrainer's arguments for LoRA and QLoRA; none for full fine-tuning."""
    from peft import LoraConfig
    from transformers import BitsAndBytesConfig

    if values["method"] == "full":
        return {}
    sizes = {"r": values["lora_rank"], "lora_alpha": values["lora_alpha"]}
    adapter = LoraConfig(**recipe("adapter"), **sizes, lora_dropout=values["lora_dropout"])
    if not values["load_in_4bit"]:
        return {"peft_config": adapter}
    weights = BitsAndBytesConfig(**recipe("quantization"), bnb_4bit_compute_dtype=precision())
    return {"peft_config": adapter, "quantization_config": weights}
