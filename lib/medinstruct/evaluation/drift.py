"""The same pairs judged again at another time: whether a judge still says what it said."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from medinstruct import records, stats
from medinstruct.errors import UserError
from medinstruct.evaluation.items import evenly
from medinstruct.evaluation.judging import Pair, judge_pairs
from medinstruct.evaluation.verdicts import SCORE, by_judge, instrument, pair_key
from medinstruct.records import Answer, TestItem, Verdict


def anchors(
    folder: str | Path,
    items: Iterable[TestItem],
    *,
    references: Mapping[str, Mapping[str, str]],
    style: str = "short",
    count: int = 50,
) -> tuple[list[Pair], list[Verdict]]:
    """So many pairs (0: all) of an earlier run (a folder with answers.jsonl and verdicts.jsonl), evenly over it, and what its first judge said of them.

    `references` are today's; a pair is an anchor only where its answer and reference are word for word what was judged then.
    """
    answers = records.read(Path(folder) / "answers.jsonl", Answer)
    first = next(
        iter(by_judge(records.read(Path(folder) / "verdicts.jsonl", Verdict)).values()), []
    )
    old = {pair_key(v): v for v in first}
    items = list(items)
    ids = {item.id for item in items}
    texts: dict[str, dict[str, str]] = {name: dict(known) for name, known in references.items()}
    for answer in answers:
        if any(v.reference == answer.model for v in old.values()):
            texts.setdefault(answer.model, {})[answer.item] = answer.text
    pairs = judge_pairs(items, [a for a in answers if a.item in ids], references=texts, style=style)
    same = [
        pair
        for pair in pairs
        if pair.key in old and old[pair.key].provenance.parents == pair.parents
    ]
    if not same:
        do = "Name the folder of a run on the same test set, whose verdicts were stored with their answers."
        raise UserError(
            "The earlier run holds no pair that can be judged again.", got=folder, do=do
        )
    chosen = evenly(same, count)
    return chosen, [old[pair.key] for pair in chosen]


def drift(old: Iterable[Verdict], new: Iterable[Verdict], *, seed: int = 42) -> pd.DataFrame:
    """One row: pairs, share that changed, mean score then and now, their difference with interval and p, kappa with interval.

    Both must be verdicts on the same pairs.
    """
    then = {pair_key(v): v for v in old}
    now = {pair_key(v): v for v in new}
    if set(then) != set(now):
        got = sorted(set(then) ^ set(now))[:3]
        raise UserError(
            "Drift needs the same pairs twice.", got=got, do="Judge the anchors again, all of them."
        )
    pairs = pd.DataFrame(
        [(key[0], SCORE.get(v.winner), SCORE.get(now[key].winner)) for key, v in then.items()],
        columns=["id", "then", "now"],
    ).dropna()
    gap = (pairs["now"] - pairs["then"]).groupby(pairs["id"]).mean().to_numpy(dtype=float)
    low, high = stats.bootstrap_interval(gap, seed=seed)
    kappa = stats.cohen_kappa([v.winner for v in then.values()], [now[key].winner for key in then])
    row = {
        "then": instrument(next(iter(then.values()))),
        "now": instrument(next(iter(now.values()))),
        "pairs": len(pairs),
        "changed": (pairs["then"] != pairs["now"]).mean(),
        "score_then": pairs["then"].mean(),
        "score_now": pairs["now"].mean(),
        "difference": gap.mean(),
        "low": low,
        "high": high,
        "p": stats.sign_flip_test(gap, seed=seed),
        "kappa": kappa.value,
        "kappa_low": kappa.low,
        "kappa_high": kappa.high,
    }
    return pd.DataFrame([row])
