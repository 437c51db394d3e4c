"""Answers in files belong to questions by what they say, never by where they stand; a file that does not fit is refused by name."""

from collections.abc import Iterable
from typing import Any

from medinstruct import paths, records
from medinstruct.errors import UserError
from medinstruct.records import Answer, TestItem

KEYS = ("output", "response", "answer", "text")


def load_answers(files: str, items: list[TestItem]) -> list[Answer]:
    """The answers of further models: `files` is "name=path, name=path"; each row has an output, response, answer or text.

    Rows are matched to the items by item id, else by instruction and input, else by the prompt that holds the input.
    """
    found = []
    for part in (part.strip() for part in files.split(",") if part.strip()):
        name, sign, path = part.partition("=")
        if not sign:
            raise UserError(
                "Answer files are named as name=path.",
                got=part,
                do="For example alpaca=answers.json.",
            )
        rows = [row for _, row in records.rows(paths.resolve(path.strip()))]
        rows = [row for row in rows if row.get("model", name.strip()) == name.strip()]
        texts = matched(rows, items, name=name.strip())
        ends = {row["item"]: row.get("finish_reason", "stop") for row in rows if "item" in row}
        found += [
            Answer(
                item=item.id,
                model=name.strip(),
                text=texts[item.id],
                finish_reason=ends.get(item.id, "stop"),
            )
            for item in items
        ]
    return found


def matched(rows: Iterable[dict[str, Any]], items: list[TestItem], *, name: str) -> dict[str, str]:
    """Item id -> the text of its row; a missing or doubled answer is a UserError with the ids."""
    rows = list(rows)
    places = _places(rows, items)
    texts: dict[str, str] = {}
    twice = []
    for row, item in zip(rows, places, strict=True):
        text = text_of(row)
        if item is None or text is None:
            continue
        twice += [item] if item in texts else []
        texts[item] = text
    missing = [item.id for item in items if item.id not in texts]
    if missing or twice:
        got = f"{len(missing)} missing {missing[:3]}, {len(twice)} doubled {twice[:3]}, of {len(items)} items and {len(rows)} rows"
        do = "Take the file that belongs to this test set: rows are matched by item id, instruction and input, or prompt."
        raise UserError(f"The answers of {name} do not fit the test set.", got=got, do=do)
    return texts


def text_of(row: dict[str, Any]) -> str | None:
    """The answer in a row, under any of its usual names; None where there is none."""
    return next((str(row[key]) for key in KEYS if row.get(key) is not None), None)


def _places(rows: list[dict[str, Any]], items: list[TestItem]) -> list[str | None]:
    """The id of the item that each row answers, or None."""
    ids = {item.id for item in items}
    if rows and (rows[0].get("item") in ids or rows[0].get("id") in ids):
        return [
            next((row[key] for key in ("item", "id") if row.get(key) in ids), None) for row in rows
        ]
    whole = {(_folded(item.instruction), _folded(item.input)): item.id for item in items}
    inputs = {_folded(item.input): item.id for item in items if item.input}
    return [
        whole.get((_folded(row.get("instruction", "")), _folded(row.get("input", ""))))
        or (inputs.get(_folded(row["input"])) if row.get("input") else None)
        or (_inside(_folded(row["prompt"]), inputs) if row.get("prompt") else None)
        for row in rows
    ]


def _inside(prompt: str, inputs: dict[str, str]) -> str | None:
    """The item whose input stands in a prompt; of several the longest."""
    found = max((text for text in inputs if text in prompt), key=len, default="")
    return inputs.get(found)


def _folded(text: Any) -> str:
    return " ".join(str(text or "").split())
