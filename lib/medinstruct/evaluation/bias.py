"""Bias of a judge: position, length, truncation, and preference for its own family of models."""

import re
from collections.abc import Sequence

import pandas as pd

from medinstruct.evaluation.answers import statistics
from medinstruct.evaluation.verdicts import (
    KEY,
    PAIR,
    TEXTS,
    by_judge,
    mean_interval,
    single_judge_table,
    table,
)
from medinstruct.evaluation.win_rate import length_controlled, win_rates, with_lengths
from medinstruct.records import Answer, Verdict


def panel(verdicts: Sequence[Verdict], answers: Sequence[Answer]) -> pd.DataFrame:
    """Return one row a model and reference: what may have moved its score besides quality.

    score, consistency, position_bias as in `win_rates`; lc_score, length, position as in
    `length_controlled`; longer_wins: share of the `decisive` items (both orders agree on a winner)
    that the longer answer wins; truncated_model, truncated_reference: shares of `answers` (which
    hold the references too); kin: the side of the judge's own family of models.
    """
    frame = with_lengths(single_judge_table(verdicts), answers)
    rates = win_rates(verdicts, by_model=True)
    names = [name for name in rates if name.startswith(("score", "consistency", "position_bias"))]
    longer = {pair: _longer_wins(group) for pair, group in frame.groupby(PAIR, sort=False)}
    rows = rates[["low", "high", *names]].join(length_controlled(verdicts, answers))
    rows = rows.join(pd.DataFrame(longer).T.rename_axis(PAIR))
    truncated, own = statistics(answers)["truncated"], family(verdicts[0].judge) or "unknown"
    kin = []
    for side in PAIR:
        rows[f"truncated_{side}"] = rows.index.get_level_values(side).map(truncated)
    for pair in rows.index:
        kin.append(" ".join(s for s, name in zip(PAIR, pair, strict=True) if family(name) == own))
    return rows.assign(kin=kin)


def self_preference(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return how much more a judge favors its own family than judges of other families do.

    One row a judge and pair of which exactly one side is of its family: n items, mean extra score
    of that side with its 95 % interval. Empty with one judge: kinship and quality are confounded.
    """
    families = {name: family(group[0].judge) for name, group in by_judge(verdicts).items()}
    wide = table(verdicts).pivot(index=KEY, columns="instrument", values="score")
    rows = []
    for name, own in families.items():
        others = [other for other in families if families[other] != own]
        gaps = (wide[name] - wide[others].mean(axis=1)).dropna() if own and others else pd.Series()
        for pair, group in gaps.groupby(PAIR) if len(gaps) else ():
            side = int(family(pair[0]) == own) - int(family(pair[1]) == own)
            if side:
                extra = side * group.groupby("id").mean()
                rows.append((name, *pair, len(extra), *mean_interval(extra)))
    return pd.DataFrame(rows, columns=["judge", *PAIR, "n", "extra", "low", "high"])


def family(name: str) -> str | None:
    """Return the family of a model by its name, or None.

    >>> family("gpt-4o-mini-2024-07-18"), family("Alpaca-Llama-2-7b-chat"), family("written")
    ('OpenAI', 'LLaMA', None)
    """
    matches = (key for key, words in TEXTS["families"].items() if re.search(words, name.lower()))
    return next(matches, None)


def _longer_wins(group: pd.DataFrame) -> dict[str, float]:
    """Return the share of decisive items that the longer answer wins, with its interval."""
    items = group.groupby("id")[["score", "log_ratio"]].agg(["min", "max"])
    low, ratio = items["score", "min"], items["log_ratio", "max"]
    decisive = (low == items["score", "max"]) & (low != 0.5) & (ratio.abs() > 0)
    wins = ((low == 1.0) == (ratio > 0))[decisive]
    share, low, high = mean_interval(wins)
    bounds = {"longer_wins_low": low, "longer_wins_high": high}
    return {"longer_wins": share, **bounds, "decisive": len(wins)}
