"""Contamination: tasks that repeat a question of a test set, by three measures."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import languages, paths, records
from medinstruct.errors import UserError
from medinstruct.filtering.novelty import nearest, tokenize
from medinstruct.records import Task, TestItem

LIMIT = 0.7  # of ROUGE-L
BLOCK = 256  # texts compared at once
GRAM, SHARE = 8, 0.5  # words; least share of 8-grams
THAI = "\u0e00"  # from here on, a token of one character is half a word
FORMULA = 3  # items of a set that share an 8-gram make it a formula ("which of the …")
FIELDS = "question", "QUESTION", "prompt", "instruction", "query", "sent1", "text", "CHQ", "input"
OWN = ("freeform", "mcq", "safety")
MEASURES = ("none", "ROUGE-L", "8-grams", "exact")  # the last that matches a task is listed
NO_HIT = (0, 0.0, -1)  # the measure's place above, the share, the row of the item


def load_items(test_set="own", files=(), sets: Mapping | None = None) -> pd.DataFrame:
    """Return questions (set, id, text, options) of own sets, `test_set`, `files`, benchmarks."""
    sources = {name: str(paths.data(f"test_{name}.jsonl")) for name in OWN}
    if test_set != "own":
        sources["freeform"] = test_set
    for file in files:
        stem = Path(file).name.partition(".")[0]
        names = (stem if n == 1 else f"{stem}-{n}" for n in count(1))
        sources[next(name for name in names if name not in sources)] = file
    items: list[dict[str, Any]] = []
    for name, source in sources.items():
        rows = records.table(source) or [("line 1", {})]
        rows = enumerate(records.usable(rows, _question, source=source), 1)
        items += [{"set": name, "id": str(n)} | question for n, (_, question) in rows]
    for name, questions in (sets or {}).items():
        items += [row | {"set": name, "text": row["question"]} for row in questions]
    return pd.DataFrame(items, columns=["set", "id", "text", "options"])


def read_items(path: Path) -> pd.DataFrame:
    """Return the questions that notebook 03 saved, or those of own sets if it did not run."""
    return pd.DataFrame(records.load_table(path)) if path.exists() else load_items()


def _question(row: dict[str, Any], where: str) -> dict[str, Any]:
    """Return text, options and id of a row; free-form items have the id of their content."""
    asked = [*(row.get(name) for name in FIELDS), records.first_turns(row).get("user")]
    texts = [text.strip() for text in map(records.plain, asked) if isinstance(text, str)]
    if not any(texts):
        do = f"Each row needs a conversation or one of these fields: {', '.join(FIELDS)}."
        raise UserError(f"{where} holds no question.", got=", ".join(row)[:120], do=do)
    if str(records.plain(row.get("instruction", ""))).strip():
        known = {name: row[name] for name in ("instruction", "input") if name in row}
        test = records.parse(TestItem, known, where=where)
        return {"id": test.id, "text": f"{test.instruction} {test.input}".strip(), "options": []}
    options = row.get("options") if isinstance(row.get("options"), list) else []
    options = [records.as_text(option, where=where, numbers=True) for option in options]
    id = records.as_text(row.get("id"), where=f"{where}, field `id`", numbers=True)
    return {"text": next(filter(None, texts)), "options": options} | ({"id": id} if id else {})


def find(tasks: Sequence[Task], items: pd.DataFrame) -> pd.DataFrame:
    """Return the tasks that repeat a test item: task, measure (how), shared part, closest item.

    exact: the same words. 8-grams: at least half of the runs of 8 words (16 characters or Hangul
    syllables) of the shorter text occur in the other, without formulas. ROUGE-L: F1 above 0.7.
    Compared are the instruction, the input and both; a task that several measures find is listed
    with the first of these.
    """
    views = [(task.id, view) for task in tasks for view in _views(task)]
    names, texts = [name for name, _ in views], [view for _, view in views]
    rouge = nearest(texts, list(items["text"]), floor=LIMIT, tokenizer="unicode")
    best = dict.fromkeys(names, NO_HIT)
    for name, (n, share), gram in zip(names, rouge, _by_grams(texts, items), strict=True):
        measure = MEASURES.index("exact" if share == 1 else "ROUGE-L")
        best[name] = max(best[name], gram, (measure, share, n) if n >= 0 else NO_HIT)
    questions = items[["set", "id", "text"]].to_dict("records")
    hits = [
        {"task": name, "how": MEASURES[measure], "share": round(share, 4)} | questions[n]
        for name, (measure, share, n) in best.items()
        if measure
    ]
    return pd.DataFrame(hits, columns=["task", "how", "share", "set", "id", "text"])


def _by_grams(texts: Sequence[str], items: pd.DataFrame) -> Iterator[tuple[int, float, int]]:
    """Yield for each text the hit on the item that shares most 8-grams with it."""
    grams_of = list(zip(items["set"], items["text"].map(_grams), strict=True))
    uses = Counter((name, gram) for name, grams in grams_of for gram in grams)
    inverted, sizes = defaultdict(list), Counter()
    for n, (name, grams) in enumerate(grams_of):
        for gram in grams:
            if uses[name, gram] < FORMULA:
                inverted[gram].append(n)
                sizes[n] += 1
    for grams in map(_grams, texts):
        common = Counter(n for gram in grams for n in inverted.get(gram, ()))
        shares = [(count / min(len(grams), sizes[n]), n) for n, count in common.items()]
        share, n = max(shares, default=(0.0, -1))
        yield (MEASURES.index("8-grams"), share, n) if share >= SHARE else NO_HIT


def _grams(text: str) -> set[str]:
    words = tokenize(text, tokenizer="unicode")
    if text.isascii():
        return {" ".join(words[n : n + GRAM]) for n in range(len(words) - GRAM + 1)}
    sizes = (0.5 if word >= THAI and len(word) == 1 else 1 for word in words)
    starts = list(accumulate(sizes, initial=0))
    ends = (bisect_left(starts, start + GRAM) for start in starts)
    return {" ".join(words[n:end]) for n, end in enumerate(ends) if end < len(starts)}


def _views(task: Task) -> list[str]:
    """Return the texts that may repeat a question; of instruction and output, no short ones."""
    longer = filter(_grams, (task.instruction, getattr(task, "output", "")))
    both = f"{task.instruction} {task.input}".strip()
    return list(dict.fromkeys(filter(None, (both, task.input, *longer))))


def plant(items: pd.DataFrame, edit: Callable[[Any], str]) -> pd.DataFrame:
    """Return the items that `edit` rewrites (`planted`), and whether `find` catches them."""
    items = items.assign(planted=list(map(edit, items.itertuples())))
    items = items[items["planted"] != ""].reset_index(drop=True)
    fields = {"type": "chat", "topic": "", "view": "", "difficulty": 1}
    tasks = [Task(id=str(n), instruction=text, **fields) for n, text in items["planted"].items()]
    return items.assign(caught=items.index.astype(str).isin(find(tasks, items)["task"]))


def summarize(matches: pd.DataFrame, items: pd.DataFrame, seeds: pd.DataFrame) -> dict:
    """Return the content of contamination.json; `seeds` are matches of seeds, not removed."""
    hits, sets = pd.concat([matches, seeds]), {}
    for name, size in items["set"].value_counts(sort=False).items():
        sets[name] = {"items": size, "hit": sorted({*hits["id"][hits["set"] == name]})}
    hits = hits.assign(item=hits["id"]).to_dict("records")
    return {"sets": sets, "removed": len(matches), "seeds": len(seeds), "hits": hits}


def paraphrases(texts: Sequence[str], model: str, *, pool=(), least=0.85) -> list[tuple]:
    """Return (cosine, row, row) of pairs, or of texts and the closest of `pool`, at `least`.

    `model` is a folder or a name on Hugging Face; it embeds translations near each other if it
    knows both languages.
    """
    if not model or not texts:
        return []
    try:
        from sentence_transformers import SentenceTransformer

        encoder, pairs = SentenceTransformer(model, trust_remote_code=False), []
        vectors = encoder.encode([*texts, *pool], normalize_embeddings=True)
    except (ImportError, OSError, ValueError) as error:
        do = "Install the extra `semantic`, and name a folder or a model on Hugging Face."
        raise UserError("`embedding_model` cannot be used.", got=error, do=do) from None
    others = vectors[len(texts) :] if pool else vectors
    for start in range(0, len(texts), BLOCK):
        cosines = vectors[start : min(start + BLOCK, len(texts))] @ others.T
        near = cosines >= least
        if pool:
            near &= np.arange(len(pool)) == cosines.argmax(axis=1)[:, None]
        else:
            near = np.triu(near, start + 1)  # each pair once
        rows = np.argwhere(near).tolist()
        pairs += [(round(float(cosines[n, m]), 4), start + n, m) for n, m in rows]
    return sorted(pairs, key=lambda pair: -pair[0])


def not_compared(texts: Iterable[str], items: pd.DataFrame, model: str) -> str:
    """Return a note on translations, if texts are in several languages and no model embeds them."""
    counts = Counter(map(languages.detect, [*texts, *items["text"]]))
    codes = {code for code, n in counts.items() if code and n >= 0.01 * counts.total()}
    if model or len(codes) < 2:
        return ""
    names = " and ".join(sorted(languages.NAMES[code] for code in codes))
    text = f"Texts are in {names}, and a translation shares no words. To list translations, set "
    return text + "embedding_model to one that knows them, such as BAAI/bge-m3."
