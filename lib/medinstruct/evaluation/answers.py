"""Answers: models asked with their training template, and statistics of what they wrote."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from medinstruct.errors import UserError
from medinstruct.llm import Client, LocalModel, Reply, Request
from medinstruct.records import Answer, Provenance, TestItem
from medinstruct.training import message, prompt

# Strings that begin a new turn of the Alpaca template, where an answer ends.
ALPACA_STOPS = ("\n### Instruction", "\n### Input", "\n### Response")
SENTENCE_ENDS = tuple(".!?:;)]\"'*`”’。")

Models = Mapping[str, Client | LocalModel]


def answerers(
    names: Iterable[str],
    *,
    local: LocalModel | None,
    url: str = "",
    served: Mapping[str, str],
    template: str = "alpaca",
    **client: Any,
) -> dict[str, Client | LocalModel]:
    """Return {name: model}: a view of `local`, without its adapter for "base", with it for others.

    With `url`, each is a client that asks the server for the model `served[name]`.
    """
    names = list(names)
    if not url:
        return {name: local.base if name == "base" else local.tuned for name in names}
    if unnamed := [name for name in names if not served.get(name)]:
        do = "Set base_model and tuned_model."
        raise UserError(f"The server at {url} needs the name of a model.", got=unnamed, do=do)
    if template != "chat":
        do = "Set template: chat with answer_url; the server applies the chat template itself."
        raise UserError("A server needs the chat template.", got=f"template {template}", do=do)
    return {name: Client(url=url, model=served[name], **client) for name in names}


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


async def answer_texts(prompts: Iterable[str], models: Models, **form: Any) -> dict[str, list[str]]:
    """Return {model: its answers to the prompts}; `form` as in `ask_models`."""
    replies = await ask_models(models, [(text, "") for text in prompts], **form)
    return {name: [reply.text for reply in replies[name]] for name in replies}


def statistics(answers: Iterable[Answer]) -> pd.DataFrame:
    """Return one row a model: n, words (mean), median, and shares of flawed answers.

    empty; truncated: ended at the token limit, or else without the end of a sentence; repeated: a
    fifth of its runs of eight words are repetitions.
    """
    rows = [(a.model, a.text, a.finish_reason) for a in answers]
    frame = pd.DataFrame(rows, columns=["answers of", "text", "reason"])
    text, is_cut = frame["text"], frame["reason"] == "length"
    is_empty = text == ""
    looks = {"words": text.str.split().str.len(), "empty": is_empty}
    looks["truncated"] = is_cut | ~(is_empty | text.str.endswith(SENTENCE_ENDS))
    looks["repeated"] = text.map(_repetition) > 0.2
    groups = pd.DataFrame(looks).groupby(frame["answers of"], sort=False)
    return groups.mean().assign(n=groups.size(), median=groups["words"].median())


def _repetition(text: str, size: int = 8) -> float:
    words = text.split()
    runs = [tuple(words[n : n + size]) for n in range(len(words) - size + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
