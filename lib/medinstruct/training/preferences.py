"""Preferences: pairs of a chosen and a rejected answer, balance of length, checks, files."""

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from medinstruct import paths, records
from medinstruct.errors import UserError, check_choice
from medinstruct.filtering import contamination, count_words
from medinstruct.records import Answer, Example, Record, Task, Verdict
from medinstruct.training.examples import message

LEAST = 10  # pairs
BALANCES = ("match", "reweight", "none")
FORM = {"type": "chat", "topic": "", "view": "", "difficulty": 1}  # labels that training ignores


class Preference(Record):
    """A prompt with its chosen and its rejected answer; a single thumb has only one of them.

    `prompt` is the user's message, which ends with `input` if there is one. `source` is judge,
    people, edit, chat, safety or thumb; `verdicts` are the requests of the judge's two verdicts.
    """

    _content = ("prompt", "chosen", "rejected")
    prompt: str = Field(min_length=1)
    input: str = ""
    chosen: str = ""
    rejected: str = ""
    source: str
    weight: float = Field(1.0, gt=0)
    verdicts: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_answer(self) -> Self:
        if not (self.chosen or self.rejected):
            raise ValueError("a preference needs a chosen or a rejected answer")
        return self

    @property
    def is_pair(self) -> bool:
        """Return whether both answers are there."""
        return bool(self.chosen and self.rejected)

    @property
    def thumbs(self) -> list[dict[str, Any]]:
        """Return its answers one by one, as TRL's KTO reads them: prompt, completion, label."""
        texts, about = {True: self.chosen, False: self.rejected}, {"source": self.source}
        rows = [{"completion": text, "label": label} for label, text in texts.items() if text]
        return [{"prompt": self.prompt} | row | about for row in rows]

    def task(self, output: str) -> Example:
        """Return the prompt with one answer as an example to tokenize."""
        instruction = self.prompt.removesuffix(f"\n\n{self.input}") if self.input else self.prompt
        fields = {"instruction": instruction, "input": self.input, "output": output}
        return Example(id=self.id, task=self.id, **FORM, **fields)


