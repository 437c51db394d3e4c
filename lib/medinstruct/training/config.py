"""Training configuration: settings and their checks, device, adapter, arguments of TRL, memory."""

import logging
import os
import platform
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from medinstruct import params, paths
from medinstruct.errors import UserError
from medinstruct.llm import local

GB = 1024**3


def recipe(part: str) -> dict[str, Any]:
    """Return a part of data/training.yaml, such as `settings`: those a user may set."""
    return paths.load("training")[part]


def settings(scope: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook's or profile's settings: defaults, parameters, `training_options`."""
    named = {name: scope[name] for name in recipe("settings") if name in scope}
    return complete(named | scope.get("training_options", {}))


def training_file(folder: Path) -> Path:
    """Return the dataset to train on: the reviewed one where it exists, else the written one."""
    reviewed = folder / "dataset.reviewed.jsonl"
    return reviewed if reviewed.exists() else folder / "dataset.jsonl"


def adapters(folder: Path) -> dict[str, Path]:
    """Return a run's adapters, {model: folder}: tuned (notebook 08), aligned if it began there."""
    tuned, aligned = folder / "adapter", folder / "adapter_preferences"
    result = paths.read_json(aligned / "made.json").get("result", {})
    is_current = result and result.get("start") == local.fingerprint(tuned)
    return {"tuned": tuned} | ({"aligned": aligned} if is_current else {})


def complete(given: dict[str, Any], part: str = "settings") -> dict[str, Any]:
    """Return the settings with their defaults; raise for unknown or incompatible ones."""
    defaults = recipe(part)
    for name, value in given.items():
        if name not in defaults:
            raise params.unknown(name, defaults)
        params.typed(name, value, type(defaults[name]).__name__)
    values = defaults | given
    rank = values.get("lora_rank", 1)
    if values["load_in_4bit"] and (not rank or device() == "CPU"):
        got, do = f"lora_rank {rank} on {device()}", "Set load_in_4bit: false."
        raise UserError("4-bit weights need a lora_rank above 0 and a CUDA GPU.", got=got, do=do)
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


def machine() -> str:
    """Return the GPU's name, or the processor's with its number of cores."""
    file = Path("/proc/cpuinfo")
    names = re.findall("model name\t: (.+)", file.read_text("utf-8") if file.exists() else "")
    name = names[0] if names else platform.machine()
    return f"{name}, {os.cpu_count()} cores" if device() == "CPU" else device()


def weight_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """Return how a base model is loaded; full fine-tuning keeps float32 weights."""
    from transformers import BitsAndBytesConfig

    form = local.precision()
    weights = {"dtype": form if values.get("lora_rank", 1) else "float32", "use_safetensors": True}
    if values["load_in_4bit"]:
        bits = recipe("quantization") | {"bnb_4bit_compute_dtype": form}
        weights["quantization_config"] = BitsAndBytesConfig(**bits)
    return weights


def trainer_arguments(kind: type, folder: Path, values: dict[str, Any], **more: Any) -> Any:
    """Return the arguments of a TRL trainer, as its class of configuration `kind`."""
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
    names = ("learning_rate", "max_length", "gradient_checkpointing", "report_to", "seed")
    size = values["micro_batch_size"]
    form = recipe("trainer") | {
        **{name: values[name] for name in names},
        "output_dir": str(folder),
        "num_train_epochs": values["epochs"],
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": values["batch_size"] // (size * processes()),
        "bf16": local.precision() == "bfloat16",
        "fp16": local.precision() == "float16",
        "use_cpu": device() == "CPU",
        "dataloader_pin_memory": device() != "CPU",
    }
    return kind(**form | more)


def lora_config(values: dict[str, Any]) -> Any:
    """Return PEFT's LoraConfig for the settings; None where all parameters are trained."""
    from peft import LoraConfig

    rank, sizes = values["lora_rank"], {k: values[k] for k in ("lora_alpha", "lora_dropout")}
    return LoraConfig(**recipe("adapter"), r=rank, **sizes) if rank else None


def estimate_memory(base: str | Path, **settings: Any) -> dict[str, float]:
    """Estimate GB on one device by part from the configuration; empty where `outline` fails.

    AdamW in float32: 4 bytes per trained parameter for its gradient, 8 for its moments. Activations
    of one micro-batch: data/training.yaml (within 10% for LoRA, up to 40% too low for full fine-
    tuning).
    """
    from peft import get_peft_model

    values, bytes_of = complete(settings), recipe("memory")
    model, adapter, form = outline(base), lora_config(values), local.precision()
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
    """Return the model without allocating its weights; None, with a warning, if that fails."""
    import torch
    from transformers import AutoConfig

    shape, kind = local.load_pretrained(AutoConfig.from_pretrained, base), local.model_class(base)
    try:
        with torch.device("meta"):
            return (getattr(kind, "_from_config", None) or kind.from_config)(shape)
    except Exception as error:  # of any architecture
        note = f"Memory not estimated: {base} cannot be built from its configuration: {error}"
        logging.getLogger("medinstruct").warning(note)
        return None


def fit_adapter(adapter: Any, model: Any) -> Any:
    """Extend an all-linear adapter to fused experts; keep it out of vision and audio towers."""
    if not model or adapter.target_modules != "all-linear":
        return adapter
    decoder = next(name for name, part in model.named_modules() if part is model.get_decoder())
    if decoder and model.config.get_text_config() is not model.config:
        adapter.exclude_modules = rf"(?!{re.escape(decoder)}\.).*"
    # A mixture of experts has the experts of a layer in one parameter, not in a linear layer.
    experts = {_expert(name, part) for name, part in model.named_parameters()} - {""}
    adapter.target_parameters = sorted(experts) or None
    return adapter


def _expert(name: str, part: Any) -> str:
    """Return the last names of a parameter that holds the weights of several experts, or ""."""
    place = name.find("experts.")
    return name[place:] if place >= 0 and part.ndim == 3 else ""


def memory_in_use() -> float:
    """Return the peak GB reserved on the GPU or, without one, the GB in use by this process."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() / GB
    return psutil.Process().memory_info().rss / GB
