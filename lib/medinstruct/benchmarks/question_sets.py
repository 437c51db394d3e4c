"""Question sets: published rows in one form, from this package, a local file or the hub."""

import functools
import os
import random
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import yaml

from medinstruct import evaluation, network, paths, records
from medinstruct.benchmarks.extraction import LETTERS
from medinstruct.errors import UserError

Row = dict[str, Any]
Question = dict[str, Any]  # id question context options letters answer target subject level
LISTS = ("options", "choices", "answers", "mc1_targets", "context", "CONTEXTS")  # not in CSV cells
EXAMPLES_READ = 400  # rows read of a split for few-shot prompts


class Benchmark(NamedTuple):
    """One task of the harness; the questions asked of the `whole` set, or the problem with it."""

    task: str
    set: str
    title: str
    group: str
    variant: str
    questions: Sequence[Question] = ()
    whole: Sequence[Question] = ()
    examples: Sequence[Question] = ()
    source: str = ""
    problem: str = ""

    @property
    def config(self) -> dict[str, Any]:
        """Return the task file, as the harness reads it."""
        return task_files()[self.task]


@functools.cache
def task_files() -> dict[str, dict[str, Any]]:
    """Return the shipped task files by name, as the harness reads them."""
    from lm_eval.tasks._yaml_loader import load_yaml

    files = sorted(paths.data("benchmarks").glob("*.yaml"))
    return {file.stem: load_yaml(file, resolve_func=True) for file in files}


@functools.cache
def sets() -> dict[str, dict[str, Any]]:
    """Return what is shared by all tasks of a set: its source, columns and group, by set."""
    texts = [f.read_text(encoding="utf-8") for f in sorted(paths.data("benchmarks").glob("_*"))]
    setups = [yaml.safe_load(text.replace("!function", "")) for text in texts]  # no harness needed
    return {setup["metadata"]["set"]: setup for setup in setups if "metadata" in setup}


def load(tasks: Sequence[str], *, data=None, limit=0, generation_limit=0) -> list[Benchmark]:
    """Load benchmarks by name (["all"] for every one) with their questions.

    `data` is {set: path} of files as published, or {"folder": path}; the rest comes from the hub,
    or with HF_HUB_OFFLINE=1 from its cache on this machine. A set that cannot be read stays in the
    list with its problem. `limit` takes that many questions evenly, `generation_limit` those of the
    generating variants; 0 takes all. `data["more"]` is for notebook 03.
    """
    known = sorted(file.stem for file in paths.data("benchmarks").glob("*.yaml"))
    chosen = known if "all" in tasks else list(tasks)
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        do = f"Choose from {', '.join(known)}, or all."
        raise UserError("There is no such benchmark.", got=unknown or tasks, do=do)
    files, benchmarks = _local_files(data or {}), []
    read = functools.cache(_content)  # once for both variants of a set
    for task in chosen:
        shared = sets()[task.rpartition("_")[0]]["metadata"]
        about = {key: shared[key] for key in ("set", "title", "group")}
        about["variant"] = "generation" if task.endswith("_gen") else "likelihood"
        content = read(about["set"], files.get(about["set"]))
        questions = content.get("questions", [])
        most = generation_limit if about["variant"] == "generation" else limit
        part = {"questions": evaluation.evenly(questions, most), "whole": questions}
        benchmarks.append(Benchmark(task, **about | content | part))
    return benchmarks


def dataset(set: str, **_: Any) -> Any:
    """Return a set's questions to the harness when it reads our task files alone."""
    content = _read(set, None)
    return as_dataset(content["questions"], content["examples"])


def as_dataset(questions: Sequence[Question], examples: Sequence[Question]) -> Any:
    """Return questions and examples as the two splits that the task files name."""
    from datasets import Dataset, DatasetDict

    shots = Dataset.from_list(list(examples))
    return DatasetDict(test=Dataset.from_list(list(questions)), shots=shots)


def _local_files(data: Mapping[str, str]) -> dict[str, Path]:
    """Return the user's files by set; those of a folder are named like the sets."""
    listed = sorted(paths.resolve(data["folder"]).iterdir()) if "folder" in data else []
    files = [f for f in listed if records.table_kind(f.name) and "ground_truth" not in f.stem]
    named = {name: file for file in files for name in sets() if is_named_for(file.stem, name)}
    pairs = {name: path for name, path in data.items() if name not in ("folder", "more")}
    if unknown := [name for name in pairs if name not in sets()]:
        do = f"Known: {', '.join(sorted(sets()))}."
        raise UserError("`benchmark_data` names an unknown set.", got=unknown, do=do)
    return named | {name: paths.resolve(path) for name, path in pairs.items()}


