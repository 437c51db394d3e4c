"""Ledger: what became of the tasks that were asked for."""

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from medinstruct import records
from medinstruct.errors import UserError
from medinstruct.records import Dropped, Example, Reject, Response, Task

STAGES = (  # stage, its output, its losses, the field with the reason
    ("asked -> parsed", ("raw_tasks", Task), ("rejects", Reject), "reason"),
    ("parsed -> new and clean", ("tasks", Task), ("dropped", Dropped), "rule"),
    ("new and clean -> answered", ("dataset", Example), ("unfinished", Response), "finish_reason"),
)


def load_ledger(folder: str | Path, *, asked: int, stages: int = 3) -> pd.DataFrame:
    """Load the yield of each stage: `in`, `out`, `lost` and its `reasons` with counts.

    `asked` is the number of tasks asked for. Only the first `stages` are read, since files of later
    ones may be of an earlier run; a stage without files is left out. A reply with more or fewer
    pieces than asked for counts as "not delivered" (negative if more).
    """
    rows, remaining = [], asked
    for stage, output, losses, field in STAGES[:stages]:
        if rows and not (Path(folder) / f"{output[0]}.jsonl").exists():
            break
        out, lost = len(_read(folder, *output)), _read(folder, *losses)
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


def _read(folder: str | Path, name: str, kind: type[records.Record]) -> list[Any]:
    path = Path(folder) / f"{name}.jsonl"
    return records.read(path, kind) if path.exists() else []
