"""Base model: tokenizer, memory that fine-tuning takes."""

from pathlib import Path
from typing import Any

from medinstruct.errors import UserError
from medinstruct.llm import load_pretrained
from medinstruct.training import config

GB = 1024**3


def load_tokenizer(base: str | Path) -> Any:
    """Return the base model's tokenizer; the end token pads where no other does.

    Padding is left out of the loss by position, so the end token stays trained.
    """
    from transformers import AutoTokenizer

    tokenizer = load_pretrained(AutoTokenizer.from_pretrained, base)
    if tokenizer.eos_token is None:
        do = "Choose another base model."
        raise UserError("The tokenizer has no end-of-sequence token.", got=base, do=do)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def estimate_memory(base: str | Path, **settings: Any) -> dict[str, float]:
    """Return GB on one device by part, a rule of thumb from the model's configuration alone.

    AdamW in float32: 4 bytes a trained parameter for its gradient, 8 for its moments. Activations
    of one micro-batch at `max_length`: data/training.yaml (right within 10% for LoRA, up to 40%
    too low for full fine-tuning), or with gradient checkpointing each layer's input and one layer.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    values, precision = config.complete(settings), config.precision()
    bytes_of, width = config.recipe("memory"), 4 if precision == "float32" else 2
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(load_pretrained(AutoConfig.from_pretrained, base))
    shape, size, rank = model.config.get_text_config(), model.num_parameters(), values["lora_rank"]
    linear = {layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)}
    linear -= {model.get_output_embeddings()}
    trained = sum(rank * (layer.in_features + layer.out_features) for layer in linear)
    weights = size * (bytes_of["weight_in_4bit"] if values["load_in_4bit"] else width) + trained * 4
    if not rank:
        trained, weights = size, size * 4
    units = values["micro_batch_size"] * values["max_length"] * shape.hidden_size
    layers, layer = shape.num_hidden_layers, bytes_of["activation"][precision]
    per_unit = layers * width + layer if values["gradient_checkpointing"] else layers * layer
    parts = {"weights": weights, "gradients": trained * 4, "optimizer": trained * 8}
    parts["activations"] = units * per_unit
    return {name: value / GB for name, value in parts.items()}


def memory_in_use() -> float:
    """Return GB reserved on the GPU at most, or used by this process now."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() / GB
    return psutil.Process().memory_info().rss / GB
