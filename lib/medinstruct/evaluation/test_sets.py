"""Test sets: questions with reference answers, and answer files matched to them by content."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medinstruct import paths, records
from medinstruct.errors import UserError
from medinstruct.records import Answer, TestItem

ITEM_FIELDS = ("instruction", "input", "difficulty", "type", "topic", "view", "references")
TEXT_FIELDS = ("output", "response", "answer", "text")
# Reference answers in MedInstruct-test by field; one field lacks the suffix (paper.md, 1.2).
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
    """Return the items of a test set (path, URL or "own") with their reference answers.

    `references`: folder with one folder a model, each with a file of answers to this test set; ""
    takes the references in the test set. `limit`: number of items, evenly spaced; 0 for all.
    """
    path = paths.data("test_freeform.jsonl") if test_set == "own" else paths.resolve(test_set)
    rows = records.rows(path)
    items = [
        records.parse(TestItem, _item_fields(row), where=f"{path}, line {n}") for n, row in rows
    ]
    ids = [item.id for item in items]
    if repeated := [id for n, id in enumerate(ids) if id in ids[:n]]:
        raise UserError(f"{path} holds a question twice.", got=repeated[:5], do="Delete one.")
    if references:
        items = _with_references(items, paths.resolve(references))
    if missing := [item.id for item in items if not item.references]:
        got = f"{len(missing)} of {len(items)}: {missing[:3]}"
        do = "Name a folder with reference answers in `references`."
        raise UserError("Test items have no reference answer.", got=got, do=do)
    return evenly(items, limit)


def load_answers(files: str, items: Sequence[TestItem]) -> list[Answer]:
    """Return the answers in `files`, "name=path, name=path", one an item and name.

    Rows are matched by item id, else by instruction and input, else by the prompt that contains
    the input. Their text is in the field output, response, answer or text.
    """
    answers = []
    for part in filter(None, (part.strip() for part in files.split(","))):
        name, sign, path = (piece.strip() for piece in part.partition("="))
        if not sign:
            do = "Write name=path, for example alpaca=answers.json."
            raise UserError("answer_files must be a list of name=path.", got=part, do=do)
        rows = [row for _, row in records.rows(paths.resolve(path))]
        rows = [row for row in rows if row.get("model", name) == name]
        texts = match_answers(rows, items, name=name)
        reasons = {row["item"]: row.get("finish_reason", "stop") for row in rows if "item" in row}
        answers += [
            Answer(item=id, model=name, text=text, finish_reason=reasons.get(id, "stop"))
            for id, text in texts.items()
        ]
    return answers


def match_answers(
    rows: Sequence[dict[str, Any]], items: Sequence[TestItem], *, name: str
) -> dict[str, str]:
    """Return {item id: text} in the order of the items; every item needs exactly one row."""
    texts: dict[str, str] = {}
    repeated = []
    for row, id in zip(rows, _matched_ids(rows, items), strict=True):
        text = _text(row)
        if id is None or text is None:
            continue
        if id in texts:
            repeated.append(id)
        texts[id] = text
    missing = [item.id for item in items if item.id not in texts]
    if missing or repeated:
        got = f"{len(missing)} missing {missing[:3]}, {len(repeated)} doubled {repeated[:3]}"
        do = "Choose the file for this test set; rows match by item id, instruction or prompt."
        raise UserError(f"The answers of {name} do not fit the test set.", got=got, do=do)
    return {item.id: texts[item.id] for item in items}


def reference_answers(items: Sequence[TestItem]) -> list[Answer]:
    """Return the reference answers of the items as answers under the references' names."""
    names = dict.fromkeys(name for item in items for name in item.references)
    return [
        Answer(item=item.id, model=name, text=item.references[name])
        for name in names
        for item in items
        if name in item.references
    ]


def question(item: TestItem) -> str:
    """Return the instruction, followed by the input on a new line if there is one."""
    return f"{item.instruction}\n{item.input}".strip()


def evenly(rows: Sequence[Any], limit: int) -> list[Any]:
    """Return `limit` of the rows, evenly spaced; 0 for all.

    >>> evenly("abcdef", 3)
    ['a', 'c', 'e']
    """
    if not 0 < limit < len(rows):
        return list(rows)
    return [rows[n * len(rows) // limit] for n in range(limit)]


def _item_fields(row: dict[str, Any]) -> dict[str, Any]:
    """Convert a row (own, MedInstruct-test, iCliniq or AlpacaFarm) to the fields of a TestItem."""
    fields = {key: row[key] for key in ITEM_FIELDS if key in row}
    references = {name: row[key].strip() for key, name in PUBLISHED.items() if key in row}
    if "reference" in row:
        references["written"] = row["reference"]
    if not references and (text := _text(row)) is not None:  # AlpacaFarm names its generator
        references = {str(row.get("generator") or "given"): text.strip()}
    if not str(row.get("instruction", "")).strip() and str(row.get("input", "")).strip():
        fields["instruction"] = AS_A_DOCTOR  # iCliniq files have none
    return fields | ({"references": references} if references else {})


def _with_references(items: list[TestItem], folder: Path) -> list[TestItem]:
    """Return the items with the answers of the models in a folder."""
    texts = {}
    for model in sorted(path for path in folder.iterdir() if path.is_dir()):
        if files := sorted([*model.glob("*.jsonl"), *model.glob("*.json")]):
            texts[model.name] = _first_match(files, items)
    if not texts:
        do = "Put files named <model>/<answers>.jsonl in it."
        raise UserError("The folder `references` holds no answers.", got=folder, do=do)
    by_item = {item.id: {name: texts[name][item.id].strip() for name in texts} for item in items}
    return [item.model_copy(update={"references": by_item[item.id]}) for item in items]


def _first_match(files: list[Path], items: list[TestItem]) -> dict[str, str]:
    """Return the answers of the first file that fits the test set; raise the last misfit."""
    for file in files:
        rows = [row for _, row in records.rows(file)]
        try:
            return match_answers(rows, items, name=f"{file.parent.name} ({file.name})")
        except UserError as error:
            misfit = error
    raise misfit


def _text(row: dict[str, Any]) -> str | None:
    return next((str(row[key]) for key in TEXT_FIELDS if row.get(key) is not None), None)


def _matched_ids(rows: Sequence[dict[str, Any]], items: Sequence[TestItem]) -> list[str | None]:
    """Return the id of the item that each row answers, or None."""
    ids = {item.id for item in items}
    if rows and (rows[0].get("item") in ids or rows[0].get("id") in ids):
        return [next((row[k] for k in ("item", "id") if row.get(k) in ids), None) for row in rows]
    questions = {(_folded(item.instruction), _folded(item.input)): item.id for item in items}
    inputs = {_folded(item.input): item.id for item in items if item.input}
    matches = []
    for row in rows:
        instruction, input, prompt = (
            _folded(row.get(k)) for k in ("instruction", "input", "prompt")
        )
        longest = max((text for text in inputs if text in prompt), key=len, default="")
        matches.append(
            questions.get((instruction, input)) or inputs.get(input) or inputs.get(longest)
        )
    return matches


def _folded(text: Any) -> str:
    return " ".join(str(text or "").split())
