"""Reading a judge's reply; verdicts as a table; and what is wrong with a judge that does not judge."""

import re
from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd

from medinstruct.errors import UserError
from medinstruct.llm import is_refusal
from medinstruct.records import Verdict

SCORE = {"model": 1.0, "tie": 0.5, "reference": 0.0}
COLUMNS = ["id", "model", "reference", "order", "winner", "score", "instrument"]
BRACKETED = re.compile(r"\[\[\s*([abc]|tie)\s*\]\]", re.IGNORECASE)
SHORT = re.compile(
    r"^\W*(?:the\s+better\s+(?:one|output)\s+is\s+)?output\s*\(?([ab])\)?\b", re.IGNORECASE
)
FINAL = re.compile(
    r"(?:verdict|better|best|choose|prefer|winner)\W[^.\n]{0,40}?output\s*\(?([ab])\)?(?=\W|$)",
    re.IGNORECASE,
)
BARE = re.compile(r"^\W*\(?([ab]|tie)\)?\W*$", re.IGNORECASE)
TIE = re.compile(r"^\W*(?:it(?:'s| is) )?(?:a )?(?:tie|draw)\b", re.IGNORECASE)
FOREIGN = re.compile(
    r"[\u0370-\u03ff\u0400-\u04ff\u0590-\u06ff\u0900-\u0dff\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
)


def parse_verdict(reply: str) -> Literal["a", "b", "tie"] | None:
    """ "a", "b" or "tie" for what judges really write, in the short and in the bracketed style; None where it is not clear.

    >>> parse_verdict("Output (a) is better because ..."), parse_verdict("Both are good. [[C]]"), parse_verdict("**Tie**")
    ('a', 'tie', 'tie')
    >>> parse_verdict("Output (a) or Output (b)?") is None
    True
    """
    text = reply.strip()
    bracketed = {_letter(found) for found in BRACKETED.findall(text)}
    if bracketed:
        return bracketed.pop() if len(bracketed) == 1 else None
    if TIE.match(text):
        return "tie"
    if short := BARE.match(text):
        return _letter(short.group(1))
    named = {
        found.lower()
        for found in re.findall(r"output\s*\(?([ab])\b", text.split("\n")[0], re.IGNORECASE)
    }
    if (short := SHORT.match(text)) and (
        len(named) == 1 or re.match(r"^\W*output\s*\(?[ab]\)?\s+(?:is|was)\b", text, re.I)
    ):
        return _letter(short.group(1))
    final = {found.lower() for found in FINAL.findall(text)}
    return _letter(final.pop()) if len(final) == 1 else None


def winner_of(letter: str | None, order: str) -> Literal["model", "reference", "tie"] | None:
    """Who won, from the letter of a verdict and who stood first."""
    first, second = ("model", "reference") if order == "model_first" else ("reference", "model")
    return {"a": first, "b": second, "tie": "tie", None: None}[letter]


def pair_key(verdict: Verdict) -> tuple[str, str, str, str]:
    """What names the comparison that a verdict is on: item, model, reference, order."""
    return verdict.id, verdict.model, verdict.reference, verdict.order


def table(verdicts: Iterable[Verdict | dict]) -> pd.DataFrame:
    """Verdicts as a table with their score (1, 0.5, 0 or nan) and their instrument: judge, snapshot and prompt."""
    rows = [
        (*pair_key(v), v.winner, SCORE.get(v.winner), instrument(v)) for v in map(_record, verdicts)
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"score": float})


def instrument(verdict: Verdict) -> str:
    """What measured: judge, snapshot and wording. Scores of two instruments never stand in one column."""
    snapshot = "" if verdict.snapshot in ("", verdict.judge) else f" ({verdict.snapshot})"
    return f"{verdict.judge or 'unknown judge'}{snapshot}" + (
        f", prompt {verdict.prompt}" if verdict.prompt else ""
    )


def by_judge(verdicts: Iterable[Verdict]) -> dict[str, list[Verdict]]:
    """The verdicts of each instrument apart, in the order of their first verdict."""
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(instrument(verdict), []).append(verdict)
    return found


def of_one_judge(verdicts: Iterable[Verdict | dict]) -> pd.DataFrame:
    """The table of verdicts that one instrument gave; several are refused, and so is a pair that was judged twice."""
    frame = table(verdicts)
    found = frame["instrument"].unique()
    if len(found) > 1:
        do = "Take them apart with by_judge, or unite them with majority."
        raise UserError(
            "Verdicts of different judges or prompts are not one measurement.",
            got=", ".join(found),
            do=do,
        )
    twice = frame[frame.duplicated(["id", "model", "reference", "order"])]
    if len(twice):
        raise UserError(
            "Pairs were judged twice.",
            got=twice["id"].unique()[:5].tolist(),
            do="Keep one verdict a pair and order.",
        )
    return frame


def judge_health(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """One row a judge: shares of first-place wins, ties, unreadable and refused replies and of other scripts, and a finding.

    `finding` is "" for a judge that judges. A judge whose finding is not empty measures itself, not the models.
    """
    rows = {}
    for name, given in by_judge(verdicts).items():
        decided = [
            v.order == f"{v.winner}_first" for v in given if v.winner in ("model", "reference")
        ]
        rows[name] = {
            "verdicts": len(given),
            "first": sum(decided) / len(given),
            "second": (len(decided) - sum(decided)) / len(given),
            "tie": np.mean([v.winner == "tie" for v in given]),
            "invalid": np.mean([v.winner is None for v in given]),
            "refused": np.mean([is_refusal(v.reply) for v in given]),
            "foreign": np.mean(
                [len(FOREIGN.findall(v.reply)) > 0.2 * max(len(v.reply), 1) for v in given]
            ),
        }
        rows[name]["finding"] = _finding(rows[name])
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("judge")


def _finding(row: dict[str, float]) -> str:
    if row["refused"] > 0.5:
        return "refuses to judge"
    if row["foreign"] > 0.5 and row["invalid"] > 0.5:
        return "answers in another script, unreadable"
    if row["invalid"] > 0.5:
        return "writes what cannot be read"
    if row["verdicts"] < 10:
        return ""
    if max(row["first"], row["second"]) > 0.95:
        return f"always chooses the {'first' if row['first'] > 0.5 else 'second'} answer"
    return "always ties" if row["tie"] > 0.95 else ""


def _record(verdict: Verdict | dict) -> Verdict:
    return (
        verdict
        if isinstance(verdict, Verdict)
        else Verdict.model_validate({"model": ""} | dict(verdict))
    )


def _letter(found: str) -> Literal["a", "b", "tie"]:
    return {"a": "a", "b": "b"}.get(found.lower(), "tie")
