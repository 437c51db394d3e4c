"""What a run left behind: its JSON files, the lengths of its JSONL files, the values it ran with, and which models wrote it."""

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOTEBOOKS = {
    "generation": "02",
    "contamination": "03",
    "filtering": "03",
    "diversity": "05",
    "quality": "06",
    "training": "07",
    "freeform": "08",
    "safety": "08",
    "benchmarks": "09",
}
LISTS = (
    "seeds",
    "raw_tasks",
    "rejects",
    "tasks",
    "dropped",
    "dataset",
    "unfinished",
    "human_votes",
    "consultations",
)
OFFLINE = "offline-stand-in"
NAMES = ("run", "beside")  # parameters that say what a run is called, not how it was made


@dataclass(frozen=True)
class Run:
    """One run as the report sees it; what is not there yet is an empty dict or no key.

    `values` are the parameters of its executed notebooks; `mixed` those that two notebooks did not share.
    """

    folder: Path
    name: str
    files: dict[str, Any]
    counts: dict[str, int]
    values: dict[str, Any]
    mixed: dict[str, dict[str, Any]]
    manifest: dict[str, Any]
    writers: dict[str, str]

    @property
    def is_timed(self) -> bool:
        """Whether measured times and the machine are shown; the demo that is kept in git is the same at every run."""
        return self.name != "demo"

    @property
    def stand_ins(self) -> list[str]:
        """The roles that a stand-in played."""
        return [role for role, name in self.writers.items() if is_stand_in(name)]

    def of(self, name: str, *keys: str, default: Any = None) -> Any:
        """A value inside one of the JSON files, or the default where it is missing."""
        found = self.files.get(name, {})
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return default if found is None else found


def gather(folder: str | Path) -> Run:
    """Read all that the report needs from the folder of a run; nothing there is required."""
    folder = Path(folder)
    found = {name: _json(folder / f"{name}.json") for name in NOTEBOOKS}
    files = {name: content for name, content in found.items() if content}
    counts = {
        name: _lines(folder / f"{name}.jsonl")
        for name in LISTS
        if (folder / f"{name}.jsonl").exists()
    }
    books = [
        path
        for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))
        if not path.stem.endswith("_failed")
    ]
    each = {path.stem: values_of(path) for path in books}
    values = {key: value for own in each.values() for key, value in own.items()}
    said = {key: {name[:2]: own[key] for name, own in each.items() if key in own} for key in values}
    mixed = {key: own for key, own in said.items() if len(set(map(repr, own.values()))) > 1}
    return Run(
        folder,
        folder.name,
        files,
        counts,
        values,
        mixed,
        _json(folder / "manifest.json"),
        _writers(folder, files, values),
    )


def is_stand_in(name: str) -> bool:
    """Whether a model is one of ours that only shows that the pipeline works."""
    return OFFLINE in name or name == "student"


def values_of(notebook: Path) -> dict[str, Any]:
    """The parameters that an executed notebook ran with: its defaults, and over them what papermill injected."""
    values: dict[str, Any] = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if {"parameters", "injected-parameters"} & set(cell["metadata"].get("tags", [])):
            for line in ast.parse("".join(cell["source"])).body:
                target = line.target if isinstance(line, ast.AnnAssign) else line.targets[0]
                values[target.id] = ast.literal_eval(line.value)
    return values


def _writers(folder: Path, files: dict[str, Any], values: dict[str, Any]) -> dict[str, str]:
    """Which model played each role, as the files themselves say."""
    said = {
        "teacher": _first_model(folder / "raw_tasks.jsonl"),
        "responder": _first_model(folder / "dataset.jsonl"),
        "student": str(files.get("training", {}).get("base_model", "")),
        "judge": str(files.get("freeform", {}).get("judge", "")),
    }
    urls = {role: str(values.get(f"{role}_url", "")).partition("?")[0] for role in said}
    return {
        role: OFFLINE if name and urls[role] == "offline" else name
        for role, name in said.items()
        if name
    }


def _first_model(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open(encoding="utf-8") as file:
        line = next((text for text in file if text.strip()), "{}")
    return json.loads(line).get("provenance", {}).get("model", "")


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _lines(path: Path) -> int:
    with path.open(encoding="utf-8") as file:
        return sum(1 for line in file if line.strip())
