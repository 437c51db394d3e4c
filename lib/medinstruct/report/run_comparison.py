"""Comparison of two runs: parameters that differ, numbers with intervals."""

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medinstruct import paths
from medinstruct.errors import UserError
from medinstruct.report.collect import NAME_KEYS, Run, read_run
from medinstruct.report.numbers import Number, read_numbers


@dataclass(frozen=True)
class Comparison:
    """`parameters` that differ; `numbers` of both runs, difference, whether intervals overlap."""

    parameters: pd.DataFrame
    numbers: pd.DataFrame

    def lines(self, *, every: bool = False) -> list[str]:
        """Return both tables as text; only numbers that differ unless `every`."""
        left, right = (self.numbers[name] for name in self.numbers.columns[:2])
        rows = self.numbers if every else self.numbers[left != right]
        equal = len(self.numbers) - len(rows)
        return [
            "No parameter differs." if self.parameters.empty else self.parameters.to_string(),
            "",
            "No number differs." if rows.empty else rows.to_string(),
            "",
            f"{equal} numbers are the same in both." if equal else "",
            _summary(self.numbers),
        ]


def compare(first: str | Path, second: str | Path) -> Comparison:
    """Compare two runs by name or folder; numbers that only one has are kept."""
    folders = [_folder(run) for run in (first, second)]
    if folders[0].resolve() == folders[1].resolve():
        do = "Give another run to compare it with."
        raise UserError("These are one run, not two.", got=folders[0], do=do)
    a, b = (read_run(folder) for folder in folders)
    names = (a.name, b.name) if a.name != b.name else (str(first), str(second))
    return Comparison(_parameters(a, b, names), _numbers(a, b, names))


def _parameters(a: Run, b: Run, names: tuple[str, str]) -> pd.DataFrame:
    keys = [key for key in {**a.values, **b.values} if key not in NAME_KEYS]
    rows = [(key, a.values.get(key, "–"), b.values.get(key, "–")) for key in keys]
    rows = sorted((row for row in rows if row[1] != row[2]), key=lambda row: "–" in row[1:])
    return pd.DataFrame(rows, columns=["parameter", *names]).set_index("parameter")


def _numbers(a: Run, b: Run, names: tuple[str, str]) -> pd.DataFrame:
    left, right = ({(row.part, row.label): row for row in read_numbers(run)} for run in (a, b))
    rows = []
    for key in {**left, **right}:
        pair = (left.get(key), right.get(key))
        rows.append((*key, *map(_text, pair), _difference(*pair), _overlap(*pair)))
    columns = ["part", "number", *names, "difference", "intervals"]
    return pd.DataFrame(rows, columns=columns).set_index(["part", "number"])


def _text(number: Number | None) -> str:
    if number is None:
        return "–"
    interval = f" ({number.interval()})" if number.interval() else ""
    return number.text() + interval + (" *" if number.stand_in else "")


def _difference(a: Number | None, b: Number | None) -> str:
    if a is None or b is None:
        return ""
    gap = b.value - a.value
    if a.unit in ("share", "points"):
        return f"{100 * gap:+.1f} points"
    return f"{gap:+,.0f}" if a.unit == "count" else f"{gap:+.2f}"


def _overlap(a: Number | None, b: Number | None) -> str:
    if a is None or b is None or None in (a.low, a.high, b.low, b.high):
        return ""
    return "apart" if a.high < b.low or b.high < a.low else "overlap"


def _summary(table: pd.DataFrame) -> str:
    overlaps = table["intervals"][table["intervals"] != ""]
    has_stars = table.map(lambda text: str(text).endswith("*")).any(axis=None)
    stars = " A * marks numbers in which a stand-in had a part." if has_stars else ""
    if overlaps.empty:
        return f"No number has an interval in both runs.{stars}"
    apart = (overlaps == "apart").sum()
    return f"{apart} of {len(overlaps)} numbers with intervals in both runs are apart.{stars}"


def _folder(run: str | Path) -> Path:
    """Return the folder of a run given by path or name."""
    outputs = Path(os.environ.get("MEDINSTRUCT_OUTPUTS") or paths.root() / "outputs")
    for folder in (Path(run), paths.root() / run, outputs / run):
        if str(run) and folder.is_dir() and any(folder.glob("*.json*")):
            return folder
    do = "Give the folder of a run, for example outputs/demo, or its name."
    raise UserError("There is no such run.", got=run, do=do)
