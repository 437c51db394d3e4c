"""Question sets: published rows in one form, from this package, a local file or the hub."""

import functools
import os
import pkgutil
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
from medinstruct.errors import UserError, check_choice

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
    """Load benchmarks by name (["all"] for every one) with `limit` questions, evenly; 0 for all.

    `data` is {set: path} of files as published, or {"folder": path}; the rest comes from the hub. A
    set that cannot be read stays in the list with its problem. `generation_limit` is for generating
    tasks; sets with short replies are always asked in full.
    """
    known = sorted(file.stem for file in paths.data("benchmarks").glob("*.yaml"))
    chosen = known if "all" in tasks else list(tasks)
    for task in chosen or [""]:
        check_choice("benchmark_tasks", task, [*known, "all"])
    files, benchmarks = _local_files(data or {}), []
    read = functools.cache(_content)  # once for both variants of a set
    for task in chosen:
        name, _, kind = task.rpartition("_")
        shared = sets()[name]["metadata"]
        about = {key: shared[key] for key in ("set", "title", "group")}
        about |= read(name, files.get(name))
        about["variant"] = "generation" if kind == "gen" else "likelihood"
        most = 0 if shared.get("short") else generation_limit if kind == "gen" else limit
        questions = evaluation.evenly(about.get("whole", ()), most)
        benchmarks.append(Benchmark(task, **about, questions=questions))
    return benchmarks


def dataset(set: str, **_: Any) -> Any:
    """Return a set's questions to the harness when it reads our task files alone."""
    content = _read(set, None)
    return as_dataset(content["whole"], content["examples"])


def as_dataset(questions: Sequence[Question], examples: Sequence[Question]) -> Any:
    """Return questions and examples as the two splits that the task files name."""
    from datasets import Dataset, DatasetDict

    splits = {"test": questions, "shots": examples}
    return DatasetDict({name: Dataset.from_list(list(rows)) for name, rows in splits.items()})


def _local_files(data: Mapping[str, str]) -> dict[str, Path]:
    """Return the user's files by set; in a folder, a file name begins with the set's."""
    listed = sorted(paths.resolve(data["folder"]).iterdir()) if "folder" in data else []
    files = [f for f in listed if records.table_kind(f.name) and "ground_truth" not in f.stem]
    named = {name: file for file in files if (name := named_set(file.stem))}
    pairs = {name: path for name, path in data.items() if name not in ("folder", "more")}
    for name in pairs:
        check_choice("benchmark_data", name, sorted(sets()))
    return named | {name: paths.resolve(path) for name, path in pairs.items()}


def named_set(stem: str) -> str:
    """Return the set whose name begins a file's, the longest of several; "" for none."""
    return max(filter(stem.lower().startswith, sets()), key=len, default="")


def _content(name: str, file: Path | None) -> dict[str, Any]:
    """Return the content of a set, or the problem with it; the user's own file must be readable."""
    about = sets()[name]["metadata"]
    try:
        problem = _lacking(about.get("needs", ""))
        return {"problem": problem} if problem else _read(name, file)
    except (ImportError, UserError) as error:
        if file or "file" in about:
            raise
        return {"problem": str(error).replace("\n", " ")}


def _lacking(scorer: str) -> str:
    """Return what the harness's own scorer ("module:function of a text") lacks; "" if it works."""
    try:
        _ = scorer and pkgutil.resolve_name(scorer)("One. Two.")
    except (ImportError, LookupError, OSError) as error:
        cause = " ".join(str(error).split()).strip("* ")[:80]
        return f"not scored: {cause}; install lm-eval[ifeval] and NLTK's punkt_tab"
    return ""


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
        official = paths.read_json(beside[0] if beside else paths.resolve(about["test_ids"]))
        sides: tuple[list, list] = ([], [])
        for row in questions:
            sides[row["id"] in {*map(str, official)}].append(row)
        examples, questions = sides
    if not questions:
        do = "Give the whole split that holds the test questions."
        raise UserError(f"Benchmark {name} has no rows of its test set.", got=source, do=do)
    return {"whole": questions, "examples": examples or questions, "source": source}


