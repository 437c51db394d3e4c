"""The weights of a local model: loaded safely, named by their content, and how they are decoded."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

from medinstruct.errors import UserError

KNOWN = {"max_tokens", "max_completion_tokens", "stop", "temperature", "top_p", "seed"}
ROOM = 256  # new tokens where a request does not say
NAMING = {
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
EDGE = (
    1 << 20
)  # bytes at the end of a large file that go into its name; of its beginning 32 times as many


def decoding(parameters: dict[str, Any]) -> dict[str, Any]:
    """Greedy unless a temperature is asked for; nothing is taken over from the model's own generation settings."""
    room = parameters.get("max_tokens") or parameters.get("max_completion_tokens") or ROOM
    warm = float(parameters.get("temperature") or 0.0)
    heat = {"temperature": warm, "top_p": parameters.get("top_p", 1.0), "top_k": 0}
    return {"max_new_tokens": room, "do_sample": warm > 0} | (
        heat if warm else {"temperature": None, "top_p": None, "top_k": None}
    )


def check(parameters: dict[str, Any]) -> None:
    """Refuse a parameter that a local model does not know."""
    if unknown := sorted(set(parameters) - KNOWN):
        raise UserError(
            "A local model has no such parameter.",
            got=", ".join(unknown),
            do=f"It knows {', '.join(KNOWN)}.",
        )


def stops(parameters: dict[str, Any]) -> list[str]:
    """The strings at which an answer ends."""
    return (
        [parameters["stop"]]
        if isinstance(parameters.get("stop"), str)
        else list(parameters.get("stop") or [])
    )


def ends_of(model: Any, tokenizer: Any) -> list[int]:
    """All tokens that end an answer: the tokenizer's, and those that the model's makers named (some have several)."""
    named = model.generation_config.eos_token_id
    return sorted(
        {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])} - {None}
    )


def fingerprint(model: str | Path) -> str:
    """A name for the weights: of a folder by its files' bytes (of large files both ends), of the hub by its name."""
    if not Path(model).is_dir():
        return str(model)
    found = hashlib.sha256()
    for path in sorted(
        path
        for path in Path(model).iterdir()
        if path.suffix == ".safetensors" or path.name in NAMING
    ):
        with path.open("rb") as file:
            size = path.stat().st_size
            found.update(f"{path.name} {size}".encode() + file.read(32 * EDGE))
            file.seek(max(0, size - EDGE))
            found.update(file.read())
    return found.hexdigest()[:32]


def loaded(base: str, device: str) -> tuple[Any, Any]:
    """Tokenizer and model; safetensors only, no remote code, left padding as batched generation needs it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
    dtype = (
        torch.float32
        if device == "cpu"
        else torch.bfloat16
        if torch.cuda.is_bf16_supported()
        else torch.float16
    )
    try:
        tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, use_safetensors=True)
    except OSError as error:
        do = "Check the name or folder of the model, and the network if it is on the hub."
        raise UserError(
            "The model could not be loaded.", got=str(error).split("\n")[0], do=do
        ) from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, model.to(device)


def adapted(model: Any, adapter: str) -> Any:
    """The model with a LoRA adapter on top, from its folder."""
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, adapter)
    except (OSError, ValueError) as error:
        do = "Run notebook 07 first, or give the folder of an adapter."
        raise UserError(
            "The adapter could not be loaded.", got=str(error).split("\n")[0], do=do
        ) from None
