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
    """Return the life of a record: files, fields, parents, request with cost, and what became of it."""
    every = [(name, record) for name in FILES for record in _read(folder, name)]
    same = {name: record for name, record in every if record.id == record_id}
    if not same:
        do = "Give the id of a seed, task, reject or example of this run."
        raise UserError("No record has this id.", got=record_id, do=do)
    record = list(same.values())[-1]
    parents = {r.id: r for name, r in every if name in ("seeds.jsonl", "raw_tasks.jsonl")}
    followers = [(name, r) for name, r in every if getattr(r, "task", None) == record_id]
    return {
        "files": list(same),
        "record": _fields(record),
        "parents": [_fields(parents[n]) for n in record.provenance.parents if n in parents],
        "request": _request(record.provenance.request, Path(folder) / "answers.sqlite"),
        "fate": [{"file": name, **_fields(follower)} for name, follower in followers],
    }


def _fields(record: Any) -> dict[str, Any]:
    return record.model_dump(exclude={"provenance"}, exclude_defaults=True)


def _request(key: str, path: Path) -> dict[str, Any]:
    """Return model, tokens, time and cost of a request; empty without one."""
    if not key or not path.exists():
        return {"key": key} if key else {}
    with closing(Cache(path)) as cache:
        row = cache.row(key)
    if not row:
        return {"key": key}
    answered = ("model", "finish_reason", "prompt_tokens", "completion_tokens")
    answer = {name: row["answer"][name] for name in answered}
    spent = {name: row[name] for name in ("at", "seconds", "usd")}
    return {"key": key, **answer, **spent, "parameters": row["request"]["parameters"]}


def _read(folder: str | Path, name: str) -> list[Any]:
    path = Path(folder) / name
    return records.read(path, FILES[name]) if path.exists() else []
