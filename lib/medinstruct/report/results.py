"""Results of a run: files, numbers beside the paper's, provenance, comparison of two runs."""

import base64
import importlib.metadata
import os
import platform
import re
from collections import namedtuple
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

import medinstruct
from medinstruct import database, evaluation, llm, manifest, models, params, paths, records, stats
from medinstruct.diversity import coverage
from medinstruct.errors import UserError
from medinstruct.training import dataset_hash

REPORT = paths.load("report")
FAILED = "judge failed"  # the doubt about numbers that are shown but not compared
NAME_KEYS = {"run", "read_from", "beside", "reproducible"}  # what a run is called
TEMPLATES = ("name", "unit", "model", "paper_is", "doubt")  # other cells are expressions


@dataclass(frozen=True)
class Run:
    """One run as the report reads it; files that do not exist yet are absent keys.

    `notebooks` holds the parameters of the executed ones, `files` the JSON files, `rows` those of
    the JSONL files, `values` all parameters, `mixed` those on which notebooks disagree, `writers`
    the model of each role, `stand_ins` the roles of stand-ins. A reproducible run shows no times
    and no machine.
    """

    folder: Path
    notebooks: dict[str, dict[str, Any]]
    files: dict[str, Any]
    rows: dict[str, list[dict[str, Any]]]
    values: dict[str, Any]
    mixed: dict[str, dict[str, Any]]
    writers: dict[str, str]
    stand_ins: list[str]
    reproducible: bool

    def get(self, name: str, *keys: str, default: Any = None) -> Any:
        """Return a value inside a JSON file, or the default where a key is missing."""
        value = self.files.get(name)
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return default if value is None else value


def read_run(folder: str | Path, *, reproducible: bool = False) -> Run:
    """Read everything the report needs from a run's folder; every file is optional."""
    folder = Path(folder)
    present = [folder / name for name in REPORT["files"] if (folder / name).exists()]
    files = {p.stem: paths.read_json(p) for p in present if p.suffix == ".json"}
    rows = {p.stem: [r for _, r in records.rows(p)] for p in present if p.suffix == ".jsonl"}
    every = sorted(manifest.load(folder).items())
    entries = {n: e for n, e in every if "written" in e and not n.endswith("_report")}
    files["manifest"] = entries
    notebooks = {name: entry.get("values", {}) for name, entry in entries.items()}
    values = {key: value for own in notebooks.values() for key, value in own.items()}
    each = {key: {n[:2]: own[key] for n, own in notebooks.items() if key in own} for key in values}
    mixed = {key: own for key, own in each.items() if len(set(map(repr, own.values()))) > 1}
    roles = {r: evaluate(about["model"], files | rows) for r, about in REPORT["roles"].items()}
    writers = {role: llm.public_name(model) for role, model in roles.items() if model}
    for role in writers:
        if _is_stand_in(values.get(role)) or _is_stand_in(roles[role]):
            writers[role] = models.STAND_IN
    stand_ins = [role for role, m in writers.items() if models.STAND_IN in m]
    return Run(folder, notebooks, files, rows, values, mixed, writers, stand_ins, reproducible)


def _is_stand_in(name: Any) -> bool:
    """Return whether a name of params/models.yaml, or model@url, is the offline stand-in."""
    with suppress(UserError):
        return models.load(str(name)).is_stand_in
    return False


def formatted(value: float | None, unit: str) -> str:
    """Format a number by its unit; a missing one is a dash.

    >>> formatted(0.4567, "share"), formatted(64350, "count"), formatted(-0.0001, "points")
    ('45.7%', '64,350', '0.0\xa0points')
    """
    if value is None or value != value:
        return "–"
    scale = 100 if unit in ("share", "points") else 1
    text = REPORT["formats"].get(unit, "{:.2f}").format(scale * value).replace("-", "−")
    return re.sub(r"^[+−](?=0\.?0*\D*$)", "", text)  # no change has no sign


@cache
def environment() -> jinja2.Environment:
    """Return the environment of the report's templates and expressions; only pages are escaped."""
    result = jinja2.Environment(undefined=jinja2.ChainableUndefined, trim_blocks=True)
    result.autoescape = jinja2.select_autoescape(["html.j2"], default_for_string=False)
    result.loader = jinja2.FileSystemLoader(paths.data(""))
    result.from_string = cache(result.from_string)  # compile each text once
    result.compile_expression = cache(result.compile_expression)
    result.filters |= {"unit": formatted, "entropy": stats.entropy, "entrance": _entrance}
    last_trained = evaluation.answers.last_trained
    result.filters["trained"] = lambda rows: last_trained([r.get("model") for r in rows] or [""])
    result.filters["wilson"] = stats.wilson
    result.filters["base64"] = lambda data: base64.b64encode(data).decode()
    merged = {axis: coverage.published(axis) for axis in ("type", "view")}
    result.globals["published"] = paths.load("published") | {"merged": merged}
    return result


