"""Training examples: prompts, trained tokens, checks before training, held-out split."""

import random
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from medinstruct import labels, paths, records
from medinstruct.diversity import coverage
from medinstruct.errors import UserError, check_choice
from medinstruct.filtering import contamination
from medinstruct.llm import render_chat
from medinstruct.records import Example

PROMPTS = paths.load("training")["prompts"]


class Row(NamedTuple):
    """One tokenized example; the tokens from `start` on (the response and its end) are trained."""

    example: Example
    ids: list[int]
    start: int

    @property
    def type(self) -> str:
        """Return the task type, as one of the ten canonical types where it has one."""
        return labels.canonical("type", self.example.type) or self.example.type


class Survey(NamedTuple):
    """Tokenized dataset: rows to use, ids of examples over the maximum length, all lengths."""

    rows: list[Row]
    over: list[str]
    lengths: list[int]


def prompt(instruction: str, input: str = "") -> str:
    """Return the Alpaca prompt; without an input, the template that has none."""
    template = PROMPTS["with_input" if input else "without_input"]
    before, _, after = template.partition("{instruction}")
    return before + instruction + after.replace("{input}", input)


def message(instruction: str, input: str = "") -> str:
    """Return the user's chat message: the instruction and, after an empty line, its input."""
    return f"{instruction}\n\n{input}" if input else instruction


def tokenize(example: Example, *, tokenizer: Any, template: str) -> Row:
    """Return an example's tokens; raise where prompt and response share a token."""
    question = (example.instruction, example.input)
    if template == "alpaca":
        before = prompt(*question)
        text = before + example.output + tokenizer.eos_token
    else:
        turns = [{"role": "user", "content": message(*question)}]
        before, _ = render_chat(tokenizer, turns)
        answer = {"role": "assistant", "content": example.output}
        text = "".join(render_chat(tokenizer, [*turns, answer]))
    form = {"add_special_tokens": template == "alpaca"}
    asked, ids = (tokenizer(t, **form)["input_ids"] for t in (before, text))
    if ids[: len(asked)] != asked:
        got, do = f"example {example.id}", "Choose another template, or another base model."
        raise UserError("Prompt and response share a token.", got=got, do=do)
    return Row(example=example, ids=ids, start=len(asked))


def survey(
    examples: Sequence[Example],
    *,
    tokenizer: Any,
    max_length: int = 1024,
    template: str = "alpaca",
    over_length: str = "drop",
) -> Survey:
    """Tokenize the examples; reject empty responses and control tokens.

    Examples over `max_length` tokens are dropped, or truncated with `over_length` cut.
    """
    check_choice("template", template, ("alpaca", "chat"))
    check_choice("over_length", over_length, ("drop", "cut"))
    empty = [example.id for example in examples if not example.output.strip()]
    problems = {"an empty response": empty}
    problems["a control token of the model"] = _with_control_tokens(examples, tokenizer)
    for problem, ids in problems.items():
        if ids:
            got, do = f"{len(ids)} of them: {', '.join(ids[:20])}", "Reword or remove them."
            raise UserError(f"Examples contain {problem}.", got=got, do=do)
    rows = [tokenize(example, tokenizer=tokenizer, template=template) for example in examples]
    lengths = [len(row.ids) for row in rows]
    over = [row.example.id for row in rows if len(row.ids) > max_length]
    room = max_length if over_length == "drop" else max(lengths, default=0)
    rows = [row for row in rows if len(row.ids) <= room and row.start < max_length]
    rows = [Row(row.example, row.ids[:max_length], row.start) for row in rows]
    return Survey(rows, over, lengths)


def split(
    rows: Sequence[Row], *, share: float, seed: int, train_share: float = 1.0
) -> tuple[list[Row], list[Row]]:
    """Return training and held-out rows: of different requests, stratified by task type.

    Tasks of one request resemble each other, so whole requests are held out, each time the one that
    brings the numbers by type closest to `share`. `train_share` is kept of the training rows.
    """
    shuffled = random.Random(seed).sample(list(rows), len(rows))
    requests = [row.example.request or row.example.id for row in shuffled]
    counts = pd.crosstab(pd.Series(requests, dtype=object), pd.Series([r.type for r in shuffled]))
    if len(counts) < 2:
        got = f"{len(rows)} examples of {len(counts)} request(s)"
        do = "Generate tasks with more requests, or lower the limits."
        raise UserError("There are too few examples to train on.", got=got, do=do)
    counts = counts.loc[list(dict.fromkeys(requests))].astype(float)  # in random order
    missing, held = share * counts.sum(), []
    while len(held) < len(counts) - 1:
        change = (counts**2).sum(axis=1) - 2 * counts @ missing  # of the squared distance
        best = change.drop(held).idxmin()
        if held and change[best] >= 0:
            break
        held.append(best)
        missing = missing - counts.loc[best]
    trained = [row for row, name in zip(shuffled, requests, strict=True) if name not in held]
    held_out = [row for row, name in zip(shuffled, requests, strict=True) if name in held]
    return trained[: max(1, round(train_share * len(trained)))], held_out


def replay(source: str, *, tests: Path) -> list[Example]:
    """Return general instructions, shipped or from a source, that repeat no test question."""
    place = str(paths.data("replay.jsonl")) if source == "own" else source
    unused = {"type": "general", "topic": "", "view": "", "difficulty": 1, "task": ""}

    def example(row: dict, where: str) -> Example:
        return records.parse(Example, unused | records.texts(row, where=where), where=where)

    pairs = records.usable(coverage.rows(place), example, source=source)
    examples = records.distinct(pairs, attrgetter("id"), source=source)
    files = [paths.data("test_general.jsonl"), *filter(Path.exists, [tests])]
    hits = contamination.find(examples, contamination.load_items(files=files))
    records.note(f"Replay: {len(hits)} repeat test questions and are left out", [*hits["text"]])
    return [example for example in examples if example.id not in set(hits["task"])]


def add_replay(trained: list[Row], general: list[Row], *, share: float, seed: int) -> list[Row]:
    """Return training rows plus general ones up to a `share`, each at most once."""
    wanted = round(share / (1 - share) * len(trained))
    lack = ["too small a set"] * (wanted > len(general))
    records.note(f"Replay: {len(general)} of {wanted} examples", lack)
    return trained + random.Random(seed).sample(general, min(wanted, len(general)))


def dataset_hash(examples: Sequence[Example]) -> str:
    """Return 16 hex digits over instruction, input and output of all examples, in any order."""
    return records.content_hash(sorted([e.instruction, e.input, e.output] for e in examples))


def _with_control_tokens(examples: Sequence[Example], tokenizer: Any) -> list[str]:
    """Return ids of examples that contain a special token, or an added one of the chat template."""
    template, added = str(tokenizer.chat_template or ""), tokenizer.added_tokens_decoder.items()
    marks = [id for id, token in added if token.content.strip() and token.content in template]
    control = {*marks, *tokenizer.all_special_ids, *(id for id, token in added if token.special)}
    texts = ["\n".join((e.instruction, e.input, e.output)) for e in examples]
    rows = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    return [e.id for e, ids in zip(examples, rows, strict=True) if control & set(ids)]
