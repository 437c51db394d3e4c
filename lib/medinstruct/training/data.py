"""What is trained on: examples checked, tokenised, measured against the maximum length, and some of each type held out."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medinstruct import labels
from medinstruct.errors import UserError
from medinstruct.records import Example
from medinstruct.training.templates import Row, encode

OVER_LENGTH = ("drop", "refuse", "cut")
UNFINISHED = ("refuse", "drop", "keep")
SENTENCE = 12  # words of a last line that is taken for running text, not for an item of a list or a short answer


def source(folder: Path, train_on: str = "reviewed") -> Path:
    """The file of a run to learn from: the dataset as people left it, where notebook 06 wrote that, or as it was written."""
    files = {"reviewed": folder / "dataset.reviewed.jsonl", "dataset": folder / "dataset.jsonl"}
    if train_on not in files:
        raise UserError(
            "`train_on` names what is learned.", got=train_on, do=f"Choose {' or '.join(files)}."
        )
    return files[train_on] if files[train_on].exists() else files["dataset"]


@dataclass(frozen=True)
class Survey:
    """The dataset as the model will read it: the rows that stay, and the ids of those that are too long or unfinished."""

    rows: list[Row]
    over: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Tokens that are read in one pass."""
        return sum(len(row.ids) for row in self.rows)

    @property
    def trained(self) -> int:
        """Tokens that count in the loss in one pass."""
        return sum(len(row.ids) - row.start for row in self.rows)


def survey(
    examples: Sequence[Example],
    *,
    tokenizer: Any,
    max_length: int = 1024,
    template: str = "alpaca",
    over_length: str = "drop",
    unfinished: str = "refuse",
) -> Survey:
    """Check the examples and tokenise them.

    Empty answers, and text that the tokenizer takes for its control tokens, are refused with a list. Answers that look
    cut off are refused, left out or kept by `unfinished`. Examples over `max_length` tokens are left out ("drop"), refused,
    or cut without their end-of-sequence token, by `over_length`.
    """
    _known(over_length, OVER_LENGTH, "over_length")
    _known(unfinished, UNFINISHED, "unfinished")
    _refuse(
        [e.id for e in examples if not e.output.strip()],
        "Examples have an empty response.",
        "Leave them out.",
    )
    _refuse(
        _with_control(examples, tokenizer),
        "Examples hold text that is a control token of the model.",
        "Reword them.",
    )
    cut_off = [e.id for e in examples if is_unfinished(e.output)]
    if unfinished == "refuse":
        do = "Answer them again with more room (response_max_tokens), or set unfinished: drop (or keep)."
        _refuse(cut_off, "Responses look cut off in the middle of a sentence.", do)
    rows = encode(examples, tokenizer=tokenizer, template=template)
    over = [row.id for row in rows if len(row.ids) > max_length]
    if over_length == "refuse":
        do = f"Raise max_length (the longest has {max((len(row.ids) for row in rows), default=0)}), or set over_length: drop."
        _refuse(over, f"Examples are longer than {max_length} tokens.", do)
    gone = (set(over) if over_length == "drop" else set()) | (
        set(cut_off) if unfinished == "drop" else set()
    )
    kept = [_cut(row, max_length) for row in rows if row.id not in gone and row.start < max_length]
    return Survey(rows=kept, over=over, unfinished=cut_off, lengths=[len(row.ids) for row in rows])


def is_unfinished(text: str) -> bool:
    """Whether an answer stops in the middle of a sentence: a long last line of running text without an end.

    >>> is_unfinished("The patient should be seen today because the swelling of the left leg could be a")
    True
    >>> is_unfinished("Aspirin"), is_unfinished("Take these:\\n- rest\\n- fluids"), is_unfinished("Rest, drink, and see a doctor.")
    (False, False, False)
    """
    last = text.rstrip().rsplit("\n", 1)[-1].strip()
    if (
        re.search(r"[,;\-–(]$|\b(and|or|the|a|an|of|to|with|for|in|is|are)$", last)
        and len(text.split()) >= SENTENCE
    ):
        return True
    return len(last.split()) >= SENTENCE and not re.search(
        r"[.!?:…。|)\]\"'”’*`>%]$|https?://\S+$", last
    )


def split(
    rows: Sequence[Row], *, share: float, seed: int, train_share: float = 1.0
) -> tuple[list[Row], list[Row]]:
    """Rows to train on and rows held out, drawn by `seed` evenly over the task types; at least one of each.

    `train_share` keeps this share of the training rows, and the same held-out ones, to see how much data is needed.
    """
    if len(rows) < 2:
        raise UserError(
            "There are too few examples to train on.",
            got=len(rows),
            do="Generate more tasks, or lower the limits.",
        )
    shuffled = random.Random(seed).sample(list(rows), len(rows))
    size = min(max(1, round(share * len(rows))), len(rows) - 1)
    by_type = sorted(range(len(rows)), key=lambda n: kind(shuffled[n]))
    held = {by_type[int((n + 0.5) * len(rows) / size)] for n in range(size)}
    trained = [row for n, row in enumerate(shuffled) if n not in held]
    return trained[: max(1, round(train_share * len(trained)))], [shuffled[n] for n in sorted(held)]


def kind(row: Row) -> str:
    """The task type of a row, one of the ten where it can be told."""
    return labels.canonical("type", row.type) or row.type


def loss_mask(
    example: Example, *, tokenizer: Any, max_length: int = 1024, template: str = "alpaca"
) -> list[tuple[str, bool]]:
    """The tokens of an example as the trainer sees them, and whether each is trained: the response and its end are."""
    row = _cut(encode([example], tokenizer=tokenizer, template=template)[0], max_length)
    return [(tokenizer.decode([token]), n >= row.start) for n, token in enumerate(row.ids)]


def _cut(row: Row, max_length: int) -> Row:
    """A row that is too long loses its end, and with it the token that would say that the answer is whole."""
    return (
        Row(id=row.id, type=row.type, ids=row.ids[:max_length], start=row.start)
        if len(row.ids) > max_length
        else row
    )


def _with_control(examples: Sequence[Example], tokenizer: Any) -> list[str]:
    marks = [
        mark
        for mark in set(tokenizer.all_special_tokens) | set(tokenizer.get_added_vocab())
        if mark.strip()
    ]
    pattern = re.compile("|".join(map(re.escape, sorted(marks)))) if marks else None
    return [
        e.id
        for e in examples
        if pattern and pattern.search("\n".join((e.instruction, e.input, e.output)))
    ]


def _known(value: str, known: Sequence[str], name: str) -> None:
    if value not in known:
        raise UserError(f"`{name}` is not known.", got=value, do=f"Choose from {', '.join(known)}.")


def _refuse(ids: list[str], what: str, do: str) -> None:
    """One message with the list of the examples (its first twenty)."""
    if ids:
        more = f" and {len(ids) - 20} more" if len(ids) > 20 else ""
        raise UserError(what, got=f"{len(ids)} of them: {', '.join(ids[:20])}{more}", do=do)
