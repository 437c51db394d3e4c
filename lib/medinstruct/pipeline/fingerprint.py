"""Fingerprint of a notebook: one hash of source, parameters, inputs and this package."""

import hashlib
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from medinstruct import paths, records

UNUSED = {"README.md", "LICENSE", "__pycache__", ".ipynb_checkpoints"}  # no result depends on them


def of_notebook(notebook: Path, *, values: dict[str, Any], out: Path) -> str:
    """Return the hash that decides whether a notebook is up to date."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    io = content["metadata"]["medinstruct"]
    inputs = [*io["reads"], *io.get("reads_if_there", [])]
    parts = {
        "cells": ["".join(cell["source"]) for cell in content["cells"]],
        "values": values,
        "inputs": {name: of_path(out / name) for name in inputs},
        "files": {key: of_path(path) for key, path in files_of(values).items()},
        "library": of_path(paths.PACKAGE),
    }
    return records.content_hash(parts)


def of_path(path: Path) -> str:
    """Return the hash of a file, a folder's files, or a database's votes; "" if it is absent."""
    if path.suffix == ".sqlite" and path.is_file():
        return _of_votes(path)
    if path.is_dir():
        files = [p for p in path.rglob("*") if p.is_file() and not UNUSED & set(p.parts)]
        return records.content_hash([(str(p.relative_to(path)), of_path(p)) for p in sorted(files)])
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _of_votes(path: Path) -> str:
    """Return the hash of the ids of all votes; "" for a database without votes."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
        if not base.execute("SELECT 1 FROM sqlite_master WHERE name = 'votes'").fetchone():
            return ""
        ids = base.execute("SELECT uid FROM votes ORDER BY uid").fetchall()
    return records.content_hash(ids) if ids else ""


def files_of(values: dict[str, Any]) -> dict[str, Path]:
    """Return the user's files and folders that parameters name, resolved as `paths.resolve` does.

    One parameter may name several: "a.csv, b.csv", "model=answers.jsonl", "replay:verdicts.jsonl".
    """
    files = {}
    for key, text in values.items():
        parts = (text, *re.split(r"[,=@]|replay:", text)) if isinstance(text, str) else ()
        for name in (part.strip() for part in parts if re.search(r"[/.]", part)):
            for base in (paths.root(), Path.cwd()):
                if (base / name).exists():
                    files[f"{key}: {name}"] = base / name
    return files
