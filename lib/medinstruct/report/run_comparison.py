"""Two runs side by side: the parameters that differ, and every number of both with its interval."""

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medinstruct import paths
from medinstruct.errors import UserError
from medinstruct.report.gather import NAMES, Run, gather
from medinstruct.report.numbers import Number, numbers


@dataclass(frozen=True)
class Comparison:
    """`parameters` that differ; `numbers` with a column a run, the difference, and whether the intervals lie apart."""

    parameters: pd.DataFrame
    numbers: pd.DataFrame

    def lines(self, *, every: bool = False) -> list[str]:
        """Both tables as text; of the numbers only those that differ, unless `every` one is wanted."""
        same = "No parameter differs." if self.parameters.empty else self.parameters.to_string()
        names = self.numbers.columns[:2]
        shown = (
            self.numbers
            if every
            else self.numbers[self.numbers[names[0]] != self.numbers[names[1]]]
        )
        equal = len(self.numbers) - len(shown)
        table = ["No number differs."] if shown.empty else [shown.to_string()]
        return [
            same,
            "",
            *table,
            "",
            *([f"{equal} numbers are the same in both."] if equal else []),
            _told(self.numbers),
        ]


def compare(one: str | Path, other: str | Path) -> Comparison:
    """Compare two runs by name or folder; numbers that only one of them has are kept, parameters too."""
    folders = [_folder(given) for given in (one, other)]
    if folders[0].resolve() == folders[1].resolve():
        raise UserError(
            "These are one run, not two.", got=folders[0], do="Give another run to compare it with."
        )
    a, b = map(gather, folders)
    names = (a.name, b.name) if a.name != b.name else (str(one), str(other))
    return Comparison(_parameters(a, b, names), _numbers(a, b, names))


def _parameters(a: Run, b: Run, names: tuple[str, str]) -> pd.DataFrame:
    keys = [
        key
        for key in dict.fromkeys([*a.values, *b.values])
        if key not in NAMES and a.values.get(key) != b.values.get(key)
    ]
    keys.sort(
        key=lambda key: key not in a.values or key not in b.values
    )  # what only one run has stands last
    rows = [(key, a.values.get(key, "–"), b.values.get(key, "–")) for key in keys]
    return pd.DataFrame(rows, columns=["parameter", *names]).set_index("parameter")


def _numbers(a: Run, b: Run, names: tuple[str, str]) -> pd.DataFrame:
    left, right = ({(one.part, one.name): one for one in numbers(run)} for run in (a, b))
    rows = [
        (
            *key,
            _shown(left.get(key)),
            _shown(right.get(key)),
            _difference(left.get(key), right.get(key)),
            _apart(left.get(key), right.get(key)),
        )
        for key in dict.fromkeys([*left, *right])
    ]
    return pd.DataFrame(
        rows, columns=["part", "number", *names, "difference", "intervals"]
    ).set_index(["part", "number"])


def _shown(one: Number | None) -> str:
    if one is None:
        return "–"
    return (
        one.shown()
        + (f" ({one.interval()})" if one.interval() else "")
        + (" *" if one.stand_in else "")
    )


def _difference(a: Number | None, b: Number | None) -> str:
    if a is None or b is None:
        return ""
    gap = b.value - a.value
    points = f"{100 * gap:+.1f} points"
    return {"share": points, "points": points, "count": f"{gap:+,.0f}"}.get(a.unit, f"{gap:+.2f}")


def _apart(a: Number | None, b: Number | None) -> str:
    ends = [end for one in (a, b) if one for end in (one.low, one.high)]
    if a is None or b is None or None in ends:
        return ""
    return "apart" if a.high < b.low or b.high < a.low else "overlap"


def _told(table: pd.DataFrame) -> str:
    known = table["intervals"][table["intervals"] != ""]
    has_stars = table.map(lambda text: str(text).endswith("*")).any(axis=None)
    stars = " A * marks numbers in which a stand-in had a part." if has_stars else ""
    if known.empty:
        return f"No number has an interval in both runs.{stars}"
    return f"{(known == 'apart').sum()} of {len(known)} numbers with intervals in both runs lie apart.{stars}"


def _folder(given: str | Path) -> Path:
    """The folder of a run that is given by its path or by its name."""
    runs = Path(os.environ.get("MEDINSTRUCT_OUTPUTS") or paths.root() / "outputs")
    for folder in (Path(given), paths.root() / given, runs / given):
        if str(given) and folder.is_dir() and any(folder.glob("*.json*")):
            return folder
    raise UserError(
        "There is no such run.",
        got=given,
        do="Give the folder of a run, for example outputs/demo, or its name.",
    )
