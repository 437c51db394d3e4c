"""Answers: test items, reference answers, answer files matched by content, models, statistics."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd

from medinstruct import models, paths, records
from medinstruct.errors import UserError
from medinstruct.evaluation.verdicts import TEXTS
from medinstruct.llm import Client, LocalModel, Reply, Request, connect, public_name
from medinstruct.llm.messages import is_unfinished, split_thought
from medinstruct.records import Answer, Example, Provenance, TestItem
from medinstruct.training import message, prompt

LABELS = ("difficulty", "type", "topic", "view")
# Strings that begin a new turn of the Alpaca template, where an answer ends.
ALPACA_STOPS = ("\n### Instruction", "\n### Input", "\n### Response")

Models = Mapping[str, Client | LocalModel]


def load_items(test_set: str, *, limit: int = 0) -> list[TestItem]:
    """Return the items of a test set (path, URL or "own"); `limit`: n evenly spaced, 0 for all."""
    source = paths.data("test_freeform.jsonl") if test_set == "own" else test_set
    return evenly(records.load(source, TestItem, _item_fields), limit)


def focus_half(items: Iterable[TestItem]) -> list[TestItem]:
    """Return the half of the items, chosen by the hash of the id, that may steer new tasks."""
    return [item for item in items if int(records.content_hash(item.id), 16) % 2]


def unseen(items: Iterable[TestItem], folder: Path) -> list[TestItem]:
    """Return the items that did not steer the tasks of a run (generation.json)."""
    steered = paths.read_json(folder / "generation.json").get("focus_items", ())
    left = [item for item in items if item.id not in steered]
    if not left:
        do = "Raise `test_items`, or give another `test_set`."
        raise UserError("All test questions were used to steer this run.", got=folder, do=do)
    return left


def reference_answers(items: Sequence[TestItem], files: Mapping | None = None) -> list[Answer]:
    """Return reference answers from `files` or the test set; log how many are missing."""
    names = [] if files else dict.fromkeys(name for item in items for name in item.references)
    texts = [(item, name, item.references.get(name, "")) for name in names for item in items]
    answers = [Answer(item=item.id, model=name, text=text) for item, name, text in texts]
    answers += load_answers(files or {}, items)
    given, empty = [a for a in answers if a.text], Counter(a.model for a in answers if not a.text)
    listed = [f"{name} for {n} of {len(items)} items" for name, n in empty.items()]
    if not given:
        do, got = "Name files of reference answers in `references`.", f"{len(items)} items"
        raise UserError("Test items have no reference answer.", got=got, do=do)
    records.note("Missing reference answers are not compared", listed)
    return given


def load_answers(files: Mapping[str, str], items: Sequence[TestItem]) -> list[Answer]:
    """Return the answers in `files`, {name: path}, one per item and name.

    Rows match by item id, by instruction and input, or by a prompt that contains the input.
    """
    return [answer for name, path in files.items() for answer in _matched(path, items, name)]


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
    """Return base, tuned and perhaps aligned model: views of `local`, or clients of one server.

    `answerer` is "here", "" for no model, or a name in params/models.yaml; its server has `base`
    under its own name. With template chat it applies its chat template, else it completes our text.
    """
    if answerer in ("", "here"):
        return local.views if answerer else {}
    entry = models.load(answerer)
    names = {"base": public_name(base), "tuned": entry.tuned or entry.model}
    names |= {"aligned": entry.aligned} if entry.aligned else {}
    form = {"chat": template == "chat", **client}
    return {name: connect(answerer, model=model, **form) for name, model in names.items()}


def last_trained(names: Iterable[str]) -> str:
    """Return the name aligned, else tuned, else the last one."""
    names = list(names)
    return next((name for name in ("aligned", "tuned") if name in names), names[-1])


async def ask_models(
    models: Models, questions: Iterable[tuple], *, template="alpaca", samples=1, **parameters: Any
) -> dict[str, list[Reply]]:
    """Return {model: `samples` replies to each (instruction, input)}, in the training template."""
    is_alpaca = template == "alpaca"
    form = {"max_tokens": 200, "temperature": 0.0} | parameters
    form |= {"stop": list(ALPACA_STOPS)} if is_alpaca else {}
    texts = [(prompt if is_alpaca else message)(*pair) for pair in questions]
    turns = [[{"role": "user", "content": text}] for text in texts]
    pairs, replies = [(turn, n) for turn in turns for n in range(samples)], {}
    requests = [Request(messages=turn, parameters=form, sample=n) for turn, n in pairs]
    for name, model in models.items():
        replies[name] = await model.ask_all(requests, label=f"answers of {name}")
    return replies


async def answer_all(items: Sequence[TestItem], models: Models, **form: Any) -> list[Answer]:
    """Return the answers of all models to all items; `form` as in `ask_models`."""
    questions, answers = [(item.instruction, item.input) for item in items], []
    for name, replies in (await ask_models(models, questions, **form)).items():
        for item, reply in zip(items, replies, strict=True):
            origin = Provenance(source="answer", model=reply.model, request=reply.key)
            fields = {"text": reply.text, "finish_reason": reply.finish_reason}
            answers.append(Answer(item=item.id, model=name, **fields, provenance=origin))
    return answers


async def sample_candidates(
    examples: Sequence[Example], *, base: str | Path, adapter: str | Path, cache: Any = "", **form
) -> list[Answer]:
    """Return for each example its written response and whole answers; `form` as in `ask_models`."""
    rows = [Answer(item=example.id, model="written", text=example.output) for example in examples]
    if not rows:
        return []
    questions, count = [(e.instruction, e.input) for e in examples], form["samples"]
    with LocalModel(base, adapter=adapter, chat=form["template"] == "chat", cache=cache) as model:
        replies = (await ask_models({"candidates": model}, questions, **form))["candidates"]
    for n, reply in enumerate(replies):
        if reply.finish_reason == "stop" and reply.text:
            origin = Provenance(source="candidate", model=reply.model, request=reply.key)
            about = {"item": examples[n // count].id, "model": f"sample {n % count}"}
            rows.append(Answer(**about, text=reply.text, provenance=origin))
    return rows


async def of_others(
    places: Mapping[str, str], items: Sequence[TestItem], *, max_tokens: int, **settings: Any
) -> list[Answer]:
    """Return answers of {name: place}: a file, or model@url, folder or hub id of a chat model."""
    answers, form = [], {"template": "chat", "max_tokens": max_tokens}
    for name, place in places.items():
        if records.table_kind(place):
            answers += load_answers({name: place}, items)
            continue
        served = nullcontext(connect(place, **settings)) if "@" in place else None
        with served or LocalModel(place, chat=True, **settings) as model:
            answers += await answer_all(items, {name: model}, **form)
    return answers


def statistics(answers: Iterable[Answer]) -> pd.DataFrame:
    """Return one row per model: n, words (mean), median, shares of flawed answers.

    repeated: more than a fifth of the runs of eight words are repetitions.
    """
    fields = ["model", "text", "finish_reason"]
    frame = pd.DataFrame([vars(answer) for answer in answers], columns=fields)
    text, words = frame["text"], frame["text"].str.split()
    looks = pd.DataFrame({"words": words.str.len(), "empty": text == ""})
    is_cut = frame["finish_reason"] == "length"
    looks["truncated"] = is_cut | (~looks["empty"] & text.map(is_unfinished))
    runs = words.map(lambda row: [*zip(*(row[n:] for n in range(8)), strict=False)])
    looks["repeated"] = runs.map(lambda row: len(set(row)) < 0.8 * len(row)).astype(bool)
    groups = looks.groupby(frame["model"].rename("answers of"), sort=False)
    return groups.mean().assign(n=groups.size(), median=groups["words"].median())


def _item_fields(row: dict[str, Any], *, where: str) -> dict[str, Any]:
    """Convert a row (own, MedInstruct-test, iCliniq or AlpacaFarm) to the fields of a TestItem."""
    texts = records.texts(row, where=where)
    if options := [k for k in row if k.lower() in ("options", "choices") and records.plain(row[k])]:
        do = "Give multiple-choice questions to notebook 12, in `benchmark_data`."
        raise UserError(f"{where} has options (`{options[0]}`), which a judge is not shown.", do=do)
    names = TEXTS["reference_fields"].items()
    given = records.plain(row.get("references")) or {n: row[key] for key, n in names if key in row}
    if not given and "output" in texts:  # AlpacaFarm names its generator
        name = records.as_text(row.get("generator"), where=f"{where}, `generator`")
        given = {name or "given": texts["output"]}
    if not texts.get("instruction", "").strip() and texts.get("input", "").strip():
        texts["instruction"] = TEXTS["default_instruction"]
    texts.pop("output", "")
    texts |= {name: row[name] for name in LABELS if records.plain(row.get(name))}
    return texts | {"references": given if isinstance(given, dict) else {"given": given}}


def _matched(path: str, items: Sequence[TestItem], name: str) -> list[Answer]:
    """Return the answers of a file to the items, in their order; each item needs one."""
    match, pairs, models = _matcher(items), [], []
    for place, row in records.table(path):
        model, where = str(records.plain(row.get("model", ""))), f"{path}, {place}"
        models.append(model)
        if model not in ("", name):
            continue
        fields = records.texts(row, where=where, required=False)
        if "output" in fields and (id := match(row, fields)):
            answer, _ = split_thought(fields["output"])
            end = "length" if answer is None else row.get("finish_reason") or "stop"
            fields = {"item": id, "model": name, "text": answer or "", "finish_reason": end}
            pairs.append((place, records.parse(Answer, fields, where=where)))
    answers = {a.item: a for a in records.distinct(pairs, attrgetter("item"), source=path)}
    if missing := [item.id for item in items if item.id not in answers]:
        got = f"{path}: {len(missing)} missing {missing[:3]}"
        do = "Choose the file for this test set; rows match by item id, instruction or prompt."
        if others := ", ".join(dict.fromkeys(m for m in models if m not in ("", name))):
            got += f"; its column `model` has {others[:200]}"
            do = f"Use a name from its column `model`. {do}"
        raise UserError(f"The answers of {name} do not fit the test set.", got=got, do=do)
    return [answers[item.id] for item in items]


def _matcher(items: Sequence[TestItem]) -> Callable[[dict, dict], str | None]:
    """Return a function that returns the id of the item that a row with its texts answers."""

    def folded(text: str) -> str:
        return " ".join(text.split())

    known = {item.id: item.id for item in items}
    known |= {(folded(item.instruction), folded(item.input)): item.id for item in items}
    inputs = {folded(item.input): item.id for item in items if item.input}
    known |= inputs

    def match(row: dict, fields: dict) -> str | None:
        asked, input = (folded(fields.get(key, "")) for key in ("instruction", "input"))
        prompt = "" if "instruction" in row else asked
        longest = max((text for text in inputs if text in prompt), key=len, default="")
        keys = (row.get("item"), row.get("id"), (asked, input), input, longest)
        return next((known[k] for k in keys if isinstance(k, str | tuple) and k in known), None)

    return match
