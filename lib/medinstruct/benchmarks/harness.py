"""Harness: run lm-evaluation-harness for each model and benchmark, save each result."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel

from medinstruct import records
from medinstruct.benchmarks import extraction
from medinstruct.benchmarks.question_sets import Benchmark, Question, as_dataset
from medinstruct.errors import UserError, check_choice
from medinstruct.llm import LocalModel, Request, fingerprint, render_chat
from medinstruct.training import prompt


class Settings(NamedTuple):
    """How every benchmark is asked: template, worked examples, room to reason, seed."""

    template: str = "alpaca"
    shots: int = 0
    max_tokens: int = 256
    seed: int = 42


class Contestant(NamedTuple):
    """A model under test: name, hash of its weights, and how to open it for the harness."""

    name: str
    key: str
    open: Callable[[], AbstractContextManager[Any]]


class Sample(BaseModel):
    """One answer: the chosen option (None if unreadable), score, probabilities or reply."""

    id: str
    score: float
    answer: int = -1
    choice: int | None = None
    probabilities: tuple[float, ...] = ()
    reply: str = ""
    subject: str = ""
    level: int = 0


class Result(BaseModel):
    """One model on one benchmark; `cut` counts prompts that lose their beginning."""

    model: str
    task: str
    variant: str
    version: str
    cut: int = 0
    settings: dict[str, Any] = {}
    source: str = ""
    samples: list[Sample]


def contestants(model: LocalModel, *, more: Any = None) -> list[Contestant]:
    """Return the views of a loaded model, and more as {name: path or hub id}."""
    views, more = model.views, more or {}
    if twice := sorted({*views} & {*more}):
        do = "Give it another name."
        raise UserError("`benchmark_models` repeats a name of this run.", got=twice[0], do=do)
    keys = {name: view.key(Request(messages=[])) for name, view in views.items()}
    keys |= {name: fingerprint(place) for name, place in more.items()}
    places = {name: partial(_opened, place) for name, place in (views | more).items()}
    return [Contestant(name, key, places[name]) for name, key in keys.items()]


@contextmanager
def _opened(model: LocalModel | str) -> Iterator[Any]:
    """Yield a loaded model, or the one of a place, in the form of the harness."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    view = LocalModel(model) if isinstance(model, str) else nullcontext(model)
    with view as local, local.network() as network:
        yield _last_logits()(pretrained=network, tokenizer=local.tokenizer, batch_size=32)


@cache
def _last_logits() -> Any:
    """Return the harness's class without the logits of prompts, in a quarter of its time."""
    import torch
    from lm_eval.models.huggingface import HFLM

    class LastLogits(HFLM):
        longest = 1  # tokens of a continuation

        def _loglikelihood_tokens(self, requests: list, *rest: Any, **more: Any) -> list:
            self.longest = max(len(request[-1]) for request in requests)
            return super()._loglikelihood_tokens(requests, *rest, **more)

        def _model_call(self, inps: Any, attn_mask: Any = None, labels: Any = None) -> Any:
            padding = ((inps != 0).flip(1).cumsum(1) == 0).sum(1).max()  # zeros at the right
            with torch.no_grad():
                return self.model(inps, logits_to_keep=int(padding) + self.longest).logits

    return LastLogits


def run(
    benchmarks: Sequence[Benchmark], models: Sequence[Contestant], *, folder: Path, **settings: Any
) -> list[Result]:
    """Run every model on every benchmark, with the `Settings` given by name.

    Each result is saved in `folder` under the hash of all it depends on.
    """
    chosen, results = Settings(**settings), []
    check_choice("template", chosen.template, ("alpaca", "chat"))
    for model in models:
        files = {}
        for row in (benchmark for benchmark in benchmarks if benchmark.questions):
            key = records.content_hash(model.key, _version(row, chosen))
            files[folder / f"{model.name}-{row.task}-{len(row.questions)}-{key}.json"] = row
        waiting = [file for file in files if not file.exists()]
        with model.open() if waiting else nullcontext() as lm:
            for file in waiting:
                result = _run_one(lm, model.name, files[file], chosen)
                records.write_text(file, result.model_dump_json(exclude_defaults=True) + "\n")
        texts = [file.read_text(encoding="utf-8") for file in files]
        results += [Result.model_validate_json(text) for text in texts]
    return results


def _version(benchmark: Benchmark, settings: Settings) -> str:
    """Return the hash of everything but the model that determines a result."""
    import lm_eval

    task = {key: getattr(value, "__name__", value) for key, value in benchmark.config.items()}
    data = benchmark.questions, benchmark.examples if settings.shots else []
    form = ["without thinking"] * (settings.template == "chat")
    return records.content_hash(lm_eval.__version__, task, *data, settings, *form)


