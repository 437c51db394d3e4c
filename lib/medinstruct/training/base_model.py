"""Base model: tokenizer, loading errors, memory that fine-tuning takes."""

from pathlib import Path
from typing import Any

from medinstruct.errors import UserError
from medinstruct.training import config

GB = 1024**3
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
BYTES_IN_4BIT = 0.55  # nf4 with double quantization, and layers that stay in 16 bits
# Bytes a token and hidden unit that a transformer layer keeps for the backward pass in 16 bits,
# without the attention matrix (Korthikanti et al. 2022, arXiv 2205.05198, equation 2).
ACTIVATION_BYTES = 34


def load_tokenizer(base: str | Path) -> Any:
    """Return the base model's tokenizer; the end token pads where no other does.

    Padding is left out of the loss by position, so the end token stays trained.
    """
    from transformers import AutoTokenizer

    tokenizer = load(AutoTokenizer.from_pretrained, base)
    if tokenizer.eos_token is None:
        do = "Choose another base model."
        raise UserError("The tokenizer has no end-of-sequence token.", got=base, do=do)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def load(loader: Any, base: str | Path, **arguments: Any) -> Any:
    """Call a loader, such as a `from_pretrained`, on a base model; errors become one message."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        return loader(str(base), **arguments)
    except (OSError, ValueError, ImportError) as error:
        do = "Check the model's name or folder, and the network; weights must be safetensors."
        got = str(error).strip().split("\n")[0]
        raise UserError("The base model could not be loaded.", got=got, do=do) from error


def estimate_memory(base: str | Path, **settings: Any) -> dict[str, float]:
    """Return GB on one device by part, a rule of thumb from the model's configuration alone.

    AdamW in float32: 4 bytes a trained parameter for its gradient, 8 for its moments. Activations
    of one micro-batch at `max_length`: `ACTIVATION_BYTES` a token, hidden unit and layer, or with
    gradient checkpointing each layer's input and one whole layer.
    """
    from transformers import AutoConfig

    values, width = config.complete(settings), BYTES[config.precision()]
    shape = load(AutoConfig.from_pretrained, base)
    size, adapter = _parameters(shape, values["lora_rank"])
    is_lora = values["method"] == "lora"
    trained = adapter if is_lora else size
    weights = size * (BYTES_IN_4BIT if values["load_in_4bit"] else width) + adapter * 4
    text = shape.get_text_config()
    layers, layer = text.num_hidden_layers, ACTIVATION_BYTES * width / 2
    kept = layers * width + layer if values["gradient_checkpointing"] else layers * layer
    units = values["micro_batch_size"] * values["max_length"] * text.hidden_size
    parts = {"weights": weights if is_lora else size * 4, "gradients": trained * 4}
    parts |= {"optimizer": trained * 8, "activations": units * kept}
    return {name: value / GB for name, value in parts.items()}


def memory_in_use() -> float:
    """Return GB reserved on the GPU at most, or used by this process now."""
    import psutil
    import torch

    used = psutil.Process().memory_info().rss
    return (torch.cuda.max_memory_reserved() if torch.cuda.is_available() else used) / GB


def _parameters(shape: Any, lora_rank: int) -> tuple[int, int]:
    """Return the parameters of the model, and of an adapter on all linear layers but the head."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape)
    layers = set(filter(lambda layer: isinstance(layer, torch.nn.Linear), model.modules()))
    layers -= {model.get_output_embeddings()}
    adapter = sum(lora_rank * (layer.in_features + layer.out_features) for layer in layers)
    return model.num_parameters(), adapter
