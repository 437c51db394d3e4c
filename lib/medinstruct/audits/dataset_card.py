"""The papers of a dataset, filled from measured files and from nothing else: Hugging Face card, datasheet, Croissant metadata."""

import hashlib
import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from medinstruct import labels, records
from medinstruct.audits.croissant import croissant
from medinstruct.audits.input_licenses import Licence, conflicts, of_inputs
from medinstruct.records import Example

# the files of a run that hold what did not become an example
SET_ASIDE = {
    "rejects": "pieces that could not be read as a task",
    "dropped": "tasks that a filter took out",
    "unfinished": "answers that were empty, refused or cut",
}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def dataset_facts(
    folder: str | Path, *, seeds: str = "own", file: str = "dataset.jsonl"
) -> dict[str, Any]:
    """What the files of a run say of its dataset: sizes, labels, models, licences, audits, hashes. A file that is not there is not told of."""
    folder = Path(folder)
    examples = records.read(folder / file, Example)
    models = Counter(one.provenance.model or "unknown" for one in examples)
    inputs = of_inputs(seeds=seeds, models=models)
    found = {
        name: _json(folder / f"{name}.json")
        for name in ("generation", "diversity", "quality", "training")
    }
    return {
        "file": file,
        "sha256": hashlib.sha256((folder / file).read_bytes()).hexdigest(),
        "bytes": (folder / file).stat().st_size,
        "examples": len(examples),
        "with_input": sum(bool(one.input) for one in examples),
        "models": dict(models),
        "sources": dict(Counter(one.provenance.source or "unknown" for one in examples)),
        "columns": sorted({name for _, row in records.rows(folder / file) for name in row}),
        "labels": {
            axis: Counter(str(labels.canonical(axis, getattr(one, axis))) for one in examples)
            for axis in ("type", "view", "topic", "difficulty")
        },
        "words": {
            name: statistics.median([len(getattr(one, name).split()) for one in examples] or [0])
            for name in ("instruction", "output")
        },
        "set_aside": {
            name: len(records.rows(folder / f"{name}.jsonl"))
            for name in SET_ASIDE
            if (folder / f"{name}.jsonl").exists()
        },
        "licences": inputs,
        "conflicts": conflicts(inputs),
        "stand_in": any("stand-in" in model for model in models),
        **{name: value for name, value in found.items() if value},
    }


def card(known: Mapping[str, Any], *, name: str = "medinstruct") -> str:
    """The dataset card: the YAML head that the Hugging Face hub reads, then what was measured."""
    head = {
        "pretty_name": name,
        "language": ["en"],
        "license": _hub_licence(known["licences"]),
        "task_categories": ["question-answering", "text-generation"],
        "size_categories": [
            next((size for most, size in SIZES if known["examples"] < most), "n>1M")
        ],
        "tags": ["medical", "instruction-tuning", "synthetic"],
        "annotations_creators": ["machine-generated"],
        "configs": [{"config_name": "default", "data_files": known["file"]}],
    }
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n# {name}",
        f"{known['examples']:,} medical instructions with responses, written by {_listed(known['models'])}. Not for clinical use.",
        "**Written by the offline stand-in, a rule-based program: it shows the pipeline, not medicine.**"
        if known["stand_in"]
        else "",
        _labels(known),
        _audits(known),
        _licence_text(known),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def datasheet(known: Mapping[str, Any], *, name: str = "medinstruct") -> str:
    """The datasheet (questions after Gebru and others 2021), answered where a file of the run holds the answer, else said to be open."""
    quality = known.get("quality", {})
    reviewed = quality.get("review", {}).get("reviewed", 0)
    open_ = "Not answered by any file of this run."
    told = {
        "Who created the dataset?": f"Texts by {_listed(known['models'])}; tasks grown from seed tasks.",
        "What do the instances represent?": f"{known['examples']:,} medical tasks, {known['with_input']:,} with an input, each with one response; median words: instruction {known['words']['instruction']:.0f}, response {known['words']['output']:.0f}.",
        "Is there a label for each instance?": "Type, topic, view and difficulty, written by the machine and counted under one spelling each.",
        "Does it contain data that might be confidential or identify people?": _of(
            quality, "identifiers"
        )
        or open_,
        "Does it relate to people, and to which groups?": _of(quality, "female share") or open_,
        "Was it reviewed by people?": f"{reviewed:,} examples were looked at by a reviewer."
        if reviewed
        else "No example was reviewed by clinicians.",
        "How was it collected?": _generation(known.get("generation", {})) or open_,
        "Was it cleaned or filtered?": _set_aside(known["set_aside"]) or open_,
        "For what should it not be used?": "For advice to patients, and for training a model that is used without clinical evaluation.",
        "Under which licence?": _licence_text(known).removeprefix("## Licences\n\n"),
        "Who maintains it?": open_,
    }
    body = "\n\n".join(f"**{question}**\n\n{answer}" for question, answer in told.items())
    return f"# Datasheet of {name}\n\nFilled from the files of the run; sha256 of the data `{known['sha256']}`.\n\n{body}\n"


