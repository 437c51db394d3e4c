"""What training will take, before it starts: memory from the shape of the model, time from one step that is tried."""

import math
import time
from collections.abc import Sequence
from typing import Any

from medinstruct.training import shadow

GB = 1024**3
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
CONTEXT = 0.8  # GB that CUDA and its libraries take, a rule of thumb
HEAD_CHUNK = (
    512 * 1024**2
)  # bytes of logits that TRL's fused head holds at once at most, in float32


def memory(
    config: Any,
    *,
    micro_batch_size: int,
    max_length: int,
    precision: str = "bfloat16",
    quantization: str = "none",
    method: str = "lora",
    lora_rank: int = 16,
    checkpointing: bool = False,
    processes: int = 1,
) -> dict[str, float]:
    """GB on one device by part: weights, gradients, optimizer, activations (one micro-batch at full length), rest.

    A shadow of the model with one and with two layers is run on PyTorch's meta device, where tensors have shapes and no
    content, and what it keeps for the backward pass is counted: this follows any architecture and costs no memory.
    """
    rank = lora_rank if method == "lora" else 0
    size, trained = parameters(config, lora_rank=rank)
    width = BYTES[precision] if rank else 4  # full fine-tuning keeps float32 weights
    shape = (micro_batch_size, max_length)
    one, two = (
        shadow.counted(config.to_json_string(), layers, max_length, precision, rank)[2]
        for layers in (1, 2)
    )
    layers, hidden = config.num_hidden_layers, config.hidden_size
    activations = micro_batch_size * (one + (layers - 1) * (two - one))
    if checkpointing:
        activations = micro_batch_size * one + layers * math.prod(shape) * hidden * BYTES[precision]
    logits = math.prod(shape) * config.vocab_size * 4
    parts = {
        "weights": _weights(config, size, width, quantization)
        + (trained * 4 if method == "lora" else 0),
        "gradients": trained * 4.0,
        "optimizer": trained * 8.0,
        "activations": float(activations),
        "rest": min(logits, HEAD_CHUNK) * 2.0 + (0 if precision == "float32" else CONTEXT * GB),
    }
    return {name: value / GB for name, value in parts.items()}


def parameters(config: Any, *, lora_rank: int = 0) -> tuple[int, int]:
    """How many parameters a model has, and how many are trained (all, or an adapter of this rank on all linear layers)."""
    one, two = (
        shadow.counted(config.to_json_string(), layers, 8, "float32", lora_rank)[:2]
        for layers in (1, 2)
    )
    size, trained = (
        first + (config.num_hidden_layers - 1) * (second - first)
        for first, second in zip(one, two, strict=True)
    )
    return size, trained


def smallest_change(config: Any, *, available: float, **settings: Any) -> str:
    """The first change that makes training fit in `available` GB, as a sentence; they are tried from harmless to costly."""
    size = settings["micro_batch_size"]
    smaller = [{"micro_batch_size": size >> n} for n in range(1, size.bit_length())]
    ladder: list[dict[str, Any]] = [*smaller, {"micro_batch_size": 1, "checkpointing": True}]
    ladder += (
        [{**ladder[-1], "quantization": "4bit"}]
        if settings.get("method", "lora") == "lora"
        else [{"method": "lora"}]
    )
    ladder += [
        {**ladder[-1], "max_length": length}
        for length in (512, 256)
        if length < settings["max_length"]
    ]
    for change in ladder:
        if sum(memory(config, **settings | change).values()) < 0.95 * available:
            names = {"checkpointing": "gradient_checkpointing"}
            said = {
                names.get(k, k): ("always" if v is True else v)
                for k, v in change.items()
                if settings.get(k) != v
            }
            return "Set " + ", ".join(f"{name}: {value}" for name, value in said.items()) + "."
    return "No setting of this model would fit: choose a smaller base model, or a larger device."


def seconds(
    config: Any,
    rows: Sequence[Any],
    *,
    epochs: float,
    micro_batch_size: int,
    is_gpu: bool,
    precision: str = "bfloat16",
    quantization: str = "none",
    method: str = "lora",
    lora_rank: int = 16,
    checkpointing: bool = False,
    max_length: int = 0,
) -> float:
    """How long training will take on one device like this.

    The model's shape with one and with two layers and random weights reads a micro-batch of middle length forward and
    backward; the difference is a layer's time. Unpacking 4-bit weights is not in it.
    """
    lengths = sorted(len(row.ids) for row in rows)
    shape = (min(micro_batch_size, len(lengths)), lengths[len(lengths) // 2])
    one, two = (
        _timed(config, layers, shape, precision, method, lora_rank, is_gpu) for layers in (1, 2)
    )
    a_batch = one + max(0.0, two - one) * (config.num_hidden_layers - 1)
    again = 4 / 3 if checkpointing else 1.0
    return sum(lengths) * epochs / (shape[0] * shape[1]) * a_batch * again


def _timed(
    config: Any,
    layers: int,
    shape: tuple[int, int],
    precision: str,
    method: str,
    lora_rank: int,
    is_gpu: bool,
) -> float:
    """Seconds of one forward and backward pass, the middle of three after one to warm up."""
    import torch

    device = "cuda" if is_gpu else "cpu"
    with torch.random.fork_rng():
        model = shadow.small(
            config, layers, precision, lora_rank if method == "lora" else 0, device, attention=None
        )
        ids = torch.randint(0, config.vocab_size, shape, device=device)
        took = []
        for _ in range(4):
            start = time.perf_counter()
            model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
            if is_gpu:
                torch.cuda.synchronize()
            took.append(time.perf_counter() - start)
    return sorted(took[1:])[1]


def _weights(config: Any, size: int, width: int, quantization: str) -> float:
    """Bytes of the base model; in 4 bits the embeddings stay as they are and each weight takes about 4.13 bits (nf4, twice quantised)."""
    if quantization != "4bit":
        return float(size * width)
    apart = config.vocab_size * config.hidden_size * (1 if config.tie_word_embeddings else 2)
    return (size - apart) * 4.13 / 8 + apart * width
