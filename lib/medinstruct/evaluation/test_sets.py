"""Test sets: questions with reference answers, and answer files matched to them by content."""

from collections.abc import Sequence
from typing import Any

from medinstruct import paths, records
from medinstruct.errors import UserError
from medinstruct.evaluation.verdicts import TEXTS
from medinstruct.records import Answer, TestItem

ITEM_FIELDS = ("instruction", "input", "difficulty", "type", "topic", "view", "references")


def load_items(test_set: str, *, limit: int = 0) -> list[TestItem]:
    """Return the items of a test set (path, URL or "own"); `limit`: n evenly spaced, 0 for all."""
    source = paths.data("test_freeform.jsonl") if test_set == "own" else test_set
    items = [
        records.parse(TestItem, _item_fields(row), where=f"{source}, row {n}")
        for n, row in enumerate(records.load_table(source), 1)
    ]
    ids = [item.id for item in items]
    if repeated := [id for n, id in enumerate(ids) if id in ids[:n]]:
        raise UserError(f"{source} holds a question twice.", got=repeated[:5], do="Delete one.")
    return evenly(items, limit)


def reference_answers(items: Sequence[TestItem], files: str = "") -> list[Answer]:
    """Return reference answers from `files` (see `load_answers`), or those in the test set."""
    if files:
        return load_answers(files, items)
    if missing := [item.id for item in items if not item.references]:
        got = f"{len(missing)} of {len(items)}: {missing[:3]}"
        do = "Name files of reference answers in `references`."
        raise UserError("Test items have no reference answer.", got=got, do=do)
    names = dict.fromkeys(name for item in items for name in item.references)
    pairs = [(name, item) for name in names for item in items if name in item.references]
    return [Answer(item=item.id, model=name, text=item.references[name]) for name, item in pairs]


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
            raise UserError("Answer and reference files are lists of name=path.", got=part, do=do)
        rows = [row for row in records.load_table(path) if row.get("model", name) == name]
        answers += _matched(rows, items, name)
    return answers


def question(item: TestItem) -> str:
    """Return the instruction, followed by the input on a new line if there is one."""
    return f"{item.instruction}\n{item.input}".strip()


def evenly(rows: Sequence[Any], limit: int) -> list[Any]:
    """Return `limit` of the rows, evenly spaced; 0 for all."""
    number = limit if 0 < limit < len(rows) else len(rows)
    return [rows[n * len(rows) // number] for n in range(number)]


def _item_fields(row: dict[str, Any]) -> dict[str, Any]:
    """Convert a row (own, MedInstruct-test, iCliniq or AlpacaFarm) to the fields of a TestItem."""
    fields = {key: row[key] for key in ITEM_FIELDS if row.get(key) not in (None, "")}
    published = TEXTS["published_references"].items()
    references = {name: row[key].strip() for key, name in published if key in row}
    if "reference" in row:
        references["written"] = row["reference"]
    if not references and (text := _text(row)) is not None:  # AlpacaFarm names its generator
        references = {str(row.get("generator") or "given"): text.strip()}
    if not str(row.get("instruction", "")).strip() and str(row.get("input", "")).strip():
        fields["instruction"] = TEXTS["default_instruction"]
    return fields | ({"references": references} if references else {})


def _matched(rows: Sequence[dict[str, Any]], items: Sequence[TestItem], name: str) -> list[Answer]:
    """Return the answer of each item, in their order; each item needs exactly one row."""
    matches: dict[str, list[Answer]] = {item.id: [] for item in items}
    for row, id in zip(rows, _matched_ids(rows, items), strict=True):
        if id is not None and (text := _text(row)) is not None:
            reason = str(row.get("finish_reason") or "stop")
            matches[id].append(Answer(item=id, model=name, text=text, finish_reason=reason))
    missing = [id for id, answers in matches.items() if not answers]
    repeated = [id for id, answers in matches.items() if len(answers) > 1]
    if missing or repeated:
        got = f"{len(missing)} missing {missing[:3]}, {len(repeated)} doubled {repeated[:3]}"
        do = "Choose the file for this test set; rows match by item id, instruction or prompt."
        raise UserError(f"The answers of {name} do not fit the test set.", got=got, do=do)
    return [answers[0] for answers in matches.values()]


def _text(row: dict[str, Any]) -> str | None:
    return next((str(row[key]) for key in TEXTS["answer_fields"] if row.get(key) is not None), None)


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
        match = questions.get((instruction, input)) or inputs.get(input) or inputs.get(longest)
        matches.append(match)
    return matches


def _folded(text: Any) -> str:
    return " ".join(str(text or "").split())
