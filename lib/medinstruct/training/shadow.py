"""A model of the same shape with one or two layers: on PyTorch's meta device, as shapes without content, or for real."""

import copy
import functools
import json
from typing import Any


@functools.lru_cache(maxsize=256)
def counted(
    shape: str, layers: int, length: int, precision: str, lora_rank: int
) -> tuple[int, int, int]:
    """Parameters, trained parameters, and bytes that the backward pass of one example needs apart from the weights."""
    import torch
    from transformers import AutoConfig

    fields = json.loads(shape)
    model = _shadow(
        AutoConfig.for_model(fields.pop("model_type"), **fields), layers, precision, lora_rank
    )
    own = {value.untyped_storage()._cdata for value in [*model.parameters(), *model.buffers()]}
    kept: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        kept.update(
            {} if storage._cdata in own else {storage._cdata: storage}
        )  # holding it keeps its address its own
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
    return (
        size,
        sum(value.numel() for _, value in named if value.requires_grad),
        sum(s.nbytes() for s in kept.values()),
    )


def _shadow(config: Any, layers: int, precision: str, lora_rank: int) -> Any:
    """The model as shapes without content."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register("shadow", _shadow_attention)
    model = small(config, layers, precision, lora_rank, "meta", attention="shadow")
    for name, module in model.named_modules():
        if (
            precision != "float32" and "lora_A." in name
        ):  # autocast makes each adapter a copy of its input
            module.register_forward_pre_hook(lambda _, given: (given[0].clone(),))
    return model


def small(
    config: Any, layers: int, precision: str, lora_rank: int, device: str, *, attention: str | None
) -> Any:
    """A model of this shape with so many layers, with an adapter where the rank is not 0."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    short = copy.deepcopy(config)
    short.num_hidden_layers = layers
    if getattr(short, "layer_types", None):
        short.layer_types = short.layer_types[:layers]
    more = {"attn_implementation": attention} if attention else {}
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(short, dtype=getattr(torch, precision), **more)
        if lora_rank:
            lora = LoraConfig(r=lora_rank, target_modules="all-linear", task_type="CAUSAL_LM")
            model = get_peft_model(model, lora, autocast_adapter_dtype=False).to(
                getattr(torch, precision)
            )
    return model.train()


def _shadow_attention(
    module: Any, query: Any, key: Any, value: Any, mask: Any, **more: Any
) -> tuple[Any, None]:
    """Keeps what a memory-efficient attention keeps: query, key, value, its result and one number a row and head."""
    import torch

    class Attention(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, q: Any, k: Any, v: Any) -> Any:
            out = torch.empty_like(q)
            ctx.save_for_backward(
                q, k, v, out, torch.empty(q.shape[:3], dtype=torch.float32, device=q.device)
            )
            return out

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return None, None, None

    return Attention.apply(query, key, value).transpose(1, 2).contiguous(), None
