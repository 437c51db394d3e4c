"""Question sets: published rows in one form, from this package, a local file or the hub."""

import functools
import json
import os
import random
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from medinstruct import evaluation, paths, records
from medinstruct.benchmarks.extraction import LETTERS
from medinstruct.errors import UserError

Row = dict[str, Any]
Question = dict[str, Any]  # id question context options letters answer target said subject level
FEW_SHOT = 32  # questions kept for few-shot prompts
SUFFIXES = (".jsonl", ".json", ".parquet", ".csv", ".tsv", ".xlsx")


class Unreachable(Exception):
    """The data of a benchmark cannot be read now."""


class Benchmark(NamedTuple):
    """One task of the harness with its questions; without questions `problem` says why."""

    task: str
    set: str
    title: str
    group: str
    variant: str
    config: dict[str, Any]
    questions: Sequence[Question] = ()
    examples: Sequence[Question] = ()
    total: int = 0
    source: str = ""
    problem: str = ""


def names() -> list[str]:
    """Return the names of the shipped task files."""
    return sorted(path.stem for path in paths.data("benchmarks").glob("*.yaml"))


@functools.cache
def config(task: str) -> dict[str, Any]:
    """Return a task file as the harness reads it."""
    from lm_eval.tasks._yaml_loader import load_yaml

    return load_yaml(paths.data("benchmarks") / f"{task}.yaml", resolve_func=True)


def load(
    tasks: str, *, data: str = "", limit: int = 0, generation_limit: int = 0
) -> list[Benchmark]:
    """Load the benchmarks of a comma-separated list ("all" for every one) with their questions.

    `data` is a folder, or "name=path,name=path", of files as published; the rest comes from the
    hub. A set that cannot be read stays in the list with its problem. `limit` takes that many
    questions evenly, `generation_limit` those of the generating variants; 0 takes all.
    """
    listed = [name.strip() for name in tasks.split(",") if name.strip()]
    chosen = names() if listed == ["all"] else listed
    unknown = [name for name in chosen if name not in names()]
    if unknown or not chosen:
        do = f"Choose from {', '.join(names())}, or all."
        raise UserError("There is no such benchmark.", got=unknown or tasks, do=do)
    files = _local_files(data)
    limits = {name: generation_limit if name.endswith("_gen") else limit for name in chosen}
    return [_load_one(name, files, limits[name]) for name in chosen]


def dataset(set: str, **_: Any) -> Any:
    """Return a set's questions to the harness when it reads our task files alone."""
    setup = next(config(task) for task in names() if config(task)["metadata"]["set"] == set)
    questions, examples, _source = _questions_of(setup, "")
    return as_dataset(questions, examples)


def as_dataset(questions: Sequence[Question], examples: Sequence[Question]) -> Any:
    """Return questions and examples as the two splits that the task files name."""
    from datasets import Dataset, DatasetDict

    shots = Dataset.from_list(list(examples or questions))
    return DatasetDict(test=Dataset.from_list(list(questions)), shots=shots)


def first_by_likelihood(benchmarks: Sequence[Benchmark]) -> Benchmark:
    """Return the first likelihood benchmark with questions, for calibration and option order."""
    for benchmark in benchmarks:
        if benchmark.variant == "likelihood" and benchmark.questions:
            return benchmark
    do = "Add own_ll to `benchmark_tasks`: its questions ship with the package."
    got = [benchmark.task for benchmark in benchmarks]
    raise UserError("No benchmark by likelihood has questions.", got=got, do=do)


def _load_one(task: str, files: dict[str, Path], limit: int) -> Benchmark:
    setup = config(task)
    about = {key: setup["metadata"][key] for key in ("set", "title", "group")}
    about |= {"variant": "generation" if task.endswith("_gen") else "likelihood", "config": setup}
    name = about["set"]
    try:
        questions, examples, source = _questions_of(setup, str(files.get(name, "")))
    except (Unreachable, UserError) as error:
        if isinstance(error, UserError) and (name in files or name == "own"):
            raise
        return Benchmark(task, **about, problem=str(error).replace("\n", " "))
    chosen = evaluation.test_sets.evenly(questions, limit)
    return Benchmark(task, **about)._replace(
        questions=chosen, examples=examples, total=len(questions), source=source
    )


def _questions_of(setup: dict[str, Any], path: str) -> tuple[list[Question], list[Question], str]:
    """Return questions, examples and source of a set, read once for both of its variants."""
    stamp = Path(path).stat().st_mtime if path else 0.0
    return _cached(setup["metadata"]["set"], path, stamp)


@functools.lru_cache(maxsize=32)
def _cached(name: str, path: str, stamp: float) -> tuple[list[Question], list[Question], str]:
    setup = next(config(task) for task in names() if config(task)["metadata"]["set"] == name)
    about = setup["metadata"]
    if name == "own":
        splits = {"test": records.load_table(path or paths.data("test_mcq.jsonl"))}
        source = "this package"
    elif path:
        splits, source = {"test": records.load_table(path)}, Path(path).name
    elif "url" in about:
        splits = {"test": records.load_table(_download(about["url"]))}
        source = about["url"].partition("#")[0]
    else:
        splits, source = _from_hub(setup)
    first, *others = [_convert(name, rows, about["options"], source) for rows in splits.values()]
    questions, examples = _split(about, first, others[0] if others else [], path)
    return questions, examples[:FEW_SHOT], source


