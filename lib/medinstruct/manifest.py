"""Manifest: the values, inputs and outputs of each notebook of a run."""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from medinstruct import database, models, network, paths, records
from medinstruct.errors import UserError

# No result depends on these.
UNUSED = {"README.md", "LICENSE", "__pycache__", ".ipynb_checkpoints", ".DS_Store", "error.log"}
MAY_BE_EMPTY = {"rejects.jsonl", "dropped.jsonl"}
FILES = ("manifest.json", ".state.json")  # the same on every machine; times and fingerprints
FREE = {"run", "read_from", "budget_usd", "push_to_hub", "reproducible", "beside"}  # may differ


@dataclass(frozen=True)
class Stage:
    """One notebook at work: its run's folder, its values, and the hashes of what it depends on."""

    notebook: str
    folder: Path
    values: dict[str, Any]
    read: dict[str, str]
    parts: dict[str, str]

    def record(self, **more: Any) -> None:
        """Enter the notebook in the run's manifest, with the hashes of the files it wrote."""
        source = paths.notebook(self.notebook)
        files = {"read": self.read, "written": written(source, self.folder)}
        _update(self.folder / FILES[0], {self.notebook: {"values": self.values} | files})
        _update(self.folder / FILES[1], {self.notebook: {"parts": self.parts} | more})

    def changes(self) -> list[str]:
        """Return why the notebook would run; nothing if what it wrote is up to date."""
        entry, name = load(self.folder).get(self.notebook, {}), f"{self.notebook}.ipynb"
        if "parts" not in entry:
            return ["never run here"]
        outputs = written(paths.notebook(self.notebook), self.folder)
        outputs[name] = of_path(self.folder / name)
        pairs = {
            "parameter ": (entry["values"], self.values),
            "input ": (entry["read"], self.read),
            "": (entry["parts"], self.parts),
            "output ": (entry["written"] | {name: entry.get("executed")}, outputs),
        }
        return [
            f"{kind}{key} changed"
            for kind, (old, new) in pairs.items()
            for key in sorted({*old, *new} - {"run", "read_from"})
            if old.get(key) != new.get(key)
        ]


def begin(notebook: str, values: dict[str, Any]) -> Stage:
    """Return the stage of a notebook whose values fit the run and whose inputs exist.

    What the run lacks is copied from the run `read_from`. Other values, or no input: UserError.
    """
    stage, io = look(notebook, values), paths.metadata(paths.notebook(notebook))
    if changes := other_values(stage):
        other = f"Write to another run (run: mine, read_from: {stage.folder.name})"
        do = f"{other}, or overwrite: `run` the notebooks named here with --force."
        what = f"The files of run {stage.folder.name} were written with other values."
        raise UserError(what, got="; ".join(changes), do=do)
    origin = paths.outputs(values.get("read_from") or values["run"])
    if values.get("read_from") and not origin.exists():
        what, do = "`read_from` does not name a run.", "Or leave it empty."
        raise paths.no_run(values["read_from"], what, do=do)
    for name in io.get("reads", []) if values.get("answerer", "here") else []:  # "": no model
        file = _place(name, origin, stage.folder)
        if not file.exists() or (name not in MAY_BE_EMPTY and not file.stat().st_size):
            do = "Or name in `read_from` a run that has the file."
            raise paths.missing(file, run=values["run"], do=do)
    if origin != stage.folder:
        _copy_inputs(inputs(io), origin, stage.folder)
    return stage


