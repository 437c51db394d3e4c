"""Tasks that stand in a test set: whoever trains on them has seen the examination."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

from medinstruct import paths, records
from medinstruct.errors import UserError
from medinstruct.filtering.neighbours import nearest
from medinstruct.filtering.words import unicode_tokens
from medinstruct.records import MultipleChoice, SafetyPrompt, Task, TestItem

GRAM = 8  # words
FORMULA = 3  # items of one set that share a run of words make it a formula, such as "which of the following is the most likely"
QUESTIONS = ("question", "QUESTION", "prompt", "instruction", "query", "sent1", "text", "CHQ")
OWN = {"freeform": "test_freeform.jsonl", "mcq": "test_mcq.jsonl", "safety": "test_safety.jsonl"}


class Item(NamedTuple):
    """One question of a test set, as far as a task may repeat it."""

    set: str
    id: str
    text: str


class Hit(NamedTuple):
    """A task that repeats a test item, how that was found, and how much of it (1 is all)."""

    task: str
    how: str
    share: float
    item: Item


def test_items(test_set: str = "own", benchmarks: str | Sequence[str] = "") -> list[Item]:
    """The questions of every test set in use: our three, the free-form set by path or URL, and more files (comma separated)."""
    files = benchmarks.split(",") if isinstance(benchmarks, str) else benchmarks
    named = {name: paths.data(file) for name, file in OWN.items()}
    named |= {"freeform": paths.resolve(test_set)} if test_set != "own" else {}
    for file in filter(None, map(str.strip, files)):
        named[_free(Path(file).stem, named)] = paths.resolve(file)
    return [item for name, path in named.items() for item in read_items(name, path)]


def read_items(name: str, path: Path) -> list[Item]:
    """The questions of one file: JSONL, a JSON list or object by id, or a table that pandas reads; a file without any is refused."""
    found = [_item(name, key, row, f"{path}, entry {key}") for key, row in _rows(path)]
    if not found:
        raise UserError(
            f"{path} holds no question.",
            got="an empty file",
            do="Name a file with one question a row.",
        )
    return found


def contaminated(
    tasks: Sequence[Task], items: Sequence[Item], *, limit: float = 0.7, share: float = 0.5
) -> list[Hit]:
    """The tasks that repeat a test item, each with its closest one, found in three ways in this order.

    exact: the same words; 8-grams: at least `share` of the runs of eight words of the shorter text stand in the other (runs that
    three items of one set share are formulas and do not count); ROUGE-L: F1 above `limit`. Compared are the instruction, the
    input, and both together.
    """
    found = {
        hit.task: hit
        for way in (_alike(tasks, items, limit), _grams(tasks, items, share), _exact(tasks, items))
        for hit in way
    }
    return [found[task.id] for task in tasks if task.id in found]


def contamination(
    hits: Sequence[Hit], items: Sequence[Item], leaked: Sequence[Hit] = ()
) -> dict[str, Any]:
    """What later stages need to show scores with and without the items that were hit: their ids by set, and every hit.

    `leaked` are the hits of seeds, which are not removed.
    """
    found = [*hits, *leaked]
    sets = {
        name: {"items": sum(item.set == name for item in items)}
        for name in dict.fromkeys(item.set for item in items)
    }
    for name, entry in sets.items():
        entry["hit"] = sorted({hit.item.id for hit in found if hit.item.set == name})
    rows = [
        hit._asdict() | {"item": hit.item.id, "set": hit.item.set, "text": hit.item.text}
        for hit in found
    ]
    return {"sets": sets, "removed": len(hits), "seeds": len(leaked), "hits": rows}


def _free(name: str, taken: Collection[str]) -> str:
    """The name, or with a number where another set has it: test.jsonl of two folders are two sets."""
    return next(one for one in chain([name], (f"{name}-{n}" for n in count(2))) if one not in taken)


def normal(text: str) -> str:
    """Only the words, in lower case and one blank apart."""
    return " ".join(unicode_tokens(text))


def _views(task: Task) -> list[str]:
    """What of a task may repeat a question; a short instruction before an input is no question of its own."""
    both = f"{task.instruction} {task.input}".strip()
    return (
        [both, task.input] + [task.instruction] * (len(unicode_tokens(task.instruction)) >= GRAM)
        if task.input
        else [both]
    )


def _exact(tasks: Sequence[Task], items: Sequence[Item]) -> Iterable[Hit]:
    known = {normal(item.text): item for item in reversed(items) if normal(item.text)}
    for task in tasks:
        same = next((known[words] for words in map(normal, _views(task)) if words in known), None)
        if same:
            yield Hit(task.id, "exact", 1.0, same)


def _grams(tasks: Sequence[Task], items: Sequence[Item], share: float) -> Iterable[Hit]:
    held = [_runs(item.text) for item in items]
    often = Counter((item.set, run) for item, runs in zip(items, held, strict=True) for run in runs)
    held = [
        {run for run in runs if often[item.set, run] < FORMULA}
        for item, runs in zip(items, held, strict=True)
    ]
    where: dict[tuple[str, ...], list[int]] = {}
    for n, runs in enumerate(held):
        for run in runs:
            where.setdefault(run, []).append(n)
    for task in tasks:
        best = max(
            (_contained(_runs(view), where, held) for view in _views(task)), default=(0.0, -1)
        )
        if best[0] >= share:
            yield Hit(task.id, "8-grams", round(best[0], 4), items[best[1]])


def _contained(
    runs: set[tuple[str, ...]], where: dict[tuple[str, ...], list[int]], held: list[set]
) -> tuple[float, int]:
    """The largest share of runs in common with an item, of the runs of the shorter text, and the item's number."""
    common = Counter(n for run in runs for n in where.get(run, ()))
    return max(
        ((count / min(len(runs), len(held[n])), n) for n, count in common.items()),
        default=(0.0, -1),
    )