def write_papers(
    folder: str | Path, known: Mapping[str, Any], *, name: str, url: str = "", date: str = ""
) -> list[Path]:
    """Write README.md, croissant.json and datasheet.md beside the data; `url` and `date` where it is published."""
    folder = Path(folder)
    return [
        records.write_text(folder / "README.md", card(known, name=name)),
        records.write_json(
            folder / "croissant.json", croissant(known, name=name, url=url, date=date)
        ),
        records.write_text(folder / "datasheet.md", datasheet(known, name=name)),
    ]


def _labels(known: Mapping[str, Any]) -> str:
    lines = [
        f"- **{axis}**: " + ", ".join(f"{name} {n}" for name, n in of.most_common(10))
        for axis, of in known["labels"].items()
    ]
    return "## What is in it\n\n" + "\n".join(lines)


def _audits(known: Mapping[str, Any]) -> str:
    rows = known.get("quality", {}).get("findings", [])
    table = [
        f"| {one['audit']} | {_number(one['value'])} | {one['limit']} | {_kept(one['keeps'])} |"
        for one in rows
    ]
    return (
        "## Audits\n\n| audit | value | threshold | kept |\n| --- | --- | --- | --- |\n"
        + "\n".join(table)
        if table
        else ""
    )


def _licence_text(known: Mapping[str, Any]) -> str:
    lines = [f"- {one.what}: {one.licence}. {one.terms}".rstrip() for one in known["licences"]]
    lines += [f"- **Conflict**: {conflict}" for conflict in known["conflicts"]]
    return "## Licences\n\n" + "\n".join(lines)


def _generation(generation: Mapping[str, Any]) -> str:
    told = [
        f"{name} {value}"
        for name, value in generation.items()
        if isinstance(value, int | float | str) and value != ""
    ]
    return f"By notebooks 02 to 04 of this repository: {', '.join(told[:10])}." if told else ""


def _set_aside(counts: Mapping[str, int]) -> str:
    told = "; ".join(f"{n:,} {SET_ASIDE[name]}" for name, n in counts.items())
    return f"Set aside, with their reason: {told}." if told else ""


def _of(quality: Mapping[str, Any], audit: str) -> str:
    rows = [one for one in quality.get("findings", []) if one["audit"].startswith(audit)]
    return "; ".join(
        f"{one['audit']}: {_number(one['value'])} of {one['n']:,} (threshold {one['limit']})"
        for one in rows
    )


def _hub_licence(licences: Sequence[Licence]) -> str:
    names = {one.hub for one in licences if one.restricts} or {one.hub for one in licences}
    return names.pop() if len(names) == 1 else "other"


def _listed(models: Mapping[str, int]) -> str:
    return ", ".join(f"{model} ({n:,})" for model, n in models.items())


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _kept(keeps: bool | None) -> str:
    return {True: "yes", False: "**no**"}.get(keeps, "–")


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
