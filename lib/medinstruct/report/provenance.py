"""Provenance of a run: roles, settings, versions, hashes, cost, inconsistent files."""

import hashlib
import importlib.metadata
import json
import os
import platform
import sqlite3
from contextlib import closing

import pandas as pd

import medinstruct
from medinstruct import params, paths, records
from medinstruct.pipeline import fingerprint
from medinstruct.report.collect import NAME_KEYS, Run, is_stand_in
from medinstruct.report.published import published

PACKAGES = "openai torch transformers trl peft lm-eval spacy numpy pandas matplotlib papermill"
PAPER = {
    "seeds": "167, written by clinicians",
    "teacher": "GPT-4",
    "responder": "gpt-3.5-turbo",
    "student": "LLaMA 7B and 13B",
    "judge": "gpt-3.5-turbo",
    "test questions": "216 of MedInstruct-test, 1,000 of iCliniq",
    "reviewers": "clinicians, for the seeds",
}


def roles(run: Run) -> pd.DataFrame:
    """Return who played each role here and in the paper, and whether it was a stand-in."""
    seeds = str(run.values.get("seeds", "own"))
    seeds = "shipped here, not reviewed by clinicians" if seeds == "own" else seeds
    items, votes = run.get("freeform", "items"), run.get("quality", "review", "votes", default=0)
    here = dict(run.writers)
    if here.get("student") == "student":
        here["student"] = "a tiny model trained here"
    if "seeds" in run.counts:
        here["seeds"] = f"{run.counts['seeds']:,}, {seeds}"
    if items:
        here["test questions"] = f"{items:,}"
    here["reviewers"] = f"{votes:,} votes of people" if votes else "none"
    rows = [
        (role, here.get(role, "not run"), is_stand_in(run.writers.get(role, "")), paper)
        for role, paper in PAPER.items()
    ]
    return pd.DataFrame(rows, columns=["role", "this run", "stand_in", "paper"]).set_index("role")


def settings(run: Run) -> pd.DataFrame:
    """Return the settings that the paper states beside this run's."""
    theirs = published()["settings"]
    rows = [(key, run.values[key], value) for key, value in theirs.items() if key in run.values]
    return pd.DataFrame(rows, columns=["setting", "this run", "paper"]).set_index("setting")


def differences(run: Run, profile: str = "demo") -> pd.DataFrame:
    """Return the parameters that differ from a profile's, names aside."""
    path = paths.root() / "params" / f"{profile}.yaml"
    theirs = params.profile(path) if path.exists() else {}
    rows = [
        (key, run.values[key], value)
        for key, value in theirs.items()
        if key not in NAME_KEYS and run.values.get(key, value) != value
    ]
    return pd.DataFrame(rows, columns=["parameter", "this run", profile]).set_index("parameter")


def hashes(run: Run) -> dict[str, str]:
    """Return SHA-256 of dataset, adapter, parameters, code and shipped data; "" where absent."""
    code = [*paths.PACKAGE.rglob("*.py"), *(paths.root() / "notebooks").glob("[0-9]*.ipynb")]
    code_hashes = "".join(fingerprint.of_path(path) for path in sorted(code))
    values = {key: value for key, value in run.values.items() if key not in NAME_KEYS}
    return {
        "dataset.jsonl": fingerprint.of_path(run.folder / "dataset.jsonl"),
        "adapter": fingerprint.of_path(run.folder / "adapter" / "adapter_model.safetensors"),
        "parameters": _sha256(json.dumps(values, sort_keys=True)) if values else "",
        "code": _sha256(code_hashes),
        "shipped data": fingerprint.of_path(paths.data("")),
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def versions(run: Run) -> dict[str, str]:
    """Return package versions; also Python and the machine unless the run is reproducible."""
    result = {"medinstruct": medinstruct.__version__}
    for name in PACKAGES.split():
        try:
            result[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if hardware := run.get("training", "lora", "hardware"):
        result["trained on"] = str(hardware)
    if not run.reproducible:
        result["Python"] = platform.python_version()
        cores = f"{os.cpu_count()} cores"
        result["machine"] = f"{platform.system()} {platform.machine()}, {cores}"
    return result


def cost(run: Run) -> pd.DataFrame:
    """Return answers, tokens and US dollars of each model, from answers.sqlite."""
    columns = ["model", "answers", "prompt tokens", "completion tokens", "USD"]
    path, rows = run.folder / "answers.sqlite", []
    query = (
        "SELECT json_extract(answer, '$.model') AS name, count(*), "
        "sum(json_extract(answer, '$.prompt_tokens')), "
        "sum(json_extract(answer, '$.completion_tokens')), total(usd) "
        "FROM answers GROUP BY name ORDER BY name"
    )
    if path.exists():
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                rows = connection.execute(query).fetchall()
        except sqlite3.DatabaseError:
            rows = []
    return pd.DataFrame(rows, columns=columns).set_index("model")


def mismatches(run: Run) -> list[str]:
    """Return one message for each file that belongs to another dataset."""
    examples, measured = run.counts.get("dataset"), run.get("diversity", "examples")
    messages = []
    if examples and measured and examples != measured and not run.values.get("measure"):
        messages.append(
            f"diversity.json counts {measured:,} examples, dataset.jsonl has {examples:,}: "
            "run notebook 05 again."
        )
    trained = run.get("training", "dataset")
    if trained and examples and trained != _dataset_hash(run):
        messages.append(
            "The adapter was trained on another dataset: run notebook 07 again, then 08 and 09."
        )
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
    return [
        name
        for name, value in written.items()
        if not name.endswith((".ipynb", "/"))
        and not name.startswith("report.")
        and value != fingerprint.of_path(run.folder / name)
    ]