def _converted(name: str, pairs: list[records.Pair], source: str) -> list[Question]:
    """Return the questions of a split, each once, under distinct ids."""
    source = f"Benchmark {name}: {source}"
    good = records.usable(pairs, functools.partial(convert, name), source=source)
    places = {question["answer"] for _, question in good}
    if len(good) < len(pairs) and {1, 2, 3} <= places and 0 not in places:
        got, do = f"answers {sorted(places)}", "Count the labels from 0, or write letters."
        raise UserError(f"{source}: no first option is right.", got=got, do=do)
    questions = records.distinct(good, records.content_hash, source=source)
    has_ids = len({question["id"] for question in questions}) == len(questions)
    return [row if has_ids else row | {"id": records.content_hash(row)} for row in questions]


def _splits(setup: dict[str, Any], file: Path | None) -> tuple[list[list[records.Pair]], str]:
    """Return the rows of a set by split, the test split first, and where they are from."""
    about = setup["metadata"]
    if file:
        return [_published(file, about)], file.name
    if "file" in about:
        return [records.table(paths.data(about["file"]))], "this package"
    url = about.get("url", "")
    return ([records.table(url)], url.partition("#")[0]) if url else _from_hub(setup)


def _published(file: Path, about: dict[str, Any]) -> list[records.Pair]:
    """Return the rows of a published file, or of a folder with one file per subject."""
    inside = sorted(file.iterdir()) if file.is_dir() else []
    pairs = []
    for part in [part for part in inside if records.table_kind(part.name)] or [file]:
        subject = re.sub("_(test|dev|val)$", "", part.name.partition(".")[0])
        for place, row in records.table(part, about.get("header", ())):
            pairs.append((f"{part.name}, {place}" if inside else place, {"subject": subject} | row))
    nested = [row["exams"].values() for _, row in pairs if isinstance(row.get("exams"), dict)]
    exams = [exam for part in nested for exam in part if isinstance(exam, dict)]
    rows = [{"category": e.get("category")} | r for e in exams for r in e.get("data", ())]
    pairs = [(f"row {n}", row) for n, row in enumerate(rows, 1)] or pairs
    if column := about.get("counted"):
        labels = [_label(str(row.get(column))) for _, row in pairs]
        first = _first_label(labels, f"{file.name}: `{column}`")
        pairs = [(place, row | {"first": first}) for place, row in pairs]
    return pairs


def _first_label(labels: Sequence[str], what: str) -> int:
    """Return the label of the first of four options, 0 or 1; a guess without any 0 or 4."""
    zeros, fours = labels.count("0"), labels.count("4")
    if min(zeros, fours) * 10 > max(zeros, fours):
        got, do = f"0 {zeros:,} times, 4 {fours:,} times", "Count all from 0, or all from 1."
        raise UserError(f"{what} has a label outside its options.", got=got, do=do)
    if not zeros + fours and {*labels} & {*"123"}:
        records.note(f"{what} is counted from 1", ["no label is 0 or 4"])
    return int(zeros <= fours)


def _from_hub(setup: dict[str, Any]) -> tuple[list[list[records.Pair]], str]:
    """Return the splits of a set from the hub at its pinned revision."""
    import datasets

    if not (datasets.config.HF_HUB_OFFLINE or hub_answers()):
        raise UserError("not reachable: no answer, and no local file")
    about, path = setup["metadata"], setup["dataset_path"]
    revision, configs = setup["dataset_kwargs"]["revision"], about.get("configs")
    splits: list[list[records.Pair]] = [[] for _ in about["splits"]]
    for part in configs or [setup.get("dataset_name")]:
        try:
            data = datasets.load_dataset(path, part, revision=revision)
        except (OSError, ValueError, RuntimeError) as error:
            cause = str(error).partition("\n")[0][:160]
            raise UserError(f"not reachable: {type(error).__name__}: {cause}") from None
        more = {"subject": part} if configs else {}
        for n, (name, pairs) in enumerate(zip(about["splits"], splits, strict=True)):
            rows = enumerate(islice(data[name], EXAMPLES_READ if n else None), len(pairs) + 1)
            pairs += [(f"row {place}", row | more) for place, row in rows]
    return splits, f"{path} at {revision[:8]}"


