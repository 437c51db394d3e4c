"""What a notebook's result depends on, as one hash: its source, its parameters, its inputs, and the rooms it imports."""

import ast
import hashlib
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from medinstruct import paths


def of_notebook(notebook: Path, *, values: dict[str, Any], out: Path) -> str:
    """The hash that decides whether a notebook is up to date."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    io = content["metadata"]["medinstruct"]
    cells = ["".join(cell["source"]) for cell in content["cells"]]
    code = "\n".join(
        "".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"
    )
    parts = {
        "cells": cells,
        "values": values,
        "inputs": {
            name: of_path(out / name) for name in [*io["reads"], *io.get("reads_if_there", [])]
        },
        "given": {key: of_path(path) for key, path in given(values).items()},
        "library": {
            str(path.relative_to(paths.PACKAGE)): of_path(path) for path in sorted(rooms(code))
        },
        "data": of_path(paths.data("")),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def of_path(path: Path) -> str:
    """The hash of a file, of a folder's files, or of the votes in a database; "" where there is none."""
    if path.suffix == ".sqlite":
        return _of_votes(path)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        return hashlib.sha256(
            "".join(f"{p.relative_to(path)}{of_path(p)}" for p in files).encode()
        ).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _of_votes(path: Path) -> str:
    """Votes are only ever added: their ids tell whether people have voted since; a database without votes counts as none."""
    if not path.is_file():
        return ""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
        has_votes = base.execute("SELECT 1 FROM sqlite_master WHERE name = 'votes'").fetchone()
        ids = (
            [row[0] for row in base.execute("SELECT uid FROM votes ORDER BY uid")]
            if has_votes
            else []
        )
    return hashlib.sha256("".join(ids).encode()).hexdigest() if ids else ""


def given(values: dict[str, Any]) -> dict[str, Path]:
    """The files and folders of the user's that parameters name, looked for as `paths.resolve` does.

    A parameter may name several: "a.csv, b.csv", "model=answers.jsonl" or "replay:verdicts.jsonl".
    """
    texts = [(key, value) for key, value in values.items() if isinstance(value, str)]
    named = [
        (key, part.strip())
        for key, text in texts
        for part in (text, *re.split(r"[,=@]|replay:", text))
    ]
    named = [(key, name) for key, name in named if re.search(r"[/.]", name)]
    bases = (paths.root(), Path.cwd())  # the last one found counts
    return {
        f"{key}: {name}": base / name
        for base in bases
        for key, name in named
        if (base / name).exists()
    }


def rooms(code: str) -> set[Path]:
    """The files of this package that a notebook's code imports, and those that they import in turn."""
    seen: set[Path] = set()
    waiting = _imported(
        re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE).replace("await ", "")
    )
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting |= _imported(path.read_text(encoding="utf-8"))
    return seen


def _imported(code: str) -> set[Path]:
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "medinstruct":
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {
                alias.name for alias in node.names if alias.name.split(".")[0] == "medinstruct"
            }
    return {file for name in names for file in _files(name)}


def _files(name: str) -> set[Path]:
    base = paths.PACKAGE.joinpath(*name.split(".")[1:])
    return {
        path
        for path in (base.with_suffix(".py"), base / "__init__.py")
        if path.is_file() and base != paths.PACKAGE
    }