def _entrance(rows: list[dict[str, Any]] | None) -> str:
    """Return the sentence on a judge's entrance test from the rows of freeform.json."""
    table = pd.DataFrame(list(rows or ()))
    checks = evaluation.judge_checks
    return checks.entrance_sentence(table.set_index("kind") if len(table) else table)


def fill(template: str, scope: dict[str, Any]) -> str:
    """Return a template's text, its line breaks and double blanks as one blank."""
    return re.sub("[ \n]+", " ", environment().from_string(template).render(scope)).strip()


def evaluate(expression: str, scope: dict[str, Any]) -> Any:
    """Return the value of an expression, or None where something in it is undefined."""
    try:
        return environment().compile_expression(expression)(scope)
    except jinja2.UndefinedError:
        return None


def scope_of(run: Run) -> dict[str, Any]:
    """Return what the expressions of report.yaml read: files, counts, complete answers, models."""
    turns = run.rows.get("consultations", [])
    answers = [row | {"way": turn["way"]} for turn in turns for row in turn.get("answers", [])]
    frame = pd.DataFrame(answers, columns=["way", "name", "finish_reason"])
    groups = frame["finish_reason"].ne("length").groupby([frame["way"], frame["name"]], sort=False)
    complete = [
        {"use_case": way, "model": model} | stats.wilson(int(ended.sum()), len(ended))._asdict()
        for (way, model), ended in groups
    ]
    counts = {name: len(rows) for name, rows in run.rows.items()}
    own = {"counts": counts, "complete": complete, "writers": run.writers, "values": run.values}
    return run.files | own


def read_numbers(run: Run) -> pd.DataFrame:
    """Return all numbers of a run in the order of the report, one a row; what is missing is None.

    `unit` is share, points, count, words, bits, nats, grade or ratio; `stand_in` names the roles
    that a stand-in played in it, also in the data that its model learned from; `model` is the model
    it measures; a `headline` is shown first; `doubt` says why a number may mean nothing. A page
    prints `label`, `text`, `interval`, `size`, `published` and `cell`.
    """
    return _read(run, {part: about["numbers"] for part, about in REPORT["parts"].items()})


def by_model(run: Run) -> pd.DataFrame:
    """Return one number a `measure` and `model`, in this order; `attrs`: caption and sentence."""
    about, scope = REPORT["models"], scope_of(run)
    numbers = _read(run, {name: [entry] for name, entry in about["measures"].items()})
    order = {"measure": list(about["measures"]), "model": evaluate(about["rows"], scope)}
    numbers = numbers.rename(columns={"part": "measure"}).drop_duplicates(list(order))
    numbers = numbers[numbers["model"].isin(order["model"])]
    numbers = numbers.assign(**{k: pd.Categorical(numbers[k], v) for k, v in order.items()})
    numbers.attrs = {name: fill(about[name], scope) for name in ("caption", "sentence")}
    return numbers


def _read(run: Run, entries: dict[str, list[dict[str, str]]]) -> pd.DataFrame:
    """Return the numbers of entries by part."""
    scope, numbers = scope_of(run), []
    for part, entry in ((part, entry) for part, group in entries.items() for entry in group):
        for row in evaluate(entry.get("rows", "[{}]"), scope) or []:
            cells, own = (REPORT["cells"] | entry).items(), scope | {"row": row}
            number = {k: (fill if k in TEMPLATES else evaluate)(text, own) for k, text in cells}
            number = {k: v if v == v else None for k, v in number.items()} | {"part": part}  # nan
            taught = REPORT["learned"].get(number["model"], [])
            played = {*taught, *REPORT["parts"].get(part, number)["roles"]}
            number["stand_in"] = ", ".join(role for role in run.stand_ins if role in played)
            for key, text in REPORT["texts"].items():
                number[key] = fill(text, number)
            numbers.append(number)
    columns = ["part", "stand_in", *(REPORT["cells"] | REPORT["texts"])]
    frame = pd.DataFrame(numbers, columns=columns, dtype=object)
    return frame[frame["value"].notna()]


