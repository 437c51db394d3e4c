"""Preferences: pairs of a chosen and a rejected answer, balance of length, checks."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from medinstruct import paths, records
from medinstruct.errors import UserError, check_choice
from medinstruct.filtering import contamination
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

    @property
    def is_pair(self) -> bool:
        """Return whether both answers are there."""
        return bool(self.chosen and self.rejected)

    def task(self, output: str) -> Example:
        """Return the prompt with one answer as an example to tokenize."""
        instruction = self.prompt.removesuffix(f"\n\n{self.input}") if self.input else self.prompt
        fields = {"instruction": instruction, "input": self.input, "output": output}
        return Example(id=self.id, task=self.id, **FORM, **fields)


def from_verdicts(
    verdicts: Iterable[Verdict],
    answers: Iterable[Answer],
    tasks: Sequence[Task],
    *,
    source: str = "judge",
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
        about = {"source": source, "verdicts": tuple(v.provenance.request for v in group)}
        pairs += _pair(prompts[item], chosen, rejected, **about)
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
    """Return the corrections in a chat's turns (`assist.Turn`) over the answers they correct."""
    rows = []
    for turn in turns:
        task = Task(**FORM, instruction=turn.instruction or turn.question, input=turn.input)
        for answer in turn.answers:
            for judgment in answer.judgments:
                chosen = judgment["correction"].strip()
                rows += _pair(task, chosen, answer.text, source="chat") if chosen else []
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


def check_pairs(pairs: Sequence[Preference], questions: pd.DataFrame | None = None) -> None:
    """Raise if pairs cannot teach: equal answers, fewer than 10, or a prompt of a test set.

    `questions` are those that `contamination.read_items` returns. Pairs of a single source are
    logged: the model then learns what sets this source apart.
    """
    same = [pair.id for pair in pairs if pair.chosen == pair.rejected]
    if same:
        do = "Leave these pairs out."
        raise UserError("Chosen and rejected answer are identical.", got=_some(same), do=do)
    whole = [pair for pair in pairs if pair.is_pair]
    if len(whole) < LEAST:
        do = "Collect more votes or edits, ask for more samples, or add pairs of the safety set."
        raise UserError(f"Preferences need {LEAST} pairs or more.", got=len(whole), do=do)
    if questions is not None:
        tasks = [pair.task(pair.chosen or pair.rejected) for pair in pairs]
        hits = contamination.find(tasks, questions)
        if len(hits):
            names = [f"{hit.task} repeats {hit.id} of {hit.set}" for hit in hits.itertuples()]
            do = "Leave these pairs out: a model must not be trained on test questions."
            raise UserError("Pairs repeat test questions.", got=_some(names), do=do)
    sources = {pair.source for pair in whole}
    if len(sources) == 1:
        text = f"All {len(whole)} pairs come from one source, {sources.pop()}: the model may learn"
        logging.getLogger("medinstruct").warning(f"{text} its style in place of its judgment.")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{len(names)} of them: {', '.join(names[:5])}{more}"


def length_ratios(pairs: Iterable[Preference]) -> np.ndarray:
    """Return for each pair the log of words chosen by words rejected; above 0: chosen is longer."""
    sizes = [[len(text.split()) for text in (pair.chosen, pair.rejected)] for pair in pairs]
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
