"""Answers of a model to the test items, in the template that it was trained with and up to that template's own stop strings."""

from collections.abc import Iterable

from medinstruct.errors import Problem
from medinstruct.evaluation.looks import ALPACA_STOPS
from medinstruct.llm import Client, LocalModel, Request
from medinstruct.records import Answer, Provenance, TestItem
from medinstruct.training.templates import message, prompt


def answerers(
    names: Iterable[str], *, local: LocalModel | None, url: str = "", served: dict[str, str], template: str = "alpaca", **client: object
) -> dict[str, Client | LocalModel]:  # fmt: skip
    """Who answers under each name: `local` with its adapter off for base and on for tuned, or the model `served[name]` at `url`."""
    names = list(names)
    unnamed = [name for name in names if url and not served.get(name)]
    if unnamed:
        raise Problem(f"The server at {url} needs the name of a model.", got=unnamed, do="Give base_model and tuned_model.")
    if url and template != "chat":
        do = "Set template: chat, or leave answer_url empty."
        raise Problem("A server puts the model's chat template around what it is asked.", got=f"template {template}", do=do)
    return {name: Client(url=url, model=served[name], **client) if url else local for name in names}  # type: ignore[misc]


async def answer_all(
    items: Iterable[TestItem], who: dict[str, Client | LocalModel], *, template: str = "alpaca", max_tokens: int = 200
) -> list[Answer]:
    """The greedy answers of all models to all items; what is kept in the cache is not asked again."""
    items, room = list(items), {"template": template, "max_tokens": max_tokens}
    return [one for name, model in who.items() for one in await _answers(items, name=name, who=model, **room)]


async def _answers(
    items: list[TestItem], *, name: str, who: Client | LocalModel, template: str, max_tokens: int
) -> list[Answer]:
    """One greedy answer an item."""
    if isinstance(who, LocalModel) and who.has_adapter:
        who.with_adapter(name == "tuned")
    worded = prompt if template == "alpaca" else message
    settings = {"max_tokens": max_tokens, "temperature": 0.0, **({"stop": list(ALPACA_STOPS)} if template == "alpaca" else {})}
    asked = [
        Request(messages=[{"role": "user", "content": worded(i.instruction, i.input)}], parameters=settings) for i in items
    ]
    replies = await who.ask_all(asked, label=f"answers of {name}")
    return [
        Answer(item=i.id, model=name, text=reply.text, finish_reason=reply.finish_reason,
               provenance=Provenance(source="answer", model=reply.model, request=reply.key))
        for i, reply in zip(items, replies, strict=True)
    ]  # fmt: skip
