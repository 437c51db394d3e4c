"""Local model: weights, adapter, batched and streamed generation, cache of answers."""

import asyncio
import copy
import gc
import hashlib
import json
import threading
import warnings
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from medinstruct.errors import UserError
from medinstruct.llm.cache import Cache
from medinstruct.llm.messages import Reply, Request, Stream

PARAMETERS = ("max_tokens", "max_completion_tokens", "stop", "temperature", "top_p", "seed")
MAX_NEW_TOKENS = 256  # where a request has no limit
CONFIGS = ("config", "generation_config", "adapter_config", "tokenizer", "tokenizer_config")
EDGE = 1 << 20  # bytes hashed at the end of a weights file; 32 times as many at its start


@dataclass
class Weights:
    """Tokenizer and torch modules; with a LoRA adapter `tuned` is `base`, with its adapter on."""

    tokenizer: Any
    base: Any
    tuned: Any = None
    lock: Any = field(default_factory=threading.Lock)


class LocalModel:
    """A causal language model of the Hub or of a folder, with the same methods as `Client`.

    `adapter` is the folder of a LoRA adapter, or of a model with all parameters trained. The model
    answers with its adapter where it has one; `base` and `tuned` are views of the same weights
    that always answer without and with it. With `chat` the model's chat template is applied, else
    the messages' text is the prompt. Each batch of answers is saved in `cache` at once.
    """

    def __init__(
        self,
        base: str | Path,
        *,
        adapter: str | Path = "",
        device: str = "auto",
        chat: bool = False,
        cache: str | Path = "",
        batch_size: int = 16,
    ) -> None:
        import torch

        auto = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = auto if device == "auto" else device
        self.weights = _load(str(base), str(adapter), self.device)
        self.tokenizer = self.weights.tokenizer
        self.chat, self.batch_size, self.cache = chat, batch_size, Cache(cache)
        self.name = Path(base).name if Path(base).is_dir() else str(base)  # no path of a machine
        self.has_adapter = self.is_tuned = bool(adapter)
        self._hashes = [fingerprint(base), fingerprint(adapter) if adapter else ""]
        self.usage = {"asked": 0, "cached": 0, "prompt_tokens": 0, "completion_tokens": 0}

    @property
    def base(self) -> Self:
        """Return the view that answers without the adapter."""
        return self._view(False)

    @property
    def tuned(self) -> Self:
        """Return the view that answers with the adapter."""
        if not self.has_adapter:
            raise UserError("This model has no adapter.", got=self.name, do="Give `adapter=`.")
        return self._view(True)

    @property
    def model(self) -> Any:
        """Return the torch module as loaded, with its adapter on."""
        return self.weights.base

    @contextmanager
    def network(self) -> Iterator[Any]:
        """Yield the torch module of this view; the adapter is off in the base view."""
        weights = self.weights
        with weights.lock:
            if self.is_tuned or weights.tuned is not weights.base:
                yield weights.tuned if self.is_tuned else weights.base
                return
            with weights.base.disable_adapter():
                yield weights.base

    def key(self, request: Request) -> str:
        """Return the hash of weights, adapter, template, device and request."""
        adapter = self._hashes[1] if self.is_tuned else ""
        return request.key([self._hashes[0], adapter, self.chat, self.device])

    async def ask_all(self, requests: Iterable[Request], *, label: str = "") -> list[Reply]:
        """Return the replies in the order of the requests; cached answers are not repeated."""
        requests = list(requests)
        keys = [self.key(request) for request in requests]
        answers = {key: answer for key in set(keys) if (answer := self.cache.get(key))}
        self.usage["cached"] += sum(key in answers for key in keys)
        missing = {
            key: request for key, request in zip(keys, requests, strict=True) if key not in answers
        }
        with tqdm(total=len(missing), desc=label, unit="reply", leave=False) as bar:
            for key, answer in self._answers(missing):
                answers[key] = self.cache.put(key, missing[key].model_dump(), answer)
                bar.update()
        return [Reply(**answers[key], key=key, cached=key not in missing) for key in keys]

    def stream(self, request: Request, *, keep: bool = True) -> Stream:
        """Stream one answer, generated in a thread; without `keep` the cache is not used."""
        items = self._items(request, keep=keep)
        return Stream(items, key=self.key(request), model=self.name)

    def close(self) -> None:
        """Free the memory of the weights, so that another model can be loaded."""
        import torch

        self.weights.base = self.weights.tuned = None
        self.cache.close()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _view(self, is_tuned: bool) -> Self:
        view = copy.copy(self)
        view.is_tuned = is_tuned
        return view

    def _prompt(self, request: Request) -> str:
        if not self.chat:
            return "\n\n".join(message["content"] for message in request.messages)
        if not self.tokenizer.chat_template:
            do = "Ask it with chat=False."
            raise UserError("The model has no chat template.", got=self.name, do=do)
        return self.tokenizer.apply_chat_template(
            request.messages, tokenize=False, add_generation_prompt=True
        )

    def _answers(self, missing: dict[str, Request]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (key, answer) in batches of equal parameters, longest prompts first.

        So little is padded. A batch that does not fit in memory is halved, for the rest as well.
        """
        import torch

        groups: dict[str, list[str]] = {}
        for key, request in missing.items():
            groups.setdefault(json.dumps(request.parameters, sort_keys=True), []).append(key)
        size = self.batch_size
        for keys in groups.values():
            prompts = {key: self._prompt(missing[key]) for key in keys}
            tokens = self.tokenizer(list(prompts.values()))["input_ids"]
            lengths = dict(zip(keys, map(len, tokens), strict=True))
            waiting = sorted(keys, key=lambda key: -lengths[key])
            while batch := waiting[:size]:
                parameters = missing[batch[0]].parameters
                try:
                    answers = self._generate([prompts[key] for key in batch], parameters, batch)
                except torch.OutOfMemoryError:
                    if len(batch) == 1:
                        raise
                    size = len(batch) // 2
                    continue
                yield from zip(batch, answers, strict=True)
                waiting = waiting[size:]

    def _generate(
        self, prompts: list[str], parameters: dict[str, Any], keys: list[str], **options: Any
    ) -> list[dict[str, Any]]:
        """Return the answers of one batch; each key seeds the sampling of its own row."""
        import torch

        form = {"padding": True, "return_token_type_ids": False, "return_tensors": "pt"}
        inputs = self.tokenizer(prompts, add_special_tokens=not self.chat, **form).to(self.device)
        stop, pad = _stops(parameters), self.tokenizer.pad_token_id
        options |= _decoding(parameters, keys, self.device)
        options |= {"stop_strings": stop, "tokenizer": self.tokenizer} if stop else {}
        with self.network() as network, torch.inference_mode():
            ends = _end_tokens(network, self.tokenizer)
            tokens = network.generate(**inputs, eos_token_id=ends, pad_token_id=pad, **options)
        new = tokens[:, inputs["input_ids"].shape[1] :].tolist()
        counts = inputs["attention_mask"].sum(dim=1).tolist()
        return [self._read(*row, ends, stop) for row in zip(new, counts, strict=True)]

    def _read(
        self, tokens: list[int], prompt_tokens: int, ends: list[int], stop: list[str]
    ) -> dict[str, Any]:
        """Return the answer of one row up to its end token or its first stop string."""
        end = next((n for n, token in enumerate(tokens) if token in ends), None)
        text = self.tokenizer.decode(tokens[:end], skip_special_tokens=True)
        cuts = [text.index(mark) for mark in stop if mark in text]
        used = len(tokens) if end is None else end + 1
        self.usage["asked"] += 1
        self.usage["prompt_tokens"] += prompt_tokens
        self.usage["completion_tokens"] += used
        return {
            "text": text[: min(cuts, default=len(text))].strip(),
            "finish_reason": "length" if end is None and not cuts else "stop",
            "model": self.name,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": used,
        }

    async def _items(self, request: Request, *, keep: bool) -> AsyncGenerator[str | Reply, None]:
        """Yield the settled pieces of an answer as a thread generates it, then the reply."""
        from transformers import AsyncTextIteratorStreamer

        key, stop = self.key(request), _stops(request.parameters)
        if keep and (answer := self.cache.get(key)):
            self.usage["cached"] += 1
            yield answer["text"]
            yield Reply(**answer, key=key, cached=True)
            return
        streamer = AsyncTextIteratorStreamer(self.tokenizer, True, skip_special_tokens=True)
        halted = threading.Event()
        work = asyncio.to_thread(self._generate_streaming, request, streamer, halted)
        thread, text, sent = asyncio.ensure_future(work), "", ""
        try:
            async for piece in streamer:
                text += piece
                if new := settled(text, stop).removeprefix(sent):
                    sent += new
                    yield new
            answer = await thread
        finally:
            halted.set()
        if answer["text"].startswith(sent) and answer["text"] != sent:
            yield answer["text"][len(sent) :]
        if keep:
            answer = self.cache.put(key, request.model_dump(), answer)
        yield Reply(**answer, key=key)

    def _generate_streaming(
        self, request: Request, streamer: Any, halted: threading.Event
    ) -> dict[str, Any]:
        def is_halted(ids: Any, scores: Any, **more: Any) -> Any:
            return ids.new_full((ids.shape[0],), halted.is_set(), dtype=bool)

        form = {"streamer": streamer, "stopping_criteria": [is_halted]}
        rows = ([self._prompt(request)], request.parameters, [self.key(request)])
        try:
            return self._generate(*rows, **form)[0]
        except BaseException:
            streamer.end()  # else its reader waits for ever
            raise


def settled(text: str, stop: list[str]) -> str:
    """Return the part of a growing text that no later token changes.

    A half character, a stop string or the start of one, and outer blanks are left out.

    >>> settled(" Rest helps.\\n\\n###", ["### Instruction"])
    'Rest helps.'
    >>> settled("Rest. ### Instruction: x", ["### Instruction"])
    'Rest.'
    """
    cuts = [text.index(mark) for mark in stop if mark in text]
    text = text[: min(cuts)] if cuts else text.rstrip("\ufffd")
    held = [n for mark in stop for n in range(1, len(mark)) if text.endswith(mark[:n])]
    return text[: len(text) - max(held, default=0)].strip()


def fingerprint(model: str | Path) -> str:
    """Return the hash of a folder's weights (both ends of each file), or a Hub model's name."""
    if not Path(model).is_dir():
        return str(model)
    digest = hashlib.sha256()
    names = {f"{name}.json" for name in CONFIGS}
    files = [p for p in Path(model).iterdir() if p.suffix == ".safetensors" or p.name in names]
    for path in sorted(files):
        size = path.stat().st_size
        with path.open("rb") as file:
            digest.update(f"{path.name} {size}".encode() + file.read(32 * EDGE))
            file.seek(max(0, size - EDGE))
            digest.update(file.read())
    return digest.hexdigest()[:32]


def _load(base: str, adapter: str, device: str) -> Weights:
    """Load tokenizer and modules: safetensors only, no remote code, padding on the left."""
    from peft import PeftModel
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
    try:
        tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        weights = Weights(tokenizer, _module(base, device))
        if adapter and (Path(adapter) / "config.json").exists():
            weights.tuned = _module(adapter, device)
        elif adapter:
            weights.base = weights.tuned = PeftModel.from_pretrained(weights.base, adapter).eval()
    except (OSError, ValueError) as error:
        do = "Check names and folders, and the network for a model of the Hub; train an adapter first."
        got = str(error).split("\n")[0]
        raise UserError("A model or adapter could not be loaded.", got=got, do=do) from None
    return weights


def _module(name: str, device: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    half = torch.bfloat16 if device != "cpu" and torch.cuda.is_bf16_supported() else torch.float16
    dtype = torch.float32 if device == "cpu" else half
    model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, use_safetensors=True)
    return model.to(device).eval()


def _stops(parameters: dict[str, Any]) -> list[str]:
    stop = parameters.get("stop") or []
    return [stop] if isinstance(stop, str) else list(stop)


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Return the tokenizer's end token and those of the generation config, often several."""
    ends = model.generation_config.eos_token_id
    return sorted({tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None})


def _decoding(parameters: dict[str, Any], keys: list[str], device: str) -> dict[str, Any]:
    """Return the options of `generate`: greedy, or sampled by adding Gumbel noise to each row.

    The largest of log-probabilities plus Gumbel noise is a sample (Gumbel-max trick). Each row
    draws its noise from a generator of its own, so an answer does not depend on its batch.
    """
    import torch
    from transformers import TemperatureLogitsWarper, TopPLogitsWarper

    if unknown := sorted(set(parameters) - set(PARAMETERS)):
        do = f"Use {', '.join(PARAMETERS)}."
        raise UserError("A local model has no such parameter.", got=", ".join(unknown), do=do)
    limit = parameters.get("max_tokens") or parameters.get("max_completion_tokens")
    options = {"max_new_tokens": limit or MAX_NEW_TOKENS, "do_sample": False}
    options |= {"temperature": None, "top_p": None, "top_k": None}  # not those of the model
    temperature = float(parameters.get("temperature") or 0.0)
    if not temperature:
        return options
    seeds = [int(key[:15], 16) for key in keys]
    generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def add_noise(ids: Any, scores: Any) -> Any:
        rows = [torch.empty_like(scores[0]).exponential_(generator=g) for g in generators]
        return scores - torch.stack(rows).log()

    top_p = TopPLogitsWarper(float(parameters.get("top_p", 1.0)))
    return options | {"logits_processor": [TemperatureLogitsWarper(temperature), top_p, add_noise]}
