"""Base model: its outline, its adapter, memory that fine-tuning takes."""

import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any

from medinstruct.llm import local
from medinstruct.training import config

GB = 1024**3


def estimate_memory(base: str | Path, **settings: Any) -> dict[str, float]:
    """Estimate GB on one device by part from the configuration; empty where `outline` fails.

    AdamW in float32: 4 bytes a trained parameter for its gradient, 8 for its moments. Activations
    of one micro-batch: data/training.yaml (within 10% for LoRA, up to 40% too low for full fine-
    tuning).
    """
    from peft import get_peft_model

    values, bytes_of = config.complete(settings), config.recipe("memory")
    model, adapter, form = outline(base), config.lora_config(values), local.precision()
    if not model:
        return {}
    if adapter:
        model = get_peft_model(model, fit_adapter(adapter, model), low_cpu_mem_usage=True)
    shape, sizes, width = model.config.get_text_config(), Counter(), 4 if form == "float32" else 2
    for name, part in model.named_parameters():
        kind = "trained" if part.requires_grad else "experts" if _expert(name, part) else "frozen"
        sizes[kind] += part.numel()
    trained, experts, layers = sizes["trained"], sizes["experts"] * width, shape.num_hidden_layers
    frozen = sizes["frozen"] * (bytes_of["weight_in_4bit"] if values["load_in_4bit"] else width)
    parts = {"weights": frozen + experts + 4 * trained, "gradients": 4 * trained}
    parts["optimizer"] = 8 * trained
    units = values["micro_batch_size"] * values["max_length"] * shape.hidden_size
    layer = units * bytes_of["activation"][form]
    parts["activations"] = layer * layers + experts
    if values["gradient_checkpointing"]:  # each layer's input, and one layer
        parts["activations"] = layer + units * layers * width + experts / layers
    return {name: value / GB for name, value in parts.items()}


def outline(base: str | Path) -> Any:
    """Return the model without memory for its weights; None, logged, where it is not built."""
    import torch
    from transformers import AutoConfig

    shape, kind = local.load_pretrained(AutoConfig.from_pretrained, base), local.model_class(base)
    try:
        with torch.device("meta"):
            return (getattr(kind, "_from_config", None) or kind.from_config)(shape)
    except Exception as error:  # of any architecture
        note = f"{base} is not built from its configuration, its memory not estimated: {error}"
        logging.getLogger("medinstruct").warning(note)
        return None


def fit_adapter(adapter: Any, model: Any) -> Any:
    """Extend an all-linear adapter to fused experts; keep it out of towers for images and sound."""
    if not model or adapter.target_modules != "all-linear":
        return adapter
    decoder = next(name for name, part in model.named_modules() if part is model.get_decoder())
    if decoder and model.config.get_text_config() is not model.config:
        adapter.exclude_modules = rf"(?!{re.escape(decoder)}\.).*"
    # A mixture of experts has a layer's experts in one parameter, which is no linear layer.
    experts = {_expert(name, part) for name, part in model.named_parameters()} - {""}
    adapter.target_parameters = sorted(experts) or None
    return adapter


def _expert(name: str, part: Any) -> str:
    """Return the last names of a parameter that holds the weights of several experts, or ""."""
    place = name.find("experts.")
    return name[place:] if place >= 0 and part.ndim == 3 else ""


def memory_in_use() -> float:
    """Return GB reserved on the GPU at most, or used by this process now."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() / GB
    return psutil.Process().memory_info().rss / GB
