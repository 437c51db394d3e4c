"""Preferences: pairs of a chosen and a rejected answer, balance of length, checks, files."""

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

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

    `prompt` is the user's message, which ends with `input`. `source` is judge, people, edit, chat,
    safety or thumb; `verdicts` are the requests of the judge's two verdicts.
    """

    _content = ("prompt", "chosen", "rejected")
    prompt: str = Field(min_length=1)
    input: str = ""
    chosen: str = ""
    rejected: str = ""
    source: str
    weight: float = Field(1.0, gt=0)
    verdicts: tuple[str, ...] = ()

    @property
    def is_pair(self) -> bool:
        """Return whether it has both answers."""
        return bool(self.chosen and self.rejected)

    @property
    def thumbs(self) -> list[dict[str, Any]]:
        """Return its answers one by one, as TRL's KTO reads them: prompt, completion, label."""
        texts = ((self.chosen, True), (self.rejected, False))
        rows = [{"completion": text, "label": label} for text, label in texts if text]
        return [{"prompt": self.prompt} | row | {"source": self.source} for row in rows]

    def task(self, output: str) -> Example:
        """Return the prompt with one answer as an example to tokenize."""
        instruction = self.prompt.removesuffix(f"\n\n{self.input}") if self.input else self.prompt
        fields = {"instruction": instruction, "input": self.input, "output": output}
        return Example(id=self.id, task=self.id, **FORM, **fields)


def from_verdicts(
    verdicts: Iterable[Verdict], answers: Iterable[Answer], tasks: Sequence[Task]
) -> list[Preference]:
    """Return pairs of `answers` to tasks for which both orders have the same winner."""
    texts = {(answer.item, answer.model): answer.text for answer in answers}
    prompts, groups, pairs = {task.id: task for task in tasks}, defaultdict(dict), []
    for verdict in verdicts:
        groups[verdict.id, verdict.model, verdict.reference][verdict.order] = verdict
    for (item, *names), group in groups.items():
        winners = [verdict.winner for verdict in group.values()]
        if winners in (["model"] * 2, ["reference"] * 2):
            both = [texts[item, name] for name in (names if "model" in winners else names[::-1])]
            requests = tuple(verdict.provenance.request for verdict in group.values())
            if all(both):
                pairs.append(_pair(prompts[item], *both, source="judge", verdicts=requests))
    return pairs


def from_reviews(examples: Iterable[Example], decisions: Iterable[Any]) -> list[Preference]:
    """Return reviewers' edits over the original text; accepted and rejected texts as thumbs."""
    texts, rows = {example.id: example for example in examples}, []
    for decision in decisions:
        example = texts.get(decision.id)
        if example and decision.action == "edit":
            edit = decision.vote.edit
            is_same = all(edit.get(k, v) == v for k, v in example if k in ("instruction", "input"))
            if is_same and (chosen := edit.get("output")):
                rows.append(_pair(example, chosen, example.output, source="edit"))
        elif example and decision.action in ("accept", "reject"):
            side = {"accept": "chosen", "reject": "rejected"}[decision.action]
            rows.append(_pair(example, **{side: example.output}, source="thumb"))
    return rows


def from_chat(turns: Iterable[Any]) -> list[Preference]:
    """Return corrections over corrected answers, right answers over wrong ones, and thumbs.

    `turns` are those of `assist.Transcripts`; the last judgment of an answer counts. Follow-up
    questions are left out, since a pair has no earlier turns.
    """
    rows, first = [], {}
    for turn in turns:
        first.setdefault(turn.conversation or turn.id, turn)
    for turn in first.values():
        task = Task(**FORM, instruction=turn.instruction or turn.question, input=turn.input)
        judged = [(a.text, a.judgments[-1]) for a in turn.answers if a.judgments]
        fixed = {text: new for text, last in judged if (new := last["correction"].strip())}
        rows += [_pair(task, new, text, source="chat") for text, new in fixed.items()]
        right = [text for text, last in judged if last["verdict"] == "right"]
        wrong = [text for text, last in judged if last["verdict"] != "right"]
        rows += [_pair(task, *both, source="people") for both in product(right, wrong)]
        if not (right and wrong):
            rows += [_pair(task, text, source="thumb") for text in right]
            single = [text for text in wrong if text not in fixed]
            rows += [_pair(task, rejected=text, source="thumb") for text in single]
    return rows


def from_safety(source: str = "own") -> list[Preference]:
    """Return the safety pairs, shipped (not reviewed by clinicians) or of a file."""

    def fields(row: dict, where: str) -> dict[str, Any]:
        names = ("prompt", "input", "chosen", "rejected")
        return {name: row[name] for name in names if name in row} | {"source": "safety"}

    path = paths.data("safety_pairs.jsonl") if source == "own" else source
    return records.load(path, Preference, fields)


def _pair(task: Task, chosen: str = "", rejected: str = "", **about: Any) -> Preference:
    """Return a pair or a thumb on a task."""
    fields = {"prompt": message(task.instruction, task.input), "input": task.input}
    return Preference(**fields, chosen=chosen, rejected=rejected, **about)


def screen(
    rows: Sequence[Preference], *, questions: pd.DataFrame, held_out: Collection[str] = ()
) -> tuple[list[Preference], dict[str, list[str]]]:
    """Return the rows to train on, and the ids of the others by reason, which are logged."""
    hits = contamination.find([row.task(row.chosen or "-") for row in rows], questions)
    repeats = {hit.task: f"{hit.task} repeats {hit.id} of {hit.set}" for hit in hits.itertuples()}
    kept, left = {}, defaultdict(list)
    for row in rows:
        reasons = {
            "chosen and rejected answer are identical": row.chosen.strip() == row.rejected.strip(),
            "repeats a test question": row.id in repeats,
            "the prompt is held out": row.prompt in held_out,
            "repeats another pair": row.id in kept,
        }
        if reason := next(filter(reasons.get, reasons), ""):
            left[reason].append(repeats.get(row.id, row.id))
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
        logging.getLogger("medinstruct").warning(f"{text} its style instead of its judgment.")


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
    """Balance pairs by length: the chosen answer is the longer one in half of them.

    match: each pair with a longer chosen answer has a partner whose rejected answer is longer by
    nearly as much (optimal assignment, without a limit), the rest is left out. reweight: both
    halves weigh the same. Pairs of equal length and thumbs stay.
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
        sizes = {1: len(longer), -1: len(shorter), 0: half}
        weights = [round(half / sizes[sign], 4) for sign in np.sign(ratios)]
        rows = zip(pairs, weights, strict=True)
        return [pair.model_copy(update={"weight": pair.weight * weight}) for pair, weight in rows]
    from scipy.optimize import linear_sum_assignment

    gaps = np.abs(np.add.outer(ratios[longer], ratios[shorter]))
    first, second = linear_sum_assignment(gaps)
    kept = {*longer[first], *shorter[second], *np.flatnonzero(ratios == 0)}
    return [pair for n, pair in enumerate(pairs) if n in kept]
