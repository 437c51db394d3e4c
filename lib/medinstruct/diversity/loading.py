"""Any dataset as one table: a run's files, seeds, an Alpaca-format JSON, or a dataset of the hub; missing fields stay missing."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medinstruct import labels, paths, records
from medinstruct.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

AXES = ("type", "view", "topic", "difficulty")
TEXTS = ("instruction", "input", "output")
NO_LABEL, NO_MATCH = UNLABELLED = ["(no label)", "(no match)"]
# Other projects' names for the same fields.
ALIASES = {
    "response": "output",
    "context": "input",
    "question": "instruction",
    "prompt": "instruction",
}
DATA_FILES = ("dataset.jsonl", "tasks.jsonl", "seeds.jsonl")


def load(source: str | Path) -> "pd.DataFrame":
    """A dataset as a table, from a path, a URL, a run's folder or name, or `owner/name` on the hub (needs `datasets`)."""
    table = frame(_rows(str(source).strip()))
    if table.empty:
        raise UserError(
            "A dataset holds no task.",
            got=str(source),
            do="Run the earlier notebooks, or check the file.",
        )
    return table


def load_named(sources: str) -> "dict[str, pd.DataFrame]":
    """Datasets named by commas; each is called by as much of the end of its path as tells it from the others."""
    found = list(dict.fromkeys(source.strip() for source in sources.split(",") if source.strip()))
    return {_ending(source, found): load(source) for source in found}


def _ending(source: str, sources: list[str]) -> str:
    parts = source.rstrip("/").split("/")
    ends = ("/".join(parts[-n:]) for n in range(1, len(parts)))
    return next(
        (
            end
            for end in ends
            if sum(f"/{other.rstrip('/')}".endswith(f"/{end}") for other in sources) == 1
        ),
        source,
    )


def frame(rows: Iterable[dict[str, Any]]) -> "pd.DataFrame":
    """One row a task: the texts, the raw labels, and under `type_of`, `view_of`, ... the one spelling we count by.

    A task without a label, or with one that no rule knows, is counted under "(no label)" or "(no match)".
    """
    import pandas as pd

    kept = [_fields(row) for row in rows]
    table = pd.DataFrame(kept, columns=[*AXES, *TEXTS, "model"])
    for axis in AXES:
        table[f"{axis}_of"] = pd.Series(
            [_label(axis, raw) for raw in table[axis]], dtype=object, index=table.index
        )
    return table


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    named = {ALIASES[key]: value for key, value in row.items() if key in ALIASES} | row
    texts = {key: str(named[key]) if named.get(key) is not None else "" for key in TEXTS}
    texts["input"] = (
        "" if texts["input"].lower().strip("\"' .") in records.NO_INPUT else texts["input"]
    )
    source = row.get("provenance")
    model = str(source.get("model", "")) if isinstance(source, dict) else ""
    return {axis: _plain(named.get(axis)) for axis in AXES} | texts | {"model": model}


def _plain(value: Any) -> str:
    return " ".join(str(value).split()) if value is not None else ""


def _label(axis: str, raw: str) -> str | int:
    found = labels.canonical(axis, raw) if raw else NO_LABEL
    return NO_MATCH if found is None else found


def _rows(source: str) -> list[dict[str, Any]]:
    folder = _folder(source)
    if folder:
        file = next((folder / name for name in DATA_FILES if (folder / name).exists()), None)
        if file is None:
            raise UserError(
                f"{source} holds no dataset.",
                got=str(folder),
                do=f"It needs one of {', '.join(DATA_FILES)}.",
            )
        return [row for _, row in records.rows(file)]
    if (
        source.count("/") == 1
        and not source.endswith((".json", ".jsonl"))
        and not Path(source).exists()
    ):
        return _from_hub(source)
    return [row for _, row in records.rows(paths.resolve(source))]


def _folder(source: str) -> Path | None:
    """The folder that a path or a run's name means, without making one."""
    if Path(source).is_dir():
        return Path(source)
    runs = Path(os.environ.get("MEDINSTRUCT_OUTPUTS") or paths.root() / "outputs")
    return runs / source if Path(source).name == source and (runs / source).is_dir() else None


def _from_hub(name: str) -> list[dict[str, Any]]:
    do = "Install the extra `train` (it brings `datasets`) and check name and network, or download the file and give its path."
    try:
        from datasets import load_dataset

        return list(load_dataset(name, split="train"))
    except Exception as error:  # the hub's own errors are many
        raise UserError(
            f"{name} could not be loaded from the hub.", got=str(error).split("\n")[0], do=do
        ) from None
