"""What suits this machine: a proposal with its reasons, each of which can be overridden, and what does not go together."""

import importlib.util
import os
from dataclasses import dataclass
from typing import Any

from medinstruct.errors import UserError
from medinstruct.training import forecast

CHOICES = {
    "precision": ("auto", "float32", "bfloat16", "float16"),
    "quantization": ("auto", "none", "4bit"),
    "method": ("lora", "full"),
    "lora_kind": ("lora", "rslora", "dora"),
    "batching": ("auto", "padded", "sorted", "padding_free", "packed"),
    "gradient_checkpointing": ("auto", "always", "never"),
    "kernels": ("none", "liger", "liger_loss"),
}
HEADROOM = 0.85  # share of the memory that a proposal fills by its forecast


@dataclass(frozen=True)
class Hardware:
    """What training has: the device's name, how many of them, GB of memory on each, and what its arithmetic can do."""

    name: str
    count: int = 1
    memory: float = 0.0
    bf16: bool = False
    flash: bool = False
    visible: int = 1

    @property
    def is_gpu(self) -> bool:
        """Whether there is a CUDA device."""
        return self.name != "CPU"

    def __str__(self) -> str:
        many = f"{self.count} × " if self.count > 1 else ""
        return f"{many}{self.name}, {self.memory:.0f} GB" + (" each" if self.count > 1 else "")


@dataclass(frozen=True)
class Choice:
    """One setting: its value and why."""

    value: Any
    why: str


def probe() -> Hardware:
    """This machine. Several GPUs count only where several processes were started on them (accelerate launch)."""
    import psutil
    import torch

    count = int(os.environ.get("WORLD_SIZE", "1"))
    if not torch.cuda.is_available():
        return Hardware("CPU", count=count, memory=psutil.virtual_memory().total / forecast.GB)
    first = torch.cuda.get_device_properties(0)
    is_ampere = first.major >= 8
    flash = is_ampere and importlib.util.find_spec("flash_attn") is not None
    memory, visible = first.total_memory / forecast.GB, torch.cuda.device_count()
    return Hardware(
        first.name, count=count, memory=memory, bf16=is_ampere, flash=flash, visible=visible
    )


