"""Risk: words in answers that a careful reader should look at, never a verdict."""

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from medinstruct import labels, paths, stats
from medinstruct.llm import is_refusal, is_unfinished


def risks(example: Any) -> dict[str, str]:
    """Return the flags of one example, each with the words that raised it."""
    text, kind = example.output.strip(), labels.canonical("type", example.type)
    words = {}
    for flag, rule in paths.load("risk_flags").items():
        if "pattern" in rule and kind not in rule.get("except", ()):
            case = 0 if rule.get("case_sensitive") else re.IGNORECASE
            match = re.search(rule["pattern"], text, case)
            words |= {flag: match.group()} if match else {}
    words |= {"truncated": text[-27:]} if is_unfinished(text) else {}
    return words | ({"refusal": text[:80]} if is_refusal(text) else {})


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
    counts, rows = flags["flag"].value_counts(), {}
    for flag, rule in paths.load("risk_flags").items():
        share = stats.wilson(int(counts.get(flag, 0)), n)
        rows[flag] = share._asdict() | {"means": rule["means"]}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("flag")