def is_named_for(stem: str, name: str) -> bool:
    """Return whether a file is named for a set."""
    is_other = name == "mmlu" and stem.lower().startswith("mmlu_medical")
    return stem.lower().startswith(name) and not is_other


def _content(name: str, file: Path | None) -> dict[str, Any]:
    """Return the content of a set, or the problem with it; the user's own file must be readable."""
    try:
        return _read(name, file)
    except (ImportError, UserError) as error:
        if file or "file" in sets()[name]["metadata"]:
            raise
        return {"problem": str(error).replace("\n", " ")}


def _read(name: str, file: Path | None) -> dict[str, Any]:
    """Return questions, examples and source of a set: its subjects, its official test items."""
    splits, source = _splits(sets()[name], file)
    questions, *others = [_converted(name, rows, source) for rows in splits]
    about, examples = sets()[name]["metadata"], others[0] if others else []
    if subjects := about.get("subjects"):
        questions = [row for row in questions if row["subject"] in subjects]
        examples = [row for row in examples if row["subject"] in subjects] or examples
    if "test_ids" in about:
        beside = sorted(file.parent.glob("*test_ground_truth.json")) if file else []
        ids = beside[0] if beside else paths.resolve(about["test_ids"])
        official = set(map(str, records.load_json(ids)))
        examples = [row for row in questions if row["id"] not in official]
        questions = [row for row in questions if row["id"] in official]
    if not questions:
        do = "Give the whole split that holds the test questions."
        raise UserError(f"Benchmark {name} has no rows of its test set.", got=source, do=do)
    return {"questions": questions, "examples": examples or questions, "source": source}


def _converted(name: str, rows: list[Row], source: str) -> list[Question]:
    """Return the questions of a split, each once, under ids that no other has."""
    places = [f"row {n}" for n in range(1, len(rows) + 1)]
    pairs = [(p, convert(name, row, f"{source}, {p}")) for p, row in zip(places, rows, strict=True)]
    questions = records.distinct(pairs, records.content_hash, source=f"Benchmark {name}: {source}")
    if len({question["id"] for question in questions}) < len(questions):
        return [question | {"id": records.content_hash(question)} for question in questions]
    return questions


def _splits(setup: dict[str, Any], file: Path | None) -> tuple[list[list[Row]], str]:
    """Return the rows of a set by split, the test split first, and where they are from."""
    about = setup["metadata"]
    if file:
        return [_published(file, about)], file.name
    if "file" in about:
        return [records.load_table(paths.data(about["file"]))], "this package"
    if "url" in about:
        return [records.load_table(about["url"])], about["url"].partition("#")[0]
    return _from_hub(setup)


def _published(file: Path, about: dict[str, Any]) -> list[Row]:
    """Return the rows of a file, or of a folder with a file a subject, as its authors publish it.

    Rows are taken out of examinations. Options `counted` from 1 are counted from 0: where no label
    is 0; if none is 4 either, that is a guess, and noted.
    """
    inside = sorted(file.iterdir()) if file.is_dir() else []
    rows: list[Row] = []
    for part in [part for part in inside if records.table_kind(part.name)] or [file]:
        subject = re.sub("_(test|dev|val)$", "", part.name.partition(".")[0])
        rows += [{"subject": subject} | r for _, r in records.table(part, about.get("header", ()))]
    nested = [row["exams"].values() for row in rows if isinstance(row.get("exams"), dict)]
    exams = [exam for part in nested for exam in part if isinstance(exam, dict)]
    rows = [{"category": e.get("category")} | r for e in exams for r in e.get("data", ())] or rows
    counted = about.get("counted", "")
    labels = [str(row.get(counted)).removesuffix(".0") for row in rows]
    if not labels or {*labels} - {*"1234"}:
        return rows
    if "4" not in labels:
        records.note(f"{file.name}: `{counted}` has neither 0 nor 4 and is counted from 1.")
    return [row | {counted: int(label) - 1} for row, label in zip(rows, labels, strict=True)]


