"""Test sets: our own, MedInstruct-test, iCliniq-style questions and AlpacaFarm-style instructions, with reference answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medinstruct import paths, records
from medinstruct.errors import UserError
from medinstruct.evaluation.aligning import matched, text_of
from medinstruct.records import TestItem

# The reference answers' names in the published file; one of them lacks the suffix (paper.md, 1.2).
PUBLISHED = {
    "gpt-4-answer": "gpt-4",
    "claude-2": "claude-2",
    "gpt-3.5-turbo-answer": "gpt-3.5-turbo",
    "text-davinci-003-answer": "text-davinci-003",
}
AS_A_DOCTOR = (
    "If you are a doctor, please answer the medical questions based on the patient's description."
)


def load_items(test_set: str, *, references: str = "", limit: int = 0) -> list[TestItem]:
    """The items of a test set (path, URL, or "own"), with reference answers.

    `references` names a folder with one folder a model in it, each with a file of answers that fits the test set; "" takes those in
    the test set. `limit` takes that many, evenly over the file; 0 takes all.
    """
    path = paths.data("test_freeform.jsonl") if test_set == "own" else paths.resolve(test_set)
    items = [
        records.parse(TestItem, _fields(row), where=f"{path}, line {n}")
        for n, row in records.rows(path)
    ]
    _refuse_doubles(items, path)
    if references:
        items = _with_references(items, paths.resolve(references))
    without = [item.id for item in items if not item.references]
    if without:
        do = "Name a folder with reference answers in `references`."
        raise UserError(
            "Test items have no reference answer.",
            got=f"{len(without)} of {len(items)}: {without[:3]}",
            do=do,
        )
    return evenly(items, limit)


def evenly(rows: Sequence[Any], limit: int) -> list[Any]:
    """That many of the rows, evenly over the whole; 0 for all."""
    return (
        [rows[n * len(rows) // limit] for n in range(limit)]
        if 0 < limit < len(rows)
        else list(rows)
    )


def reference_texts(items: list[TestItem]) -> dict[str, dict[str, str]]:
    """The reference answers turned round: name -> item id -> text."""
    names = dict.fromkeys(name for item in items for name in item.references)
    return {
        name: {item.id: item.references[name] for item in items if name in item.references}
        for name in names
    }


def question(item: TestItem) -> str:
    """What is asked: the instruction, and the input under it where there is one."""
    return f"{item.instruction}\n{item.input}".strip()


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    """A row of any of the four formats as the fields of a TestItem; the item's id is made from its content."""
    given = {name: row[key].strip() for key, name in PUBLISHED.items() if key in row}
    given |= {"written": row["reference"]} if "reference" in row else {}
    if (
        not given and (own := text_of(row)) is not None
    ):  # AlpacaFarm: the answer of a named generator; else of nobody known
        given = {str(row.get("generator") or "given"): own.strip()}
    fields = {
        key: row[key]
        for key in ("instruction", "input", "difficulty", "type", "topic", "view")
        if key in row
    }
    if not str(fields.get("instruction", "")).strip() and str(fields.get("input", "")).strip():
        fields["instruction"] = AS_A_DOCTOR  # iCliniq files leave it empty
    return fields | {"references": given or row.get("references", {})}


def _refuse_doubles(items: list[TestItem], path: Path) -> None:
    seen: set[str] = set()
    twice = [item.id for item in items if item.id in seen or seen.add(item.id)]
    if twice:
        raise UserError(
            f"{path} holds a question twice.",
            got=twice[:5],
            do="Leave one of them away: each counts once.",
        )


def _with_references(items: list[TestItem], folder: Path) -> list[TestItem]:
    """The items with the answers of a folder's models, matched by content, never by position."""
    found = {}
    for one in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted([*one.glob("*.jsonl"), *one.glob("*.json")])
        if files:
            found[one.name] = _best_fit(files, items, name=one.name)
    if not found:
        raise UserError(
            "There are no reference answers.",
            got=folder,
            do="Expected <model>/<answers>.jsonl in it.",
        )
    texts = {
        name: {key: text.strip() for key, text in answers.items()}
        for name, answers in found.items()
    }
    return [
        item.model_copy(update={"references": {name: texts[name][item.id] for name in texts}})
        for item in items
    ]


def _best_fit(files: list[Path], items: list[TestItem], *, name: str) -> dict[str, str]:
    """The answers of the first file that fits the test set; where none does, the reason why the last one does not."""
    problem = None
    for file in files:
        try:
            return matched(
                [row for _, row in records.rows(file)], items, name=f"{name} ({file.name})"
            )
        except UserError as error:
            problem = error
    raise problem or UserError("There are no reference answers.", got=name)
