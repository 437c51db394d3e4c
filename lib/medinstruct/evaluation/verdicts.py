"""Reading a judge's reply, and the win rates of the published protocol with what it leaves out."""

import re
from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd

from medinstruct import stats
from medinstruct.records import Verdict

SCORE = {"model": 1.0, "tie": 0.5, "reference": 0.0}
BRACKETED = re.compile(r"\[\[\s*([abc]|tie)\s*\]\]", re.IGNORECASE)
SHORT = re.compile(r"^\W*(?:the\s+better\s+(?:one|output)\s+is\s+)?output\s*\(?([ab])\)?\b", re.IGNORECASE)
FINAL = re.compile(r"(?:verdict|better|best|choose|prefer|winner)\W[^.\n]{0,40}?output\s*\(?([ab])\)?(?=\W|$)", re.IGNORECASE)
BARE = re.compile(r"^\W*\(?([ab]|tie)\)?\W*$", re.IGNORECASE)
TIE = re.compile(r"^\W*(?:it(?:'s| is) )?(?:a )?(?:tie|draw)\b", re.IGNORECASE)


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
    named = {found.lower() for found in re.findall(r"output\s*\(?([ab])\b", text.split("\n")[0], re.IGNORECASE)}
    if (short := SHORT.match(text)) and (len(named) == 1 or re.match(r"^\W*output\s*\(?[ab]\)?\s+(?:is|was)\b", text, re.I)):
        return _letter(short.group(1))
    final = {found.lower() for found in FINAL.findall(text)}
    return _letter(final.pop()) if len(final) == 1 else None


def win_rates(verdicts: Iterable[Verdict], *, seed: int = 42, rounds: int = 2000) -> pd.DataFrame:
    """One row a model and reference (indexed by reference alone where there is one model).

    n: items with a readable verdict; score: mean of the two orders, ties a half, mean over items (paper.md, 5.1); low and
    high: its 95 % bootstrap interval over items; win_rate and win_rate_non_tied: items won (both orders averaged above a
    half), of all and of those not tied; consistency: share of items whose orders agree; position_bias: score when the model
    stands first less score when it stands second; invalid: verdicts that could not be read.
    """
    frame = pd.DataFrame([(v.model, v.reference, v.id, v.order, v.winner) for v in map(_record, verdicts)], columns=COLUMNS)
    frame["score"] = frame["winner"].map(SCORE)
    rows = {key: _rates(group, seed=seed, rounds=rounds) for key, group in frame.groupby(["model", "reference"], sort=False)}
    table = pd.DataFrame(rows.values(), index=pd.MultiIndex.from_tuples(rows, names=["model", "reference"]))
    return table.droplevel("model") if table.index.get_level_values("model").nunique() == 1 else table


COLUMNS = ["model", "reference", "id", "order", "winner"]


def _record(verdict: Verdict | dict) -> Verdict:
    return verdict if isinstance(verdict, Verdict) else Verdict.model_validate({"model": ""} | dict(verdict))


def _rates(group: pd.DataFrame, *, seed: int, rounds: int) -> dict[str, float]:
    orders = group.pivot_table(index="id", columns="order", values="score", aggfunc="mean")
    items = orders.mean(axis=1)
    low, high = stats.bootstrap_interval(items.to_numpy(), seed=seed, rounds=rounds)
    both = orders.dropna() if orders.shape[1] == 2 else orders.iloc[:0]
    first, second = (orders.get(order, pd.Series(dtype=float)).mean() for order in ("model_first", "reference_first"))
    won, lost = (items > 0.5).sum(), (items < 0.5).sum()
    return {
        "n": len(items), "score": items.mean(), "low": low, "high": high,
        "win_rate": won / max(len(items), 1), "win_rate_non_tied": won / (won + lost) if won + lost else np.nan,
        "consistency": (both.iloc[:, 0] == both.iloc[:, 1]).mean() if len(both) else np.nan,
        "position_bias": first - second, "invalid": int(group["winner"].isna().sum()),
    }  # fmt: skip


def _letter(found: str) -> Literal["a", "b", "tie"]:
    return {"a": "a", "b": "b"}.get(found.lower(), "tie")