def _from_hub(setup: dict[str, Any]) -> tuple[list[list[Row]], str]:
    """Return the splits of a set from the hub at its pinned revision."""
    import datasets

    if not (datasets.config.HF_HUB_OFFLINE or hub_answers()):
        raise UserError("not reachable: no answer, and no local file")
    about, path = setup["metadata"], setup["dataset_path"]
    revision, configs = setup["dataset_kwargs"]["revision"], about.get("configs")
    splits: dict[str, list[Row]] = {name: [] for name in about["splits"]}
    for part in configs or [setup.get("dataset_name")]:
        try:
            data = datasets.load_dataset(path, part, revision=revision)
        except (OSError, ValueError, RuntimeError) as error:
            cause = str(error).partition("\n")[0][:160]
            raise UserError(f"not reachable: {type(error).__name__}: {cause}") from None
        more = {"subject": part} if configs else {}
        for name, rows in splits.items():
            most = None if name == about["splits"][0] else EXAMPLES_READ
            rows += [row | more for row in islice(data[name], most)]
    return list(splits.values()), f"{path} at {revision[:8]}"


@functools.cache
def hub_answers() -> bool:
    """Return whether the hub answers within four seconds; asked once per process."""
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        return not network.fetch(address, method="HEAD", timeout=4).is_error
    except UserError:
        return False


def convert(name: str, row: Row, place: str = "row") -> Question:
    """Convert a published row of a set; a bad row is a UserError with set, row and remedy."""
    at, sizes = f"Benchmark {name}: {place}", sets()[name]["metadata"]["options"]
    try:
        cells = row | {column: records.parsed(row[column]) for column in LISTS if column in row}
        fields = {field: column(cells) for field, column in _columns(name).items()}
        question = _question(fields, at)
    except (jinja2.UndefinedError, LookupError, TypeError, ValueError) as error:
        do = f"Give {name} as it is published; this row has {', '.join(map(str, row))[:200]}."
        raise UserError(f"{at} cannot be read: {error}.", got=str(row)[:120], do=do) from None
    size, named = len(question["options"]), question.pop("named")
    if size not in sizes:
        what, do = f"has {size} options", f"Take the variant with {' or '.join(map(str, sizes))}."
    elif size and not 0 <= question["answer"] < size:
        what = "has a label outside its options"
        do = f"The label must be one of {', '.join(question['letters'])} (or 0 to {size - 1})."
    elif not question["question"] or not question["target"]:
        what, do = "is empty", "Fill it in or remove the row."
    elif named not in ("", question["target"], *question["letters"][question["answer"] :][:1]):
        what, do = f"has the answer {named!r} and the label of another option", "Correct the row."
    else:
        return question
    raise UserError(f"{at} {what}.", got=str(row)[:200], do=do)


@functools.cache
def _columns(name: str) -> dict[str, Callable[[Row], Any]]:
    """Return the expressions of a task file that read a field of a question from a row."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters["shuffled"] = _shuffled
    columns = sets()[name]["metadata"]["columns"].items()
    return {f: environment.compile_expression(text, undefined_to_none=False) for f, text in columns}


def _shuffled(items: Sequence, seed: str) -> list:
    """Return the items in an order fixed by a text, for options of which the first is right."""
    items = list(items)
    random.Random(str(seed)).shuffle(items)
    return items


def _question(fields: Row, where: str) -> Question:
    """Return a question with the number of its right option (-1: none), or with a free target."""

    def text(name: str, *values: Any) -> str:
        value = values[0] if values else fields.get(name)
        _ = not value  # raises if the row does not have it
        return records.as_text(value, where=f"{where}, {name}", numbers=True).strip()

    options, context = fields.get("options", []), fields.get("context", "")
    if isinstance(options, str):
        raise TypeError("the options are one text")
    options = [text("an option", option) for option in options]
    if "" in options:
        raise ValueError("an option is empty")
    keys = [_label(text("a key", key)) for key in fields.get("keys", range(len(options)))]
    answer = _place(_label(text("label")), keys, options)
    context = context if isinstance(context, list) else [context]
    return {
        "id": text("id") or records.content_hash(text("question"), options),
        "question": text("question"),
        "options": options,
        "context": "\n".join(text("context", part) for part in context),
        "letters": list(LETTERS[: len(options)]),
        "answer": answer,
        "target": options[answer] if 0 <= answer < len(options) else text("target"),
        "named": text("named"),
        "subject": text("subject"),
        "level": int(float(text("level") or 0)),
    }


def _place(label: str, keys: Sequence[str], options: Sequence[str]) -> int:
    """Return the place of the right option by its key, letter or words; -1 for none."""
    words = [] if label.isdigit() else [option.lower() for option in options]
    names = ([*keys], [*LETTERS.lower()], words)
    return next((part.index(label) for part in names if label in part), -1)


def _label(text: str) -> str:
    """Return a label in the form that is compared: "(C)." is c, and 2.0 is 2."""
    return text.strip(" ().").lower().removesuffix(".0")
