"""Provenance of a run: roles, settings, versions, hashes, cost, inconsistent files."""

import importlib.metadata
import os
import platform
from contextlib import closing, suppress

import pandas as pd

import medinstruct
from medinstruct import database, manifest, params, paths, records, training
from medinstruct.report.results import NAME_KEYS, REPORT, Run, differing, fill


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
    """Return hashes of dataset, adapter, parameters, library and notebooks; "" where absent."""
    values = {key: value for key, value in run.values.items() if key not in NAME_KEYS}
    return {
        "dataset.jsonl": manifest.of_path(run.folder / "dataset.jsonl"),
        "adapter": manifest.of_path(run.folder / "adapter" / "adapter_model.safetensors"),
        "parameters": records.content_hash(values) if values else "",
        "library": manifest.of_path(paths.PACKAGE),
        "notebooks": manifest.of_path(paths.root() / "notebooks"),
    }


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
    if trained and trained != training.dataset_hash(records.read(path, records.Example)):
        again = "run notebook 08 again, then 10 and 12."
        messages.append(f"The adapter was trained on another dataset: {again}")
    return messages


def changed(run: Run) -> list[str]:
    """Return files that differ from what the runner wrote, for example after a run by hand."""
    own, written = (".ipynb", "/", "report.json", "report.html"), {}
    for entry in run.files.get("manifest", {}).values():
        written |= entry.get("written", {})
    names = [name for name in written if not name.endswith(own)]
    return [name for name in names if written[name] != manifest.of_path(run.folder / name)]
