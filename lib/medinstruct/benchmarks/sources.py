"""Files as they are published, the hub at a pinned commit, addresses with a checksum; and what is said where none can be had."""

import functools
import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from medinstruct import paths, records
from medinstruct.errors import UserError

SUFFIXES = (".jsonl", ".json", ".parquet", ".csv", ".tsv", ".xlsx")


class Unreachable(Exception):
    """The data of a benchmark cannot be had just now."""


def hub(path: str, part: str | None, revision: str) -> Any:
    """The splits of a data set of the hub at one commit."""
    from datasets import load_dataset

    with nullcontext() if hub_answers() else offline():
        try:
            return load_dataset(path, part, revision=revision)
        except (OSError, ValueError, RuntimeError) as error:
            if not hub_answers():
                raise Unreachable("not reachable: no answer, and no local file") from None
            raise Unreachable(
                f"not reachable: {type(error).__name__}: {str(error).splitlines()[0][:160]}"
            ) from None


@contextmanager
def offline() -> Iterator[None]:
    """The hub's libraries without the network: what was fetched before is found, the rest fails at once."""
    import datasets
    import huggingface_hub.constants as constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def fetched(link: str) -> Path:
    """A file from its authors' address; one that differs from the pinned checksum is a UserError."""
    try:
        return paths.resolve(link)
    except UserError as problem:
        if "pinned" in problem.what:
            raise
        raise Unreachable("not reachable: no answer, and no local file") from None


@functools.cache
def hub_answers() -> bool:
    """Whether the hub answers within a few seconds; asked once, so that a machine without network loses no time."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return False
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=4):
            return True
    except OSError:
        return False


def read(path: Path, name: str) -> list[tuple[Any, dict[str, Any]]]:
    """The rows of a file, each with its number from 1 (or its key)."""
    import pandas as pd

    if path.suffix not in SUFFIXES:
        raise UserError(
            f"Benchmark {name}: this kind of file is not known.",
            got=path,
            do=f"Give {', '.join(SUFFIXES)}.",
        )
    if path.suffix == ".jsonl":
        return records.rows(path)
    if path.suffix == ".json":
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(
                f"Benchmark {name}: {path} is not JSON.",
                got=error,
                do="Give the file as it is published.",
            ) from None
        pairs = content.items() if isinstance(content, dict) else enumerate(content, 1)
        return [
            (key, row | ({"id": key} if isinstance(content, dict) else {})) for key, row in pairs
        ]
    read = {".parquet": pd.read_parquet, ".csv": pd.read_csv, ".xlsx": pd.read_excel}.get(
        path.suffix
    )
    frame = read(path) if read else pd.read_csv(path, sep="\t")
    return [
        (n, {str(key): value for key, value in row.items()})
        for n, row in enumerate(frame.to_dict("records"), 1)
    ]
