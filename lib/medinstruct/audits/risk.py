"""Risk: words in answers that a careful reader should look at, never a verdict."""

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from medinstruct import labels, paths, stats
from medinstruct.llm import is_refusal

END = re.compile(r"[.!?:)\]\"'”’*`]$|```$|\|$")
CHOICE_TYPES = ("multiple-choice Q&A", "USMLE-style Q&A", "classification")
CHOICE_TYPES += ("single-hop reasoning", "multiple-hop reasoning")
COMPUTED = {
    "truncated": "the answer has no end of a sentence at its end",
    "refusal": "the answer declines the task",
}


def risks(example: Any) -> dict[str, str]:
    """Return the flags of one example, each with the words that raised it.

    >>> from medinstruct.records import Example
    >>> text = {"instruction": "?", "output": "It is completely safe. Take .5 mg"}
    >>> example = Example(task="", type="chat", topic="", view="patient", difficulty=1, **text)
    >>> list(risks(example))
    ['absolute claim', 'dose or unit', 'truncated']
    """
    text, kind = example.output.strip(), labels.canonical("type", example.type)
    words = {flag: _first(rule, text) for flag, rule in paths.load("risk_flags").items()}
    if kind in CHOICE_TYPES:
        words["answer is"] = ""
    words["truncated"] = "" if END.search(text) else text[-27:]
    words["refusal"] = text[:80] if is_refusal(text) else ""
    return {flag: match for flag, match in words.items() if match}


def _first(rule: dict[str, Any], text: str) -> str:
    flags = 0 if rule.get("case_sensitive") else re.IGNORECASE
    match = re.search(rule["pattern"], text, flags)
    return match.group() if match else ""


def flagged(examples: Iterable[Any]) -> pd.DataFrame:
    """Return one row a flag of an example: id, flag, words, instruction, output."""
    rows = [
        (example.id, flag, words, example.instruction, example.output)
        for example in examples
        for flag, words in risks(example).items()
    ]
    return pd.DataFrame(rows, columns=["id", "flag", "words", "instruction", "output"])


def flag_rates(flags: pd.DataFrame, *, n: int) -> pd.DataFrame:
    """Return the share of `n` examples with each flag, with Wilson's interval and its meaning."""
    counts = flags["flag"].value_counts()
    meanings = {flag: rule["means"] for flag, rule in paths.load("risk_flags").items()} | COMPUTED
    rows = {
        flag: stats.wilson(int(counts.get(flag, 0)), n)._asdict() | {"means": means}
        for flag, means in meanings.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("flag")