def deviations() -> pd.DataFrame:
    """Return known problems of published claims: claim, evidence, place, what we do."""
    rows = [row | {"shows": fill(row["shows"], {})} for row in paths.load("deviations")]
    names = {"shows": "what the files show", "where": "where to see it"}
    return pd.DataFrame(rows).rename(columns=names)


def roles(run: Run) -> pd.DataFrame:
    """Return who played each role here and in the paper, and whether it was a stand-in."""
    rows = [
        (role, fill(about["here"], vars(run)) or "not run", role in run.stand_ins, about["paper"])
        for role, about in REPORT["roles"].items()
    ]
    return pd.DataFrame(rows, columns=["role", "this run", "stand_in", "paper"]).set_index("role")


def settings(run: Run) -> pd.DataFrame:
    """Return the settings that the paper states beside this run's."""
    theirs = paths.load("published")["settings"]
    rows = [(key, run.values[key], value) for key, value in theirs.items() if key in run.values]
    return pd.DataFrame(rows, columns=["setting", "this run", "paper"]).set_index("setting")


def differences(run: Run) -> pd.DataFrame:
    """Return the parameters of a run that differ from those of the demo."""
    demo = params.merged("demo")
    own = {key: run.values[key] for key in demo if key in run.values}
    return differing(own, {key: demo[key] for key in own}, ["this run", "demo"])


def hashes(run: Run) -> dict[str, str]:
    """Return hashes of dataset, adapters, parameters, library and notebooks; "" where absent."""
    values = {key: value for key, value in run.values.items() if key not in NAME_KEYS}
    files = {name: manifest.of_path(run.folder / path) for name, path in REPORT["hashed"].items()}
    folders = {"library": paths.PACKAGE, "notebooks": paths.root() / "notebooks"}
    files["parameters"] = records.content_hash(values) if values else ""
    return files | {name: manifest.of_path(path) for name, path in folders.items()}


