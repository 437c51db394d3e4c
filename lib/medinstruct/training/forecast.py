"""What training will take, before it starts: memory from the shape of the model, time from one step that is tried."""

import functools
import json
import math
import time
from collections.abc import Sequence
from typing import Any

GB = 1024**3
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
CONTEXT = 0.8  # GB that CUDA and its libraries take, a rule of thumb
HEAD_CHUNK = 512 * 1024**2  # bytes of logits that TRL's fused head holds at once at most, in float32


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
    one, two = (counted(config.to_json_string(), layers, max_length, precision, rank)[2] for layers in (1, 2))
    layers, hidden = config.num_hidden_layers, config.hidden_size
    activations = micro_batch_size * (one + (layers - 1) * (two - one))
    if checkpointing:
        activations = micro_batch_size * one + layers * math.prod(shape) * hidden * BYTES[precision]
    logits = math.prod(shape) * config.vocab_size * 4
    parts = {
        "weights": _weights(config, size, width, quantization) + (trained * 4 if method == "lora" else 0),
        "gradients": trained * 4.0,
        "optimizer": trained * 8.0,
        "activations": float(activations),
        "rest": min(logits, HEAD_CHUNK) * 2.0 + (0 if precision == "float32" else CONTEXT * GB),
    }
    return {name: value / GB for name, value in parts.items()}


def parameters(config: Any, *, lora_rank: int = 0) -> tuple[int, int]:
    """How many parameters a model has, and how many are trained (all, or an adapter of this rank on all linear layers)."""
    one, two = (counted(config.to_json_string(), layers, 8, "float32", lora_rank)[:2] for layers in (1, 2))
    size, trained = (first + (config.num_hidden_layers - 1) * (second - first) for first, second in zip(one, two, strict=True))
    return size, trained


def smallest_change(config: Any, *, available: float, **settings: Any) -> str:
    """The first change that makes training fit in `available` GB, as a sentence; they are tried from harmless to costly."""
    size = settings["micro_batch_size"]
    smaller = [{"micro_batch_size": size >> n} for n in range(1, size.bit_length())]
    ladder: list[dict[str, Any]] = [*smaller, {"micro_batch_size": 1, "checkpointing": True}]
    ladder += [{**ladder[-1], "quantization": "4bit"}] if settings.get("method", "lora") == "lora" else [{"method": "lora"}]
    ladder += [{**ladder[-1], "max_length": length} for length in (512, 256) if length < settings["max_length"]]
    for change in ladder:
        if sum(memory(config, **settings | change).values()) < 0.95 * available:
            names = {"checkpointing": "gradient_checkpointing"}
            said = {names.get(k, k): ("always" if v is True else v) for k, v in change.items() if settings.get(k) != v}
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
    one, two = (_timed(config, layers, shape, precision, method, lora_rank, is_gpu) for layers in (1, 2))
    a_batch = one + max(0.0, two - one) * (config.num_hidden_layers - 1)
    again = 4 / 3 if checkpointing else 1.0
    return sum(lengths) * epochs / (shape[0] * shape[1]) * a_batch * again


def _timed(
    config: Any, layers: int, shape: tuple[int, int], precision: str, method: str, lora_rank: int, is_gpu: bool
) -> float:
    """Seconds of one forward and backward pass, the middle of three after one to warm up."""
    import torch

    device = "cuda" if is_gpu else "cpu"
    with torch.random.fork_rng():
        model = _small(config, layers, precision, lora_rank if method == "lora" else 0, device, attention=None)
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


@functools.lru_cache(maxsize=256)
def counted(shape: str, layers: int, length: int, precision: str, lora_rank: int) -> tuple[int, int, int]:
    """Parameters, trained parameters, and bytes that the backward pass of one example needs apart from the weights."""
    import torch
    from transformers import AutoConfig

    fields = json.loads(shape)
    model = _shadow(AutoConfig.for_model(fields.pop("model_type"), **fields), layers, precision, lora_rank)
    own = {value.untyped_storage()._cdata for value in [*model.parameters(), *model.buffers()]}
    kept: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        kept.update({} if storage._cdata in own else {storage._cdata: storage})  # holding it keeps its address its own
        return tensor

    ids, mask = (
        torch.ones((1, length), dtype=torch.long, device="meta"),
        torch.ones((1, 1, 1, 1), dtype=torch.bool, device="meta"),
    )
    body = (model.get_base_model() if lora_rank else model).base_model
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        body(input_ids=ids, attention_mask=mask, use_cache=False)
    named = list(model.named_parameters())
    size = sum(value.numel() for name, value in named if "lora_" not in name)
    return size, sum(value.numel() for _, value in named if value.requires_grad), sum(s.nbytes() for s in kept.values())


def _shadow(config: Any, layers: int, precision: str, lora_rank: int) -> Any:
    """The model as shapes without content."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register("shadow", _shadow_attention)
    model = _small(config, layers, precision, lora_rank, "meta", attention="shadow")
    for name, module in model.named_modules():
        if precision != "float32" and "lora_A." in name:  # autocast makes each adapter a copy of its input
            module.register_forward_pre_hook(lambda _, given: (given[0].clone(),))
    return model


def _small(config: Any, layers: int, precision: str, lora_rank: int, device: str, *, attention: str | None) -> Any:
    """A model of this shape with so many layers, with an adapter where the rank is not 0."""
    import copy

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    small = copy.deepcopy(config)
    small.num_hidden_layers = layers
    if getattr(small, "layer_types", None):
        small.layer_types = small.layer_types[:layers]
    more = {"attn_implementation": attention} if attention else {}
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(small, dtype=getattr(torch, precision), **more)
        if lora_rank:
            lora = LoraConfig(r=lora_rank, target_modules="all-linear", task_type="CAUSAL_LM")
            model = get_peft_model(model, lora, autocast_adapter_dtype=False).to(getattr(torch, precision))
    return model.train()


def _shadow_attention(module: Any, query: Any, key: Any, value: Any, mask: Any, **more: Any) -> tuple[Any, None]:
    """Keeps what a memory-efficient attention keeps: query, key, value, its result and one number a row and head."""
    import torch

    class Attention(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, q: Any, k: Any, v: Any) -> Any:
            out = torch.empty_like(q)
            ctx.save_for_backward(q, k, v, out, torch.empty(q.shape[:3], dtype=torch.float32, device=q.device))
            return out

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return None, None, None

    return Attention.apply(query, key, value).transpose(1, 2).contiguous(), None