def from_verdicts(
    verdicts: Iterable[Verdict], answers: Iterable[Answer], tasks: Sequence[Task]
) -> list[Preference]:
    """Return the pairs whose verdict survives the swap: both orders name the same winner.

    `tasks` are training prompts, and `answers` the candidates: those of the tuned model and the
    reference response, each under a model's name that is compared in the verdicts.
    """
    texts = {(answer.item, answer.model): answer.text for answer in answers}
    prompts = {task.id: task for task in tasks}
    groups: dict[tuple[str, ...], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        groups[verdict.id, verdict.model, verdict.reference].append(verdict)
    pairs = []
    for (item, model, reference), group in groups.items():
        winners, orders = {v.winner for v in group}, {v.order for v in group}
        if len(orders) < 2 or len(winners) > 1 or not winners & {"model", "reference"}:
            continue
        names = (model, reference) if winners == {"model"} else (reference, model)
        chosen, rejected = (texts[item, name] for name in names)
        about = {"source": "judge", "verdicts": tuple(v.provenance.request for v in group)}
        pairs += _pair(prompts[item], chosen, rejected, **about) if chosen and rejected else []
    return pairs


def from_reviews(examples: Iterable[Example], decisions: Iterable[Any]) -> list[Preference]:
    """Return reviewers' edits over the original text, and accepted and rejected ones as thumbs.

    `decisions` are those of `review.decide`; what reviewers dispute gives none.
    """
    texts, rows = {example.id: example for example in examples}, []
    for decision in decisions:
        example = texts.get(decision.id)
        if example and decision.action == "edit":
            edit = decision.vote.edit
            is_same = all(edit.get(k, v) == v for k, v in example if k in ("instruction", "input"))
            chosen = edit.get("output", example.output) if is_same else ""
            rows += _pair(example, chosen, example.output, source="edit") if chosen else []
        elif example and decision.action in ("accept", "reject"):
            side = {"accept": "chosen", "reject": "rejected"}[decision.action]
            rows += _pair(example, **{side: example.output}, source="thumb")
    return rows


def from_chat(turns: Iterable[Any]) -> list[Preference]:
    """Return corrections over the answers that they correct, right answers over wrong ones, thumbs.

    `turns` are those of `assist.Transcripts`; the last judgment of an answer counts. Follow-up
    questions are left out: their pairs would lack what came before.
    """
    rows, begun = [], set()
    for turn in turns:
        if (conversation := turn.conversation or turn.id) in begun:
            continue
        begun.add(conversation)
        task = Task(**FORM, instruction=turn.instruction or turn.question, input=turn.input)
        judged = [
            (answer.text, answer.judgments[-1]) for answer in turn.answers if answer.judgments
        ]
        fixed = [(text, last["correction"].strip()) for text, last in judged]
        rows += [p for a, b in fixed if b for p in _pair(task, b, a, source="chat")]
        right = [text for text, last in judged if last["verdict"] == "right"]
        wrong = [text for text, last in judged if last["verdict"] != "right"]
        rows += [p for a, b in product(right, wrong) for p in _pair(task, a, b, source="people")]
        if not (right and wrong):
            single = {"chosen": right, "rejected": [a for a, b in fixed if not b and a in wrong]}
            thumbs = [{side: text} for side, texts in single.items() for text in texts]
            rows += [p for thumb in thumbs for p in _pair(task, **thumb, source="thumb")]
    return rows


def from_safety(source: str = "own") -> list[Preference]:
    """Return pairs on emergencies, doses, refusals and look-alikes, shipped or of a file.

    Their prompts are none of the safety test's; not reviewed by clinicians.
    """
    path = paths.data("safety_pairs.jsonl") if source == "own" else source
    rows = enumerate(records.load_table(path), 1)
    names = ("prompt", "input", "chosen", "rejected")
    fields = [(n, {k: row[k] for k in names if k in row} | {"source": "safety"}) for n, row in rows]
    return [records.parse(Preference, row, where=f"{path}, row {n}") for n, row in fields]


def _pair(task: Task, chosen: str = "", rejected: str = "", **about: Any) -> list[Preference]:
    """Return a pair or a thumb on a task; nothing where both texts are equal."""
    fields = {"prompt": message(task.instruction, task.input), "input": task.input}
    fields |= {"chosen": chosen, "rejected": rejected}
    return [Preference(**fields, **about)] if chosen.strip() != rejected.strip() else []


def screen(
    rows: Sequence[Preference], *, questions: pd.DataFrame, held_out: Collection[str] = ()
) -> tuple[list[Preference], dict[str, list[str]]]:
    """Return the rows to train on, and the ids of the others by reason, which are logged.

    Left out are equal answers, repeated rows, `held_out` prompts, and rows that repeat one of the
    test `questions` (see `contamination.read_items`).
    """
    hits = contamination.find([row.task(row.chosen or "-") for row in rows], questions)
    repeats = {hit.task: f"{hit.task} repeats {hit.id} of {hit.set}" for hit in hits.itertuples()}
    kept, left = {}, defaultdict(list)
    for row in rows:
        if row.chosen == row.rejected:
            left["chosen and rejected answer are identical"].append(row.id)
        elif row.id in repeats:
            left["repeats a test question"].append(repeats[row.id])
        elif row.prompt in held_out:
            left["the prompt is held out"].append(row.id)
        elif row.id in kept:
            left["repeats another pair"].append(row.id)
        else:
            kept[row.id] = row
    for reason, names in left.items():
        records.note(f"{len(names)} preferences are left out, {reason}", names)
    return list(kept.values()), dict(left)


def check_pairs(rows: Sequence[Preference]) -> None:
    """Raise if there are fewer than 10 pairs; log if they are of one source."""
    sources = [row.source for row in rows if row.is_pair]
    if len(sources) < LEAST:
        do = "Collect more votes or edits, ask for more samples, or add pairs of the safety set."
        raise UserError(f"Preferences need {LEAST} pairs or more.", got=len(sources), do=do)
    if len(set(sources)) == 1:
        text = f"All {len(sources)} pairs come from one source, {sources[0]}: the model may learn"
        logging.getLogger("medinstruct").warning(f"{text} its style in place of its judgment.")


def save(folder: Path, rows: Sequence[Preference]) -> None:
    """Write preferences.jsonl, the pairs, and thumbs.jsonl, all answers one by one, for TRL."""
    pairs = [row.model_dump(exclude={"provenance"}) for row in rows if row.is_pair]
    thumbs = [thumb for row in rows for thumb in row.thumbs]
    for name, part in {"preferences": pairs, "thumbs": thumbs}.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in part]
        records.write_text(folder / f"{name}.jsonl", "".join(lines))


def length_ratios(pairs: Iterable[Preference]) -> np.ndarray:
    """Return for each pair the log of words chosen by words rejected; above 0: chosen is longer."""
    sizes = [[count_words(text) for text in (pair.chosen, pair.rejected)] for pair in pairs]
    return np.log(np.maximum(np.reshape(sizes, (-1, 2)), 1)) @ [1, -1]


def balance(pairs: Sequence[Preference], *, how: str = "match") -> list[Preference]:
    """Return pairs whose chosen answer is the longer one in half of them, so that length is no cue.

    match: each pair with a longer chosen answer has a partner whose rejected answer is longer by
    nearly as much (optimal assignment); others go. reweight: all stay, and both halves weigh the
    same. Pairs of equal length and thumbs stay.
    """
    check_choice("balance", how, BALANCES)
    ratios = np.where([pair.is_pair for pair in pairs], length_ratios(pairs), 0)
    longer, shorter = np.flatnonzero(ratios > 0), np.flatnonzero(ratios < 0)
    if how == "none" or len(longer) == len(shorter) == 0:
        return list(pairs)
    if not (len(longer) and len(shorter)):
        word = "longer" if len(longer) else "shorter"
        do = "Add pairs of another kind, or set balance: none."
        raise UserError(f"The chosen answer is {word} in every pair.", got=len(pairs), do=do)
    if how == "reweight":
        half = (len(longer) + len(shorter)) / 2
        weights = np.ones(len(pairs))
        weights[longer], weights[shorter] = half / len(longer), half / len(shorter)
        rows = zip(pairs, weights.round(4).tolist(), strict=True)
        return [pair.model_copy(update={"weight": pair.weight * w}) for pair, w in rows]
    from scipy.optimize import linear_sum_assignment

    gaps = np.abs(np.add.outer(ratios[longer], ratios[shorter]))
    first, second = linear_sum_assignment(gaps)
    kept = {*longer[first], *shorter[second], *np.flatnonzero(ratios == 0)}
    return [pair for n, pair in enumerate(pairs) if n in kept]
