"""How the stand-in goes wrong, as real models do: stated rates, each of which can be set from outside."""

import random
from collections.abc import Mapping

from medinstruct.errors import UserError

# The share of tasks, replies, answers or verdicts with each slip; most are seen in the released data (paper.md, 1.5 and 2.4).
RATES: Mapping[str, float] = {
    "missing_field": 0.03,  # of tasks
    "no_separator": 0.03,  # of tasks: two run together
    "word_input": 0.03,  # of tasks: the word Input inside the instruction
    "near_duplicate": 0.08,  # of tasks: the last one again, a little changed
    "label_variant": 0.1,  # of tasks: "Rewriting" for "rewrite"
    "disobedience": 0.1,  # of asked-for labels: another one instead
    "refusal": 0.02,  # of replies with tasks
    "numbered": 0.1,  # of replies: numbers instead of separators
    "answer_refusal": 0.0,  # of answers
    "cut": 0.01,  # of answers: ended early, with finish_reason length
    "explained": 0.1,  # of verdicts: with an explanation around it
    "unclear": 0.0,  # of verdicts: none to be read
    "first_wins": 0.0,  # of verdicts: the first answer wins whatever it says
    "longer_wins": 0.0,  # of verdicts: the longer answer wins whatever it says
}
VARIANTS = {
    "rewrite": "Rewriting",
    "summarization": "Summarizations",
    "multiple-choice Q&A": "Multiple Choice Q&A",
    "open Q&A": "Open-ended Q&A",
    "multiple-hop reasoning": "Multi-hop reasoning",
    "single-hop reasoning": "Single Hop Reasoning",
    "USMLE-style Q&A": "USMLE style Q&A",
    "classification": "Classification Task",
    "chat": "Chat",
    "text generation": "Text Generation",
}


def rates(changes: Mapping[str, float]) -> dict[str, float]:
    """The rates with some of them changed; an unknown name or a share outside 0 to 1 is refused."""
    for name, value in changes.items():
        if name not in RATES or not 0 <= value <= 1:
            do = f"Known, each from 0 to 1: {', '.join(RATES)}."
            raise UserError("The stand-in has no such rate.", got=f"{name}={value}", do=do)
    return {**RATES, **changes}


def spoiled(
    fields: dict[str, str], rate: Mapping[str, float], chance: random.Random
) -> dict[str, str]:
    """The fields of a task after its slips."""
    fields = dict(fields)
    if chance.random() < rate["label_variant"]:
        fields["Type"] = VARIANTS[fields["Type"]]
    if chance.random() < rate["word_input"]:
        fields["Instruction"] += " If the Input is empty, rely on general knowledge."
    if chance.random() < rate["missing_field"]:
        del fields[chance.choice(["View", "Difficulty", "Topic"])]
    return fields


def reworded(instruction: str, chance: random.Random) -> str:
    """Nearly the same instruction again."""
    body, mark = instruction.rstrip(".?"), instruction[-1:]
    return chance.choice(
        [
            f"Please, {body[:1].lower()}{body[1:]}{mark}",
            f"{body} once more{mark}",
            f"Again: {body}{mark}",
        ]
    )
