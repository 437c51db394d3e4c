"""Several judges, and people: how far they agree, what most of them say, and what few human votes make of many verdicts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from medinstruct import records, stats
from medinstruct.errors import UserError
from medinstruct.evaluation.verdicts import SCORE, by_judge, pair_key, table
from medinstruct.records import Verdict

KEY = ["id", "model", "reference", "order"]


class Vote(BaseModel):
    """One blinded vote of one person on one pair; `question` is correctness or helpfulness."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str
    model: str
    reference: str
    question: str
    rater: str
    winner: Literal["model", "reference", "tie"]


def agreement(verdicts: Iterable[Verdict], *, seed: int = 42) -> pd.DataFrame:
    """Cohen's kappa of every two judges over the pairs that both have judged, and Krippendorff's alpha of all; with intervals.

    Pairs are resampled by verdict. The row of all judges is called "all (alpha)".
    """
    wide = _wide(verdicts)
    columns = {name: [None if pd.isna(v) else v for v in wide[name]] for name in wide}
    rows = [(a, b, *stats.cohen_kappa(columns[a], columns[b])) for a, b in combinations(columns, 2)]
    if len(columns) > 1:
        rows.append(
            ("all (alpha)", "", *stats.krippendorff_alpha(list(columns.values()), seed=seed))
        )
    return pd.DataFrame(rows, columns=["judge", "other", "value", "low", "high", "pairs"])


def majority(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """One verdict a pair and order that all judges saw: what more than half of the readable ones say, else a tie."""
    verdicts = list(verdicts)
    judges = len(by_judge(verdicts))
    groups: dict[tuple[str, ...], list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault(pair_key(verdict), []).append(verdict)
    whole = {key: group for key, group in groups.items() if len(group) == judges}
    return [
        Verdict(
            **dict(zip(KEY, key, strict=True)),
            winner=_most([v.winner for v in group]),
            judge=f"majority of {judges}",
        )
        for key, group in whole.items()
    ]


def on_shared(verdicts: Iterable[Verdict]) -> dict[str, list[Verdict]]:
    """The verdicts of each judge on the pairs that all judges saw, and their majority: what may be laid side by side."""
    verdicts = list(verdicts)
    most = majority(verdicts)
    shared = {pair_key(v) for v in most}
    found = {
        name: [v for v in given if pair_key(v) in shared]
        for name, given in by_judge(verdicts).items()
    }
    return found | {most[0].judge: most} if most and len(found) > 1 else found


def load_votes(path: str | Path) -> list[Vote]:
    """The votes of a JSONL file: id, model, reference, question, rater, winner a line; a rater's second vote on a pair is refused."""
    votes = records.read(path, Vote)
    counts = Counter((v.id, v.model, v.reference, v.question, v.rater) for v in votes)
    twice = [key for key, count in counts.items() if count > 1]
    if twice:
        raise UserError(
            f"{path} holds votes twice.",
            got=f"{len(twice)}, first {twice[0]}",
            do="Keep one vote a rater and pair.",
        )
    return votes


def vote_results(votes: Iterable[Vote], *, seed: int = 42) -> pd.DataFrame:
    """One row a model, reference and question: n pairs, raters, score by majority with interval, alpha of the raters."""
    frame = pd.DataFrame([vote.model_dump() for vote in votes], columns=list(Vote.model_fields))
    rows = []
    for (model, reference, question), group in frame.groupby(
        ["model", "reference", "question"], sort=False
    ):
        wide = group.pivot(index="rater", columns="id", values="winner")
        most = [SCORE[_most(list(wide[item].dropna()))] for item in wide]
        alpha = stats.krippendorff_alpha(
            [[None if pd.isna(v) else v for v in row] for row in wide.to_numpy()], seed=seed
        )
        low, high = stats.bootstrap_interval(most, seed=seed)
        rows.append(
            (
                model,
                reference,
                question,
                len(most),
                len(wide),
                sum(most) / len(most),
                low,
                high,
                *alpha[:3],
            )
        )
    names = [
        "model",
        "reference",
        "question",
        "n",
        "raters",
        "score",
        "low",
        "high",
        "alpha",
        "alpha_low",
        "alpha_high",
    ]
    return pd.DataFrame(rows, columns=names)


def calibrated(votes: Iterable[Vote], verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """The score that people would give on all items, from their votes on a few and a judge's verdicts on all.

    One row a model, reference and question (see `stats.prediction_powered`); needs three items with both.
    """
    judged: dict[tuple[str, str], dict[str, float]] = {}
    for (model, reference, item), score in (
        table(verdicts).groupby(["model", "reference", "id"])["score"].mean().dropna().items()
    ):
        judged.setdefault((model, reference), {})[item] = score
    groups: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for vote in votes:
        groups.setdefault((vote.model, vote.reference, vote.question), {}).setdefault(
            vote.id, []
        ).append(vote.winner)
    rows = []
    for (model, reference, question), items in groups.items():
        known = judged.get((model, reference), {})
        human = {item: SCORE[_most(winners)] for item, winners in items.items() if item in known}
        if len(human) >= 3:
            rest = [score for item, score in known.items() if item not in human]
            found = stats.prediction_powered(
                list(human.values()), [known[item] for item in human], rest
            )
            rows.append((model, reference, question, *found))
    return pd.DataFrame(rows, columns=["model", "reference", "question", *stats.Calibrated._fields])


def _wide(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """One row a pair and order, one column a judge, the winner in it."""
    frame = table(verdicts)
    return frame.pivot(index=KEY, columns="instrument", values="winner")[
        list(frame["instrument"].unique())
    ]


def _most(winners: Sequence[str | None]) -> str | None:
    """What more than half say; a tie where nobody has that many; None where nobody said anything."""
    counts = Counter(winner for winner in winners if winner)
    if not counts:
        return None
    name, count = counts.most_common(1)[0]
    return name if 2 * count > sum(counts.values()) else "tie"