def _run_one(lm: Any, name: str, benchmark: Benchmark, settings: Settings) -> Result:
    _apply_template(lm, settings.template)
    if str(getattr(lm, "device", "")) == "cpu":  # options: little padding; writing: few passes
        lm.batch_size_per_gpu = 8 if benchmark.variant == "likelihood" else 64
    task, cut = _task(benchmark, settings.max_tokens), 0
    rows = sorted(_evaluate(lm, task, settings), key=lambda row: row["doc_id"])
    if hasattr(lm, "tok_encode"):
        room = task.get("generation_kwargs", {}).get("max_gen_toks", 0)
        lengths = [len(lm.tok_encode(row["arguments"][0][0])) for row in rows]
        cut = sum(length + room > lm.max_length for length in lengths)
    about = benchmark._asdict() | {"model": name, "cut": cut, "settings": settings._asdict()}
    samples = [_sample(row, benchmark) for row in rows]
    return Result(**about, version=_version(benchmark, settings), samples=samples)


def _apply_template(lm: Any, template: str) -> None:
    lm.apply_chat_template = alpaca
    if template == "chat":
        lm.apply_chat_template = lambda turns, **_: render_chat(lm.tokenizer, turns)[0]


def alpaca(history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
    """Render a conversation in the Alpaca template; the last turn is left open."""
    parts = []
    for turn in history:
        is_answer, text = turn["role"] == "assistant", turn["content"]
        parts.append(f"{text}\n\n" if is_answer else prompt(text.strip()))
    return "".join(parts).removesuffix("\n\n")


def _task(benchmark: Benchmark, max_tokens: int) -> dict[str, Any]:
    """Return the task file with the loaded questions in place of its own."""
    data = as_dataset(benchmark.questions, benchmark.examples)
    metadata = dict(benchmark.config["metadata"])
    task = benchmark.config | {"custom_dataset": lambda **_: data, "metadata": metadata}
    shots = {"sampler": _same_subject(benchmark.examples)}
    task["fewshot_config"] = benchmark.config.get("fewshot_config", {}) | shots
    task["fewshot_split"] = "test"  # so that the sampler gets the question
    if options := task.get("generation_kwargs"):
        room = min(max_tokens, options["max_gen_toks"])
        task["generation_kwargs"] = options | {"max_gen_toks": room}
    return task


def _same_subject(pool: Sequence[Question]) -> type:
    """Return a sampler of worked examples from the question's subject, or from all if too few."""
    from lm_eval.api.samplers import ContextSampler

    class SameSubject(ContextSampler):
        def sample(self, n: int, eval_doc: Question, **_: Any) -> list[Question]:
            others = [row for row in pool if row["id"] != eval_doc["id"]]
            own = [row for row in others if row["subject"] == eval_doc["subject"]]
            return self.rnd.sample(own if len(own) >= n else others, n)

    return SameSubject


def _evaluate(lm: Any, spec: dict[str, Any], settings: Settings) -> list[dict]:
    """Return the harness's record of each question; `simple_evaluate` takes seconds more."""
    from lm_eval import evaluate
    from lm_eval.tasks import TaskManager

    loaded = TaskManager(include_defaults=False).load([spec])
    task = loaded["tasks"][spec["task"]]
    task.set_config(key="num_fewshot", value=settings.shots)
    task.set_fewshot_seed(seed=settings.seed)
    chat = {"apply_chat_template": True, "fewshot_as_multiturn": True}
    return evaluate(lm=lm, task_dict=loaded, bootstrap_iters=0, **chat)["samples"][spec["task"]]


def _sample(row: dict[str, Any], benchmark: Benchmark) -> Sample:
    doc = row["doc"]
    about = {key: doc[key] for key in ("id", "answer", "subject", "level")}
    if benchmark.variant == "likelihood":
        weights = np.array([float(reply[0][0]) for reply in row["resps"]])
        shares = np.exp(weights - weights.max())
        probabilities = tuple((shares / shares.sum()).round(6).tolist())
        choice = int(np.argmax(weights))
        return Sample(**about, score=row["acc"], choice=choice, probabilities=probabilities)
    reply = row["resps"][0][0]
    is_word = benchmark.config["process_results"] is extraction.score_word
    extract = extraction.extract_word if is_word else extraction.extract_choice
    choice = extract(reply, doc["options"]) if doc["options"] else None
    return Sample(**about, score=row.get("rougeL", row.get("acc")), choice=choice, reply=reply)