def propose(
    hardware: Hardware,
    config: Any,
    *,
    batch_size: int,
    micro_batch_size: int,
    max_length: int,
    method: str = "lora",
    lora_kind: str = "lora",
    lora_rank: int = 16,
    precision: str = "auto",
    quantization: str = "none",
    batching: str = "auto",
    gradient_checkpointing: str = "auto",
    kernels: str = "none",
) -> dict[str, Choice]:
    """Every setting with its reason; what was given stays as it is, and what does not go together is refused.

    `micro_batch_size` 0 is chosen by the memory forecast.
    """
    given = {
        "precision": precision,
        "quantization": quantization,
        "method": method,
        "lora_kind": lora_kind,
        "batching": batching,
    }
    _known(given | {"gradient_checkpointing": gradient_checkpointing, "kernels": kernels})
    found = {"precision": _precision(hardware, precision, method)}
    found["batching"] = _batching(hardware, batching)
    _refuse(hardware, given | {"kernels": kernels, "precision": found["precision"].value})
    shape = {
        "max_length": max_length,
        "method": method,
        "lora_rank": lora_rank,
        "precision": found["precision"].value,
    }
    found["quantization"] = _quantization(hardware, config, quantization, shape)
    sizes = shape | {"quantization": found["quantization"].value}
    share = max(1, batch_size // hardware.count)
    if hardware.visible > hardware.count:
        found["processes"] = Choice(
            hardware.count,
            f"{hardware.visible} GPUs are here: accelerate launch trains on all of them",
        )
    found |= _room(hardware, config, micro_batch_size, share, gradient_checkpointing, sizes)
    return found


def _precision(hardware: Hardware, wanted: str, method: str) -> Choice:
    if wanted != "auto":
        return Choice(wanted, "as given")
    if not hardware.is_gpu:
        return Choice("float32", "a CPU computes float32 fastest and exactly")
    if hardware.bf16:
        return Choice("bfloat16", f"{hardware.name} has bfloat16, which needs no loss scaling")
    return Choice("float16", f"{hardware.name} has no bfloat16 (that came with Ampere)")


def _quantization(hardware: Hardware, config: Any, wanted: str, shape: dict[str, Any]) -> Choice:
    if wanted != "auto":
        return Choice(wanted, "as given")
    if not hardware.is_gpu or shape["method"] == "full":
        return Choice("none", "4-bit weights need a CUDA GPU and an adapter")
    least = sum(forecast.memory(config, micro_batch_size=1, checkpointing=True, **shape).values())
    if least < HEADROOM * hardware.memory:
        return Choice(
            "none",
            f"whole weights fit: {least:.1f} of {hardware.memory:.0f} GB for one example at a time",
        )
    return Choice(
        "4bit",
        f"whole weights would take {least:.1f} of {hardware.memory:.0f} GB for one example at a time",
    )


def _batching(hardware: Hardware, wanted: str) -> Choice:
    if wanted != "auto":
        return Choice(wanted, "as given")
    if hardware.flash:
        return Choice("padding_free", "flash attention keeps the examples of one long row apart")
    where = (
        "no flash attention here"
        if hardware.is_gpu
        else "on a CPU a long row costs more than it saves"
    )
    return Choice("sorted", f"{where}; examples of like length meet, so that little is padded")


def _room(
    hardware: Hardware,
    config: Any,
    wanted: int,
    share: int,
    checkpointing: str,
    sizes: dict[str, Any],
) -> dict[str, Choice]:
    """The micro-batch and whether activations are computed twice to save memory."""
    sure = {
        "always": [True],
        "never": [False],
        "auto": [False, True] if hardware.is_gpu else [False],
    }[checkpointing]
    sizes_tried = [
        2**n for n in range(min(share, 64).bit_length() - 1, -1, -1) if share % 2**n == 0
    ]
    tried = [wanted] if wanted else sizes_tried
    for again in sure:
        for size in tried:
            need = sum(
                forecast.memory(
                    config, micro_batch_size=size, checkpointing=again, **sizes
                ).values()
            )
            if need < HEADROOM * hardware.memory or not hardware.is_gpu:
                why = f"{need:.1f} of {hardware.memory:.0f} GB by the forecast"
                return {
                    "micro_batch_size": Choice(size, why),
                    "gradient_checkpointing": Choice(again, why if again else "not needed"),
                }
    why = (
        "as given; the forecast says that it may not fit"
        if wanted
        else "the smallest; the forecast says that it may not fit"
    )
    return {
        "micro_batch_size": Choice(tried[-1], why),
        "gradient_checkpointing": Choice(sure[-1], "memory is short"),
    }


def _known(given: dict[str, str]) -> None:
    for name, value in given.items():
        if value not in CHOICES[name]:
            raise UserError(
                f"`{name}` is not known.", got=value, do=f"Choose from {', '.join(CHOICES[name])}."
            )


def _refuse(hardware: Hardware, given: dict[str, str]) -> None:
    """What does not go together, with the reason."""
    is_4bit, sharded = (
        given["quantization"] == "4bit",
        os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true",
    )
    rules = [
        (
            given["precision"] == "bfloat16" and hardware.is_gpu and not hardware.bf16,
            f"{hardware.name} has no bfloat16.",
            "Set precision: auto or float16.",
        ),
        (
            given["precision"] == "float16" and not hardware.is_gpu,
            "float16 training needs a GPU.",
            "Set precision: auto.",
        ),
        (
            is_4bit and not hardware.is_gpu,
            "4-bit training needs a CUDA GPU.",
            "Set quantization: none.",
        ),
        (
            is_4bit and given["method"] == "full",
            "Weights in 4 bits cannot be trained themselves.",
            "Set method: lora.",
        ),
        (
            is_4bit and sharded,
            "DeepSpeed ZeRO-3 cannot shard 4-bit weights.",
            "Use params/accelerate/ddp.yaml, or quantization: none.",
        ),
        (
            given["method"] == "full" and given["lora_kind"] != "lora",
            "Full fine-tuning has no adapter.",
            "Set lora_kind: lora.",
        ),
        (
            given["kernels"] == "liger_loss",
            "TRL computes the loss in a fused head of its own; a second fused loss would replace it.",
            "Set kernels: liger for Liger's other kernels.",
        ),
        (
            given["kernels"] == "liger" and not hardware.is_gpu,
            "Liger's kernels need a GPU.",
            "Set kernels: none.",
        ),
        (
            given["kernels"] == "liger" and importlib.util.find_spec("liger_kernel") is None,
            "Liger is not installed.",
            "pip install liger-kernel, or set kernels: none.",
        ),
        (
            given["batching"] in ("packed", "padding_free") and sharded and not hardware.flash,
            "Several examples in one row need flash attention under DeepSpeed.",
            "Set batching: sorted.",
        ),
    ]
    for fails, what, do in rules:
        if fails:
            raise UserError(
                what, got=", ".join(f"{name}: {value}" for name, value in given.items()), do=do
            )
