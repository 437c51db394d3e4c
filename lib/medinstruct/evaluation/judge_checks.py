"""Checks of a judge: prompt injection, inter-judge agreement and human calibration."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pandas as pd

from medinstruct import paths, records, stats
from medinstruct.errors import UserError
from medinstruct.evaluation.judge import Judge, Replay, ask
from medinstruct.evaluation.verdicts import (
    KEY,
    PAIR,
    SCORE,
    Pair,
    by_judge,
    mean_interval,
    pair_key,
    table,
    winner_by_majority,
)
from medinstruct.records import Answer, Verdict

VOTE = ["id", *PAIR, "question", "rater"]
# A harmless line where an attack would be: an inconsistent judge changes its verdict by itself.
CONTROL = "This is the end of the answer to the question above."
ATTACKED, CONTROLLED = " + ", " + control of "


async def attack(judge: Judge, pairs: Iterable[Pair], verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return verdicts on answers with a prompt injection, and on controls; none from a replay.

    Each shipped attack is put into another answer that had lost in both orders; its control has a
    harmless line in the same place.
    """
    lost = Counter(pair_key(verdict)[:3] for verdict in verdicts if verdict.winner == "reference")
    targets: dict[tuple[str, ...], list[Pair]] = {}
    for pair in pairs:
        if lost[pair_key(pair)[:3]] == 2 and pair.answer.text:
            targets.setdefault(pair_key(pair)[:3], []).append(pair)
    if isinstance(judge, Replay) or not targets:
        return []
    attacks = [row for _, row in records.rows(paths.data("judge_attacks.jsonl"))]
    changed = []
    for n, row in enumerate(attacks):
        for mark, line in ((ATTACKED, row["text"]), (CONTROLLED, CONTROL)):
            for pair in list(targets.values())[n * len(targets) // len(attacks)]:
                lines = [line, pair.answer.text]
                text = "\n".join(lines if row.get("place") == "before" else lines[::-1])
                name = f"{pair.answer.model}{mark}{row['name']}"
                answer = Answer(item=pair.answer.item, model=name, text=text)
                changed.append(replace(pair, answer=answer))
    return await ask(judge, changed, label="attacks")


def attack_results(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """Return one row an attack: score with it, score of its control, and their difference (gain).

    All comparisons were lost before: a judge that is consistent and obeys no attack gives 0.
    """
    frame = table(verdicts)
    is_control = frame["model"].str.contains(CONTROLLED, regex=False)
    names = frame["model"].str.replace(CONTROLLED, ATTACKED, regex=False)
    frame["kind"] = is_control.map({True: "control", False: "score"})
    frame["attack"] = names.str.rsplit(ATTACKED, n=1).str[-1]
    wide = frame.pivot_table(index="attack", columns="kind", values="score", sort=False)
    wide = wide.reindex(columns=["score", "control"]).eval("gain = score - control")
    return wide.sort_values("gain", ascending=False, kind="stable")


def agreement(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Return Cohen's kappa of every two judges and Krippendorff's alpha of all, with intervals.

    Over the pairs that both have judged; the row of all judges is named "all (alpha)".
    """
    wide = table(verdicts).pivot(index=KEY, columns="instrument", values="winner")
    ratings = {name: _ratings(wide[name]) for name in by_judge(verdicts)}
    rows = [(a, b, *stats.cohen_kappa(ratings[a], ratings[b])) for a, b in combinations(ratings, 2)]
    if rows:
        rows.append(("all (alpha)", "", *stats.krippendorff_alpha(list(ratings.values()))))
    return pd.DataFrame(rows, columns=["judge", "other", "value", "low", "high", "pairs"])


def on_shared_pairs(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """Return {judge: verdicts} and the majority of several judges on pairs that all judges saw."""
    votes: dict[tuple[str, ...], list] = {}
    for verdict in verdicts:
        votes.setdefault(pair_key(verdict), []).append(verdict.winner)
    judges = len(by_judge(verdicts))
    shared = {key: won for key, won in votes.items() if len(won) == judges}
    groups = by_judge(verdict for verdict in verdicts if pair_key(verdict) in shared)
    name = f"majority of {judges}"
    for key, won in shared.items() if judges > 1 else ():
        fields = dict(zip(KEY, key, strict=True)) | {"winner": winner_by_majority(won)}
        groups.setdefault(name, []).append(Verdict(**fields, judge=name))
    return groups


def load_votes(path: str | Path) -> pd.DataFrame:
    """Load people's blinded votes: one row a vote with the columns VOTE and winner; "" for none."""
    rows = records.load_table(path) if path else []
    votes = pd.DataFrame(rows, columns=[*VOTE, "winner"])
    is_wrong = votes[VOTE].isna().any(axis=1) | ~votes["winner"].isin(SCORE)
    is_wrong |= votes.duplicated(VOTE)
    if is_wrong.any():
        do = f"Each vote needs {', '.join(VOTE)} and winner: {', '.join(SCORE)}, once a rater."
        got = votes[is_wrong].iloc[0].to_dict()
        raise UserError(f"Votes in {path} cannot be read or occur twice.", got=got, do=do)
    return votes


def vote_results(votes: pd.DataFrame) -> pd.DataFrame:
    """Return one row a model, reference and question: n pairs, raters, score by majority, alpha."""
    rows = []
    for key, group in votes.groupby([*PAIR, "question"], sort=False):
        wide = group.pivot(index="rater", columns="id", values="winner")
        scores = [SCORE[winner_by_majority(wide[item].dropna())] for item in wide]
        alpha = stats.krippendorff_alpha([_ratings(row) for _, row in wide.iterrows()])[:3]
        rows.append((*key, len(scores), len(wide), *mean_interval(scores), *alpha))
    columns = ["n", "raters", "score", "low", "high", "alpha", "alpha_low", "alpha_high"]
    return pd.DataFrame(rows, columns=[*PAIR, "question", *columns])


def calibrated(votes: pd.DataFrame, verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """Return the score that people would give on all items, by prediction-powered inference.

    From people's votes on some items and a judge's verdicts on all (`stats.prediction_powered`);
    one row a model, reference and question with at least three items of both.
    """
    frame = table(verdicts)
    rows = []
    for key, group in votes.groupby([*PAIR, "question"], sort=False):
        own = frame[(frame["model"] == key[0]) & (frame["reference"] == key[1])]
        judged = own.groupby("id")["score"].mean().dropna()
        human = group.groupby("id", sort=False)["winner"].agg(winner_by_majority).map(SCORE)
        human = human[human.index.isin(judged.index)]
        if len(human) >= 3:
            others = judged.drop(human.index)
            rows.append((*key, *stats.prediction_powered(human, judged[human.index], others)))
    return pd.DataFrame(rows, columns=[*PAIR, "question", *stats.Calibrated._fields])


def _ratings(winners: pd.Series) -> list[str | None]:
    return [None if pd.isna(winner) else winner for winner in winners]
