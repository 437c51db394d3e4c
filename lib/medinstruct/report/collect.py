"""Files of a run: JSON results, row counts, parameters, and the model behind each role."""

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medinstruct import records

JSON_FILES = "generation contamination diversity quality training freeform safety benchmarks"
ROW_FILES = "seeds raw_tasks rejects tasks dropped dataset unfinished human_votes consultations"
STAND_IN = "offline-stand-in"
NAME_KEYS = ("run", "beside", "reproducible")  # say what a run is called, not how it was made


@dataclass(frozen=True)
class Run:
    """One run as the report reads it; files that do not exist yet are absent keys.

    `values` holds the parameters of its executed notebooks, `mixed` those on which notebooks
    disagree, `writers` the model of each role. A reproducible run shows no times and no machine.
    """

    folder: Path
    files: dict[str, Any]
    counts: dict[str, int]
    values: dict[str, Any]
    mixed: dict[str, dict[str, Any]]
    manifest: dict[str, Any]
    writers: dict[str, str]
    reproducible: bool = False

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return self.folder.name

    @property
    def stand_ins(self) -> list[str]:
        """Roles that a stand-in played."""
        return [role for role, model in self.writers.items() if is_stand_in(model)]

    def get(self, name: str, *keys: str, default: Any = None) -> Any:
        """Return a value inside a JSON file, or the default where a key is missing."""
        value = self.files.get(name, {})
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return default if value is None else value


def read_run(folder: str | Path, *, reproducible: bool = False) -> Run:
    """Read everything the report needs from a run's folder; every file is optional."""
    folder = Path(folder)
    paths = [folder / f"{name}.json" for name in [*JSON_FILES.split(), "manifest"]]
    files = {path.stem: json.loads(path.read_text("utf-8")) for path in paths if path.exists()}
    paths = [folder / f"{name}.jsonl" for name in ROW_FILES.split()]
    counts = {path.stem: len(records.rows(path)) for path in paths if path.exists()}
    by_notebook = {path.stem[:2]: parameters(path) for path in executed(folder)}
    values = {key: value for own in by_notebook.values() for key, value in own.items()}
    each = {key: {n: own[key] for n, own in by_notebook.items() if key in own} for key in values}
    mixed = {key: own for key, own in each.items() if len(set(map(repr, own.values()))) > 1}
    manifest, writers = files.pop("manifest", {}), _writers(folder, files, values)
    return Run(folder, files, counts, values, mixed, manifest, writers, reproducible)


def executed(folder: Path) -> list[Path]:
    """Return the executed notebooks of a run, in order, without failed ones."""
    notebooks = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    return [path for path in notebooks if not path.stem.endswith("_failed")]


def is_stand_in(model: str) -> bool:
    """Return whether a model is one of ours that only shows that the pipeline works."""
    return STAND_IN in model or model == "student"


def parameters(notebook: Path) -> dict[str, Any]:
    """Return the parameters of an executed notebook: its defaults, then injected values."""
    values: dict[str, Any] = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if {"parameters", "injected-parameters"} & set(cell["metadata"].get("tags", [])):
            for line in ast.parse("".join(cell["source"])).body:
                target = line.target if isinstance(line, ast.AnnAssign) else line.targets[0]
                values[target.id] = ast.literal_eval(line.value)
    return values


def _writers(folder: Path, files: dict[str, Any], values: dict[str, Any]) -> dict[str, str]:
    """Return the model of each role as the files name it."""
    models = {
        "teacher": _first_model(folder / "raw_tasks.jsonl"),
        "responder": _first_model(folder / "dataset.jsonl"),
        "student": str(files.get("training", {}).get("base_model", "")),
        "judge": str(files.get("freeform", {}).get("judge", "")),
    }
    for role, model in models.items():
        url = str(values.get(f"{role}_url", "")).partition("?")[0]
        models[role] = STAND_IN if model and url == "offline" else model
    return {role: model for role, model in models.items() if model}


def _first_model(path: Path) -> str:
    rows = records.rows(path) if path.exists() else []
    return rows[0][1].get("provenance", {}).get("model", "") if rows else ""
