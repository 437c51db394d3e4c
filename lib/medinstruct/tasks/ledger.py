"""Ledger: what became of the tasks that were asked for, and the life of one record."""

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from medinstruct import records
from medinstruct.errors import UserError
from medinstruct.llm import Cache
from medinstruct.records import Dropped, Example, Reject, Response, Task

FILES = {
    "seeds.jsonl": Task,
    "raw_tasks.jsonl": Task,
    "rejects.jsonl": Reject,
    "tasks.jsonl": Task,
    "dropped.jsonl": Dropped,
    "dataset.jsonl": Example,
    "unfinished.jsonl": Response,
}
STAGES = (  # stage, its output, its losses, the field with the reason
    ("asked -> parsed", "raw_tasks.jsonl", "rejects.jsonl", "reason"),
    ("parsed -> new and clean", "tasks.jsonl", "dropped.jsonl", "rule"),
    ("new and clean -> answered", "dataset.jsonl", "unfinished.jsonl", "finish_reason"),
)


def load_ledger(folder: str | Path, *, asked: int, stages: int = 3) -> pd.DataFrame:
    """Load the yield of each stage: `in`, `out`, `lost` and its `reasons` with counts.

    `asked` is the number of tasks asked for. Only the first `stages` are read, since files of later
    ones may be of an earlier run; a stage without files is left out. A reply with more or fewer
    pieces than asked for counts as "not delivered" (negative if more).
    """
    rows, remaining = [], asked
    for stage, output, losses, field in STAGES[:stages]:
        if rows and not (Path(folder) / output).exists():
            break
        out, lost = len(_read(folder, output)), _read(folder, losses)
        reasons = Counter(getattr(record, field) for record in lost)
        if not rows:
            reasons["not delivered"] = asked - out - len(lost)
        reasons = {name: count for name, count in reasons.most_common() if count}
        if remaining - out != sum(reasons.values()):
            do = "Run the notebooks of this stage again; their files are of different runs."
            got = f"{remaining} in, {out} out, {sum(reasons.values())} lost"
            raise UserError(f"The ledger does not add up at {stage}.", got=got, do=do)
        lost = remaining - out
        rows.append({"stage": stage, "in": remaining, "out": out, "lost": lost, "reasons": reasons})
        remaining = out
    return pd.DataFrame(rows).set_index("stage")


def trace(record_id: str, folder: str | Path) -> dict[str, Any]:
    """Return the life of a record: its fields, parents, request with cost, and what followed.

    `fate` lists the records about this task: dropped, answered or unfinished.
    """
    every = {name: _read(folder, name) for name in FILES}
    same = [record for rows in every.values() for record in rows if record.id == record_id]
    if not same:
        do = "Give the id of a seed, task, reject or example of this run."
        raise UserError("No record has this id.", got=record_id, do=do)
    origin = same[-1].provenance
    fate = [(name, r) for name, rows in every.items() for r in rows]
    fate = [(name, r) for name, r in fate if getattr(r, "task", "") == record_id]
    known = every["seeds.jsonl"] + every["raw_tasks.jsonl"]
    return {
        "record": _fields(same[-1]),
        "parents": [_fields(parent) for parent in known if parent.id in origin.parents],
        "request": _request(origin.request, Path(folder) / "answers.sqlite"),
        "fate": [{"file": name, **_fields(record)} for name, record in fate],
    }


def _fields(record: Any) -> dict[str, Any]:
    return record.model_dump(exclude={"provenance"}, exclude_defaults=True)


def _request(key: str, path: Path) -> dict[str, Any]:
    """Return model, tokens, time and cost of a request, as far as the cache holds it."""
    if not key or not path.exists():
        return {"key": key}
    with closing(Cache(path)) as cache:
        row = cache.row(key) or {}
    return {"key": key, **row.pop("request", {}), **row.pop("answer", {}), **row}


def _read(folder: str | Path, name: str) -> list[Any]:
    path = Path(folder) / name
    return records.read(path, FILES[name]) if path.exists() else []
