"""Answers of models to questions, in the template that they were trained with and up to that template's own stop strings."""

from collections.abc import Iterable, Mapping
from typing import Any

from medinstruct.errors import UserError
from medinstruct.evaluation.looks import ALPACA_STOPS
from medinstruct.llm import Client, LocalModel, Reply, Request
from medinstruct.records import Answer, Provenance, TestItem
from medinstruct.training.templates import message, prompt

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
    """Who answers under each name: `local` with its adapter off for base and on for tuned, or the model `served[name]` at `url`."""
    names = list(names)
    unnamed = [name for name in names if url and not served.get(name)]
    if unnamed:
        raise UserError(
            f"The server at {url} needs the name of a model.",
            got=unnamed,
            do="Give base_model and tuned_model.",
        )
    if url and template != "chat":
        do = "Set template: chat, or leave answer_url empty."
        raise UserError(
            "A server puts the model's chat template around what it is asked.",
            got=f"template {template}",
            do=do,
        )
    return {name: Client(url=url, model=served[name], **client) if url else local for name in names}  # type: ignore[misc]


async def replies_of(
    who: Models,
    questions: Iterable[tuple[str, str]],
    *,
    template: str = "alpaca",
    max_tokens: int = 200,
) -> dict[str, list[Reply]]:
    """Greedy replies of each model to (instruction, input) pairs; what is kept in the cache is not asked again."""
    worded, stop = (prompt, {"stop": list(ALPACA_STOPS)}) if template == "alpaca" else (message, {})
    settings = {"max_tokens": max_tokens, "temperature": 0.0, **stop}
    texts = [worded(*question) for question in questions]
    asked = [
        Request(messages=[{"role": "user", "content": text}], parameters=settings) for text in texts
    ]
    return {
        name: await _turned(model, name).ask_all(asked, label=f"answers of {name}")
        for name, model in who.items()
    }


async def answer_all(items: Iterable[TestItem], who: Models, **form: Any) -> list[Answer]:
    """The answers of all models to all items, as `replies_of` gives them."""
    items = list(items)
    told = await replies_of(who, [(item.instruction, item.input) for item in items], **form)
    return [
        _answer(item, name, reply)
        for name, found in told.items()
        for item, reply in zip(items, found, strict=True)
    ]


async def texts_said(prompts: Iterable[str], who: Models, **form: Any) -> dict[str, list[str]]:
    """What each model says to some prompts, as plain texts in their order."""
    told = await replies_of(who, [(text, "") for text in prompts], **form)
    return {name: [reply.text for reply in found] for name, found in told.items()}


def examined(answers: Iterable[Answer]) -> str:
    """The model that the page is about: the tuned one, else the last that answered."""
    models = list(dict.fromkeys(answer.model for answer in answers))
    if not models:
        do = "Name base or tuned in `answer_models`, or files in `answer_files`."
        raise UserError("There are no answers to judge.", do=do)
    return "tuned" if "tuned" in models else models[-1]


def _turned(model: Client | LocalModel, name: str) -> Client | LocalModel:
    """The one loaded model with its adapter on for tuned; a server needs no turning."""
    return (
        (model.tuned if name == "tuned" else model.base)
        if isinstance(model, LocalModel) and model.has_adapter
        else model
    )


def _answer(item: TestItem, name: str, reply: Reply) -> Answer:
    origin = Provenance(source="answer", model=reply.model, request=reply.key)
    return Answer(
        item=item.id,
        model=name,
        text=reply.text,
        finish_reason=reply.finish_reason,
        provenance=origin,
    )