def _split(about: dict[str, Any], questions: list, examples: list, path: str) -> tuple[list, list]:
    """Keep a set's subjects and its official test items; the rest serves as examples."""
    if subjects := about.get("subjects"):
        questions = [row for row in questions if row["subject"] in subjects]
        examples = [row for row in examples if row["subject"] in subjects] or examples
    if "test_ids" in about:
        beside = sorted(Path(path).parent.glob("*test_ground_truth.json")) if path else []
        file = beside[0] if beside else _download(about["test_ids"])
        official = set(json.loads(file.read_text(encoding="utf-8")))
        examples = [row for row in questions if row["id"] not in official]
        questions = [row for row in questions if row["id"] in official]
        if not questions:
            do = "Give the file with all 1,000 questions."
            what = f"Benchmark {about['set']}: it holds none of the official test items."
            raise UserError(what, got=path, do=do)
    return questions, examples


def _from_hub(setup: dict[str, Any]) -> tuple[dict[str, list[Row]], str]:
    """Return the splits of a set from the hub at its pinned revision, and where they are from."""
    about = setup["metadata"]
    path, revision = setup["dataset_path"], setup["dataset_kwargs"]["revision"]
    configs = about.get("configs")
    splits: dict[str, list[Row]] = {name: [] for name in about["splits"]}
    for part in configs or [setup.get("dataset_name")]:
        data = _hub_splits(path, part, revision)
        for name in splits:
            rows = data[name]
            if name != about["splits"][0]:
                rows = rows.select(range(min(len(rows), 400)))
            more = {"subject": part} if configs else {}
            splits[name] += [dict(row) | more for row in rows]
    return splits, f"{path} at {revision[:8]}"


def _hub_splits(path: str, part: str | None, revision: str) -> Any:
    from datasets import load_dataset

    with nullcontext() if hub_answers() else _offline():
        try:
            return load_dataset(path, part, revision=revision)
        except (OSError, ValueError, RuntimeError) as error:
            cause = f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"
            local = "no answer, and no local file"
            raise Unreachable(f"not reachable: {cause if hub_answers() else local}") from None


@contextmanager
def _offline() -> Iterator[None]:
    """Switch the hub's libraries to their local cache, so that a missing set fails at once."""
    import datasets
    import huggingface_hub.constants as constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


@functools.cache
def hub_answers() -> bool:
    """Return whether the hub answers within four seconds; asked once per process."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return False
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=4):
            return True
    except OSError:
        return False


def _download(link: str) -> Path:
    """Return the local copy of a pinned file; a wrong checksum is a UserError."""
    try:
        return paths.resolve(link)
    except UserError as error:
        if "pinned" in error.what:
            raise
        raise Unreachable("not reachable: no answer, and no local file") from None


def _local_files(data: str) -> dict[str, Path]:
    """Return the user's files by set."""
    sets = {config(task)["metadata"]["set"] for task in names()}
    if not data:
        return {}
    if "=" not in data:
        files = [path for path in sorted(paths.resolve(data).iterdir()) if path.suffix in SUFFIXES]
        files = [path for path in files if "ground_truth" not in path.stem]
        return {name: path for path in files for name in sets if is_named_for(path, name)}
    pairs = dict(part.strip().partition("=")[::2] for part in data.split(","))
    if unknown := [name for name in pairs if name not in sets]:
        do = f"Known: {', '.join(sorted(sets))}."
        raise UserError("`benchmark_data` names an unknown set.", got=unknown, do=do)
    return {name: paths.resolve(path) for name, path in pairs.items()}


def is_named_for(path: Path, name: str) -> bool:
    """Return whether a file is named for a set.

    >>> is_named_for(Path("pubmedqa_ori_pqal.json"), "pubmedqa")
    True
    >>> is_named_for(Path("mmlu_medical.csv"), "mmlu")
    False
    """
    stem = path.stem.lower()
    if name == "mmlu" and stem.startswith("mmlu_medical"):
        return False
    return stem.startswith(name)


def _convert(name: str, rows: Sequence[Row], options: Sequence[int], where: str) -> list[Question]:
    """Convert the rows of a set; a bad row is a UserError with set, row and remedy."""
    if not rows:
        do = "Give the split that holds the test questions."
        raise UserError(f"Benchmark {name} has no rows.", got=where, do=do)
    return [convert(name, row, options, f"{where}, row {n}") for n, row in enumerate(rows, 1)]


