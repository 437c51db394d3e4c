"""Content rules: why a task is unusable; the table is data/content_rules.yaml."""

import re
from functools import cache
from itertools import product
from typing import Any

from medinstruct import cues, labels, languages, paths
from medinstruct.filtering.novelty import count_words
from medinstruct.records import Task

SIGNS = re.compile(r"[\W_]")
LONGEST = 12_000  # characters that patterns read; longer tasks are too long by words


@cache
def rules() -> dict[str, dict[str, Any]]:
    """Return the table of rules by name; each has `finds`, an `example` and its conditions."""
    table = paths.load("content_rules")
    names = {name: _alternatives(words.split()) for name, words in table["names"].items()}
    for rule, kind in product(table["rules"].values(), ("pattern", "unless")):
        rule[kind] = {field: "|".join(texts) for field, texts in rule.get(kind, {}).items()}
        for field, pattern in rule[kind].items():
            pattern = re.sub(r"\{([A-Z]+)\}", lambda name: names[name[1]], pattern)
            rule[kind][field] = re.compile(pattern, re.IGNORECASE)
    return table["rules"]


def _alternatives(words: list[str]) -> str:
    """Return a pattern of words, grouped by first letter, which is searched ten times as fast."""
    ends = {word[0]: "|".join(w[1:] for w in words if w[0] == word[0]) for word in words}
    return f"(?:{'|'.join(f'{first}(?:{rest})' for first, rest in ends.items())})"


def example(name: str) -> Task:
    """Return a task that breaks the rule of this name, from the table of rules."""
    fields = {"type": "chat", "topic": "Cardiology", "view": "nurse", "difficulty": 2, "input": ""}
    fields |= rules()[name]["example"]
    fields["input"] *= fields.pop("repeat", 1)
    return Task(**fields)


def broken(task: Task) -> list[str]:
    """Return the names of the rules that a task breaks."""
    texts = {"instruction": task.instruction, "input": task.input}
    texts["text"] = f"{task.instruction}\n{task.input}"
    words = {field: count_words(SIGNS.sub(" ", text)) for field, text in texts.items()}
    texts = {field: text[:LONGEST] for field, text in texts.items()}
    return [name for name, rule in rules().items() if _breaks(task, rule, texts, words)]


def _breaks(task: Task, rule: dict[str, Any], texts: dict[str, str], words: dict[str, int]) -> bool:
    """Return whether all conditions of a rule hold; cheap ones come first.

    A known topic replaces medical words: in a short text, or one that is not in English.
    """
    more_than, short, text = rule.get("more_than"), rule.get("trusted", 0), texts["text"]
    is_trusted = short and bool(labels.canonical("topic", task.topic))
    return (
        not (rule.get("no_input") and task.input)
        and ("types" not in rule or labels.canonical("type", task.type) in rule["types"])
        and all(words[field] <= most for field, most in rule.get("at_most", {}).items())
        and (not more_than or any(words[field] > most for field, most in more_than.items()))
        and not (is_trusted and len(text.split()) <= short)
        and (not rule["pattern"] or _matches(rule["pattern"], texts))
        and not _matches(rule["unless"], texts)
        and not (is_trusted and languages.detect(text) not in ("en", ""))
    )


def _matches(patterns: dict[str, re.Pattern[str]], texts: dict[str, str]) -> bool:
    return any(cues.search(pattern, texts[field]) for field, pattern in patterns.items())
