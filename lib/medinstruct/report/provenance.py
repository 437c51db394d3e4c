"""On what, with what, by whom and for how much: roles, settings beside the paper's, versions, hashes, cost, and what does not fit."""

import hashlib
import importlib.metadata
import json
import os
import platform
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd

import medinstruct
from medinstruct import params, paths, records
from medinstruct.pipeline import fingerprint
from medinstruct.report.gather import NAMES, Run, is_stand_in
from medinstruct.report.published import published

PACKAGES = (
    "openai",
    "torch",
    "transformers",
    "trl",
    "peft",
    "lm-eval",
    "numpy",
    "pandas",
    "matplotlib",
    "papermill",
)
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
    """Who played which role here and in the paper, and whether it was a stand-in."""
    seeds = {"own": "shipped here, not reviewed by clinicians"}.get(
        run.values.get("seeds", "own"), str(run.values.get("seeds"))
    )
    items = run.of("freeform", "items")
    votes = run.of("quality", "review", "votes", default=0)
    here = {
        "seeds": f"{run.counts['seeds']:,}, {seeds}" if "seeds" in run.counts else "",
        "teacher": run.writers.get("teacher", ""),
        "responder": run.writers.get("responder", ""),
        "student": "a tiny model trained here"
        if run.writers.get("student") == "student"
        else run.writers.get("student", ""),
        "judge": run.writers.get("judge", ""),
        "test questions": f"{items:,}" if items else "",
        "reviewers": f"{votes:,} votes of people" if votes else "nobody",
    }
    rows = [
        (role, here[role] or "has not run", is_stand_in(run.writers.get(role, "")), PAPER[role])
        for role in PAPER
    ]
    return pd.DataFrame(rows, columns=["role", "this run", "stand_in", "paper"]).set_index("role")


def settings(run: Run) -> pd.DataFrame:
    """The settings that the paper states, beside this run's."""
    rows = [
        (key, run.values[key], value)
        for key, value in published()["settings"].items()
        if key in run.values
    ]
    return pd.DataFrame(rows, columns=["setting", "this run", "paper"]).set_index("setting")


def differs(run: Run, profile: str = "params/demo.yaml") -> pd.DataFrame:
    """The parameters that differ from a profile's, the name of the run aside."""
    path = paths.root() / profile
    theirs = params.profile(path) if path.exists() else {}
    rows = [
        (key, run.values[key], value)
        for key, value in theirs.items()
        if key not in NAMES and run.values.get(key, value) != value
    ]
    return pd.DataFrame(rows, columns=["parameter", "this run", Path(profile).stem]).set_index(
        "parameter"
    )


def nearest_profile(run: Run) -> tuple[str, int]:
    """The shipped profile with the fewest values that differ, and how many do; ("", 0) where no values are known."""
    shipped = sorted((paths.root() / "params").glob("*.yaml"), key=lambda path: path.stem != "demo")
    found = (
        [(len(differs(run, f"params/{path.name}")), path.stem) for path in shipped]
        if run.values
        else []
    )
    return min(found, key=lambda one: one[0])[::-1] if found else ("", 0)


def hashes(run: Run) -> dict[str, str]:
    """SHA-256 of the dataset, the adapter, the parameters, the code and the shipped data; "" for what is not there."""
    code = sorted(
        [*paths.PACKAGE.rglob("*.py"), *(paths.root() / "notebooks").glob("[0-9]*.ipynb")]
    )
    values = {key: value for key, value in run.values.items() if key not in NAMES}
    return {
        "dataset.jsonl": fingerprint.of_path(run.folder / "dataset.jsonl"),
        "adapter": fingerprint.of_path(run.folder / "adapter" / "adapter_model.safetensors"),
        "parameters": hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
        if values
        else "",
        "code": hashlib.sha256(
            "".join(fingerprint.of_path(path) for path in code).encode()
        ).hexdigest(),
        "shipped data": fingerprint.of_path(paths.data("")),
    }


def versions(run: Run) -> dict[str, str]:
    """The packages that matter, and on a timed run Python and the machine."""
    found = {"medinstruct": medinstruct.__version__}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    trained_on = run.of("training", "lora", "hardware")
    found |= {"trained on": str(trained_on)} if trained_on else {}
    machine = {
        "Python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    return found | (machine if run.is_timed else {})


def cost(run: Run) -> pd.DataFrame:
    """One row a model that was asked: answers kept, tokens and dollars, from answers.sqlite."""
    columns = ["model", "answers", "prompt tokens", "completion tokens", "USD"]
    path = run.folder / "answers.sqlite"
    if not path.exists():
        return pd.DataFrame(columns=columns).set_index("model")
    sums = ", ".join(
        f"sum(json_extract(answer, '$.{name}'))" for name in ("prompt_tokens", "completion_tokens")
    )
    query = (  # total() and not sum(): a cache of the first version has no costs
        f"SELECT json_extract(answer, '$.model') AS name, count(*), {sums}, total(usd) FROM answers GROUP BY name ORDER BY name"
    )
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            rows = connection.execute(query).fetchall()
    except sqlite3.DatabaseError:
        rows = []
    return pd.DataFrame(rows, columns=columns).set_index("model")


def mismatches(run: Run) -> list[str]:
    """Files that do not belong together, each with the notebook to run again."""
    made, found = run.counts.get("dataset"), []
    measured = run.of("diversity", "examples")
    if None not in (made, measured) and made != measured and not run.values.get("measure"):
        found.append(
            f"diversity.json counts {measured:,} examples, dataset.jsonl has {made:,}: run notebook 05 again."
        )
    trained = run.of("training", "dataset")
    if trained and made:
        learned = run.folder / run.of("training", "learned_from", default="dataset.jsonl")
        rows = [
            row
            for _, row in records.rows(
                learned if learned.exists() else run.folder / "dataset.jsonl"
            )
        ]
        if trained != records.content_hash(
            sorted([row["instruction"], row.get("input", ""), row["output"]] for row in rows)
        ):
            found.append(
                "The adapter was trained on another dataset: run notebook 07 again, then 08 and 09."
            )
    return found


def changed(run: Run) -> list[str]:
    """Files that are not as the runner left them, for example because a notebook was run by hand."""
    written = {
        name: value for entry in run.manifest.values() for name, value in entry["written"].items()
    }
    plain = {
        name: value
        for name, value in written.items()
        if not name.endswith((".ipynb", "/")) and not name.startswith("report.")
    }
    return [
        name for name, value in plain.items() if value != fingerprint.of_path(run.folder / name)
    ]
