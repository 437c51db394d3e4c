"""Where the questions of a benchmark come from: this package, a file of the user's, or the hub at a pinned revision."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medinstruct import paths, records
from medinstruct.benchmarks import sets, sources
from medinstruct.errors import UserError
from medinstruct.evaluation.test_sets import evenly

EXAMPLES = 32  # questions kept for few-shot prompts


class Benchmark(NamedTuple):
    """One task of the harness with its questions; where there are none, `trouble` says why."""

    task: str
    set: str
    title: str
    group: str
    variant: str
    config: dict[str, Any]
    questions: list[sets.Question]
    examples: list[sets.Question]
    total: int
    source: str
    trouble: str = ""


def names() -> list[str]:
    """The tasks that ship with the package."""
    return sorted(path.stem for path in paths.data("benchmarks").glob("*.yaml"))


def load(
    tasks: str, *, data: str = "", limit: int = 0, generation_limit: int = 0
) -> list[Benchmark]:
    """The benchmarks of a comma-separated list ("all" for every one), with their questions.

    `data` is a folder, or "name=path,name=path", of local files as they are published; the rest comes from the hub. What is
    not reachable stays in the list and says so. `limit` takes that many questions evenly; `generation_limit` those of the
    generating variants, which cost far more; 0 takes all.
    """
    chosen = (
        names()
        if tasks.strip() == "all"
        else [name.strip() for name in tasks.split(",") if name.strip()]
    )
    unknown = [name for name in chosen if name not in names()]
    if unknown or not chosen:
        raise UserError(
            "There is no such benchmark.",
            got=unknown or tasks,
            do=f"Choose from {', '.join(names())}, or all.",
        )
    given = _given(data)
    limits = {name: generation_limit if name.endswith("_gen") else limit for name in chosen}
    return [_loaded(name, given=given, limit=limits[name]) for name in chosen]


def dataset(set: str, **_: Any) -> Any:
    """What the task files call when the harness alone reads them (`lm_eval --include_path`): the questions and the examples."""
    found, examples, _source = _rows(
        next(setup for setup in map(config, names()) if setup["metadata"]["set"] == set), ""
    )
    return as_dataset(found, examples)


def as_dataset(questions: Sequence[sets.Question], examples: Sequence[sets.Question]) -> Any:
    """Questions and examples as the two splits that the task files name."""
    from datasets import Dataset, DatasetDict

    return DatasetDict(
        test=Dataset.from_list(list(questions)),
        shots=Dataset.from_list(list(examples or questions)),
    )


@functools.cache
def config(task: str) -> dict[str, Any]:
    """The task file as the harness reads it."""
    from lm_eval.tasks._yaml_loader import load_yaml

    return load_yaml(paths.data("benchmarks") / f"{task}.yaml", resolve_func=True)


def _loaded(task: str, *, given: dict[str, Path], limit: int) -> Benchmark:
    setup = config(task)
    about = setup["metadata"]
    plain = {"task": task, "set": about["set"], "title": about["title"], "group": about["group"]}
    plain |= {"variant": "generation" if task.endswith("_gen") else "likelihood", "config": setup}
    try:
        found, examples, source = _rows(setup, str(given.get(about["set"], "")))
    except (sources.Unreachable, UserError) as error:
        if isinstance(error, UserError) and (about["set"] in given or about["set"] == "own"):
            raise
        return Benchmark(
            **plain,
            questions=[],
            examples=[],
            total=0,
            source="",
            trouble=str(error).replace("\n", " "),
        )
    return Benchmark(
        **plain, questions=evenly(found, limit), examples=examples, total=len(found), source=source
    )


@functools.lru_cache(maxsize=32)
def _cached(
    name: str, path: str, stamp: float
) -> tuple[list[sets.Question], list[sets.Question], str]:
    setup = next(config(task) for task in names() if config(task)["metadata"]["set"] == name)
    about = setup["metadata"]
    if name == "own":
        split, source = {"test": records.rows(path or paths.data("test_mcq.jsonl"))}, "this package"
    elif path:
        split, source = {"test": sources.read(Path(path), name)}, Path(path).name
    else:
        split, source = _from_afar(setup)
    made = {
        key: sets.questions(name, rows, options=about["options"], where=source)
        for key, rows in split.items()
    }
    found, *others = made.values()
    return *_divided(about, found, others[0][:EXAMPLES] if others else [], path), source


def _rows(setup: dict[str, Any], path: str) -> tuple[list[sets.Question], list[sets.Question], str]:
    """The questions, the examples, and where they came from; read once for both variants of a set."""
    return _cached(setup["metadata"]["set"], path, Path(path).stat().st_mtime if path else 0.0)


def _divided(about: dict[str, Any], found: list, examples: list, path: str) -> tuple[list, list]:
    """The subjects and the official test items of a set; what is left over serves as examples."""
    if subjects := about.get("subjects"):
        found = [one for one in found if one["subject"] in subjects]
        examples = [one for one in examples if one["subject"] in subjects] or examples
    if "test_ids" in about:
        official = set(_test_ids(about["test_ids"], path))
        found, examples = (
            [one for one in found if one["id"] in official],
            [one for one in found if one["id"] not in official],
        )
        if not found:
            do = "Give the file with all 1,000 questions."
            raise UserError(
                f"Benchmark {about['set']}: none of the official test items is there.",
                got=path,
                do=do,
            )
    return found, examples[:EXAMPLES]


def _test_ids(link: str, path: str) -> list[str]:
    """The ids of the official test items: from a file beside the data, else from its pinned address."""
    beside = sorted(Path(path).parent.glob("*test_ground_truth.json")) if path else []
    return list(
        json.loads((beside[0] if beside else sources.fetched(link)).read_text(encoding="utf-8"))
    )


def _from_afar(setup: dict[str, Any]) -> tuple[dict[str, list], str]:
    """The splits of a set from the hub, or from its authors' address where it is not there."""
    about = setup["metadata"]
    if "url" in about:
        return {"test": sources.read(sources.fetched(about["url"]), about["set"])}, about[
            "url"
        ].partition("#")[0]
    path, revision = setup["dataset_path"], setup["dataset_kwargs"]["revision"]
    configs = about.get("configs") or [setup.get("dataset_name")]
    split: dict[str, list] = {name: [] for name in about["splits"]}
    for part in configs:
        found = sources.hub(path, part, revision)
        for name in split:
            more = {"subject": part} if "configs" in about else {}
            rows = (
                found[name]
                if name == about["splits"][0]
                else found[name].select(range(min(len(found[name]), 400)))
            )
            split[name] += [(f"{name} {n}", dict(row) | more) for n, row in enumerate(rows)]
    return split, f"{path} at {revision[:8]}"


