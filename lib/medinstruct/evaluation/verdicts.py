"""Verdicts: parsing of replies, winners and ties, tables by judge."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, Literal

import pandas as pd

from medinstruct import paths, records
from medinstruct.errors import UserError
from medinstruct.llm.messages import split_thought
from medinstruct.records import TestItem, Verdict

Winner = Literal["model", "reference", "tie"]

TEXTS = paths.load("judging")
PATTERNS = paths.load("verdict_patterns")
CUT = ("length", "content_filter", "context", "refused_by_server")  # finish reasons
BRACKETS = 2  # the rank of a verdict in brackets
FLIP = {"a": "b", "b": "a"}
MAX_READ = 20_000  # characters of a reply, from its end
ORDERS = ("model_first", "reference_first")
SCORE = {"model": 1.0, "tie": 0.5, "reference": 0.0}
PAIR = ["model", "reference"]
KEY = ["id", *PAIR, "order"]


def parse_verdict(reply: str, finish_reason: str = "stop") -> Literal["a", "b", "tie"] | None:
    """Parse the verdict that a judge's reply states; None if it is unclear."""
    return stated_value(reply, "verdict", finish_reason)


def stated_value(reply: str, kind: str, finish_reason: str = "stop") -> Any:
    """Return the one value of a verdict (a, b, tie) or a grade (met, unmet) that a reply states.

    Questions, conditions, negations and quotations state nothing; of a reply that was cut, only
    JSON and brackets count (data/verdict_patterns.yaml).
    """
    text = unicodedata.normalize("NFKC", (split_thought(reply)[0] or "").strip()[-MAX_READ:])
    for pattern, new in PATTERNS["rewrites"]:  # @a and @b for the outputs, no quotes and reasons
        text = _pattern(pattern).sub(new, text)
    ranks = _claims(text.lower(), PATTERNS[kind])
    rank = max(ranks, default=0)
    values = ranks.get(rank, ()) if rank == BRACKETS or finish_reason not in CUT else ()
    return next(iter(values)) if len(values) == 1 else None


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Return a compiled pattern, with its macros filled in."""
    while names := re.findall(r"<(\w+)>", text):
        text = text.replace(f"<{names[0]}>", PATTERNS["macros"][names[0]])
    return re.compile(text)


def _claims(text: str, forms: dict[str, Any]) -> dict[int, set[str]]:
    """Return the values that sentences claim, by rank: 0 plain, 1 concluding, 2 in brackets."""
    about = _pattern("§" if "§" in text else forms["about"])
    sentences = [part for part in _pattern(PATTERNS["sentence"]).split(text) if about.search(part)]
    alone = [_values(sentence, forms["bare"]) for sentence in sentences]
    if len(set().union(*alone)) > 1:  # headings of a list, not verdicts
        alone = [set()] * len(alone)
    claims: dict[int, set[str]] = {}
    for n, (sentence, own) in enumerate(zip(sentences, alone, strict=True), 1):
        is_last = bool(own) and n == len(sentences)
        rank = is_last or bool(_pattern(PATTERNS["conclusion"]).search(sentence))
        if values := own or _claimed(sentence, forms):
            claims.setdefault(BRACKETS if "§" in sentence else int(rank), set()).update(values)
    return claims


def _claimed(sentence: str, forms: dict[str, Any]) -> set[str]:
    """Return the values that the clauses of a sentence claim; "a tie, but (b)" claims (b)."""
    parts = _pattern(PATTERNS["part"]).split(sentence)
    known = [part for part in parts if not _pattern(PATTERNS["hedge"]).search(part)]
    clauses = [clause for part in known for clause in _pattern(PATTERNS["clause"]).split(part)]
    values = set().union(*(_claim(clause, forms) for clause in clauses))
    return values - {"tie"} or values


def _claim(clause: str, forms: dict[str, Any]) -> set[str]:
    """Return the value that a clause claims; none if it is negated or claims several."""
    rest = clause
    for form in chain(*forms["firm"].values()):
        rest = _pattern(form).sub(" ", rest)
    if _pattern(PATTERNS["negation"]).search(rest):
        return set()
    values = _values(clause, forms["firm"]) | _values(rest, forms["plain"])
    return values if len(values) == 1 else set()


def _values(text: str, forms: dict[str, list[str]]) -> set[str]:
    """Return the values of the forms that a text has: a letter, or the name of the form."""
    values = set()
    for name, patterns in forms.items():
        for match in chain(*(_pattern(pattern).finditer(text) for pattern in patterns)):
            letter = next(filter(None, match.groups()), "")
            values.add({"won": letter, "lost": FLIP.get(letter)}.get(name, name))
    return values


def winner_of(letter: str | None, order: str) -> Winner | None:
    """Return the winner from the letter of a verdict and the order of the two outputs."""
    if letter in (None, "tie"):
        return letter
    return "model" if (letter == "a") == (order == "model_first") else "reference"


def majority(winners: Iterable[Winner | None]) -> Winner | None:
    """Return the winner of more than half of the readable votes, else a tie; None without votes."""
    counts = Counter(winner for winner in winners if winner)
    most = (winner for winner, count in counts.items() if 2 * count > counts.total())
    return next(most, "tie" if counts else None)


def instrument(verdict: Verdict) -> str:
    """Return the name of the instrument: judge, snapshot and prompt."""
    snapshot = f" ({verdict.snapshot})" if verdict.snapshot not in ("", verdict.judge) else ""
    prompt = f", prompt {verdict.prompt}" if verdict.prompt else ""
    return f"{verdict.judge or 'unknown judge'}{snapshot}{prompt}"


def by_judge(verdicts: Iterable[Verdict]) -> dict[str, list[Verdict]]:
    """Return {instrument: its verdicts}, in the order of their first verdict."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault(instrument(verdict), []).append(verdict)
    return groups


