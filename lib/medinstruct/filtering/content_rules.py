"""Content rules: why a task is unusable; the table is data/content_rules.yaml."""

import re
from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any

from medinstruct import labels, languages, paths
from medinstruct.errors import UserError
from medinstruct.filtering.novelty import count_words
from medinstruct.records import Task

SIGNS = re.compile(r"[\W_]")
LONGEST = 12_000  # characters that patterns read; longer tasks are too long by words


@cache
def rules() -> dict[str, dict[str, Any]]:
    """Return the table of rules by name; each has `finds`, an `example` and its conditions."""
    table = paths.load("content_rules")
    names = {name: f"(?:{'|'.join(words.split())})" for name, words in table["names"].items()}
    for rule, kind in product(table["rules"].values(), ("pattern", "unless")):
        rule[kind] = {field: "|".join(texts) for field, texts in rule.get(kind, {}).items()}
        for field, pattern in rule[kind].items():
            pattern = re.sub(r"\{([A-Z]+)\}", lambda name: names[name[1]], pattern)
            rule[kind][field] = re.compile(pattern, re.IGNORECASE)
    return table["rules"]


def enabled(rules_off: Sequence[str] = ()) -> list[str]:
    """Return the names of the rules that are on; `rules_off` names the others."""
    if unknown := set(rules_off) - set(rules()):
        do = f"Use some of {', '.join(rules())}."
        raise UserError("`rules_off` names no such rule.", got=", ".join(sorted(unknown)), do=do)
    return [name for name in rules() if name not in rules_off]


def example(name: str) -> Task:
    """Return a task that breaks the rule of this name, from the table of rules."""
    fields = {"type": "chat", "topic": "Cardiology", "view": "nurse", "difficulty": 2, "input": ""}
    fields |= rules()[name]["example"]
    fields["input"] *= fields.pop("repeat", 1)
    return Task(**fields)


def broken(task: Task, *, rules_off: Sequence[str] = ()) -> list[str]:
    """Return the names of the rules that a task breaks."""
    texts = {"instruction": task.instruction, "input": task.input}
    texts["text"] = f"{task.instruction}\n{task.input}"
    words = {field: count_words(SIGNS.sub(" ", text)) for field, text in texts.items()}
    texts = {field: text[:LONGEST] for field, text in texts.items()}
    return [name for name in enabled(rules_off) if _breaks(task, rules()[name], texts, words)]


def _breaks(task: Task, rule: dict[str, Any], texts: dict[str, str], words: dict[str, int]) -> bool:
    """Return whether all conditions of a rule hold; cheap ones come first."""
    more_than = rule.get("more_than")
    return (
        not (rule.get("no_input") and task.input)
        and ("types" not in rule or labels.canonical("type", task.type) in rule["types"])
        and all(words[field] <= most for field, most in rule.get("at_most", {}).items())
        and (not more_than or any(words[field] > most for field, most in more_than.items()))
        and (not rule["pattern"] or _matches(rule["pattern"], texts))
        and not _matches(rule["unless"], texts)
        and not (rule.get("trusted") and _is_trusted(task, texts["text"], rule["trusted"]))
    )


def _is_trusted(task: Task, text: str, longest: int) -> bool:
    """Return whether a known topic replaces medical words: in a short text, or not in English."""
    if not labels.canonical("topic", task.topic):
        return False
    return len(text.split()) <= longest or languages.detect(text) not in ("en", "")


def _matches(patterns: dict[str, re.Pattern[str]], texts: dict[str, str]) -> bool:
    return any(pattern.search(texts[field]) for field, pattern in patterns.items())
