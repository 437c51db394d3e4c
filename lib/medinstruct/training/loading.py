"""The base model and its tokenizer: safetensors only, no remote code, a token to pad with and one to end with."""

import importlib.util
import os
import warnings
from pathlib import Path
from typing import Any

from medinstruct.errors import UserError

PADS = (
    "<|finetune_right_pad_id|>",
    "<|vision_pad|>",
    "<pad>",
    "<|pad|>",
    "[PAD]",
)  # reserved for this in known vocabularies


def load_tokenizer(base: str | Path) -> Any:
    """The tokenizer, with a token to pad with that no vocabulary has to grow for.

    Padding is masked by position, never by token, so that even the end-of-sequence token can pad without being unlearned.
    """
    from transformers import AutoTokenizer

    tokenizer = _tried(AutoTokenizer.from_pretrained, str(base))
    if tokenizer.eos_token is None:
        raise UserError(
            "The model has no end-of-sequence token.", got=base, do="Choose another base model."
        )
    if tokenizer.pad_token is None:
        known = tokenizer.get_vocab()
        reserved = next((mark for mark in PADS if mark in known), None)
        tokenizer.pad_token = reserved or tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def load_config(base: str | Path) -> Any:
    """The shape of the model, without its weights."""
    from transformers import AutoConfig

    return _tried(AutoConfig.from_pretrained, str(base))


def load_model(
    base: str | Path,
    *,
    precision: str,
    quantization: str = "none",
    method: str = "lora",
    flash: bool = False,
) -> Any:
    """The base model on its device; full fine-tuning keeps float32 weights and computes in `precision`."""
    import torch
    from transformers import AutoModelForCausalLM

    dtype = getattr(torch, precision)
    more: dict[str, Any] = {"attn_implementation": "flash_attention_2"} if flash else {}
    if quantization == "4bit":
        more["quantization_config"] = _four_bit(dtype)
        more["device_map"] = {"": int(os.environ.get("LOCAL_RANK", "0"))}
    model = _tried(
        AutoModelForCausalLM.from_pretrained,
        str(base),
        dtype=torch.float32 if method == "full" else dtype,
        use_safetensors=True,
        **more,
    )
    is_alone = torch.cuda.is_available() and "WORLD_SIZE" not in os.environ
    return model.to("cuda") if is_alone and quantization == "none" else model


def hush() -> None:
    """Silence what transformers says about the names of its own settings."""
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)


def _tried(load: Any, base: str, **more: Any) -> Any:
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        return load(base, **more)
    except (OSError, ValueError) as error:
        do = "Check the name or folder of the model, and the network if it is on the hub; weights must be safetensors."
        raise UserError(
            "The base model could not be loaded.", got=str(error).split("\n")[0], do=do
        ) from None


def _four_bit(dtype: Any) -> Any:
    from transformers import BitsAndBytesConfig

    if importlib.util.find_spec("bitsandbytes") is None:
        do = "pip install 'medinstruct[gpu]', or set quantization: none."
        raise UserError("4-bit weights need bitsandbytes.", got="not installed", do=do)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
