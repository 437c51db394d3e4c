"""How answers look before anybody judges them: length, emptiness, truncation, repetition, invented turns, disclaimers."""

import re
from collections import Counter
from collections.abc import Mapping

import pandas as pd

from medinstruct.evaluation.prompts import MOST_WORDS
from medinstruct.records import Answer

ENDS = tuple(".!?:;)]\"'*`”’。")
# Where an answer ends although the model goes on: it begins a new turn of the Alpaca template.
ALPACA_STOPS = ("\n### Instruction", "\n### Input", "\n### Response")
TURNS = re.compile(
    r"###|^\s*(?:Instruction|Question|User|Human|Patient|Response|Input)\s*:", re.MULTILINE
)
DISCLAIMER = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b", re.IGNORECASE
)


def looks(
    texts: Mapping[str, Mapping[str, str]], *, cut: Mapping[str, set[str]] | None = None
) -> pd.DataFrame:
    """One row a model or reference: shares of answers with each flaw. `texts` is name -> item -> text.

    `cut` adds, by name, the items whose answer was known to end at the token limit. Columns: n, words (mean), median, empty, cut,
    repeated, turns, disclaimer, too_long.
    """
    cut = cut or {}
    rows = {}
    for name, answers in texts.items():
        words = pd.Series([len(text.split()) for text in answers.values()], dtype=float)
        shares = {
            "empty": [not text.strip() for text in answers.values()],
            "cut": [item in cut.get(name, ()) or is_cut(text) for item, text in answers.items()],
            "repeated": [repetition(text) > 0.2 for text in answers.values()],
            "turns": [bool(TURNS.search(text)) for text in answers.values()],
            "disclaimer": [bool(DISCLAIMER.search(text)) for text in answers.values()],
            "too_long": [len(text.split()) > MOST_WORDS for text in answers.values()],
        }
        rows[name] = {"n": len(words), "words": words.mean(), "median": words.median()}
        rows[name] |= {
            key: float(pd.Series(marks, dtype=float).mean()) for key, marks in shares.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("answers of")


def texts_of(answers: list[Answer]) -> dict[str, dict[str, str]]:
    """Model -> item -> text."""
    found: dict[str, dict[str, str]] = {}
    for answer in answers:
        found.setdefault(answer.model, {})[answer.item] = answer.text
    return found


def cut_of(answers: list[Answer]) -> dict[str, set[str]]:
    """Model -> the items whose answer ended at the token limit."""
    found: dict[str, set[str]] = {}
    for answer in answers:
        if answer.finish_reason == "length":
            found.setdefault(answer.model, set()).add(answer.item)
    return found


def is_cut(text: str) -> bool:
    """Whether a text stops in mid-sentence, as far as its last character tells.

    >>> is_cut("Rest and drink."), is_cut("They can also provide significant"), is_cut("")
    (False, True, False)
    """
    text = text.rstrip()
    return bool(text) and not text.endswith(ENDS)


def repetition(text: str, *, size: int = 8) -> float:
    """The share of a text's runs of eight words that have stood in it before.

    >>> repetition("take rest and water " * 10) > 0.8
    True
    """
    words = text.split()
    runs = Counter(tuple(words[n : n + size]) for n in range(len(words) - size + 1))
    total = sum(runs.values())
    return 1 - len(runs) / total if total else 0.0
