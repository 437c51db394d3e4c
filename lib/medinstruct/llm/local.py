"""A model in this process, asked as a served one is: batched answers, kept as they come, as base or as tuned from one copy."""

import gc
import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from medinstruct.errors import UserError
from medinstruct.llm import streaming, streaming_local
from medinstruct.llm.cache import Cache
from medinstruct.llm.client import Client, Reply, Request
from medinstruct.llm.weights import (
    ROOM,
    adapted,
    check,
    decoding,
    ends_of,
    fingerprint,
    loaded,
    stops,
)


class LocalModel:
    """A causal language model of the hub or of a folder, with or without an adapter on it.

    `adapter` is the folder of a LoRA adapter, or of a model whose parameters were all trained. With `chat` the model's own
    chat template is put around the messages, else their text is the prompt. Answers go into `cache` batch by batch.
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

        self.device = (
            ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        )
        self.tokenizer, self.model = loaded(str(base), self.device)
        self.has_adapter = self.use_adapter = bool(adapter)
        self.is_lora = self.has_adapter and not (Path(adapter) / "config.json").exists()
        self._tuned = None
        if self.is_lora:
            self.model = adapted(self.model, str(adapter))
        elif self.has_adapter:
            self._tuned = loaded(str(adapter), self.device)[1].eval()
        self.model.eval()
        self.chat, self.batch_size, self.cache = chat, batch_size, Cache(cache)
        self.name = (
            Path(base).name if Path(base).is_dir() else str(base)
        )  # a folder's path would tell whose machine it was
        self.turn = threading.Lock()  # base and tuned are one copy: they answer one after the other
        self._identity = [fingerprint(base), fingerprint(adapter) if adapter else ""]
        self.usage = {"asked": 0, "cached": 0, "prompt_tokens": 0, "completion_tokens": 0}

    def with_adapter(self, on: bool) -> Self:
        """This model, answering as tuned (True) or as base (False)."""
        if on and not self.has_adapter:
            raise UserError(
                "This model has no adapter.",
                got="with_adapter(True)",
                do="Load it with `adapter=`.",
            )
        self.use_adapter = on
        return self

    async def ask_all(self, requests: Iterable[Request], *, label: str = "") -> list[Reply]:
        """The replies in the order of the requests, as `Client.ask_all` gives them; answers that are kept are not made again."""
        requests = list(requests)
        keys = [self.key(request) for request in requests]
        kept = {key: answer for key in set(keys) if (answer := self.cache.get(key))}
        self.usage["cached"] += sum(key in kept for key in keys)
        waiting = {
            key: request for key, request in zip(keys, requests, strict=True) if key not in kept
        }
        new = set(waiting)
        with tqdm(total=len(waiting), desc=label, unit="reply", leave=False) as bar:
            for group in _alike(waiting):
                for key, answer in self._asked(group):
                    kept[key] = self.cache.put(key, waiting[key].model_dump(), answer)
                    bar.update()
        return [Reply(**kept[key], key=key, cached=key not in new) for key in keys]

    def stream(
        self, request: Request, *, tuned: bool | None = None, keep: bool = True
    ) -> streaming.Stream:
        """One answer as it is written, made in a thread; `tuned` says with the adapter (True) or without, else as `with_adapter` set.

        Without `keep` it is neither read from the cache nor put into it.
        """
        return streaming_local.from_model(
            self, request, tuned=self.use_adapter if tuned is None else tuned, keep=keep
        )

    def key(self, request: Request, *, tuned: bool | None = None) -> str:
        """The hash of everything that determines the answer: weights, adapter, template, request."""
        with_adapter = self.use_adapter if tuned is None else tuned
        who = [self._identity[0], self._identity[1] if with_adapter else "", self.chat, self.device]
        whole = [who, request.messages, request.parameters, request.sample]
        return hashlib.sha256(
            json.dumps(whole, sort_keys=True, ensure_ascii=False).encode()
        ).hexdigest()[:32]

    def answer(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int = ROOM,
        batch_size: int = 0,
        stop: Sequence[str] = (),
    ) -> list[tuple[str, str]]:
        """(text, finish reason) for each prompt, in order; "stop" where the model ended by itself or at a stop string, else "length"."""
        parameters = {"max_tokens": max_new_tokens, "stop": list(stop)}
        rows = self._sorted(list(enumerate(prompts)))
        found: dict[int, tuple[str, str]] = {}
        size = batch_size or self.batch_size
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            for (number, _), answer in zip(
                part, self._batch([text for _, text in part], parameters, 0), strict=True
            ):
                found[number] = (answer["text"], answer["finish_reason"])
        return [found[n] for n in range(len(prompts))]

    def close(self) -> None:
        """Give the memory back, so that another model can be loaded."""
        import torch

        self.model = self._tuned = None
        self.cache.close()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _asked(self, group: list[tuple[str, Request]]) -> Iterable[tuple[str, dict[str, Any]]]:
        """Answers of requests with the same parameters, longest prompts first."""
        first = group[0][1]
        check(first.parameters)
        rows = self._sorted([(key, self.text_of(request)) for key, request in group])
        for start in range(0, len(rows), self.batch_size):
            part = rows[start : start + self.batch_size]
            answers = self._batch([text for _, text in part], first.parameters, first.sample)
            for (key, _), answer in zip(part, answers, strict=True):
                self.usage["asked"] += 1
                for name in ("prompt_tokens", "completion_tokens"):
                    self.usage[name] += answer[name]
                yield key, answer | {"model": self.name}

    def text_of(self, request: Request) -> str:
        """The prompt of a request."""
        if not self.chat:
            return "\n\n".join(message["content"] for message in request.messages)
        if not self.tokenizer.chat_template:
            raise UserError(
                "The model has no chat template.", got=self.name, do="Ask it with chat=False."
            )
        return self.tokenizer.apply_chat_template(
            request.messages, tokenize=False, add_generation_prompt=True
        )

    def _sorted(self, rows: list[tuple[Any, str]]) -> list[tuple[Any, str]]:
        """By falling length in tokens: little is padded, and a batch that is too large fails at once."""
        lengths = (
            [len(ids) for ids in self.tokenizer([text for _, text in rows])["input_ids"]]
            if rows
            else []
        )
        return [rows[n] for n in sorted(range(len(rows)), key=lambda n: -lengths[n])]

    def _batch(
        self, prompts: list[str], parameters: dict[str, Any], sample: int
    ) -> list[dict[str, Any]]:
        """The answers of one batch; a batch that does not fit in memory is asked in halves."""
        import torch

        try:
            return self._generated(prompts, parameters, sample)
        except torch.OutOfMemoryError:
            if len(prompts) == 1:
                do = "Use a smaller model, fewer new tokens, or answer_url with a server."
                raise UserError(
                    "One prompt alone does not fit in memory.",
                    got=f"{len(prompts[0])} characters",
                    do=do,
                ) from None
        half = len(prompts) // 2
        parts = (prompts[:half], prompts[half:])
        return [answer for part in parts for answer in self._batch(part, parameters, sample)]

    def _generated(
        self, prompts: list[str], parameters: dict[str, Any], sample: int
    ) -> list[dict[str, Any]]:
        with self.turn:
            return self.made(prompts, parameters, sample, self.use_adapter, [])

    def made(
        self,
        prompts: list[str],
        parameters: dict[str, Any],
        sample: int,
        tuned: bool,
        watch: list[Callable[..., Any]],
    ) -> list[dict[str, Any]]:
        """The answers of one batch; each of `watch` is called after every token, and can end it."""
        import torch
        from transformers import StoppingCriteriaList

        form = {
            "return_tensors": "pt",
            "padding": True,
            "return_token_type_ids": False,
            "add_special_tokens": not self.chat,
        }
        given = self.tokenizer(prompts, **form).to(self.device)
        stop, ends = stops(parameters), ends_of(self.model, self.tokenizer)
        how = decoding(parameters) | (
            {"stop_strings": stop, "tokenizer": self.tokenizer} if stop else {}
        )
        how |= {
            "pad_token_id": self.tokenizer.pad_token_id,
            "eos_token_id": ends,
            "stopping_criteria": StoppingCriteriaList(watch),
        }
        model = self._tuned if self._tuned is not None and tuned else self.model
        off = self.is_lora and not tuned
        with (
            torch.random.fork_rng(),
            torch.inference_mode(),
            model.disable_adapter() if off else nullcontext(),
        ):
            torch.manual_seed(parameters.get("seed", 0) + sample)
            made = model.generate(**given, **how)
        new = made[:, given["input_ids"].shape[1] :]
        counts = given["attention_mask"].sum(dim=1)
        return [
            self._read(row, int(count), ends, stop)
            for row, count in zip(new.cpu(), counts, strict=True)
        ]

    def _read(
        self, new: Any, prompt_tokens: int, ends: list[int], stop: list[str]
    ) -> dict[str, Any]:
        """The text of one row up to its end token or the first stop string."""
        tokens = new.tolist()
        end = next((n for n, token in enumerate(tokens) if token in ends), None)
        text = self.tokenizer.decode(tokens[:end], skip_special_tokens=True)
        cuts = [text.index(mark) for mark in stop if mark in text]
        reason = "length" if end is None and not cuts else "stop"
        told = (text[: min(cuts)] if cuts else text).strip()
        used = len(tokens) if end is None else end + 1
        return {
            "text": told,
            "finish_reason": reason,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": used,
        }


def answerer(
    *,
    url: str = "",
    model: str = "",
    base: str | Path = "",
    adapter: str | Path = "",
    cache: str | Path = "",
    **more: Any,
) -> Client | LocalModel:
    """Whoever answers: the server at `url` (vLLM, `transformers serve`, …), or the model `base` in this process."""
    if url:
        return Client(url=url, model=model or str(base), cache=cache, **more)
    return LocalModel(base, adapter=adapter, cache=cache, **more)


def _alike(waiting: dict[str, Request]) -> list[list[tuple[str, Request]]]:
    """The requests in groups of the same decoding parameters, which can be answered together."""
    groups: dict[str, list[tuple[str, Request]]] = {}
    for key, request in waiting.items():
        groups.setdefault(
            json.dumps([request.parameters, request.sample], sort_keys=True), []
        ).append((key, request))
    return list(groups.values())