def _runs(text: str) -> set[tuple[str, ...]]:
    words = unicode_tokens(text)
    return {tuple(words[n : n + GRAM]) for n in range(len(words) - GRAM + 1)}


def _alike(tasks: Sequence[Task], items: Sequence[Item], limit: float) -> Iterable[Hit]:
    views = [(task.id, view) for task in tasks for view in _views(task)]
    best: dict[str, Hit] = {}
    for (task, _), (n, score) in zip(
        views,
        nearest([view for _, view in views], [item.text for item in items], floor=limit),
        strict=True,
    ):
        if score > limit + 1e-12 and (task not in best or score > best[task].share):
            best[task] = Hit(task, "ROUGE-L", round(score, 4), items[n])
    return best.values()


def _item(name: str, key: str, row: dict[str, Any], where: str) -> Item:
    """One row of a test file; the id is the one that its notebook will give it."""
    if "options" in row and "question" in row and "rationale" in row:
        one = records.parse(MultipleChoice, row, where=where)
        return Item(name, one.id, one.question)
    if "must_mention" in row or "behaviour" in row:
        safe = records.parse(SafetyPrompt, row, where=where)
        return Item(name, safe.id, safe.prompt)
    if isinstance(row.get("instruction"), str) and row["instruction"].strip():
        test = TestItem(instruction=row["instruction"], input=str(row.get("input") or ""))
        return Item(name, test.id, f"{test.instruction} {test.input}".strip())
    text = next(
        (
            str(row[field])
            for field in QUESTIONS
            if isinstance(row.get(field), str) and row[field].strip()
        ),
        "",
    )
    if not text:
        do = f"Each needs one of these fields: {', '.join(QUESTIONS)}."
        raise UserError(f"{where} holds no question.", got=", ".join(map(str, row))[:120], do=do)
    return Item(name, str(row.get("id") or key), text)


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv", ".parquet", ".xlsx"):
        return _table(path, kind)
    by_id = _object(path) if kind == ".json" else {}
    if by_id and all(isinstance(row, dict) for row in by_id.values()):
        return list(by_id.items())
    return [("1", by_id)] if by_id else [(str(n), row) for n, row in records.rows(path)]


def _object(path: Path) -> dict[str, Any]:
    """The one JSON object that a file holds; empty where it holds a list, lines, or what `records.rows` will find fault with."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _table(path: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    import pandas as pd

    try:
        frame = {".parquet": pd.read_parquet, ".xlsx": pd.read_excel}.get(kind, pd.read_csv)(
            path, **({"sep": "\t"} if kind == ".tsv" else {})
        )
    except (ImportError, ValueError, OSError) as error:
        raise UserError(
            f"{path} could not be read as a table.", got=error, do="Save it as CSV or JSONL."
        ) from None
    return [(str(n), row) for n, row in enumerate(frame.to_dict("records"), 1)]
