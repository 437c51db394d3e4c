"""Test sets: our own format, and MedInstruct-test with its four reference answers a row."""

from pathlib import Path
from typing import Any

from medinstruct import paths, records
from medinstruct.errors import Problem
from medinstruct.records import TestItem

# The reference answers' names in the published file; one of them lacks the suffix (paper.md, 1.2).
PUBLISHED = {
    "gpt-4-answer": "gpt-4", "claude-2": "claude-2", "gpt-3.5-turbo-answer": "gpt-3.5-turbo",
    "text-davinci-003-answer": "text-davinci-003",
}  # fmt: skip


def load_items(test_set: str, *, references: str = "", limit: int = 0, seed: int = 42) -> list[TestItem]:
    """The items of a test set (path, URL, or "own"), with reference answers.

    `references` names a folder with one folder a model in it, each with a `medsi_output.jsonl` (instruction, and output or
    response); "" takes those in the test set. `limit` takes that many, evenly over the file; 0 takes all.
    """
    path = paths.data("test_freeform.jsonl") if test_set == "own" else paths.resolve(test_set)
    items = [records.parse(TestItem, _fields(row), where=f"{path}, line {n}") for n, row in records.rows(path)]
    if references:
        items = _with_references(items, paths.resolve(references))
    without = [item.id for item in items if not item.references]
    if without:
        do = "Name a folder with reference answers in `references`."
        raise Problem("Test items have no reference answer.", got=f"{len(without)} of {len(items)}: {without[:3]}", do=do)
    return items if not limit or limit >= len(items) else [items[n * len(items) // limit] for n in range(limit)]


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the published file or of ours as the fields of a TestItem; the item's id is made from its content."""
    given = {name: row[key].strip() for key, name in PUBLISHED.items() if key in row}
    given |= {"written": row["reference"]} if "reference" in row else {}
    fields = {key: row[key] for key in ("instruction", "input", "difficulty", "type", "topic", "view") if key in row}
    return fields | {"references": given or row.get("references", {})}


def _with_references(items: list[TestItem], folder: Path) -> list[TestItem]:
    """The items with the answers of a folder's models, matched by instruction, never by position."""
    found = {}
    for file in sorted(folder.glob("*/medsi_output.jsonl")):
        rows = [row for _, row in records.rows(file)]
        found[file.parent.name] = {row["instruction"].strip(): row.get("output", row.get("response")) for row in rows}
    if not found:
        raise Problem("There are no reference answers.", got=folder, do="Expected <model>/medsi_output.jsonl in it.")
    for name, answers in found.items():
        missing = [item.id for item in items if item.instruction not in answers]
        if missing:
            do = "Take the references that belong to this test set."
            raise Problem(
                f"The answers of {name} do not fit the test set.", got=f"{len(missing)} missing, first {missing[0]}", do=do
            )
    return [
        item.model_copy(update={"references": {name: answers[item.instruction].strip() for name, answers in found.items()}})
        for item in items
    ]