@functools.cache
def hub_answers() -> bool:
    """Return whether the hub answers within four seconds; asked once per process."""
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        return not network.fetch(address, method="HEAD", timeout=4).is_error
    except UserError:
        return False


def convert(name: str, row: Row, where: str = "row") -> Question:
    """Convert a published row of a set; a bad row is a UserError with set, row and remedy."""
    try:
        cells = row | {column: records.parsed(row[column]) for column in LISTS if column in row}
        fields = {field: column(cells) for field, column in _columns(name).items()}
        return _question(fields, sets()[name]["metadata"]["options"], where)
    except (jinja2.UndefinedError, LookupError, TypeError, ValueError) as error:
        do = f"Give {name} as it is published; this row has {', '.join(map(str, row))[:200]}."
        raise UserError(f"{where} cannot be read: {error}.", got=str(row)[:200], do=do) from None


@functools.cache
def _columns(name: str) -> dict[str, Callable[[Row], Any]]:
    """Return the expressions of a task file that read a field of a question from a row."""

    def shuffled(items: Sequence, seed: str) -> list:
        random.Random(str(seed)).shuffle(items := list(items))
        return items

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters["shuffled"] = shuffled  # options of which the first is right
    columns = sets()[name]["metadata"]["columns"].items()
    return {f: environment.compile_expression(text, undefined_to_none=False) for f, text in columns}


def _question(fields: Row, sizes: Sequence[int], where: str) -> Question:
    """Return a question with the number of its right option, or with a free target (then -1)."""

    def text(name: str, *values: Any) -> str:
        value = values[0] if values else fields.get(name)
        _ = not value  # raises if the row does not have it
        return records.as_text(value, where=f"{where}, {name}", numbers=True).strip()

    options, context = fields.get("options", []), fields.get("context", "")
    if isinstance(options, str):
        raise TypeError("the options are one text")
    options = [text("an option", option) for option in options]
    size, letters, label = len(options), list(LETTERS[: len(options)]), _label(text("label"))
    keys = [_label(text("a key", key)) for key in fields.get("keys", range(size))]
    words = [] if label.isdigit() else [option.lower() for option in options]
    parts, named = (keys, [*LETTERS.lower()], words), text("named")
    answer = next((part.index(label) for part in parts if label in part), -1)
    context = context if isinstance(context, list) else [context]
    target = options[answer] if 0 <= answer < size else text("target")
    problems = {
        "an option is empty": "" in options,
        f"it has {size} options, not {' or '.join(map(str, sizes))}": size not in sizes,
        f"it has a label outside its options ({', '.join(letters)})": size
        and not 0 <= answer < size,
        "the question is empty": not text("question"),
        "the target is empty": not target,
        f"the answer {named!r} has the label of another option": named
        not in ("", target, *letters[answer:][:1]),
    }
    if problem := next(filter(problems.get, problems), ""):
        raise ValueError(problem)
    return {
        "id": text("id") or records.content_hash(text("question"), options),
        "question": text("question"),
        "options": options,
        "context": "\n".join(text("context", part) for part in context),
        "letters": letters,
        "answer": answer,
        "target": target,
        "subject": text("subject"),
        "level": int(float(text("level") or 0)),
    }


def _label(text: str) -> str:
    """Return a normalized label: "(C)." is c, and 2.0 is 2."""
    return text.strip(" ().").lower().removesuffix(".0")
