"""Verdicts: parsing of replies, winners and ties, tables by judge, health of a judge."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import pandas as pd

from medinstruct import paths, records
from medinstruct.errors import UserError
from medinstruct.llm import is_refusal, split_thought
from medinstruct.records import TestItem, Verdict

Winner = Literal["model", "reference", "tie"]

TEXTS = paths.load("judging")
ORDERS = ("model_first", "reference_first")
SCORE = {"model": 1.0, "tie": 0.5, "reference": 0.0}
PAIR = ["model", "reference"]
KEY = ["id", *PAIR, "order"]


def parse_verdict(reply: str) -> Literal["a", "b", "tie"] | None:
    """Parse a reply in the short or the bracketed style; None if it is not clear.

    >>> parse_verdict("Output (a) is better because ..."), parse_verdict("Both are good. [[C]]")
    ('a', 'tie')
    >>> parse_verdict("Output (a) or Output (b)?") is None
    True
    """
    text = reply.strip().lower()
    for form in TEXTS["verdict_forms"]:
        if letters := {TEXTS["letters"][letter] for letter in re.findall(form, text)}:
            return letters.pop() if len(letters) == 1 else None
    return None


def winner_of(letter: str | None, order: str) -> Winner | None:
    """Return the winner from the letter of a verdict and the order of the two outputs."""
    if letter in (None, "tie"):
        return letter
    return "model" if (letter == "a") == (order == "model_first") else "reference"


def majority(winners: Iterable[Winner | None]) -> Winner | None:
    """Return what more than half of the readable votes say, else a tie; None without votes."""
    counts = Counter(winner for winner in winners if winner)
    most = (winner for winner, count in counts.items() if 2 * count > counts.total())
    return next(most, "tie" if counts else None)


def instrument(verdict: Verdict) -> str:
    """Return the name of what measured: judge, snapshot and prompt. Instruments never mix."""
    name = verdict.judge or "unknown judge"
    if verdict.snapshot not in ("", verdict.judge):
        name += f" ({verdict.snapshot})"
    return f"{name}, prompt {verdict.prompt}" if verdict.prompt else name


def by_judge(verdicts: Iterable[Verdict]) -> dict[str, list[Verdict]]:
    """Return {instrument: its verdicts}, in the order of their first verdict."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault(instrument(verdict), []).append(verdict)
    return groups


def table(verdicts: Iterable[Verdict | dict[str, Any]]) -> pd.DataFrame:
    """Return one row a verdict (record or dict): KEY, winner, score (nan: invalid), instrument."""
    known = [v if isinstance(v, Verdict) else Verdict(**{"model": ""} | v) for v in verdicts]
    rows = [vars(verdict) | {"instrument": instrument(verdict)} for verdict in known]
    frame = pd.DataFrame(rows, columns=[*KEY, "winner", "instrument"])
    return frame.assign(score=frame["winner"].map(SCORE).astype(float))


def single_judge_table(verdicts: Iterable[Verdict | dict[str, Any]]) -> pd.DataFrame:
    """Return the table of one instrument's verdicts; several instruments or doubles are errors."""
    frame = table(verdicts)
    if len(names := frame["instrument"].unique()) > 1:
        what, do = "Verdicts of several judges are not one measurement.", "Separate them by judge."
        raise UserError(what, got=list(names), do=do)
    if repeated := frame.loc[frame.duplicated(KEY), "id"].tolist():
        do = "Keep one verdict a pair and order."
        raise UserError("Pairs were judged twice.", got=repeated[:5], do=do)
    return frame


def load_verdicts(path: str, *, items: Sequence[TestItem] = (), model: str = "") -> list[Verdict]:
    """Load the verdicts of a JSONL file, parsed anew from the raw replies.

    Rows are ours, or name an item by its position in `items`, and have judge_response and verdict
    (WIN, LOSE or TIE for the model). `model` replaces a missing model. A verdict that contradicts
    its own reply is an error.
    """
    rows = records.rows(paths.resolve(path))
    return [_parse_row(row, items, model, where=f"{path}, line {line}") for line, row in rows]


def judge_health(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return one row a judge: verdicts, rates, and a finding ("" for a judge that works).

    first, second: wins of that place; tie; invalid: unreadable; refused. The scores of a judge with
    a finding say nothing about the models.
    """
    frame = table(verdicts)
    winner, first = frame["winner"], frame["order"] == frame["winner"] + "_first"
    rates = {"first": first, "second": winner.isin(PAIR) & ~first, "tie": winner == "tie"}
    rates |= {"invalid": winner.isna(), "refused": [is_refusal(v.reply) for v in verdicts]}
    groups = pd.DataFrame(rates).groupby(frame["instrument"].rename("judge"), sort=False)
    health = groups.mean().assign(verdicts=groups.size(), finding="")
    for rate, (limit, least, finding) in TEXTS["findings"].items():
        health.loc[(health[rate] > limit) & (health["verdicts"] >= least), "finding"] = finding
    return health


def _parse_row(row: dict, items: Sequence[TestItem], model: str, *, where: str) -> Verdict:
    names = TEXTS["verdict_fields"]
    row = {names.get(name, name): value for name, value in row.items() if value is not None}
    if isinstance(row.get("id"), int) and items:
        if not 0 <= row["id"] < len(items):
            do = f"The test set has {len(items)} items, numbered from 0."
            raise UserError(f"{where} points to no item.", got=row["id"], do=do)
        row["id"] = items[row["id"]].id
    stored = TEXTS["winners"].get(str(row.get("winner")).lower())
    row["reply"] = split_thought(row.get("reply", ""))[0] or ""
    parsed = winner_of(parse_verdict(row["reply"]), row.get("order"))
    if parsed and stored and parsed != stored:
        do = "Check the field `order`."
        raise UserError(f"{where}: the reply contradicts the verdict.", got=stored, do=do)
    fields = {"model": model or "model"}
    fields |= {name: row[name] for name in Verdict.model_fields if name in row}
    fields |= {"id": str(row.get("id", "")), "winner": parsed or stored}
    return records.parse(Verdict, fields, where=where)