def look(notebook: str, values: dict[str, Any]) -> Stage:
    """Return the stage of a notebook as it would begin now; nothing is checked or copied."""
    named = models.named_in(values)  # an unknown name is refused before anything is paid for
    source, folder = paths.notebook(notebook), paths.outputs(values["run"])
    origin = paths.outputs(values.get("read_from") or values["run"])
    read = {name: of_path(_place(name, origin, folder)) for name in inputs(paths.metadata(source))}
    parts = {
        "source": ["".join(cell["source"]) for cell in paths.cells(source)],
        "entry in params/models.yaml": named,
        "file of a parameter": {key: of_path(path) for key, path in files_of(values).items()},
        "package": of_path(paths.PACKAGE),
    }
    parts = {kind: records.content_hash(part) for kind, part in parts.items()}
    shown = json.loads(network.public(json.dumps(values)))  # without passwords
    return Stage(notebook, folder, shown, {name: h for name, h in read.items() if h}, parts)


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the manifest of a run with its state: notebook -> entry; empty for a new run."""
    manifest, state = (paths.read_json(folder / name) for name in FILES)
    return {name: entry | state.get(name, {}) for name, entry in manifest.items()}


def forget(folder: Path, notebooks: list[str]) -> None:
    """Remove the entries of notebooks, so that their files may be overwritten."""
    path = folder / FILES[0]
    if entries := paths.read_json(path):
        kept = {name: entry for name, entry in entries.items() if name not in notebooks}
        records.write_json(path, kept)


def _update(path: Path, entries: dict[str, dict[str, Any]]) -> None:
    lock = FileLock(path.with_name(".manifest.lock"), timeout=60)  # of kernels side by side
    with paths.writing(path), lock:
        records.write_json(path, paths.read_json(path) | entries)


def inputs(io: dict[str, Any]) -> list[str]:
    """Return the names of the files that a notebook reads, required or not."""
    return [*io.get("reads", []), *io.get("reads_if_there", [])]


def written(source: Path, folder: Path) -> dict[str, str]:
    """Return the hashes of the files that a notebook writes, "" where one does not exist."""
    return {name: of_path(folder / name) for name in paths.metadata(source).get("writes", [])}


def of_path(path: Path) -> str:
    """Return the hash of a file, a folder's files, or a database's votes; "" if it is absent."""
    if path.suffix == ".sqlite" and path.is_file():
        with closing(database.read(path)) as base:
            has_votes = base.execute("SELECT 1 FROM sqlite_master WHERE name = 'votes'").fetchone()
            ids = has_votes and base.execute("SELECT uid FROM votes ORDER BY uid").fetchall()
        return records.content_hash(ids) if ids else ""
    if path.is_dir():
        names = sorted(p.relative_to(path).parts for p in path.rglob("*") if p.is_file())
        names = [name for name in names if not UNUSED & set(name)]
        return records.content_hash([("/".join(n), of_path(path.joinpath(*n))) for n in names])
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def files_of(values: dict[str, Any]) -> dict[str, Path]:
    """Return the files that parameters name, also in lists, maps and "replay:votes.jsonl"."""
    files = {}
    for key, value in values.items():
        for text in texts(value):
            name = text.removeprefix("replay:").partition("#sha256=")[0]
            if re.search(r"[/.\\]", name) and (path := paths.find(name)):
                files[f"{key}: {name}"] = path
    return files


def texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value, a list, or the values of a map."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


def other_values(stage: Stage) -> list[str]:
    """Return the values with which this or an earlier notebook wrote files that are still there."""
    changes = [
        f"{key} was {old!r} in {name}, is {stage.values[key]!r} now"
        for name, entry in load(stage.folder).items()
        if name <= stage.notebook
        if any((stage.folder / file).exists() for file in entry.get("written", ()))
        for key, old in entry.get("values", {}).items()
        if key not in FREE and stage.values.get(key, old) != old
    ]
    return list(dict.fromkeys(changes))


def _place(name: str, origin: Path, folder: Path) -> Path:
    """Return the file that counts: the run's own, else that of the run it reads."""
    own, other = folder / name, origin / name
    is_copy = load(folder).get("copied", {}).get(name) == of_path(own)
    return other if not own.exists() or (is_copy and other.exists()) else own


def _copy_inputs(names: list[str], origin: Path, folder: Path) -> None:
    """Copy what a run lacks from the run it reads; a copy of an older version is replaced."""
    copied = load(folder).get("copied", {})
    for name in names:
        source = _place(name, origin, folder)
        if source.exists() and source != folder / name:
            _copy(source, folder / name)
            copied[name] = of_path(source)
    _update(folder / FILES[0], {"copied": copied})


def _copy(source: Path, target: Path) -> None:
    """Copy so that the copy is complete or absent, and may be written though the source may not."""
    if source.is_file():
        paths.write_bytes(target, source.read_bytes())
        return
    with paths.writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as draft:
            copy = Path(shutil.copytree(source, f"{draft}/copy", copy_function=shutil.copyfile))
            copy.chmod(0o755)
            shutil.rmtree(target, ignore_errors=True)
            copy.rename(target)
