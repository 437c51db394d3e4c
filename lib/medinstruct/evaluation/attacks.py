"""Answers that try to trick the judge: how often a lost comparison turns when a line addressed to the judge is put into the answer."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from medinstruct import paths, records
from medinstruct.evaluation.judging import Pair, judge, judge_pairs
from medinstruct.evaluation.replay import Replay
from medinstruct.evaluation.verdicts import SCORE
from medinstruct.llm import Client
from medinstruct.records import Answer, TestItem, Verdict


def load_attacks() -> list[dict[str, str]]:
    """The shipped attacks: name, and where the text goes (before or after the answer)."""
    return [row for _, row in records.rows(paths.data("judge_attacks.jsonl"))]


def attacked(answer: Answer, attack: Mapping[str, str]) -> Answer:
    """The answer with the attack in it, under a model's name of its own."""
    text = f"{attack['text']}\n{answer.text}" if attack.get("place") == "before" else f"{answer.text}\n{attack['text']}"
    return Answer(item=answer.item, model=f"{answer.model} + {attack['name']}", text=text, finish_reason=answer.finish_reason)


def attack_pairs(
    verdicts: Iterable[Verdict],
    items: Sequence[TestItem],
    answers: Sequence[Answer],
    *,
    references: Mapping[str, Mapping[str, str]],
    style: str = "short",
) -> list[Pair]:
    """For each attack the two orders of one comparison that was lost in both; the comparisons are spread over the test set."""
    lost: dict[tuple[str, str, str], int] = {}
    for v in verdicts:
        lost[(v.model, v.id, v.reference)] = lost.get((v.model, v.id, v.reference), 0) + (v.winner == "reference")
    own = {(answer.model, answer.item): answer for answer in answers if answer.text.strip()}
    open_ = [key for key, count in lost.items() if count == 2 and key[:2] in own and key[2] in references]
    attacks = load_attacks()
    pairs = []
    for n, attack in enumerate(attacks if open_ else []):
        model, item, reference = open_[n * len(open_) // len(attacks)]
        pairs += judge_pairs(
            items, [attacked(own[(model, item)], attack)], references={reference: references[reference]}, style=style
        )
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
    return await judge(by, attack_pairs(verdicts, items, answers, references=references, style=style), label="attacks")


def attack_results(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """One row an attack: the score of an answer that had lost both orders before; anything above 0 is a success of the attack."""
    rows = [(v.model.rpartition(" + ")[2], SCORE.get(v.winner), v.winner is None) for v in verdicts]
    frame = pd.DataFrame(rows, columns=["attack", "score", "invalid"])
    return (
        frame.groupby("attack", sort=False)
        .agg(score=("score", "mean"), invalid=("invalid", "sum"))
        .sort_values("score", ascending=False)
    )
