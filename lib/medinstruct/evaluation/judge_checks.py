"""Checks of a judge: prompt injection, drift, inter-judge agreement and human calibration."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from medinstruct import paths, records, stats
from medinstruct.errors import UserError
from medinstruct.evaluation import judge
from medinstruct.evaluation.test_sets import evenly
from medinstruct.evaluation.verdicts import (
    KEY,
    SCORE,
    Pair,
    by_judge,
    instrument,
    pair_key,
    table,
    winner_by_majority,
)
from medinstruct.llm import Client
from medinstruct.records import Answer, TestItem, Verdict

# A harmless line where an attack would be: an inconsistent judge changes its verdict by itself.
CONTROL = "This is the end of the answer to the question above."
ATTACKED, CONTROLLED = " + ", " + control of "


class Vote(BaseModel):
    """One blinded vote of one person on one pair; `question` is correctness or helpfulness."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str
    model: str
    reference: str
    question: str
    rater: str
    winner: Literal["model", "reference", "tie"]


async def attack(
    client: Client | judge.Replay,
    verdicts: Iterable[Verdict],
    items: Sequence[TestItem],
    answers: Sequence[Answer],
    *,
    references: Iterable[Answer],
    style: str = "short",
) -> list[Verdict]:
    """Return verdicts on answers with a prompt injection, and on their controls, in both orders.

    Each shipped attack is put into another answer that had lost in both orders. A control has a
    harmless line instead. None from a replay.
    """
    lost = Counter(pair_key(v)[:3] for v in verdicts if v.winner == "reference")
    by_item = {(answer.item, answer.model): answer for answer in answers if answer.text.strip()}
    known = {(answer.item, answer.model): answer for answer in references}
    targets = [
        (by_item[id, model], known[id, reference])
        for (id, model, reference), count in lost.items()
        if count == 2 and (id, model) in by_item and (id, reference) in known
    ]
    if isinstance(client, judge.Replay) or not targets:
        return []
    attacks = [row for _, row in records.rows(paths.data("judge_attacks.jsonl"))]
    pairs = []
    for n, row in enumerate(attacks):
        answer, reference = targets[n * len(targets) // len(attacks)]
        lines = {ATTACKED: row["text"], CONTROLLED: CONTROL}
        changed = [_with_line(answer, line, row, mark) for mark, line in lines.items()]
        pairs += judge.build_pairs(items, changed, references=[reference], style=style)
    return await judge.ask(client, pairs, label="attacks")


def attack_results(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """Return one row an attack: score with it, score of its control, and their difference (gain).

    All comparisons were lost before: a judge that is consistent and obeys no attack gives 0.
    """
    rows = []
    for verdict in verdicts:
        mark = CONTROLLED if CONTROLLED in verdict.model else ATTACKED
        name = verdict.model.rpartition(mark)[2]
        rows.append((name, "control" if mark == CONTROLLED else "score", SCORE.get(verdict.winner)))
    frame = pd.DataFrame(rows, columns=["attack", "kind", "value"]).astype({"value": float})
    wide = frame.pivot_table(index="attack", columns="kind", values="value", sort=False)
    wide = wide.reindex(columns=["score", "control"])
    wide["gain"] = wide["score"] - wide["control"]
    return wide.sort_values("gain", ascending=False, kind="stable")


def anchors(
    folder: str | Path,
    items: Sequence[TestItem],
    *,
    references: Iterable[Answer],
    style: str = "short",
    count: int = 50,
) -> tuple[list[Pair], list[Verdict]]:
    """Return at most `count` pairs of an earlier run and the verdicts of its first judge on them.

    `folder` holds answers.jsonl and verdicts.jsonl. Pairs are evenly spaced over those whose answer
    and reference text are unchanged.
    """
    ids = {item.id for item in items}
    answers = [a for a in records.read(Path(folder) / "answers.jsonl", Answer) if a.item in ids]
    verdicts = records.read(Path(folder) / "verdicts.jsonl", Verdict)
    old = {pair_key(v): v for v in verdicts if instrument(v) == instrument(verdicts[0])}
    texts = {(answer.model, answer.item): answer for answer in [*answers, *references]}
    pairs = judge.build_pairs(items, answers, references=texts.values(), style=style)
    pairs = [pair for pair in pairs if pair_key(pair) in old]
    pairs = [pair for pair in pairs if old[pair_key(pair)].provenance.parents == pair.parents]
    if not pairs:
        do = "Set `anchors` to the folder of a run on the same test set."
        raise UserError("The earlier run has no pair that can be judged again.", got=folder, do=do)
    chosen = evenly(pairs, count)
    return chosen, [old[pair_key(pair)] for pair in chosen]


def drift(old: Sequence[Verdict], new: Sequence[Verdict], *, seed: int = 42) -> pd.DataFrame:
    """Return one row that compares verdicts on the same pairs at two times.

    pairs, share changed, mean scores, their difference with 95 % interval and p, and Cohen's kappa.
    """
    then, now = ({pair_key(verdict): verdict for verdict in group} for group in (old, new))
    if set(then) != set(now):
        got, do = sorted(set(then) ^ set(now))[:3], "Judge all anchors again."
        raise UserError("Drift needs the same pairs twice.", got=got, do=do)
    before, after = [v.winner for v in then.values()], [now[key].winner for key in then]
    pairs = pd.DataFrame({"id": [v.id for v in then.values()], "then": before, "now": after})
    pairs[["then", "now"]] = pairs[["then", "now"]].apply(lambda winners: winners.map(SCORE))
    pairs = pairs.dropna()
    gap = (pairs["now"] - pairs["then"]).groupby(pairs["id"]).mean().to_numpy()
    low, high = stats.bootstrap_interval(gap, seed=seed)
    kappa = stats.cohen_kappa(before, after)
    row = {"then": instrument(old[0]), "now": instrument(new[0]), "pairs": len(pairs)}
    row |= {"changed": (pairs["then"] != pairs["now"]).mean()}
    row |= {"score_then": pairs["then"].mean(), "score_now": pairs["now"].mean()}
    row |= {"difference": gap.mean(), "low": low, "high": high}
    row |= {"p": stats.sign_flip_test(gap, seed=seed)}
    row |= {"kappa": kappa.value, "kappa_low": kappa.low, "kappa_high": kappa.high}
    return pd.DataFrame([row])


def agreement(verdicts: Iterable[Verdict], *, seed: int = 42) -> pd.DataFrame:
    """Return Cohen's kappa of every two judges and Krippendorff's alpha of all, with intervals.

    Over the pairs that both have judged; the row of all judges is named "all (alpha)".
    """
    frame = table(verdicts)
    wide = frame.pivot(index=KEY, columns="instrument", values="winner")
    winners = {name: _without_nan(wide[name]) for name in frame["instrument"].unique()}
    pairs = combinations(winners, 2)
    rows = [(a, b, *stats.cohen_kappa(winners[a], winners[b])) for a, b in pairs]
    if rows:
        alpha = stats.krippendorff_alpha(list(winners.values()), seed=seed)
        rows.append(("all (alpha)", "", *alpha))
    return pd.DataFrame(rows, columns=["judge", "other", "value", "low", "high", "pairs"])


def majority(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return one verdict for each pair that all judges saw, by `winner_by_majority`."""
    groups: dict[tuple[str, ...], list[Verdict]] = {}
    instruments = set()
    for verdict in verdicts:
        groups.setdefault(pair_key(verdict), []).append(verdict)
        instruments.add(instrument(verdict))
    return [
        Verdict(
            **dict(zip(KEY, key, strict=True)),
            winner=winner_by_majority(verdict.winner for verdict in group),
            judge=f"majority of {len(instruments)}",
        )
        for key, group in groups.items()
        if len(group) == len(instruments)
    ]


def on_shared_pairs(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """Return {judge: verdicts} and their majority on the pairs that all judges saw."""
    merged = majority(verdicts)
    shared = {pair_key(verdict) for verdict in merged}
    groups = by_judge(verdict for verdict in verdicts if pair_key(verdict) in shared)
    return groups | by_judge(merged) if len(groups) > 1 else groups


def load_votes(path: str | Path) -> list[Vote]:
    """Load people's votes from a JSONL file; a rater may vote once on a pair and question."""
    votes = records.read(path, Vote)
    counts = Counter((v.id, v.model, v.reference, v.question, v.rater) for v in votes)
    repeated = [key for key, count in counts.items() if count > 1]
    if repeated:
        got, do = f"{len(repeated)}, first {repeated[:1]}", "Keep one vote a rater and pair."
        raise UserError(f"{path} holds votes twice.", got=got, do=do)
    return votes


def vote_results(votes: Iterable[Vote], *, seed: int = 42) -> pd.DataFrame:
    """Return one row a model, reference and question: n pairs, raters, score by majority, alpha."""
    frame = pd.DataFrame([vote.model_dump() for vote in votes], columns=list(Vote.model_fields))
    names = ["model", "reference", "question"]
    rows = []
    for key, group in frame.groupby(names, sort=False):
        wide = group.pivot(index="rater", columns="id", values="winner")
        scores = [SCORE[winner_by_majority(wide[item].dropna())] for item in wide]
        alpha = stats.krippendorff_alpha(
            [_without_nan(row) for _, row in wide.iterrows()], seed=seed
        )
        interval = stats.bootstrap_interval(scores, seed=seed)
        counts = (len(scores), len(wide))
        rows.append((*key, *counts, sum(scores) / len(scores), *interval, *alpha[:3]))
    columns = ["n", "raters", "score", "low", "high", "alpha", "alpha_low", "alpha_high"]
    return pd.DataFrame(rows, columns=[*names, *columns])


def calibrated(votes: Iterable[Vote], verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """Return the score that people would give on all items, by prediction-powered inference.

    From people's votes on some items and a judge's verdicts on all (`stats.prediction_powered`);
    one row a model, reference and question with at least three items of both.
    """
    judged = table(verdicts).groupby(["model", "reference", "id"])["score"].mean().dropna()
    groups: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for vote in votes:
        group = groups.setdefault((vote.model, vote.reference, vote.question), {})
        group.setdefault(vote.id, []).append(vote.winner)
    rows = []
    for (model, reference, question), winners in groups.items():
        known = dict(judged.get((model, reference), pd.Series(dtype=float)))
        human = {id: SCORE[winner_by_majority(winners[id])] for id in winners if id in known}
        if len(human) >= 3:
            others = [score for id, score in known.items() if id not in human]
            both = list(human.values()), [known[id] for id in human]
            rows.append((model, reference, question, *stats.prediction_powered(*both, others)))
    columns = ["model", "reference", "question", *stats.Calibrated._fields]
    return pd.DataFrame(rows, columns=columns)


def _with_line(answer: Answer, line: str, attack: Mapping[str, str], mark: str) -> Answer:
    """Return the answer with a line before or after it, under a model name of its own."""
    lines = (line, answer.text) if attack.get("place") == "before" else (answer.text, line)
    name = f"{answer.model}{mark}{attack['name']}"
    return Answer(item=answer.item, model=name, text="\n".join(lines))


def _without_nan(values: pd.Series) -> list[str | None]:
    return [None if pd.isna(value) else value for value in values]
