"""Local model: weights, adapter, batched and streamed generation."""

import asyncio
import copy
import gc
import hashlib
import json
import threading
import warnings
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from medinstruct.errors import UserError
from medinstruct.llm import messages
from medinstruct.llm.cache import Cache
from medinstruct.llm.messages import Reply, Request
from medinstruct.llm.smollm2 import public_name

PARAMETERS = ("max_tokens", "stop", "temperature", "top_p", "seed")
MAX_NEW_TOKENS = 256  # where a request has no limit
COPIED = 1e9  # parameters below which adapters are merged on a CPU: answers are 20 % faster
CONFIGS = ("config", "generation_config", "adapter_config", "tokenizer", "tokenizer_config")
TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
Row = dict[str, Any]
Watch = Callable[[str], bool]
EDGE = 1 << 20  # bytes hashed at the end of a weights file; 32 times as many at its start


class LocalModel(AbstractContextManager):
    """A causal language model of the Hub or of a folder, with the same methods as `Client`.

    `adapter` is the folder of a LoRA adapter, or of a fully trained model; or several by name, the
    first of which answers. `views` share the weights: one for the base model and one for each
    adapter. With `chat` the model's chat template is applied, else the messages' text is the
    prompt. Each batch of answers is saved in `cache` as soon as it is generated.
    """

    def __init__(
        self, base: str | Path, *, adapter: Any = "", chat=False, cache: Any = "", batch_size=16
    ) -> None:
        import torch

        several = adapter if isinstance(adapter, Mapping) else {"tuned": adapter}
        adapters = {name: str(folder) for name, folder in several.items() if folder}
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer, self._modules = _load(str(base), adapters, self.device)
        self._lock = threading.Lock()
        self.chat, self.batch_size = chat, batch_size
        self.cache, self.usage = Cache(cache), Counter()
        name = public_name(base)
        self.name = Path(name).name if Path(name).is_dir() else name  # no local path in records
        self._view = next(iter(adapters), "base")
        self._hashes = {name: fingerprint(folder) for name, folder in adapters.items()}
        self._hash = fingerprint(base)

    @property
    def is_tuned(self) -> bool:
        """Return whether this view answers with an adapter."""
        return self._view != "base"

    @property
    def views(self) -> dict[str, Self]:
        """Return the base model and the model with each adapter, by name."""
        views = {name: copy.copy(self) for name in ("base", *self._hashes)}
        for name, view in views.items():
            view._view = name
        return views

    @contextmanager
    def network(self) -> Iterator[Any]:
        """Yield the torch module of this view, with its adapter on, or with all of them off."""
        module = self._modules[self._view]
        is_shared, switch = hasattr(module, "disable_adapter"), nullcontext()
        with self._lock:
            if is_shared and self.is_tuned:
                module.set_adapter(self._view)
            elif is_shared:
                switch = module.disable_adapter()
            with switch:
                yield module

    def key(self, request: Request) -> str:
        """Return the hash of weights, adapter, template, device and request."""
        adapter, form = self._hashes.get(self._view, ""), self.chat and "without thinking"
        return request.key([self._hash, adapter, form, self.device])

    async def ask_all(self, requests: Iterable[Request], *, label: str = "") -> list[Reply]:
        """Return the replies in the order of the requests; cached answers are not repeated."""
        pairs = [(self.key(request), request) for request in requests]
        replies = {key: self.cache.get(key) for key, _ in pairs}
        self.usage["cached"] += sum(replies[key] is not None for key, _ in pairs)
        missing = {key: request for key, request in pairs if not replies[key]}
        bar = {"desc": label, "total": len(missing), "leave": False}
        for key, answer in tqdm(self._answers(missing), **bar):
            replies[key] = self.cache.put(key, missing[key], answer)
        return [replies[key] for key, _ in pairs]

    async def stream(self, request: Request) -> AsyncGenerator[str | Reply, None]:
        """Yield the settled pieces of one answer as a thread generates it, then its reply.

        Canceling or closing the generator ends the thread at its next token.
        """
        loop, texts, closed = asyncio.get_running_loop(), asyncio.Queue(), threading.Event()

        def watch(text: str) -> bool:
            loop.call_soon_threadsafe(texts.put_nowait, text)
            return closed.is_set()

        key, stop, sent = self.key(request), request.stop, ""
        work = asyncio.to_thread(self._generate, [self._prompt(request)], request, [key], watch)
        thread = asyncio.ensure_future(work)
        thread.add_done_callback(lambda _: texts.put_nowait(None))
        try:
            while (text := await texts.get()) is not None:
                if piece := messages.rest(messages.settled(text, stop), sent):
                    sent += piece
                    yield piece
            answer = (await thread)[0]
        finally:
            closed.set()
        if piece := messages.rest(answer["text"], sent):
            yield piece
        yield Reply(**answer, key=key)

    def __exit__(self, *error: object) -> None:
        """Free the memory of the weights, so that another model can be loaded."""
        self._modules.clear()  # of all views
        self.cache.close()
        free_memory()

    def _prompt(self, request: Request) -> str:
        if self.chat:
            return messages.render_chat(self.tokenizer, request.messages)[0]
        return request.text

    def _answers(self, missing: dict[str, Request]) -> Iterator[tuple[str, Row]]:
        """Yield (key, answer) in batches of equal parameters, halved where memory is short."""
        import torch

        prompts = {key: self._prompt(request) for key, request in missing.items()}
        groups = defaultdict(list)  # the longest prompts first, so that little is padded
        for key in sorted(missing, key=lambda key: -len(self.tokenizer(prompts[key])["input_ids"])):
            groups[json.dumps(missing[key].parameters, sort_keys=True)].append(key)
        size = self.batch_size
        for waiting in groups.values():
            while batch := waiting[:size]:
                texts = [prompts[key] for key in batch]
                try:
                    answers = self._generate(texts, missing[batch[0]], batch)
                except torch.OutOfMemoryError:
                    if len(batch) == 1:
                        raise
                    size = len(batch) // 2
                    continue
                yield from zip(batch, answers, strict=True)
                del waiting[:size]

    def _generate(
        self, prompts: list[str], request: Request, keys: list[str], watch: Watch | None = None
    ) -> list[Row]:
        """Return the answers of one batch; each key seeds the sampling of its own row.

        `watch` gets the text of the first row after each token, and returns whether to stop.
        """
        import torch

        form = {"padding": True, "return_token_type_ids": False, "return_tensors": "pt"}
        inputs = self.tokenizer(prompts, add_special_tokens=not self.chat, **form).to(self.device)
        begin, stop = inputs["input_ids"].shape[1], request.stop

        def is_over(ids: Any, scores: Any, **more: Any) -> Any:
            text = self._text(ids[0, begin:])
            return ids.new_full((len(ids),), watch(text), dtype=bool)

        options = _decoding(request, keys, self.device) | {"tokenizer": self.tokenizer}
        options |= {"stop_strings": stop or None, "stopping_criteria": [is_over] if watch else None}
        with self.network() as network, torch.inference_mode():
            ends = network.generation_config.eos_token_id  # an integer or a list
            ends = {self.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
            options |= {"eos_token_id": sorted(ends - {None})}
            tokens = network.generate(**inputs, pad_token_id=self.tokenizer.pad_token_id, **options)
        counts = inputs["attention_mask"].sum(dim=1).tolist()
        rows = zip(tokens[:, begin:].tolist(), counts, strict=True)
        return [self._read(*row, ends, stop) for row in rows]

    def _read(self, tokens: list[int], asked: int, ends: set[int], stop: list[str]) -> Row:
        """Return the answer of one row, up to its end token or first stop string."""
        end = next((n for n, token in enumerate(tokens) if token in ends), None)
        whole = self._text(tokens[:end])
        text = messages.until_stop(whole, stop)
        written = len(tokens) if end is None else end + 1
        counts = {"prompt_tokens": asked, "completion_tokens": written}
        self.usage.update(asked=1, **counts)
        reason = "length" if end is None and text == whole else "stop"
        answer = {"text": text.strip(), "finish_reason": reason, "model": self.name} | counts
        return messages.normalize(answer)

    def _text(self, tokens: Any) -> str:
        """Return the text of tokens, without special ones unless they mark a thought."""
        text = self.tokenizer.decode(tokens)
        marked = messages.OPEN.search(text) or messages.CLOSE.search(text)
        return text if marked else self.tokenizer.decode(tokens, skip_special_tokens=True)


def fingerprint(model: str | Path) -> str:
    """Return a hash of a folder's weights (both ends of each file), or the name of a Hub model."""
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


def load_pretrained(loader: Callable, name: str | Path, **arguments: Any) -> Any:
    """Call a loader such as `from_pretrained` on a model's name; any error becomes a UserError."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*missing adapter keys")  # of another model class
            return loader(str(name), **arguments)
    except UserError:
        raise
    except Exception as error:  # of any library
        do = "Check name, folder, network and memory: safetensors, and an adapter of this base."
        got = " ".join(f"{name} {type(error).__name__}: {error}".split())[:400]
        if "gated repo" in got:
            do = f"Accept the license on https://huggingface.co/{name}, then run `hf auth login`."
        raise UserError("A model or adapter could not be loaded.", got=got, do=do) from error


def load_tokenizer(base: str | Path, **arguments: Any) -> Any:
    """Return the base model's tokenizer; the end token pads if there is no padding token.

    The loss excludes padding by position, so the end token is still trained.
    """
    from transformers import AutoTokenizer

    tokenizer = load_pretrained(AutoTokenizer.from_pretrained, base, **arguments)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def model_class(name: str | Path) -> Any:
    """Return the model class named in the configuration, which TRL's adapters need."""
    import transformers

    config = load_pretrained(transformers.AutoConfig.from_pretrained, name)
    named = (config.architectures or [""])[0]
    return getattr(transformers, named, transformers.AutoModelForCausalLM)


def precision() -> str:
    """Return float32 on a CPU, bfloat16 on a GPU, or float16 if bfloat16 is emulated (T4)."""
    import torch

    if not torch.cuda.is_available():
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


def free_memory() -> None:
    """Collect unused objects and release cached GPU memory."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()


def _load(base: str, adapters: dict[str, str], device: str) -> tuple[Any, dict[str, Any]]:
    """Return the tokenizer and the modules by view; LoRA adapters share one, or are merged."""
    from peft import PeftModel

    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
    tokenizer, network = load_tokenizer(base, padding_side="left"), _network(base, device)
    whole = {n: folder for n, folder in adapters.items() if (Path(folder) / "config.json").exists()}
    loras = {name: folder for name, folder in adapters.items() if name not in whole}
    modules = {"base": network} | {n: _network(folder, device) for n, folder in whole.items()}
    is_small = device == "cpu" and network.num_parameters() * len(loras) < COPIED
    shared = None
    for name, folder in loras.items():
        if is_small or shared is None:
            network = _network(base, device) if is_small else network
            form = {"adapter_name": name}
            shared = load_pretrained(partial(PeftModel.from_pretrained, network, **form), folder)
        else:
            load_pretrained(shared.load_adapter, folder, adapter_name=name)
        modules[name] = shared.merge_and_unload() if is_small else shared.eval()
    return tokenizer, modules if is_small or shared is None else modules | {"base": shared}


def _network(name: str, device: str) -> Any:
    """Return the model without its released sampling settings, such as repetition_penalty."""
    from transformers import GenerationConfig

    form = {"dtype": precision(), "use_safetensors": True}
    network = load_pretrained(model_class(name).from_pretrained, name, **form).to(device).eval()
    ids = {key: getattr(network.generation_config, key, None) for key in TOKEN_IDS}
    network.generation_config = GenerationConfig(**ids)
    return network


def _decoding(request: Request, keys: list[str], device: str) -> dict[str, Any]:
    """Return options of `generate`: greedy, or sampled by the Gumbel-max trick, a seed per row."""
    import torch
    from transformers import TemperatureLogitsWarper, TopPLogitsWarper

    parameters = request.parameters
    if unknown := sorted(set(parameters) - set(PARAMETERS)):
        do = f"Use {', '.join(PARAMETERS)}."
        raise UserError("A local model has no such parameter.", got=", ".join(unknown), do=do)
    options = {"max_new_tokens": request.max_tokens(MAX_NEW_TOKENS), "do_sample": False}
    temperature = float(parameters.get("temperature") or 0.0)
    if not temperature:
        return options
    seeds = [int(key[:15], 16) for key in keys]  # a row's answer does not depend on its batch
    generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def add_noise(ids: Any, scores: Any) -> Any:
        rows = [torch.empty_like(scores[0]).exponential_(generator=g) for g in generators]
        return scores - torch.stack(rows).log()

    top_p = float(parameters.get("top_p", 1.0))
    limit = [TopPLogitsWarper(top_p)] if top_p < 1 else []  # it sorts the vocabulary at every token
    noise = [TemperatureLogitsWarper(temperature), *limit, add_noise]
    return options | {"logits_processor": noise}