def _given(data: str) -> dict[str, Path]:
    """The user's files by name of the set."""
    known = {config(task)["metadata"]["set"] for task in names()}
    if not data:
        return {}
    if "=" not in data:
        folder = paths.resolve(data)
        files = [
            path
            for path in sorted(folder.iterdir())
            if path.suffix in sources.SUFFIXES and "ground_truth" not in path.stem
        ]
        return {name: path for path in files for name in known if belongs(path, name)}
    pairs = dict(part.strip().partition("=")[::2] for part in data.split(","))
    if wrong := [name for name in pairs if name not in known]:
        raise UserError(
            "`benchmark_data` names an unknown set.",
            got=wrong,
            do=f"Known: {', '.join(sorted(known))}.",
        )
    return {name: paths.resolve(path) for name, path in pairs.items()}


def belongs(path: Path, name: str) -> bool:
    """Whether a file (or what others call a set by) is named for this set.

    >>> belongs(Path("pubmedqa_ori_pqal.json"), "pubmedqa"), belongs(Path("mmlu_medical.csv"), "mmlu")
    (True, False)
    """
    stem = path.stem.lower()
    return stem == name or (
        stem.startswith(name) and not stem.startswith("mmlu_medical") ^ (name == "mmlu_medical")
    )


def focus(benchmarks: Sequence[Benchmark]) -> Benchmark:
    """The first benchmark by likelihood that has questions: calibration and the order of options are looked at on it."""
    found = [one for one in benchmarks if one.variant == "likelihood" and one.questions]
    if not found:
        do = "Add own_ll to `benchmark_tasks`: its questions ship with the package."
        raise UserError(
            "No benchmark by likelihood has questions.", got=[one.task for one in benchmarks], do=do
        )
    return found[0]
