"""Blind pairs: two models' answers side by side, the votes on them as a file."""

import json
import random
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from medinstruct import records
from medinstruct.errors import UserError
from medinstruct.records import TestItem, content_hash
from medinstruct.review.review_cards import Card
from medinstruct.review.store import Vote

Answers = Mapping[str, Mapping[str, str]]  # model -> item id -> text


def pairs(
    items: Sequence[TestItem], answers: Answers, models: str, *, number: int = 0, seed: int = 42
) -> list[Card]:
    """Return comparisons of two models ("tuned, base"), at most `number` (0: all), in random order.

    Items with equal answers, or without an answer of both models, are left out. Without any answers
    there is nothing to compare yet.
    """
    names = [name.strip() for name in models.split(",")]
    if answers and (len(names) != 2 or len({*names} & {*answers}) != 2):
        do = f"Set two of: {', '.join(answers)}."
        raise UserError("models must be two models with answers.", got=models, do=do)
    cards = []
    for item in random.Random(f"{seed}/pairs").sample(items, len(items)):
        texts = {name: answers[name][item.id] for name in names if item.id in answers.get(name, {})}
        if len({text.strip() for text in texts.values()}) == 2:
            question = {"question": f"{item.instruction}\n{item.input}".strip()}
            name = content_hash(question, sorted(texts.items()))
            cards.append(Card(item.id, name, "answers", question | texts))
    return cards[: number or None]


def current(votes: Sequence[Vote], items: Sequence[TestItem], answers: Answers) -> list[Vote]:
    """Return the votes on comparisons whose question and answers have not changed since."""
    models = [f"{a}, {b}" for a, b in combinations(answers, 2)]
    texts = {(card.id, card.hash) for names in models for card in pairs(items, answers, names)}
    return [vote for vote in votes if (vote.item, vote.hash) in texts]


def write_votes(path: str | Path, votes: Sequence[Vote], *, model: str = "tuned") -> list[dict]:
    """Write the comparisons of `model` as the human votes that the judging notebook reads."""
    rows = []
    for vote in votes:
        if model in vote.sides.values():
            (reference,) = set(vote.sides.values()) - {model}
            row = {"id": vote.item, "model": model, "reference": reference, "question": "overall"}
            winner = {model: "model", reference: "reference"}.get(vote.decision, "tie")
            rows.append(row | {"rater": vote.reviewer, "winner": winner})
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    records.write_text(path, "".join(lines))
    return rows
