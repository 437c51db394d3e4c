"""Numbers of a run: value, unit, n, 95 % interval, stand-ins, and the paper's number."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from medinstruct import records, stats
from medinstruct.report import definitions
from medinstruct.report.collect import Run
from medinstruct.report.definitions import SPACE, formatted

TEXTS = ("name", "unit", "model", "paper_is")
OF_A_ROW = {"rows": "[{}]", "n": "row.n", "low": "row.low", "high": "row.high"}
OF_A_ROW["model"] = "{{ row.model }}"


@dataclass(frozen=True)
class Number:
    """One number; `unit` is share, points, count, bits, nats, grade or ratio.

    `stand_in` names the roles that a stand-in played in it, `model` the model it measures; a
    `headline` is shown first.
    """

    part: str
    name: str
    value: float
    unit: str = "share"
    n: int | None = None
    low: float | None = None
    high: float | None = None
    paper: float | None = None
    paper_is: str = ""
    stand_in: str = ""
    model: str = ""
    headline: bool = False

    @property
    def label(self) -> str:
        """The name with the model it belongs to."""
        return f"{self.name}, {self.model}" if self.model else self.name

    def text(self) -> str:
        """Return the value as a page prints it."""
        return formatted(self.value, self.unit)

    def interval(self) -> str:
        """Return the 95 % interval as a page prints it, or "" without one."""
        if self.low is None or self.high is None:
            return ""
        low = formatted(self.low, self.unit).partition(SPACE)[0]
        return f"{low} to {formatted(self.high, self.unit)}"

    def paper_text(self) -> str:
        """Return the published number with its source, or ""."""
        if self.paper is None:
            return ""
        return f"{formatted(self.paper, self.unit)} ({self.paper_is})"


def scope_of(run: Run) -> dict[str, Any]:
    """Return what the expressions of report.yaml read: files, counts, complete answers."""
    return run.files | {"counts": run.counts, "complete": _complete_answers(run)}


def read_numbers(run: Run) -> list[Number]:
    """Return all numbers of a run in the order of the report."""
    scope, parts = scope_of(run), definitions.load("report")["parts"]
    numbers: list[Number] = []
    for part, definition in parts.items():
        stand_in = ", ".join(role for role in definition["roles"] if role in run.stand_ins)
        for entry in definition["numbers"]:
            numbers += _numbers(part, entry, scope, stand_in)
    return numbers


def _numbers(part: str, entry: dict, scope: dict[str, Any], stand_in: str) -> Iterator[Number]:
    """Yield the numbers of one entry of report.yaml: one, or one for each of its rows."""
    cells = OF_A_ROW | entry
    for row in definitions.evaluate(cells.pop("rows"), scope) or []:
        here = scope | {"row": row}
        values = {
            key: (definitions.fill if key in TEXTS else definitions.evaluate)(text, here)
            for key, text in cells.items()
        }
        if values["value"] is not None:
            values["paper_is"] = "" if values.get("paper") is None else values["paper_is"]
            yield Number(part, stand_in=stand_in, **values)


def _complete_answers(run: Run) -> list[dict[str, Any]]:
    """Return the share of complete answers of each use case and model."""
    if not run.counts.get("consultations"):
        return []
    complete = defaultdict(list)
    for _, row in records.rows(run.folder / "consultations.jsonl"):
        key = (str(row["way"]), str(row["model"]))
        complete[key].append(row.get("finish_reason", "stop") != "length")
    return [
        {"use_case": use_case, "model": model} | stats.wilson(sum(flags), len(flags))._asdict()
        for (use_case, model), flags in complete.items()
    ]


def table(rows: list[Number]) -> pd.DataFrame:
    """Return numbers as text: value, interval, n, the paper's; empty columns are dropped."""
    columns = {
        "this run": [row.text() for row in rows],
        "95 % interval": [row.interval() for row in rows],
        "n": ["" if row.n is None else f"{row.n:,}" for row in rows],
        "paper": [row.paper_text() for row in rows],
    }
    index = pd.Index([row.label for row in rows], name="number")
    return pd.DataFrame({name: texts for name, texts in columns.items() if any(texts)}, index)
