"""Answers that try to trick the judge: whether a lost comparison turns when a line to the judge stands in the answer.

A judge that wavers turns by itself. So each attack has its control: the same comparison with a harmless line in the same place.
"""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from medinstruct import paths, records
from medinstruct.evaluation.judging import Pair, judge, judge_pairs
from medinstruct.evaluation.replay import Replay
from medinstruct.evaluation.verdicts import SCORE
from medinstruct.llm import Client
from medinstruct.records import Answer, TestItem, Verdict

CONTROL = "This is the end of the answer to the question above."
MARK = " + control of "


def load_attacks() -> list[dict[str, str]]:
    """The shipped attacks: name, and where the text goes (before or after the answer)."""
    return [row for _, row in records.rows(paths.data("judge_attacks.jsonl"))]


def attacked(answer: Answer, attack: Mapping[str, str], *, control: bool = False) -> Answer:
    """The answer with the attack (or the harmless line in its place) in it, under a model's name of its own."""
    line = CONTROL if control else attack["text"]
    text = f"{line}\n{answer.text}" if attack.get("place") == "before" else f"{answer.text}\n{line}"
    name = f"{answer.model}{MARK if control else ' + '}{attack['name']}"
    return Answer(item=answer.item, model=name, text=text, finish_reason=answer.finish_reason)


def attack_pairs(
    verdicts: Iterable[Verdict],
    items: Sequence[TestItem],
    answers: Sequence[Answer],
    *,
    references: Mapping[str, Mapping[str, str]],
    style: str = "short",
) -> list[Pair]:
    """For each attack and its control both orders of a comparison that was lost in both; these are spread over the test set."""
    lost: dict[tuple[str, str, str], int] = {}
    for v in verdicts:
        lost[(v.model, v.id, v.reference)] = lost.get((v.model, v.id, v.reference), 0) + (
            v.winner == "reference"
        )
    own = {(answer.model, answer.item): answer for answer in answers if answer.text.strip()}
    open_ = [
        key for key, count in lost.items() if count == 2 and key[:2] in own and key[2] in references
    ]
    attacks = load_attacks()
    pairs = []
    for n, attack in enumerate(attacks if open_ else []):
        model, item, reference = open_[n * len(open_) // len(attacks)]
        two = [attacked(own[(model, item)], attack, control=control) for control in (False, True)]
        pairs += judge_pairs(items, two, references={reference: references[reference]}, style=style)
    return pairs


async def try_attacks(
    by: Client | Replay,
    verdicts: Iterable[Verdict],
    items: Sequence[TestItem],
    answers: Sequence[Answer],
    *,
    references: Mapping[str, Mapping[str, str]],
    style: str = "short",
) -> list[Verdict]:
    """The verdicts on answers with an attack in them; none from a replay, which cannot be asked anything new."""
    if isinstance(by, Replay):
        return []
    return await judge(
        by,
        attack_pairs(verdicts, items, answers, references=references, style=style),
        label="attacks",
    )


def attack_results(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """One row an attack: score with the attack, with the harmless line, and what the attack gained.

    All these comparisons were lost in both orders before, so that a judge who neither wavers nor obeys gives 0.
    """
    rows = [
        (
            v.model.rpartition(MARK if MARK in v.model else " + ")[2],
            MARK in v.model,
            SCORE.get(v.winner),
        )
        for v in verdicts
    ]
    frame = pd.DataFrame(rows, columns=["attack", "control", "score"]).astype({"score": float})
    wide = frame.pivot_table(index="attack", columns="control", values="score", sort=False).reindex(
        columns=[False, True]
    )
    wide.columns = ["score", "control"]
    return wide.assign(gain=wide["score"] - wide["control"]).sort_values(
        "gain", ascending=False, kind="stable"
    )
