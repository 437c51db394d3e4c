"""What the rules found over many answers, as tables; and how far the rules agree with labelled examples."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from medinstruct import paths, records
from medinstruct.assist.asking import looked_at
from medinstruct.assist.cases import Case, points_held
from medinstruct.assist.claims import conflicts
from medinstruct.assist.marking import marks
from medinstruct.assist.panels import read_panel
from medinstruct.assist.plain import band, reading_grade
from medinstruct.assist.redflags import emergencies
from medinstruct.assist.ways import WAYS
from medinstruct.records import Consultation
from medinstruct.stats import wilson

CHECKS = {
    "red_flags": "red flags",
    "panel": "reference ranges",
    "marks": "numbers and drugs",
    "claims": "text against values",
    "reading": "reading level",
}

PARTS = {
    "fresh": "new wording"
}  # the other parts were seen, at the latest when the rules were repaired


def found_table(answers: Sequence[Consultation]) -> pd.DataFrame:
    """One row an answer: marked numbers and drugs, conflicts with the values given, whether cut, whether uncertain."""
    rows = {}
    for one in answers:
        found = looked_at(one)
        name = f"{_called(one.way, one.reader)}: {one.model}"
        kinds = [sum(mark.kind == kind for mark in found.marks) for kind in ("number", "drug")]
        rows[name] = [*kinds, len(found.conflicts), int(found.is_cut), int(found.agreement.low)]
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=["numbers", "drugs", "conflicts", "cut", "uncertain"]
    )


def levels_of(case: Case, answers: Sequence[Consultation]) -> dict[str, dict[str, float]]:
    """School grades by writer and reading level: by hand, and each model."""
    ours = [one for one in answers if one.case == case.name]
    found = {
        "by hand": {
            reader: reading_grade(case.written[reader])
            for reader in case.readers
            if reader in case.written
        }
    }
    for one in ours:
        found.setdefault(one.model, {})[one.reader] = reading_grade(one.text)
    return found


def points_table(cases: Sequence[Case], answers: Sequence[Consultation]) -> pd.DataFrame:
    """The share of points whose words a rule finds: one row a case and reader, one column a writer."""
    rows: dict[str, dict[str, float]] = {}
    for case in cases:
        for reader in case.readers:
            if case.points_for(reader):
                texts = {"by hand": case.written.get(reader, "")}
                texts |= {
                    one.model: one.text
                    for one in answers
                    if (one.case, one.reader) == (case.name, reader)
                }
                rows[_called(case.way, reader)] = {
                    who: _share(points_held(text, case, reader=reader))
                    for who, text in texts.items()
                }
    return pd.DataFrame.from_dict(rows, orient="index")


def labelled() -> list[dict[str, Any]]:
    """The labelled examples that ship. Those of the part "fresh" were written last, by the same hand, and never tuned on."""
    return [row for _, row in records.rows(paths.data("assist_checks.jsonl"))]


def rule_agreement() -> pd.DataFrame:
    """How often each rule says what a person wrote beside an example: one row a check and part, with Wilson's interval."""
    rows = [
        (CHECKS[row["check"]], PARTS.get(row["part"], "seen"), agrees(row)) for row in labelled()
    ]
    frame = pd.DataFrame(rows, columns=["check", "part", "right"])
    groups = frame.groupby(["check", "part"], sort=False)
    found = {
        ", ".join(name): wilson(int(group["right"].sum()), len(group))._asdict()
        for name, group in groups
    }
    return (
        pd.DataFrame.from_dict(found, orient="index")
        .rename(columns={"share": "score"})
        .sort_index(key=lambda names: names.map(_rank))
    )


def missed_and_false(part: str = "fresh") -> dict[str, int]:
    """On one part of the labelled questions: emergencies, those of which none was found, harmless ones, and false alarms among them."""
    rows = [row for row in labelled() if row["check"] == "red_flags" and row["part"] == part]
    found = [(bool(row["expect"]), bool(emergencies(row["text"]))) for row in rows]
    return {
        "emergencies": sum(is_one for is_one, _ in found),
        "missed": sum(is_one and not said for is_one, said in found),
        "harmless": sum(not is_one for is_one, _ in found),
        "false": sum(said and not is_one for is_one, said in found),
    }


def _rank(name: str) -> int:
    check, _, part = name.partition(", ")
    return 2 * list(CHECKS.values()).index(check) + (part != "seen")


def agrees(row: dict[str, Any]) -> bool:
    """Whether the rule of an example says what its label says."""
    said = said_of(row)
    return (
        sorted(said) == sorted(row["expect"]) if isinstance(said, list) else said == row["expect"]
    )


def said_of(row: dict[str, Any]) -> Any:
    """What the rule says of a labelled example, in the form of its label."""
    text = row["text"]
    if row["check"] == "red_flags":
        return [one.name for one in emergencies(text)]
    if row["check"] == "panel":
        return [[one.analyte.name, one.flag] for one in read_panel(text, sex=row.get("sex", ""))]
    if row["check"] == "marks":
        return [text[one.start : one.end] for one in marks(text, row["given"])]
    if row["check"] == "claims":
        return [[one.analyte, one.kind] for one in conflicts(text, read_panel(row["given"]))]
    return band(text)


def _called(way: str, reader: str) -> str:
    title = WAYS[way].title.partition(" between")[0]
    return f"{title}, {reader}" if reader else title


def _share(held: dict[str, bool]) -> float:
    return sum(held.values()) / len(held)