def convert(name: str, row: Row, options: Sequence[int], place: str = "row") -> Question:
    """Convert one published row to a question and check its options and label."""
    at = f"Benchmark {name}: {place}"
    try:
        question = FORMS[name](row)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        is_column = isinstance(error, KeyError)
        what = f"has no column {error}" if is_column else f"cannot be read: {error}"
        do = f"Give {name} as it is published; this row has {', '.join(map(str, row))[:200]}."
        raise UserError(f"{at} {what}.", got=str(row)[:120], do=do) from None
    size = len(question["options"])
    if size not in options:
        do = f"{name} has {' or '.join(map(str, options))}: take that variant of the set."
        raise UserError(f"{at} has {size} options.", got=question["options"], do=do)
    if size and not 0 <= question["answer"] < size:
        do = f"The label must be one of {', '.join(question['letters'])} (or 0 to {size - 1})."
        raise UserError(f"{at} has a label outside its options.", got=str(row)[-120:], do=do)
    if not question["question"] or not question["target"]:
        do = "Fill it in or remove the row."
        raise UserError(f"{at} is empty.", got=str(row)[:120], do=do)
    return question


def _question(
    text: str, options: Sequence[str] = (), answer: int = -1, *, target: str = "", **more: Any
) -> Question:
    """Return one question with options and the index of the right one, or with a free target."""
    options = [str(option).strip() for option in options]
    letters, by_words = list(LETTERS[: len(options)]), more.get("by_words", False)
    has_answer = 0 <= answer < len(options)
    right = options[answer] if has_answer else target
    answer_text = f"({letters[answer]})" if has_answer and not by_words else right
    said = f"The answer is {answer_text}." if options or by_words else target
    return {
        "id": str(more.get("id") or records.content_hash(text, options)),
        "question": str(text).strip(),
        "options": options,
        "context": more.get("context", ""),
        "letters": letters,
        "answer": answer,
        "target": right,
        "subject": str(more.get("subject") or ""),
        "level": int(more.get("level") or 0),
        "said": said,
    }


def _index(keys: Sequence[Any], label: Any) -> int:
    """Return the place of a label among the keys, or -1."""
    return [*map(str, keys)].index(str(label)) if str(label) in map(str, keys) else -1


def _own(row: Row) -> Question:
    more = {"id": row.get("id"), "subject": row["topic"], "level": row["difficulty"]}
    return _question(row["question"], row["options"], row["answer"], **more)


def _medqa(row: Row) -> Question:
    options = row["options"]
    if not isinstance(options, Mapping):
        options = {option["key"]: option["value"] for option in options}
    pairs = sorted((key, value) for key, value in options.items() if value is not None)
    answer = _index([key for key, _ in pairs], row["answer_idx"])
    return _question(row["question"], [value for _, value in pairs], answer)


def _medmcqa(row: Row) -> Question:
    options = [row[key] for key in ("opa", "opb", "opc", "opd")]
    more = {"id": row.get("id"), "subject": row.get("subject_name")}
    return _question(row["question"], options, int(row["cop"]), **more)


def _pubmedqa(row: Row) -> Question:
    """Read PubMedQA with the column names of its authors' file or of the hub."""
    context = row["CONTEXTS"] if "CONTEXTS" in row else row["context"]
    texts = context["contexts"] if isinstance(context, Mapping) else context
    options = ["yes", "no", "maybe"]
    more = {"id": row.get("pubid") or row.get("id"), "context": "\n".join(texts), "by_words": True}
    text = row["QUESTION"] if "QUESTION" in row else row["question"]
    return _question(text, options, _index(options, row["final_decision"]), **more)


def _headqa(row: Row) -> Question:
    answers = row["answers"]
    if isinstance(answers, Mapping):
        pairs = list(zip(answers["aid"], answers["atext"], strict=True))
    else:
        pairs = [(answer["aid"], answer["atext"]) for answer in answers]
    right = _index([key for key, _ in pairs], row["ra"])
    return _question(row["qtext"], [text for _, text in pairs], right, subject=row.get("category"))


def _mmlu(row: Row) -> Question:
    more = {"subject": row.get("subject")}
    return _question(row["question"], row["choices"], int(row["answer"]), **more)


def _truthfulqa(row: Row) -> Question:
    """Read TruthfulQA MC1 with its options shuffled by the question: the right one comes first."""
    targets = row["mc1_targets"]
    order = list(range(len(targets["choices"])))
    random.Random(row["question"]).shuffle(order)
    right = [targets["labels"][n] for n in order].index(1)
    return _question(row["question"], [targets["choices"][n] for n in order], right)


def _meqsum(row: Row) -> Question:
    """Read MeQSum: the message without its heading, and its summary."""
    subject, mark, message = row["CHQ"].partition("MESSAGE:")
    text = message if mark else subject
    return _question(text, target=row["Summary"].strip(), id=row.get("File"))


def _bbh(row: Row) -> Question:
    return _question(row["input"], target=row["target"], subject=row.get("subject"))


FORMS: dict[str, Callable[[Row], Question]] = {
    "own": _own,
    "medqa": _medqa,
    "medmcqa": _medmcqa,
    "pubmedqa": _pubmedqa,
    "headqa": _headqa,
    "mmlu": _mmlu,
    "mmlu_medical": _mmlu,
    "truthfulqa": _truthfulqa,
    "meqsum": _meqsum,
    "bbh": _bbh,
}
