"""Coverage: datasets as tables with labels in one spelling, counts of labels, empty cells."""

from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import labels, paths, records
from medinstruct.diversity.verbs import Pair
from medinstruct.errors import UserError

AXES = tuple(labels.VALUES)
UNLABELED = labels.NO_LABEL, labels.NO_MATCH
TEXTS = "instruction", "input", "output"
FILES = ("dataset.jsonl", "tasks.jsonl", "seeds.jsonl")
HUB = "hf:"


def load(source: str | Path) -> pd.DataFrame:
    """Return a dataset as a table: a file, a URL, a run (name or folder), or `hf:owner/name`.

    Each task has its texts, its raw labels, and in `type_of`, `view_of`, ... the label it is
    counted by: "(no label)" if it is missing, "(no match)" if no rule knows it. Rows without a
    text are left out, with a note of their number.
    """
    pairs = records.usable(rows(str(source).strip()), _fields, source=source)
    table = _counted([fields for _, fields in pairs])
    is_task = (table["instruction"] + table["input"]).str.strip() != ""
    if not is_task.any():
        do = "Run the earlier notebooks, or check the file."
        raise UserError("The dataset holds no task.", got=source, do=do)
    empty = [place for (place, _), is_kept in zip(pairs, is_task, strict=True) if not is_kept]
    records.note(f"{source}: {len(empty):,} of {len(pairs):,} rows are empty and left out", empty)
    return table[is_task].reset_index(drop=True)


def load_many(sources: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return datasets by source."""
    return {source: load(source) for source in sources}


def _counted(rows: Sequence[dict[str, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[*AXES, *TEXTS, "model"])
    names = {f"{axis}_of": [labels.counted(axis, raw) for raw in table[axis]] for axis in AXES}
    return table.join(pd.DataFrame(names, dtype=object))


def _fields(row: dict[str, Any], where: str) -> dict[str, str]:
    fields = dict.fromkeys(TEXTS, "") | records.texts(row, where=where, numbers=True)
    for axis in AXES:
        label = records.as_text(row.get(axis), where=f"{where}, field `{axis}`", numbers=True)
        fields[axis] = " ".join(label.split())
    if fields["input"].lower().strip("\"' .") in records.NO_INPUT:
        fields["input"] = ""
    provenance = row.get("provenance")
    model = provenance.get("model", "") if isinstance(provenance, dict) else ""
    return fields | {"model": str(model)}


def rows(source: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the rows of a source with their places; only `hf:` asks Hugging Face."""
    if source.startswith(HUB):
        try:
            from datasets import load_dataset

            rows = load_dataset(source.removeprefix(HUB), split="train")
            return [(f"row {n}", row) for n, row in enumerate(rows, 1)]
        except Exception as error:  # the hub's own errors are many
            got = f"{source}: {error}".split("\n")[0]
            do = "Check name and network and install medinstruct[train], or give a file's path."
            raise UserError("Hugging Face did not return the dataset.", got=got, do=do) from None
    folder = Path(source) if Path(source).is_dir() else paths.outputs("demo").parent / source
    if folder.is_dir():
        if not (files := [folder / name for name in FILES if (folder / name).exists()]):
            do = f"It needs one of {', '.join(FILES)}."
            raise UserError("The folder holds no dataset.", got=folder, do=do)
        source = str(files[0])
    elif source.count("/") == 1 and not Path(source).suffix:
        do = f"Check the path; a dataset on Hugging Face is written {HUB}{source}."
        raise UserError("The dataset is not a file, a run or a folder.", got=source, do=do)
    return records.table(source)


def by_axis(frame: pd.DataFrame, pairs: Sequence[Pair] = ()) -> dict[str, dict]:
    """Return a dataset's counts by axis: labels, verbs, verb-noun pairs; no empty axes."""
    columns = {axis: frame[f"{axis}_of"] for axis in AXES}
    counts = {k: c[~c.isin(UNLABELED)].value_counts().to_dict() for k, c in columns.items()}
    counts["verb"] = Counter(verb for verb, _ in pairs if verb)
    counts["verb and noun"] = Counter(pair for pair in pairs if None not in pair)
    return {axis: dict(names) for axis, names in counts.items() if names}


def unmatched(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the labels that no rule matches, as they are written, with their counts."""
    raw = [(axis, frame.loc[frame[f"{axis}_of"] == labels.NO_MATCH, axis]) for axis in AXES]
    rows = [(axis, *item) for axis, texts in raw for item in Counter(texts).most_common()]
    return pd.DataFrame(rows, columns=["label", "as written", "tasks"])


def published(axis: str) -> dict[Hashable, int]:
    """Return the published counts (of 64,350 tasks) of the 20 top labels, in our spelling."""
    counts = pd.Series(labels.published("generated", axis))
    names = [labels.counted(axis, name) for name in counts.index]
    return counts.groupby(names, sort=False).sum().to_dict()


def top_pairs(pairs: Sequence[Pair], *, verbs: int = 20, nouns: int = 4) -> dict[Pair, int]:
    """Return the counts of the published figure: frequent verbs, each with its frequent nouns."""
    full = sorted(pair for pair in pairs if None not in pair)  # ties are in alphabetical order
    ranked, frequent = Counter(full).most_common(), Counter(verb for verb, _ in full)
    groups = ([i for i in ranked if i[0][0] == verb] for verb, _ in frequent.most_common(verbs))
    return dict(item for group in groups for item in group[:nouns])


def gaps(frame: pd.DataFrame, rows: str = "topic", columns: str = "type") -> pd.DataFrame:
    """Return task counts by two axes, zeros included, the rows with most empty cells first."""
    names = {"index": list(labels.VALUES[rows]), "columns": list(labels.VALUES[columns])}
    table = pd.crosstab(frame[f"{rows}_of"], frame[f"{columns}_of"]).reindex(**names, fill_value=0)
    order = np.lexsort([table.sum(axis=1), (table > 0).sum(axis=1)])
    return table.iloc[order]


def empty_cells(table: pd.DataFrame) -> tuple[int, int]:
    """Return how many cells of a table of `gaps` are empty, of how many."""
    return int((table == 0).to_numpy().sum()), table.size