def table(verdicts: Iterable[Verdict | dict[str, Any]]) -> pd.DataFrame:
    """Return one row per verdict (or dict): KEY, winner, score (nan: invalid), instrument."""
    known = [v if isinstance(v, Verdict) else Verdict(**{"model": ""} | v) for v in verdicts]
    rows = [vars(verdict) | {"instrument": instrument(verdict)} for verdict in known]
    frame = pd.DataFrame(rows, columns=[*KEY, "winner", "instrument"])
    return frame.assign(score=frame["winner"].map(SCORE).astype(float))


def single_judge_table(verdicts: Iterable[Verdict | dict[str, Any]]) -> pd.DataFrame:
    """Return the table of one instrument's verdicts; raise for several, and for duplicates."""
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

    Rows are ours, or have judge_response and verdict (WIN, LOSE or TIE for the `model`), and may
    name an item by its position in `items`.
    """
    rows = records.rows(paths.resolve(path))
    return [_parse_row(row, items, model, where=f"{path}, {place}") for place, row in rows]


def _parse_row(row: dict, items: Sequence[TestItem], model: str, *, where: str) -> Verdict:
    names = TEXTS["verdict_fields"]
    row = {names.get(name, name): value for name, value in row.items() if value is not None}
    if isinstance(id := row.get("id"), int) and items:
        if not 0 <= id < len(items):
            do = f"The test set has {len(items)} items, numbered from 0."
            raise UserError(f"{where} refers to no item.", got=id, do=do)
        id = items[id].id
    texts = {n: records.as_text(row.get(n), where=f"{where}, {n}") for n in ("winner", "reply")}
    stored, reply = TEXTS["winners"].get(texts["winner"].lower()), split_thought(texts["reply"])[0]
    letter = parse_verdict(reply or "", row.get("finish_reason", "stop"))
    parsed = winner_of(letter, row.get("order"))
    if parsed and stored and parsed != stored:
        do = "Check the field `order`."
        raise UserError(f"{where}: the reply contradicts the verdict.", got=stored, do=do)
    fields = {name: row[name] for name in Verdict.model_fields if name in row}
    fields |= {"id": records.as_text(id, where=f"{where}, id", numbers=True), "reply": reply or ""}
    fields |= {"winner": parsed or stored, "model": row.get("model") or model or "model"}
    return records.parse(Verdict, fields, where=where)