def versions(run: Run) -> dict[str, str]:
    """Return package versions; also Python and the machine unless the run is reproducible."""
    result = {"medinstruct": medinstruct.__version__}
    for name in REPORT["packages"]:
        with suppress(importlib.metadata.PackageNotFoundError):
            result[name] = importlib.metadata.version(name)
    if hardware := run.get("training", "lora", "hardware"):
        result["trained on"] = str(hardware)
    if not run.reproducible:
        result["Python"] = platform.python_version()
        result["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return result


def cost(run: Run) -> pd.DataFrame:
    """Return answers, tokens and US dollars of each model, from answers.sqlite."""
    path = run.folder / "answers.sqlite"
    if not path.exists():
        return pd.DataFrame(columns=["USD"])
    with closing(database.read(path)) as connection:
        return pd.read_sql_query(REPORT["cost"], connection, index_col="model")


def mismatches(run: Run) -> list[str]:
    """Return one message for each file that belongs to another dataset."""
    examples, measured = len(run.rows.get("dataset", [])), run.get("diversity", "examples")
    messages = []
    if examples and measured and examples != measured and not run.values.get("measure"):
        counts = f"diversity.json counts {measured:,} examples, dataset.jsonl has {examples:,}"
        messages.append(f"{counts}: run notebook 05 again.")
    path = run.folder / run.get("training", "learned_from", default="dataset.jsonl")
    path = path if path.exists() else run.folder / "dataset.jsonl"
    trained = examples and run.get("training", "dataset")
    if trained and trained != dataset_hash(records.read(path, records.Example)):
        again = "run notebook 08 again, then 10 and 12."
        messages.append(f"The adapter was trained on another dataset: {again}")
    start, adapter = run.get("preferences", "start"), run.folder / "adapter"
    if start and adapter.is_dir() and start != llm.local.fingerprint(adapter):
        again = "run notebook 09 again, then 10, 12 and 13."
        messages.append(f"The aligned model began with another tuned adapter: {again}")
    return messages


def changed(run: Run) -> list[str]:
    """Return files that differ from what the runner wrote, for example after a run by hand."""
    own, entries = (".ipynb", "/", "report.json", "report.html"), run.files.get("manifest", {})
    written = {n: h for entry in entries.values() for n, h in entry.get("written", {}).items()}
    names = [name for name in written if not name.endswith(own)]
    return [name for name in names if written[name] != manifest.of_path(run.folder / name)]


KINDS = ("parameters", "numbers")
Comparison = namedtuple("Comparison", "parameters numbers")  # both as tables


def lines(one: str, other: str, *, every: bool = False) -> Iterator[str]:
    """Compare two runs; yield both tables as text, only rows of both that differ unless `every`."""
    parameters, numbers = compare(one, other)
    shared = [(table.iloc[:, :2] != "–").all(axis=1) for table in (parameters, numbers)]
    differ = shared[1] & (numbers.iloc[:, 0] != numbers.iloc[:, 1])
    own = [f"{(~rows).sum()} {kind}" for rows, kind in zip(shared, KINDS, strict=True)]
    if not every:
        parameters, numbers = parameters[shared[0]], numbers[differ]
    apart, overlap = ((numbers["intervals"] == word).sum() for word in ("apart", "overlap"))
    yield "No shared parameter differs." if parameters.empty else parameters.to_string()
    yield "No shared number differs." if numbers.empty else numbers.to_string()
    yield f"A * marks numbers in which a stand-in had a part. Only one run has {' and '.join(own)}."
    text = f"{differ.sum()} of {shared[1].sum()} shared numbers differ"
    if (largest := numbers.attrs["largest"]) is not None:
        before, after, *_ = numbers.loc[largest]
        text += f"; the largest change is in {largest[1]} ({largest[0]}), from {before} to {after}"
    yield f"{text}; intervals of {apart} of {apart + overlap} do not overlap."


def differing(first: dict[str, Any], second: dict[str, Any], names: list[str]) -> pd.DataFrame:
    """Return the parameters that differ, those that only one has last; names of runs aside."""
    keys = [key for key in {**first, **second} if key not in NAME_KEYS]
    rows = [(key, first.get(key, "–"), second.get(key, "–")) for key in keys]
    rows = sorted((row for row in rows if row[1] != row[2]), key=lambda row: "–" in row[1:])
    return pd.DataFrame(rows, columns=["parameter", *names]).set_index("parameter")


def compare(first: str | Path, second: str | Path) -> Comparison:
    """Compare two runs by name or folder; numbers that only one has are kept."""
    folders = [_folder(run) for run in (first, second)]
    runs = [read_run(folder) for folder in folders]
    names = [folder.name for folder in folders]
    names = names if names[0] != names[1] else [str(first), str(second)]
    if folders[0].resolve() == folders[1].resolve():
        raise UserError("Both names mean the same run.", got=names[0], do="Name two runs.")
    parameters = differing(*(run.values for run in runs), names)
    return Comparison(parameters, _numbers(*map(read_numbers, runs), names))


def _numbers(first: pd.DataFrame, second: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the numbers of two runs as texts, their difference, whether intervals overlap."""
    keys = ["part", "label"]
    a, b = (frame.drop_duplicates(keys, keep="last").set_index(keys) for frame in (first, second))
    index = a.index.union(b.index, sort=False).rename(["part", "number"])
    a, b = a.reindex(index), b.reindex(index)
    numbers = pd.DataFrame({names[0]: a["cell"], names[1]: b["cell"]}).fillna("–")
    units = a["unit"].replace("share", "points")
    changes = zip(b["value"] - a["value"], units, strict=True)
    numbers["difference"] = ["" if pd.isna(x) else formatted(x, unit) for x, unit in changes]
    failed = a["doubt"].eq(FAILED) | b["doubt"].eq(FAILED)
    low, high = (np.array([a[end], b[end]], dtype=float) for end in ("low", "high"))
    apart = (high < low[::-1]).any(axis=0)
    known = np.isfinite(low + high).all(axis=0)
    numbers["intervals"] = np.select([~known | failed, apart], ["", "apart"], "overlap")
    numbers.loc[failed, "difference"] = ""
    one, other = (frame["value"].astype(float) for frame in (a, b))
    sizes = np.where(units == "points", 1, np.fmax(one.abs(), other.abs()))
    sizes = ((other - one).abs() / sizes)[~failed].dropna()  # 0 / 0 is dropped
    numbers.attrs["largest"] = sizes.idxmax() if sizes.any() else None
    return numbers


def _folder(run: str | Path) -> Path:
    """Return the folder of a run given by path or name."""
    outputs = paths.outputs("demo").parent
    for folder in (Path(run), paths.root() / run, outputs / run):
        if str(run) and folder.is_dir() and any(folder.glob("*.json*")):
            return folder
    raise paths.no_run(run, do="Or give the folder of a run.")
