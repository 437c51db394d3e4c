"""Answers: test items, reference answers, answer files matched by content, models, statistics."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd

from medinstruct import models, paths, records
from medinstruct.errors import UserError
from medinstruct.evaluation.verdicts import TEXTS
from medinstruct.llm import Client, LocalModel, Reply, Request, connect, public_name
from medinstruct.llm.messages import split_thought
from medinstruct.records import Answer, Provenance, TestItem
from medinstruct.training import message, prompt

ITEM_FIELDS = ("instruction", "input", "difficulty", "type", "topic", "view", "references")
# Strings that begin a new turn of the Alpaca template, where an answer ends.
ALPACA_STOPS = ("\n### Instruction", "\n### Input", "\n### Response")
SENTENCE_ENDS = tuple(".!?:;)]\"'*`”’。")

Models = Mapping[str, Client | LocalModel]


def load_items(test_set: str, *, limit: int = 0) -> list[TestItem]:
    """Return the items of a test set (path, URL or "own"); `limit`: n evenly spaced, 0 for all."""
    source = paths.data("test_freeform.jsonl") if test_set == "own" else test_set
    rows = enumerate(map(_item_fields, records.load_table(source)), 1)
    items = [records.parse(TestItem, row, where=f"{source}, row {n}") for n, row in rows]
    ids = [item.id for item in items]
    if repeated := [id for n, id in enumerate(ids) if id in ids[:n]]:
        raise UserError(f"{source} holds a question twice.", got=repeated[:5], do="Delete one.")
    return evenly(items, limit)


def focus_half(items: Iterable[TestItem]) -> list[TestItem]:
    """Return the half of the items, by the hash of the id, that may steer the next tasks."""
    return [item for item in items if int(records.content_hash(item.id), 16) % 2]


def unseen(items: Iterable[TestItem], folder: Path) -> list[TestItem]:
    """Return the items that did not steer the tasks of a run (generation.json)."""
    steered = paths.read_json(folder / "generation.json").get("focus_items", ())
    return [item for item in items if item.id not in steered]


def reference_answers(items: Sequence[TestItem], files: Mapping | None = None) -> list[Answer]:
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


def load_answers(files: Mapping[str, str], items: Sequence[TestItem]) -> list[Answer]:
    """Return the answers in `files`, {name: path}, one an item and name.

    Rows are matched by item id, else by instruction and input, else by the prompt that contains
    the input. Their text is in the field output, response, answer or text.
    """
    answers = []
    for name, path in files.items():
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


def answerers(
    answerer: str, *, base: str, template: str, local: LocalModel | None = None, **client: Any
) -> dict[str, Client | LocalModel]:
    """Return {"base": model, "tuned": model}: views of `local`, or clients of one server.

    `answerer` is "here" for `local`, "" for no model, or a model by its name in params/models.yaml:
    there the server has the model `base` under its own name and the tuned one as `tuned`. With
    template chat it applies the chat template; else it gets our own text at /v1/completions.
    """
    if not answerer:
        return {}
    if answerer == "here":
        return {"base": local.base, "tuned": local.tuned}
    entry = models.load(answerer)
    names = {"base": public_name(base), "tuned": entry.tuned or entry.model}
    client["chat"] = template == "chat"
    return {name: connect(answerer, model=model, **client) for name, model in names.items()}


async def ask_models(
    models: Models, questions: Iterable[tuple], *, template: str = "alpaca", max_tokens: int = 200
) -> dict[str, list[Reply]]:
    """Return {model: greedy replies} to (instruction, input) pairs, in the training template."""
    settings: dict[str, Any] = {"max_tokens": max_tokens, "temperature": 0.0}
    if template == "alpaca":
        settings["stop"] = list(ALPACA_STOPS)
    wording = prompt if template == "alpaca" else message
    messages = [[{"role": "user", "content": wording(*pair)}] for pair in questions]
    requests = [Request(messages=message, parameters=settings) for message in messages]
    return {
        name: await model.ask_all(requests, label=f"answers of {name}")
        for name, model in models.items()
    }


async def answer_all(items: Sequence[TestItem], models: Models, **form: Any) -> list[Answer]:
    """Return the answers of all models to all items; `form` as in `ask_models`."""
    questions = [(item.instruction, item.input) for item in items]
    answers = []
    for name, replies in (await ask_models(models, questions, **form)).items():
        for item, reply in zip(items, replies, strict=True):
            origin = Provenance(source="answer", model=reply.model, request=reply.key)
            fields = {"text": reply.text, "finish_reason": reply.finish_reason}
            answers.append(Answer(item=item.id, model=name, **fields, provenance=origin))
    return answers


async def of_others(
    places: Mapping[str, str], items: Sequence[TestItem], *, max_tokens: int, **settings: Any
) -> list[Answer]:
    """Return the answers of further contestants, {name: place}.

    A place is a file (see `load_answers`), model@url, or the folder or hub id of a chat model,
    which is loaded, asked in its own template, and freed.
    """
    answers = []
    for name, place in places.items():
        if records.is_table(place):
            answers += load_answers({name: place}, items)
            continue
        if "@" in place:
            opened = nullcontext(connect(place, **settings))
        else:
            opened = LocalModel(place, chat=True, **settings)
        with opened as model:
            form = {"template": "chat", "max_tokens": max_tokens}
            answers += await answer_all(items, {name: model}, **form)
    return answers


def statistics(answers: Iterable[Answer]) -> pd.DataFrame:
    """Return one row a model: n, words (mean), median, and shares of flawed answers.

    empty; truncated: ended at the token limit, or else without the end of a sentence; repeated: a
    fifth of its runs of eight words are repetitions.
    """
    fields = ["model", "text", "finish_reason"]
    frame = pd.DataFrame([vars(answer) for answer in answers], columns=fields)
    text, is_cut = frame["text"], frame["finish_reason"] == "length"
    is_empty = text == ""
    looks = {"words": text.str.split().str.len(), "empty": is_empty}
    looks["truncated"] = is_cut | ~(is_empty | text.str.endswith(SENTENCE_ENDS))
    looks["repeated"] = text.map(_repetition) > 0.2
    groups = pd.DataFrame(looks).groupby(frame["model"].rename("answers of"), sort=False)
    return groups.mean().assign(n=groups.size(), median=groups["words"].median())


def _repetition(text: str, size: int = 8) -> float:
    words = text.split()
    runs = [tuple(words[n : n + size]) for n in range(len(words) - size + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _item_fields(row: dict[str, Any]) -> dict[str, Any]:
    """Convert a row (own, MedInstruct-test, iCliniq or AlpacaFarm) to the fields of a TestItem."""
    fields = {key: row[key] for key in ITEM_FIELDS if row.get(key) not in (None, "")}
    names = TEXTS["reference_fields"].items()
    references = {name: row[key] for key, name in names if key in row}
    if not references and (text := _text(row)) is not None:  # AlpacaFarm names its generator
        references = {str(row.get("generator") or "given"): text}
    if not str(row.get("instruction", "")).strip() and str(row.get("input", "")).strip():
        fields["instruction"] = TEXTS["default_instruction"]
    return fields | ({"references": references} if references else {})


def _matched(rows: Sequence[dict[str, Any]], items: Sequence[TestItem], name: str) -> list[Answer]:
    """Return the answer of each item, in their order; each item needs exactly one row."""
    matches: dict[str, list[Answer]] = {item.id: [] for item in items}
    for row, id in zip(rows, _matched_ids(rows, items), strict=True):
        if id is not None and (text := _text(row)) is not None:
            answer, _ = split_thought(text)
            reason = "length" if answer is None else str(row.get("finish_reason") or "stop")
            matches[id].append(Answer(item=id, model=name, text=answer or "", finish_reason=reason))
    missing = [id for id, answers in matches.items() if not answers]
    repeated = [id for id, answers in matches.items() if len(answers) > 1]
    if missing or repeated:
        got = f"{len(missing)} missing {missing[:3]}, {len(repeated)} doubled {repeated[:3]}"
        do = "Choose the file for this test set; rows match by item id, instruction or prompt."
        raise UserError(f"The answers of {name} do not fit the test set.", got=got, do=do)
    return [answers[0] for answers in matches.values()]


def _matched_ids(rows: Sequence[dict], items: Sequence[TestItem]) -> Iterator[str | None]:
    """Yield the id of the item that each row answers, or None."""
    ids = {item.id for item in items}
    questions = {(_folded(item.instruction), _folded(item.input)): item.id for item in items}
    inputs = {_folded(item.input): item.id for item in items if item.input}
    for row in rows:
        id = next((row[key] for key in ("item", "id") if row.get(key) in ids), None)
        instruction, input = _folded(row.get("instruction")), _folded(row.get("input"))
        prompt = _folded(row.get("prompt"))
        longest = max((text for text in inputs if text in prompt), key=len, default="")
        yield id or questions.get((instruction, input)) or inputs.get(input) or inputs.get(longest)


def _text(row: dict[str, Any]) -> str | None:
    return next((str(row[key]) for key in TEXTS["answer_fields"] if row.get(key) is not None), None)


def _folded(text: Any) -> str:
    return " ".join(str(text or "").split())
