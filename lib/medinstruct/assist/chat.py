"""The chat page: a widget where somebody sits before it, and in print the last conversation of the run, or an example, elsewhere."""

import asyncio
import os
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medinstruct import paths, plotting
from medinstruct.assist.answering import Round
from medinstruct.assist.beginning import asked, revive
from medinstruct.assist.live import Live
from medinstruct.assist.printing import printed
from medinstruct.assist.speaking import Models, speakers
from medinstruct.assist.talk import Talk
from medinstruct.assist.transcript import Said, Transcripts, Turn
from medinstruct.errors import UserError
from medinstruct.records import Consultation

EXAMPLE = "My father is 61 and has had crushing chest pain for 40 minutes that goes into his left arm. What should we do?"


def chat(
    models: Models,
    *,
    folder: str | Path,
    reviewer: str = "",
    settings: Mapping[str, Any] | None = None,
    example: str | Sequence[Consultation] = EXAMPLE,
    engine: str = "rules",
    show: str = "auto",
) -> Any:
    """A chat with some models by name: a widget on a live page, else in print. "base" is a local model without its adapter.

    What is said is kept in `folder`, the run's, once nothing in it looks like an identifier or the reader has decided. What is
    said of an answer goes into the run's `reviews.sqlite` under the name of the `reviewer` (else the page asks, or
    `MEDINSTRUCT_REVIEWER` tells). In print stands the last conversation, else the models' answers to `example`, which are not
    kept; or a consultation that was held already. `settings` are temperature, max_tokens and samples; `show` is auto, widget or print.
    """
    if show not in ("auto", "widget", "print"):
        raise UserError("`show` is not known.", got=show, do="Choose auto, widget or print.")
    if show == "widget" or show == "auto" and plotting.live():
        name = reviewer or os.environ.get("MEDINSTRUCT_REVIEWER", "")
        return widget(models, folder=folder, reviewer=name, settings=settings or {}, engine=engine)
    said = list(Transcripts(folder).conversations().values())
    if not models:
        return Printed([], "No model answers in this run.")
    if said:
        return Printed(
            revive(said[-1], models, folder=folder), "The last conversation of this run."
        )
    if not isinstance(example, str):
        return Printed(
            _held(example, models, folder), "A worked case of this page, as the chat shows it."
        )
    made = [_example(models, folder, example, settings or {})] if example else []
    return Printed(made, "An example, asked while this page was made; nothing of it was kept.")


def widget(models: Models, *, folder: str | Path, **more: Any) -> Any:
    """The widget over a talk. All texts go to the page as messages, so that a saved notebook holds none of them."""
    import anywidget

    _allow_in_colab()

    class Chat(anywidget.AnyWidget):
        """All texts are set as text nodes; the page knows no way to HTML."""

        _esm = paths.data("chat_panel.js")
        _css = paths.data("chat_panel.css")

    made = Chat()
    talk = Talk(models, folder=folder, tell=made.send, **more)
    made.on_msg(lambda _, message, __: talk.act(message if isinstance(message, dict) else {}))
    made.talk = talk
    return made


class Printed:
    """A conversation in print; nobody can answer it."""

    def __init__(self, turns: list[Live], about: str) -> None:
        self.turns, self.about = turns, about

    def _repr_html_(self) -> str:
        return printed(self.turns, about=self.about)

    def __repr__(self) -> str:
        return f"{len(self.turns)} questions with answers; open this notebook in JupyterLab to ask"


def _held(consultations: Sequence[Consultation], models: Models, folder: str | Path) -> list[Live]:
    """The first question of some consultations, with the answers of all models, as a turn."""
    first = next(iter(consultations), None)
    if first is None:
        return []
    same = [
        one
        for one in consultations
        if (one.case, one.reader, one.way) == (first.case, first.reader, first.way)
    ]
    who = {one.name: one for one in speakers(models, folder=folder)}
    answers = tuple(
        Said(
            name=one.model,
            text=one.text,
            finish_reason=one.finish_reason,
            samples=one.samples,
            model=who[one.model].about if one.model in who else "",
            data=who[one.model].data if one.model in who else "",
        )
        for one in same
    )
    asked = "\n\n".join(part for part in (first.question, first.given) if part)
    turn = Turn(
        id="",
        conversation="",
        at="",
        question=asked,
        way=first.way,
        reader=first.reader,
        answers=answers,
    )
    return revive([turn], models, folder=folder)


def _example(
    models: Models, folder: str | Path, question: str, settings: Mapping[str, Any]
) -> Live:
    """One question to all models, in a thread of its own, since a notebook has a running loop."""
    who = {one.name: one for one in speakers(models, folder=folder)}
    live = asked(question, who.values(), settings=settings)
    trouble: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(Round(live, who, [], piece=lambda *_: None, changed=lambda: None).run())
        except BaseException as error:
            trouble.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if trouble:
        raise trouble[0]
    return live


def _allow_in_colab() -> None:
    """Colab shows widgets of others only when told to."""
    if "COLAB_RELEASE_TAG" in os.environ and find_spec("google") and find_spec("google.colab"):
        from google.colab import output  # ty: ignore

        output.enable_custom_widget_manager()
