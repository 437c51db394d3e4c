"""Cards: dataset card with datasheet from measured files, licenses of inputs, upload to the hub."""

import hashlib
import json
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medinstruct import paths, records
from medinstruct.audits.drift import AXES, label_counts
from medinstruct.audits.phi import scan_identifiers
from medinstruct.errors import UserError
from medinstruct.records import Example

SET_ASIDE = ("rejects", "dropped", "unfinished")
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


class InputLicense(NamedTuple):
    """The terms of one input; `restricts` names conditions that reach what is made from it."""

    what: str
    license: str = "unknown"
    hub: str = "unknown"
    url: str = ""
    terms: str = ""
    restricts: Sequence[str] = ()


def input_licenses(*, seeds: str, models: Iterable[str]) -> list[InputLicense]:
    """Return the license of the seeds and of every model that wrote.

    >>> rows = input_licenses(seeds="own", models=["offline-stand-in", "Llama-3.3-70B-Instruct"])
    >>> [row.license for row in rows]
    ['Apache-2.0', 'Apache-2.0', 'Llama community licence (3.1 and later)']
    """
    name = seeds if "://" in seeds else seeds.rpartition("/")[2]
    rows = [InputLicense("the seed tasks", **_terms("seeds", name))]
    for model in models:
        terms = _terms("models", model.rpartition("/")[2])
        rows.append(InputLicense(f"the texts of {model}", **terms))
    return rows


def _terms(kind: str, name: str) -> dict[str, Any]:
    """Return the first row of the license table whose pattern is in the name."""
    rows = (
        r
        for r in paths.load("input_licenses")[kind]
        if re.search(r["pattern"], name, re.IGNORECASE)
    )
    return {key: value for key, value in next(rows, {}).items() if key != "pattern"}


def license_conflicts(rows: Sequence[InputLicense], *, release: str = "Apache-2.0") -> list[str]:
    """Return conditions of inputs that a release would not carry on, for people to settle."""
    restricted = [row for row in rows if row.restricts]
    looked = paths.load("input_licenses")["looked"]
    messages = [
        f"{row.what} ({row.license}) come with a condition that {release} does not carry on: "
        f"{', '.join(row.restricts)}. Terms as of {looked}: {row.url}"
        for row in restricted
    ]
    unknown = [row.what for row in rows if row.license == "unknown"]
    messages += [f"The terms of {w} are not known: name them before a release." for w in unknown]
    kinds = sorted({row.license for row in restricted})
    if len(kinds) > 1:
        messages.append(f"Several restrictions apply at once: {', '.join(kinds)}.")
    return messages


def dataset_facts(
    folder: str | Path, *, seeds: str = "own", file: str = "dataset.jsonl"
) -> dict[str, Any]:
    """Return what a run's files say of its dataset; missing files are skipped.

    Sizes, labels, models, licenses, hashes, and the results of earlier notebooks.
    """
    folder = Path(folder)
    examples = records.read(folder / file, Example)
    models = Counter(row.provenance.model or "unknown" for row in examples)
    licenses = input_licenses(seeds=seeds, models=models)
    results = {name: folder / f"{name}.json" for name in ("generation", "quality")}
    aside = {name: folder / f"{name}.jsonl" for name in SET_ASIDE}
    return {
        "file": file,
        "sha256": hashlib.sha256((folder / file).read_bytes()).hexdigest(),
        "examples": len(examples),
        "with_input": sum(bool(row.input) for row in examples),
        "models": dict(models),
        "labels": {axis: label_counts(examples, axis) for axis in AXES},
        "words": {name: _median_words(examples, name) for name in ("instruction", "output")},
        "set_aside": {n: len(records.rows(path)) for n, path in aside.items() if path.exists()},
        "licenses": licenses,
        "conflicts": license_conflicts(licenses),
        "stand_in": any("stand-in" in model for model in models),
        **{n: json.loads(p.read_text(encoding="utf-8")) for n, p in results.items() if p.exists()},
    }


def _median_words(examples: Sequence[Example], name: str) -> float:
    return statistics.median([len(getattr(row, name).split()) for row in examples] or [0])


def write_card(folder: str | Path, facts: Mapping[str, Any], *, name: str) -> Path:
    """Write README.md, the dataset card with its datasheet, beside the data."""
    from huggingface_hub import DatasetCard, DatasetCardData

    licenses = facts["licenses"]
    hub = {row.hub for row in licenses if row.restricts} or {row.hub for row in licenses}
    head = DatasetCardData(
        pretty_name=name,
        language=["en"],
        license=hub.pop() if len(hub) == 1 else "other",
        task_categories=["question-answering", "text-generation"],
        size_categories=[next((s for n, s in SIZES.items() if facts["examples"] < n), "n>1M")],
        tags=["medical", "instruction-tuning", "synthetic"],
        annotations_creators=["machine-generated"],
        configs=[{"config_name": "default", "data_files": facts["file"]}],
    )
    template = str(paths.data("dataset_card.md.j2"))
    card = DatasetCard.from_template(head, template_path=template, name=name, facts=facts)
    return records.write_text(Path(folder) / "README.md", str(card))


def push_to_hub(
    folder: str | Path, repo: str, *, facts: Mapping[str, Any], private: bool = True
) -> str:
    """Upload data and card to a dataset repository, owner/name, and return its address.

    An empty `repo` uploads nothing. Refused if the file holds a counted identifier, and in public
    while licenses conflict.
    """
    if not repo:
        return ""
    if facts["conflicts"] and not private:
        got = "; ".join(facts["conflicts"])
        do = "Settle them first, or upload privately."
        raise UserError("The dataset has license conflicts and is not published.", got=got, do=do)
    rows = records.read(Path(folder) / facts["file"], Example)
    texts = {row.id: f"{row.instruction} {row.input} {row.output}" for row in rows}
    hits = scan_identifiers(texts).query("counted")
    if len(hits):
        do = "Look at them in notebook 06, and reject or edit them in its review."
        got = f"{hits['where'].nunique()} texts"
        raise UserError("The dataset may name people and is not uploaded.", got=got, do=do)
    from huggingface_hub import HfApi

    api = HfApi()
    url = str(api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True))
    card = write_card(folder, facts, name=repo.rpartition("/")[2])
    files = {"folder_path": str(folder), "allow_patterns": [facts["file"], card.name]}
    api.upload_folder(repo_id=repo, repo_type="dataset", **files)
    return url
