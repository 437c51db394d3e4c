"""Running the harness: every model on every benchmark, each result kept as soon as it is there."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from medinstruct import records
from medinstruct.benchmarks import extraction
from medinstruct.benchmarks.loading import Benchmark, as_dataset
from medinstruct.benchmarks.models import Contestant, apply_template, quiet


class Sample(BaseModel):
    """What a model made of one question: the option it chose (None if unreadable), the score, and the probabilities or the reply."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    score: float
    answer: int = -1
    choice: int | None = None
    probabilities: tuple[float, ...] = ()
    reply: str = ""
    subject: str = ""
    level: int = 0


class Result(BaseModel):
    """One model on one benchmark, with the settings that it depends on."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str
    task: str
    set: str
    title: str
    group: str
    variant: str
    version: str
    total: int
    template: str
    shots: int
    source: str
    cut: int = 0
    samples: list[Sample]

    @property
    def scores(self) -> np.ndarray:
        """The score of each question, in order."""
        return np.array([sample.score for sample in self.samples])


def run(
    benchmarks: Sequence[Benchmark],
    models: Sequence[Contestant],
    *,
    folder: str | Path,
    template: str = "alpaca",
    shots: int = 0,
    max_tokens: int = 256,
    seed: int = 42,
) -> list[Result]:
    """The result of every model on every benchmark that has questions.

    Each is written to `folder` at once, under a name that holds the hash of the model's weights and of all that determines the
    result: a second run reads it, a killed one goes on at the next task.
    """
    found = []
    for model in models:
        settings = {"template": template, "shots": shots, "max_tokens": max_tokens, "seed": seed}
        places = {
            one.task: _place(folder, model, one, settings) for one in benchmarks if one.questions
        }
        waiting = [one for one in benchmarks if one.questions and not places[one.task].exists()]
        with model.open() if waiting else contextlib.nullcontext() as lm:
            for benchmark in waiting:
                result = _run(lm, model, benchmark, **settings)
                records.write_text(
                    places[benchmark.task], result.model_dump_json(exclude_defaults=True) + "\n"
                )
        found += [
            Result.model_validate_json(place.read_text(encoding="utf-8"))
            for place in places.values()
        ]
    return found


def version(benchmark: Benchmark, settings: dict[str, Any]) -> str:
    """The hash of everything but the model that determines a result: task file, questions, examples, template, harness."""
    import lm_eval

    task = {key: getattr(value, "__name__", value) for key, value in benchmark.config.items()}
    shown = benchmark.examples if settings["shots"] else []
    return records.content_hash(lm_eval.__version__, task, benchmark.questions, shown, settings)


def _place(
    folder: str | Path, model: Contestant, benchmark: Benchmark, settings: dict[str, Any]
) -> Path:
    key = records.content_hash(model.key, version(benchmark, settings))
    return Path(folder) / f"{model.name}-{benchmark.task}-{len(benchmark.questions)}-{key}.json"


def _run(lm: Any, model: Contestant, benchmark: Benchmark, **settings: Any) -> Result:
    is_chat = apply_template(lm, settings["template"], name=model.name)
    spec = _spec(benchmark, settings["max_tokens"])
    rows = _asked(lm, spec, is_chat=is_chat, shots=settings["shots"], seed=settings["seed"])
    about = {
        key: getattr(benchmark, key)
        for key in ("task", "set", "title", "group", "variant", "total", "source")
    }
    samples = [_sample(row, benchmark) for row in sorted(rows, key=lambda row: row["doc_id"])]
    about |= {key: settings[key] for key in ("template", "shots")} | {
        "version": version(benchmark, settings)
    }
    cut = _cut(
        lm,
        rows,
        room=0 if benchmark.variant == "likelihood" else spec["generation_kwargs"]["max_gen_toks"],
    )
    return Result(model=model.name, samples=samples, cut=cut, **about)


def _spec(benchmark: Benchmark, max_tokens: int) -> dict[str, Any]:
    """The task file with these very questions in place of its own."""
    data = as_dataset(benchmark.questions, benchmark.examples)
    found = benchmark.config | {
        "custom_dataset": lambda **_: data,
        "metadata": dict(benchmark.config["metadata"]),
    }
    found |= (
        {} if benchmark.examples else {"fewshot_split": "test"}
    )  # the harness then leaves the question itself out
    if kind := found.get("generation_kwargs"):
        found["generation_kwargs"] = kind | {"max_gen_toks": min(max_tokens, kind["max_gen_toks"])}
    return found


def _asked(
    lm: Any, spec: dict[str, Any], *, is_chat: bool, shots: int, seed: int
) -> list[dict[str, Any]]:
    """The harness's own record of each question.

    `evaluate` and not `simple_evaluate`, which asks the machine for its drivers and packages at every call: seconds a task.
    """
    from lm_eval import evaluate
    from lm_eval.tasks import TaskManager

    with quiet():
        loaded = TaskManager(include_defaults=False).load([spec])
        task = loaded["tasks"][spec["task"]]
        task.set_config(key="num_fewshot", value=shots)
        task.set_fewshot_seed(seed=seed)
        found = evaluate(
            lm=lm,
            task_dict=loaded,
            bootstrap_iters=0,
            apply_chat_template=is_chat,
            fewshot_as_multiturn=is_chat,
        )
    return found["samples"][spec["task"]]


def _cut(lm: Any, rows: list[dict[str, Any]], *, room: int) -> int:
    """How many prompts are longer than the model can hold; the harness lets their beginning go without a word."""
    if not hasattr(lm, "tok_encode"):
        return 0
    return sum(len(lm.tok_encode(row["arguments"][0][0])) + room > lm.max_length for row in rows)


def _sample(row: dict[str, Any], benchmark: Benchmark) -> Sample:
    doc = row["doc"]
    plain = {key: doc[key] for key in ("id", "answer", "subject", "level")}
    if benchmark.variant == "likelihood":
        weights = np.array([float(reply[0][0]) for reply in row["resps"]])
        shares = np.exp(weights - weights.max())
        shares = tuple(float(share) for share in (shares / shares.sum()).round(6))
        return Sample(
            **plain, score=row["acc"], choice=int(np.argmax(weights)), probabilities=shares
        )
    reply = row["resps"][0][0]
    by_words = benchmark.config["process_results"] is extraction.score_word
    read = extraction.extract_word if by_words else extraction.extract_choice
    choice = read(reply, doc["options"]) if doc["options"] else None
    return Sample(
        **plain, score=row["rougeL"] if "rougeL" in row else row["acc"], choice=choice, reply=reply
    )
