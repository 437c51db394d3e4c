"""Contamination: tasks that repeat a question of a test set, by three measures."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from medinstruct import paths, records
from medinstruct.errors import UserError
from medinstruct.filtering.novelty import nearest
from medinstruct.filtering.rouge import tokenize
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


def find(tasks: Sequence[Task], items: Sequence[Item]) -> list[Match]:
    """Return the tasks that repeat a test item, each with its closest one.

    exact: the same words. 8-grams: at least half of the 8-grams of the shorter text occur in the
    other, without formulas. ROUGE-L: F1 above 0.7. Compared are the instruction, the input
    and both; a task that several measures find is listed with the first of these.
    """
    names = [task.id for task in tasks for _ in _views(task)]
    texts = [view for task in tasks for view in _views(task)]
    questions = [item.text for item in items]
    rouge = _closest(names, nearest(texts, questions, floor=LIMIT, tokenizer="unicode"))
    grams = _closest(names, _by_grams(texts, items))
    exact = {task: hit for task, hit in rouge.items() if hit[0] == 1}
    best: dict[str, Match] = {}
    for how, hits in (("ROUGE-L", rouge), ("8-grams", grams), ("exact", exact)):
        for task, (share, n) in hits.items():
            best[task] = Match(task, how, round(share, 4), items[n])
    return [best[task.id] for task in tasks if task.id in best]


def _closest(names: Sequence[str], hits: Iterable[tuple[int, float]]) -> dict:
    """Return the shared part and the row of the closest item by task; a task has several texts."""
    best: dict[str, tuple[float, int]] = {}
    for name, (n, share) in zip(names, hits, strict=True):
        if n >= 0:
            best[name] = max(best.get(name, (share, n)), (share, n))
    return best


def _by_grams(texts: Sequence[str], items: Sequence[Item]) -> Iterator[tuple[int, float]]:
    """Yield the row of the item that shares most 8-grams with each text, or -1, and the share."""
    uses = Counter((item.set, gram) for item in items for gram in _grams(item.text))
    inverted, sizes = defaultdict(list), Counter()
    for n, item in enumerate(items):
        for gram in _grams(item.text):
            if uses[item.set, gram] < FORMULA:
                inverted[gram].append(n)
                sizes[n] += 1
    for grams in map(_grams, texts):
        common = Counter(n for gram in grams for n in inverted.get(gram, ()))
        shares = [(count / min(len(grams), sizes[n]), n) for n, count in common.items()]
        share, n = max(shares, default=(0.0, -1))
        yield (n, share) if share >= SHARE else (-1, 0.0)


def _grams(text: str) -> set[str]:
    words = tokenize(text, tokenizer="unicode")
    return {" ".join(words[n : n + GRAM]) for n in range(len(words) - GRAM + 1)}


def _views(task: Task) -> list[str]:
    """Return the texts that may repeat a question; a short instruction before an input is none."""
    both = f"{task.instruction} {task.input}".strip()
    if not task.input:
        return [both]
    return [both, task.input] + [task.instruction] * bool(_grams(task.instruction))


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
