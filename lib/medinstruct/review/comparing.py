"""Blinded comparisons of two models by people: who is preferred, whether the side mattered, and the votes for notebook 08."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from medinstruct import records, stats
from medinstruct.errors import UserError
from medinstruct.records import Answer, TestItem
from medinstruct.review.cards import Card, pairs
from medinstruct.review.store import Vote


def pairs_of_run(
    folder: str | Path, items: Sequence[TestItem], models: str, *, number: int = 0, seed: int = 42
) -> list[Card]:
    """The comparisons of two models ("tuned, base") whose answers notebook 08 has left in a folder; none before it has run."""
    names = tuple(name.strip() for name in models.split(",") if name.strip())
    texts = _texts(folder)
    if not texts or not names:
        return []
    if len(names) != 2:
        raise UserError(
            "A comparison is of two models.", got=models, do=f"Name two of: {', '.join(texts)}."
        )
    return pairs(items, texts, (names[0], names[1]), number=number, seed=seed)


def current_votes(
    folder: str | Path, items: Sequence[TestItem], votes: Sequence[Vote]
) -> list[Vote]:
    """The comparisons whose question and both answers are still word for word those in a folder; a new model is voted on anew."""
    texts = _texts(folder)
    whom = {
        tuple(sorted(vote.sides.values()))
        for vote in votes
        if len(set(vote.sides.values()) & set(texts)) == 2
    }
    known = {
        (card.id, card.hash) for one, other in whom for card in pairs(items, texts, (one, other))
    }
    return [vote for vote in votes if (vote.item, vote.hash) in known]


def winner(vote: Vote) -> str:
    """The model that a comparison chose, or tie.

    >>> winner(Vote("u", 0.0, "r", "reviewer", "answers", "i", "h", "left", sides={"left": "tuned", "right": "base"}))
    'tuned'
    """
    return vote.sides.get(vote.action, "tie")


def preferences(votes: Sequence[Vote], *, seed: int = 42) -> pd.DataFrame:
    """One row a pair of models: votes, items, wins, ties; the first one's score (ties a half) with its interval over items; and
    `left`, the share of decided votes that went to the left side, which is a half when the side does not matter."""
    rows = []
    groups: dict[tuple[str, ...], list[Vote]] = {}
    for vote in votes:
        if vote.kind == "answers" and len(vote.sides) == 2:
            groups.setdefault(tuple(sorted(vote.sides.values(), reverse=True)), []).append(vote)
    for (first, second), group in groups.items():
        scores = pd.DataFrame(
            [(v.item, {first: 1.0, "tie": 0.5}.get(winner(v), 0.0)) for v in group],
            columns=["item", "score"],
        )
        mean = scores.groupby("item")["score"].mean()
        low, high = stats.bootstrap_interval(mean.to_numpy(), seed=seed)
        decided = [vote.action == "left" for vote in group if vote.action != "tie"]
        won = [sum(winner(vote) == name for vote in group) for name in (first, second, "tie")]
        left = sum(decided) / len(decided) if decided else float("nan")
        rows.append(
            (first, second, len(group), len(mean), *won, float(mean.mean()), low, high, left)
        )
    names = [
        "model",
        "reference",
        "votes",
        "items",
        "wins",
        "losses",
        "ties",
        "score",
        "low",
        "high",
        "left",
    ]
    return pd.DataFrame(rows, columns=names)


def write_votes(path: str | Path, votes: Sequence[Vote], *, model: str = "tuned") -> Path:
    """The comparisons as the file of human votes that notebook 08 reads; raters are aliases."""
    lines = []
    for vote in votes:
        if vote.kind == "answers" and model in vote.sides.values():
            (other,) = set(vote.sides.values()) - {model}
            won = {model: "model", other: "reference"}.get(winner(vote), "tie")
            row = {
                "id": vote.item,
                "model": model,
                "reference": other,
                "question": "overall",
                "rater": vote.reviewer,
            }
            lines.append(json.dumps(row | {"winner": won}, ensure_ascii=False) + "\n")
    return records.write_text(path, "".join(lines))


def _texts(folder: str | Path) -> dict[str, dict[str, str]]:
    """Model -> item -> what it answered, from the answers that notebook 08 left in a folder."""
    path, texts = Path(folder) / "answers.jsonl", {}
    for answer in records.read(path, Answer) if path.exists() else []:
        texts.setdefault(answer.model, {})[answer.item] = answer.text
    return texts
