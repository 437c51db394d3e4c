"""The yield ledger: what was asked for, what became of it, and why the rest was lost; and the life of a single record."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from medinstruct import plotting, records
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


def ledger(folder: str | Path, *, asked: int, stages: int = 3) -> pd.DataFrame:
    """One row a stage: in, out, lost, and the reasons with their counts; `in` less `lost` is `out`, and `out` the next `in`.

    `asked` is the number of tasks asked for; only the first `stages` are shown, since files of later stages may be of an earlier
    run. Stages whose files are not there yet are left out. A reply may hold more or fewer pieces than were asked for; the
    difference stands as a reason of the first stage (negative where there were more).
    """
    folder = Path(folder)
    raw, rejects = _read(folder, "raw_tasks.jsonl"), _read(folder, "rejects.jsonl")
    gone = {"not delivered": asked - len(raw) - len(rejects), **_reasons(rejects, "reason")}
    rows = [_row("asked -> parsed", asked, len(raw), gone)]
    if stages > 1 and (folder / "tasks.jsonl").exists():
        kept, dropped = _read(folder, "tasks.jsonl"), _read(folder, "dropped.jsonl")
        rows.append(_row("parsed -> new and clean", len(raw), len(kept), _reasons(dropped, "rule")))
    if stages > 2 and (folder / "dataset.jsonl").exists():
        done, cut = _read(folder, "dataset.jsonl"), _read(folder, "unfinished.jsonl")
        rows.append(
            _row(
                "new and clean -> answered",
                rows[-1]["out"],
                len(done),
                _reasons(cut, "finish_reason"),
            )
        )
    return pd.DataFrame(rows).set_index("stage")


def ledger_table(table: pd.DataFrame) -> Any:
    """The ledger for a reader: each stage's reasons in words, nothing cut, every text escaped."""
    words = [
        ", ".join(f"{count:,} {name}" for name, count in of.items() if count) or "none"
        for of in table["reasons"]
    ]
    return (
        table.assign(reasons=words)
        .style.set_uuid("ledger")
        .format(escape="html")
        .set_properties(**{"text-align": "left"})
    )


def ledger_figure(table: pd.DataFrame) -> Any:
    """Stepped bars: what each stage leaves of what was asked for, with the losses on top."""
    import matplotlib.pyplot as plt

    stages = ["asked", *(name.partition(" -> ")[2] for name in table.index)]
    left = [table["in"].iloc[0], *table["out"]]
    figure, axes = plt.subplots(figsize=(7.5, 0.6 * len(stages) + 1))
    axes.barh(stages, left, color=plotting.BLUE)
    axes.barh(stages[1:], table["lost"].clip(lower=0), left=left[1:], color=plotting.RED, alpha=0.5)
    for n, count in enumerate(left):
        axes.annotate(
            f"{count:,}",
            (count, n),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            color="white",
        )
    axes.invert_yaxis()
    axes.set(
        title=f"Of {left[0]:,} tasks asked for, {left[-1]:,} are left ({left[-1] / max(left[0], 1):.0%})",
        xlabel="tasks (red: lost at this stage)",
    )
    return figure


def trace(record_id: str, folder: str | Path) -> dict[str, Any]:
    """A record's life: where it stands, what it is, the request it came from with model, time and cost, its parents, its fate."""
    folder = Path(folder)
    found = {name: one for name in FILES for one in _read(folder, name) if one.id == record_id}
    if not found:
        do = "Give the id of a seed, task, reject or example of this run."
        raise UserError("No record has this id.", got=record_id, do=do)
    record = list(found.values())[-1]
    fates = [
        {
            "file": name,
            "id": one.id,
            **{
                key: getattr(one, key)
                for key in ("rule", "nearest_text", "score", "finish_reason")
                if getattr(one, key, None)
            },
        }
        for name in ("tasks.jsonl", "dropped.jsonl", "unfinished.jsonl", "dataset.jsonl")
        for one in _read(folder, name)
        if record_id in (one.id, getattr(one, "task", None))
    ]
    return {
        "record": record.model_dump(exclude={"provenance"}, exclude_defaults=True),
        "stands in": list(found),
        "parents": [
            parent.model_dump(exclude={"provenance"}, exclude_defaults=True)
            for parent in _parents(record, folder)
        ],
        "request": _request(record.provenance.request, folder),
        "fate": fates,
    }


def _request(key: str, folder: Path) -> dict[str, Any]:
    """Model, tokens, time and cost of the request with this key; empty where nothing was asked."""
    path = folder / "answers.sqlite"
    if not key or not path.exists():
        return {"key": key} if key else {}
    with closing(Cache(path)) as cache:
        row = cache.row(key)
    if not row:
        return {"key": key}
    kept = {
        name: row["answer"][name]
        for name in ("model", "finish_reason", "prompt_tokens", "completion_tokens")
    }
    spent = {name: row[name] for name in ("at", "seconds", "usd")}
    return {"key": key, **kept, **spent, "parameters": row["request"]["parameters"]}


def _parents(record: Any, folder: Path) -> list[Any]:
    wanted = set(record.provenance.parents)
    return [
        one
        for name in ("seeds.jsonl", "raw_tasks.jsonl")
        for one in _read(folder, name)
        if one.id in wanted
    ]


def _row(stage: str, given: int, out: int, reasons: dict[str, int]) -> dict[str, Any]:
    reasons = {name: count for name, count in reasons.items() if count}
    if given - out != sum(reasons.values()):
        got = f"{given} in, {out} out, {sum(reasons.values())} accounted for"
        do = "Run the notebooks of this stage again; their files do not belong together."
        raise UserError(f"The ledger does not add up at {stage}.", got=got, do=do)
    return {"stage": stage, "in": given, "out": out, "lost": given - out, "reasons": reasons}


def _reasons(rows: list[Any], field: str) -> dict[str, int]:
    return dict(pd.Series([getattr(row, field) for row in rows], dtype=object).value_counts())


def _read(folder: Path, name: str) -> list[Any]:
    return records.read(folder / name, FILES[name]) if (folder / name).exists() else []
