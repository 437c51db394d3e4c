"""Comparison of two runs: parameters that differ, numbers with intervals."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from medinstruct import paths
from medinstruct.errors import UserError
from medinstruct.report.collect import Run, read_run
from medinstruct.report.definitions import formatted
from medinstruct.report.numbers import Number, read_numbers
from medinstruct.report.provenance import differing


class Comparison(NamedTuple):
    """`parameters` that differ; `numbers` of both runs, difference, whether intervals overlap."""

    parameters: pd.DataFrame
    numbers: pd.DataFrame

    def lines(self, *, every: bool = False) -> list[str]:
        """Return both tables as text; only numbers that differ unless `every`."""
        left, right = (self.numbers[name] for name in self.numbers.columns[:2])
        rows = self.numbers if every else self.numbers[left != right]
        apart, overlap = (
            (self.numbers["intervals"] == word).sum() for word in ("apart", "overlap")
        )
        return [
            "No parameter differs." if self.parameters.empty else self.parameters.to_string(),
            "No number differs." if rows.empty else rows.to_string(),
            f"{(left == right).sum()} numbers are the same in both runs.",
            "A * marks numbers in which a stand-in had a part.",
            f"{apart} of {apart + overlap} numbers with intervals in both runs are apart.",
        ]


def compare(first: str | Path, second: str | Path) -> Comparison:
    """Compare two runs by name or folder; numbers that only one has are kept."""
    folders = [_folder(run) for run in (first, second)]
    if folders[0].resolve() == folders[1].resolve():
        do = "Give another run to compare it with."
        raise UserError("These are one run, not two.", got=folders[0], do=do)
    a, b = (read_run(folder) for folder in folders)
    names = [a.name, b.name] if a.name != b.name else [str(first), str(second)]
    return Comparison(differing(a.values, b.values, names), _numbers(a, b, names))


def _numbers(a: Run, b: Run, names: list[str]) -> pd.DataFrame:
    left, right = ({(row.part, row.label): row for row in read_numbers(run)} for run in (a, b))
    rows = []
    for key in {**left, **right}:
        pair = (left.get(key), right.get(key))
        comparison = ("", "") if None in pair else _compared(*pair)
        rows.append((*key, *map(_text, pair), *comparison))
    columns = ["part", "number", *names, "difference", "intervals"]
    return pd.DataFrame(rows, columns=columns).set_index(["part", "number"])


def _text(number: Number | None) -> str:
    if number is None:
        return "–"
    interval = f" ({number.interval()})" if number.interval() else ""
    return number.text() + interval + (" *" if number.stand_in else "")


def _compared(a: Number, b: Number) -> tuple[str, str]:
    """Return the difference, and whether the intervals are apart or overlap."""
    unit = "points" if a.unit == "share" else a.unit
    difference = formatted(b.value - a.value, unit)
    if None in (a.low, a.high, b.low, b.high):
        return difference, ""
    return difference, "apart" if a.high < b.low or b.high < a.low else "overlap"


def _folder(run: str | Path) -> Path:
    """Return the folder of a run given by path or name."""
    outputs = paths.outputs("demo").parent
    for folder in (Path(run), paths.root() / run, outputs / run):
        if str(run) and folder.is_dir() and any(folder.glob("*.json*")):
            return folder
    do = "Give the folder of a run, for example outputs/demo, or its name."
    raise UserError("There is no such run.", got=run, do=do)
