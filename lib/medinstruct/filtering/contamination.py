"""Contamination: tasks that repeat a question of a test set, by three measures."""

from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from medinstruct import paths, records
from medinstruct.errors import UserError
from medinstruct.filtering.novelty import nearest
from medinstruct.filtering.tokens import tokenize
from medinstruct.records import Task, TestItem

LIMIT = 0.7  # of ROUGE-L
GRAM, SHARE = 8, 0.5  # words; least share of 8-grams
FORMULA = 3  # items of a set that share an 8-gram make it a formula ("which of the …")
QUESTIONS = ("question", "QUESTION", "prompt", "instruction", "query", "sent1", "text", "CHQ")
OWN = ("freeform", "mcq", "safety")


class Item(NamedTuple):
    """One question of a test set."""

    set: str
    id: str
    text: str


class Match(NamedTuple):
    """A task that repeats a test item: the measure (`how`) and the shared part, 1 for all."""

    task: str
    how: str
    share: float
    item: Item


def load_items(test_set: str = "own", benchmark_files: str = "") -> list[Item]:
    """Load the questions of the package's test sets and of more files.

    `test_set` replaces the free-form set by a path or URL; `benchmark_files` are paths or URLs of
    table files, comma separated.
    """
    sources = {name: str(paths.data(f"test_{name}.jsonl")) for name in OWN}
    sources |= {"freeform": test_set} if test_set != "own" else {}
    for file in filter(None, map(str.strip, benchmark_files.split(","))):
        stem = Path(file.partition("#")[0]).stem
        names = (stem if n == 1 else f"{stem}-{n}" for n in count(1))
        sources[next(name for name in names if name not in sources)] = file
    return [
        _item(name, n, row, source)
        for name, source in sources.items()
        for n, row in enumerate(records.load_table(source) or [{}], 1)
    ]


def find(tasks: Sequence[Task], items: Sequence[Item]) -> list[Match]:
    """Return the tasks that repeat a test item, each with its closest one.

    exact: the same words. 8-grams: at least half of the 8-grams of the shorter text occur in the
    other, without formulas. ROUGE-L: F1 above 0.7. Compared are the instruction, the input
    and both; a task that several measures find is listed with the first of these.
    """
    by_rouge, by_grams = _by_rouge(tasks, items), _by_grams(tasks, items)
    exact = {task: match for task, match in by_rouge.items() if match.how == "exact"}
    matches = by_rouge | by_grams | exact
    return [matches[task.id] for task in tasks if task.id in matches]


def summarize(matches: Sequence[Match], items: Sequence[Item], seeds: Sequence[Match]) -> dict:
    """Return the content of contamination.json: ids of matched items by set, and every match.

    `seeds` are the matches of seeds, which are not removed.
    """
    every, sets = [*matches, *seeds], {}
    for name, size in Counter(item.set for item in items).items():
        hit = sorted({match.item.id for match in every if match.item.set == name})
        sets[name] = {"items": size, "hit": hit}
    hits = [match._asdict() | match.item._asdict() | {"item": match.item.id} for match in every]
    return {"sets": sets, "removed": len(matches), "seeds": len(seeds), "hits": hits}


def _item(name: str, number: int, row: dict[str, Any], source: str) -> Item:
    """Return one row of a test file; free-form items have the id of their content."""
    texts = [row[field].strip() for field in QUESTIONS if isinstance(row.get(field), str)]
    if not any(texts):
        do = f"Each row needs one of these fields: {', '.join(QUESTIONS)}."
        got = f"entry {number}: {', '.join(row)}"[:120]
        raise UserError(f"{source} holds no question.", got=got, do=do)
    if row.get("instruction"):
        test = TestItem(instruction=row["instruction"], input=str(row.get("input") or ""))
        return Item(name, test.id, f"{test.instruction} {test.input}".strip())
    return Item(name, str(row.get("id") or number), next(filter(None, texts)))


def _by_rouge(tasks: Sequence[Task], items: Sequence[Item]) -> dict[str, Match]:
    views = [(task.id, view) for task in tasks for view in _views(task)]
    texts, questions = [view for _, view in views], [item.text for item in items]
    scores = nearest(texts, questions, floor=LIMIT, tokenizer="unicode")
    best: dict[str, Match] = {}
    for (task, _), (n, score) in zip(views, scores, strict=True):
        if n >= 0 and (task not in best or score > best[task].share):
            how = "exact" if score == 1 else "ROUGE-L"
            best[task] = Match(task, how, round(score, 4), items[n])
    return best


def _by_grams(tasks: Sequence[Task], items: Sequence[Item]) -> dict[str, Match]:
    uses = Counter((item.set, gram) for item in items for gram in _grams(item.text))
    inverted: dict[str, list[int]] = {}
    sizes: Counter[int] = Counter()
    for n, item in enumerate(items):
        for gram in _grams(item.text):
            if uses[item.set, gram] < FORMULA:
                inverted.setdefault(gram, []).append(n)
                sizes[n] += 1
    best: dict[str, tuple[float, int]] = {}
    for name, grams in [(task.id, _grams(view)) for task in tasks for view in _views(task)]:
        common = Counter(n for gram in grams for n in inverted.get(gram, ()))
        shares = [(count / min(len(grams), sizes[n]), n) for n, count in common.items()]
        best[name] = max([best.get(name, (0.0, -1)), *shares])
    hits = {task: match for task, match in best.items() if match[0] >= SHARE}
    return {task: Match(task, "8-grams", round(s, 4), items[n]) for task, (s, n) in hits.items()}


def _grams(text: str) -> set[str]:
    words = tokenize(text, tokenizer="unicode")
    return {" ".join(words[n : n + GRAM]) for n in range(len(words) - GRAM + 1)}


def _views(task: Task) -> list[str]:
    """Return the texts that may repeat a question; a short instruction before an input is none."""
    both = f"{task.instruction} {task.input}".strip()
    if not task.input:
        return [both]
    return [both, task.input] + [task.instruction] * bool(_grams(task.instruction))
