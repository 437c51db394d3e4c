"""A model in this process: batched greedy answers, as base or as tuned from the one loaded copy."""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

from medinstruct.errors import Problem


class LocalModel:
    """A causal language model of the hub or of a folder, with or without an adapter on it."""

    def __init__(self, base: str | Path, *, adapter: str | Path = "", device: str = "auto") -> None:
        import torch

        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self.tokenizer, model = _loaded(str(base), self.device)
        self.has_adapter = bool(adapter)
        self.use_adapter = self.has_adapter
        self.model = _adapted(model, str(adapter)) if adapter else model
        self.model.eval()

    def with_adapter(self, on: bool) -> Self:
        """This model, answering as tuned (True) or as base (False)."""
        if on and not self.has_adapter:
            raise Problem("This model has no adapter.", got="with_adapter(True)", do="Load it with `adapter=`.")
        self.use_adapter = on
        return self

    def answer(
        self, prompts: Sequence[str], *, max_new_tokens: int = 256, batch_size: int = 16, stop: Sequence[str] = ()
    ) -> list[tuple[str, str]]:
        """(text, finish reason) for each prompt, in order; "stop" where the model ended by itself or at a stop string, else "length"."""
        order = sorted(range(len(prompts)), key=lambda n: -len(prompts[n]))
        found: dict[int, tuple[str, str]] = {}
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            texts = self._batch([prompts[n] for n in batch], max_new_tokens=max_new_tokens)
            found |= {n: _stopped(*reply, stop) for n, reply in zip(batch, texts, strict=True)}
        return [found[n] for n in range(len(prompts))]

    def _batch(self, prompts: list[str], *, max_new_tokens: int) -> list[tuple[str, str]]:
        import torch

        given = self.tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False).to(self.device)
        off = self.has_adapter and not self.use_adapter
        with torch.inference_mode(), self.model.disable_adapter() if off else nullcontext():
            made = self.model.generate(
                **given, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=self.tokenizer.pad_token_id
            )
        new = made[:, given["input_ids"].shape[1] :]
        ended = (new == self.tokenizer.eos_token_id).any(dim=1)
        texts = self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [(text.strip(), "stop" if end else "length") for text, end in zip(texts, ended, strict=True)]


def _loaded(base: str, device: str) -> tuple[Any, Any]:
    """Tokenizer and model; safetensors only, no remote code, left padding as batched generation needs it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    try:
        tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, use_safetensors=True)
    except OSError as error:
        do = "Check the name or folder of the model, and the network if it is on the hub."
        raise Problem("The model could not be loaded.", got=str(error).split("\n")[0], do=do) from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, model.to(device)


def _adapted(model: Any, adapter: str) -> Any:
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, adapter)
    except (OSError, ValueError) as error:
        do = "Run notebook 07 first, or give the folder of an adapter."
        raise Problem("The adapter could not be loaded.", got=str(error).split("\n")[0], do=do) from None


def _stopped(text: str, reason: str, stop: Sequence[str]) -> tuple[str, str]:
    """The text up to the first stop string."""
    ends = [text.index(mark) for mark in stop if mark in text]
    return (text[: min(ends)].rstrip(), "stop") if ends else (text, reason)
