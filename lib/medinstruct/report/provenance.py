"""Provenance of a run: roles, settings, versions, hashes, cost, inconsistent files."""

import importlib.metadata
import os
import platform
import sqlite3
from contextlib import closing, suppress
from typing import Any

import pandas as pd

import medinstruct
from medinstruct import params, paths, records
from medinstruct.pipeline import fingerprint
from medinstruct.report import definitions
from medinstruct.report.collect import NAME_KEYS, Run, is_stand_in

COST = """
    SELECT json_extract(answer, '$.model') AS model, count(*) AS answers,
      sum(json_extract(answer, '$.prompt_tokens')) AS "prompt tokens",
      sum(json_extract(answer, '$.completion_tokens')) AS "completion tokens", total(usd) AS USD
    FROM answers GROUP BY 1 ORDER BY 1"""


def roles(run: Run) -> pd.DataFrame:
    """Return who played each role here and in the paper, and whether it was a stand-in."""
    here = dict(run.writers)
    if here.get("student") == "student":
        here["student"] = "a tiny model trained here"
    if "seeds" in run.counts:
        seeds = str(run.values.get("seeds", "own"))
        source = "shipped here, not reviewed by clinicians" if seeds == "own" else seeds
        here["seeds"] = f"{run.counts['seeds']:,}, {source}"
    if questions := run.get("freeform", "items"):
        here["test questions"] = f"{questions:,}"
    votes = run.get("quality", "review", "votes", default=0)
    here["reviewers"] = f"{votes:,} votes of people" if votes else "none"
    rows = [
        (role, here.get(role, "not run"), is_stand_in(run.writers.get(role, "")), paper)
        for role, paper in definitions.load("report")["roles"].items()
    ]
    return pd.DataFrame(rows, columns=["role", "this run", "stand_in", "paper"]).set_index("role")


def settings(run: Run) -> pd.DataFrame:
    """Return the settings that the paper states beside this run's."""
    theirs = definitions.load("published")["settings"]
    rows = [(key, run.values[key], value) for key, value in theirs.items() if key in run.values]
    return pd.DataFrame(rows, columns=["setting", "this run", "paper"]).set_index("setting")


def differing(first: dict[str, Any], second: dict[str, Any], names: list[str]) -> pd.DataFrame:
    """Return the parameters that differ, those that only one has last; names of runs aside."""
    keys = [key for key in {**first, **second} if key not in NAME_KEYS]
    rows = [(key, first.get(key, "–"), second.get(key, "–")) for key in keys]
    rows = sorted((row for row in rows if row[1] != row[2]), key=lambda row: "–" in row[1:])
    return pd.DataFrame(rows, columns=["parameter", *names]).set_index("parameter")


def differences(run: Run) -> pd.DataFrame:
    """Return the parameters of a run that differ from those of the demo."""
    demo = params.profile(paths.root() / "params" / "demo.yaml")
    shared = [key for key in demo if key in run.values]
    own, theirs = ({key: values[key] for key in shared} for values in (run.values, demo))
    return differing(own, theirs, ["this run", "demo"])


def hashes(run: Run) -> dict[str, str]:
    """Return hashes of dataset, adapter, parameters, library and notebooks; "" where absent."""
    values = {key: value for key, value in run.values.items() if key not in NAME_KEYS}
    return {
        "dataset.jsonl": fingerprint.of_path(run.folder / "dataset.jsonl"),
        "adapter": fingerprint.of_path(run.folder / "adapter" / "adapter_model.safetensors"),
        "parameters": records.content_hash(values) if values else "",
        "library": fingerprint.of_path(paths.PACKAGE),
        "notebooks": fingerprint.of_path(paths.root() / "notebooks"),
    }


def versions(run: Run) -> dict[str, str]:
    """Return package versions; also Python and the machine unless the run is reproducible."""
    result = {"medinstruct": medinstruct.__version__}
    for name in definitions.load("report")["packages"]:
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
    address = f"file:{path}?mode=ro" if path.exists() else ":memory:"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        try:
            return pd.read_sql_query(COST, connection, index_col="model")
        except pd.errors.DatabaseError:
            return pd.DataFrame(columns=["USD"])


def mismatches(run: Run) -> list[str]:
    """Return one message for each file that belongs to another dataset."""
    examples, measured = run.counts.get("dataset"), run.get("diversity", "examples")
    messages = []
    if examples and measured and examples != measured and not run.values.get("measure"):
        counts = f"diversity.json counts {measured:,} examples, dataset.jsonl has {examples:,}"
        messages.append(f"{counts}: run notebook 05 again.")
    trained = run.get("training", "dataset")
    if trained and examples and trained != _dataset_hash(run):
        again = "run notebook 07 again, then 08 and 09."
        messages.append(f"The adapter was trained on another dataset: {again}")
    return messages


def _dataset_hash(run: Run) -> str:
    """Return the content hash of the file that the adapter learned from."""
    path = run.folder / run.get("training", "learned_from", default="dataset.jsonl")
    path = path if path.exists() else run.folder / "dataset.jsonl"
    rows = [row for _, row in records.rows(path)]
    texts = [[row["instruction"], row.get("input", ""), row["output"]] for row in rows]
    return records.content_hash(sorted(texts))


def changed(run: Run) -> list[str]:
    """Return files that differ from what the runner wrote, for example after a run by hand."""
    written = {name: h for entry in run.manifest.values() for name, h in entry["written"].items()}
    own = (".ipynb", "/", "report.json", "report.html")
    names = [name for name in written if not name.endswith(own)]
    return [name for name in names if written[name] != fingerprint.of_path(run.folder / name)]
