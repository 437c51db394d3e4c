"""Who sits the examination: the base and the tuned model from one loaded copy, any further ones, and the template they read."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from medinstruct.errors import UserError
from medinstruct.llm import LocalModel, Request, fingerprint
from medinstruct.training import prompt

TEMPLATES = ("alpaca", "chat", "plain")


class Contestant(NamedTuple):
    """A model under test: its name in the tables, the hash of its weights, and how to open it for the harness."""

    name: str
    key: str
    open: Callable[[], AbstractContextManager[Any]]


def contestants(model: LocalModel, *, more: str = "", batch_size: int = 8) -> list[Contestant]:
    """The base model, the tuned one (the adapter on the same loaded copy), and more as "name=path or hub id, …".

    Further models are loaded one after another, when it is their turn.
    """
    found = [
        Contestant(
            "base", _key(model, adapter=False), lambda: _opened(model, batch_size, adapter=False)
        )
    ]
    if model.has_adapter:
        found.append(
            Contestant(
                "tuned", _key(model, adapter=True), lambda: _opened(model, batch_size, adapter=True)
            )
        )
    for part in filter(None, (part.strip() for part in more.split(","))):
        name, sign, place = part.partition("=")
        if not sign or name in {one.name for one in found}:
            raise UserError(
                "`benchmark_models` cannot be read.",
                got=part,
                do="Write name=path or hub id, each name once.",
            )
        found.append(Contestant(name, fingerprint(place), _later(place, batch_size)))
    return found


def apply_template(lm: Any, template: str, *, name: str) -> bool:
    """Make the harness ask in this template; whether it is to apply one at all."""
    if template not in TEMPLATES:
        raise UserError(
            "`benchmark_template` is not known.",
            got=template,
            do=f"Choose from {', '.join(TEMPLATES)}.",
        )
    if template == "chat" and not getattr(getattr(lm, "tokenizer", None), "chat_template", None):
        do = "Set benchmark_template: alpaca (what this pipeline trains with) or plain."
        raise UserError(
            f"Model {name} has no chat template.", got="benchmark_template: chat", do=do
        )
    if template == "alpaca":
        lm.apply_chat_template = alpaca
    return template != "plain"


def alpaca(history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
    """A conversation in the Alpaca template, turn after turn; open at the end for the model to go on.

    >>> alpaca([{"role": "user", "content": "Name a bone."}, {"role": "assistant", "content": "The"}], False)[-12:]
    'esponse:\\nThe'
    """
    texts = []
    for turn in history:
        texts.append(
            turn["content"] if turn["role"] == "assistant" else prompt(turn["content"].strip())
        )
    return (
        "".join(
            text + ("\n\n" if history[n]["role"] == "assistant" else "")
            for n, text in enumerate(texts[:-1])
        )
        + texts[-1]
    )


@contextlib.contextmanager
def _opened(model: LocalModel, batch_size: int, *, adapter: bool) -> Iterator[Any]:
    from lm_eval.models.huggingface import HFLM

    view = model.tuned if adapter else model.base
    with view.network() as network:
        with quiet():
            lm = HFLM(pretrained=network, tokenizer=model.tokenizer, batch_size=batch_size)
        yield lm


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The harness without its progress and warnings, which would be the longest part of a notebook."""
    from tqdm import tqdm

    logger = logging.getLogger("lm_eval")
    before, init = logger.level, tqdm.__init__
    logger.setLevel(logging.ERROR)
    tqdm.__init__ = lambda self, *parts, **more: init(self, *parts, **(more | {"disable": True}))
    try:
        yield
    finally:
        logger.setLevel(before)
        tqdm.__init__ = init


def _later(place: str, batch_size: int) -> Callable[[], AbstractContextManager[Any]]:
    """A further model, loaded only when it is opened and given back after."""

    @contextlib.contextmanager
    def opened() -> Iterator[Any]:
        with LocalModel(place) as model, _opened(model, batch_size, adapter=False) as lm:
            yield lm

    return opened


def _key(model: LocalModel, *, adapter: bool) -> str:
    """The hash of the weights that answer, as the model itself names them."""
    view = model.tuned if adapter else model.base
    return view.key(Request(messages=[]))
