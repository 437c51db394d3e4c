"""Who answers in a chat: a model under a name, how it is worded to, and what the page must say about it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medinstruct import llm
from medinstruct.errors import UserError
from medinstruct.llm import Client, LocalModel, Request, Stream

Asked = tuple[str, str]  # instruction and input
Models = Mapping[str, Client | LocalModel]
REMEMBERED = 6  # earlier turns that a model with a chat template reads again


class Speaker(NamedTuple):
    """One model in the chat: `about` which it is, `data` what it learned from, `alone` that it takes each question by itself."""

    name: str
    model: Client | LocalModel
    about: str
    data: str
    tuned: bool
    alone: bool

    def stream(
        self,
        question: Asked,
        *,
        settings: Mapping[str, Any],
        past: Sequence[tuple[Asked, str]] = (),
        sample: int = 0,
    ) -> Stream:
        """The answer as it is written. Neither question nor answer goes into the cache of the run."""
        request = Request(
            messages=self._messages(question, past),
            parameters=self._parameters(settings),
            sample=sample,
        )
        model = self.model
        if isinstance(model, LocalModel):
            model = model.tuned if self.tuned else model.base
        return model.stream(request, keep=False)

    def _messages(self, question: Asked, past: Sequence[tuple[Asked, str]]) -> list[dict[str, str]]:
        from medinstruct.training.templates import message, prompt

        if self.alone:
            return [{"role": "user", "content": prompt(*question)}]
        pairs = [(message(*asked), said) for asked, said in past[-REMEMBERED:]]
        told = [
            (role, text)
            for pair in pairs
            for role, text in zip(("user", "assistant"), pair, strict=True)
        ]
        return [
            {"role": role, "content": text} for role, text in [*told, ("user", message(*question))]
        ]

    def _parameters(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        from medinstruct.evaluation.answers import ALPACA_STOPS

        form = {
            "max_tokens": int(settings["max_tokens"]),
            "temperature": float(settings["temperature"]),
        }
        return form | ({"stop": list(ALPACA_STOPS)} if self.alone else {})


def speakers(models: Models, *, folder: str | Path) -> list[Speaker]:
    """The models by name. One local model may stand under several names: "base" is without its adapter, any other with it."""
    if not models:
        raise UserError(
            "A chat needs a model.", do='Give models={"tuned": model}; see notebook 10.'
        )
    return [_speaker(name, model, Path(folder)) for name, model in models.items()]


def _speaker(name: str, model: Client | LocalModel, folder: Path) -> Speaker:
    if isinstance(model, LocalModel):
        tuned = model.has_adapter and name != "base"
        toy = " (a toy: it cannot answer anything)" if model.name == "student" else ""
        about = f"{model.name}{toy}, {'with its adapter' if tuned else 'without adapter'}, in this process"
        return Speaker(name, model, about, _data(folder, tuned), tuned, alone=not model.chat)
    about = llm.source(model.url, model.model)
    data = (
        "Learned from nothing: it follows rules."
        if about == llm.STAND_IN
        else "Learned from: not known here."
    )
    return Speaker(name, model, about, data, False, alone=False)


def _data(folder: Path, tuned: bool) -> str:
    """What this run's training file says of the data."""
    if not tuned:
        return "Learned from nothing in this run."
    try:
        told = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        number = next(told[kind]["examples"] for kind in ("lora", "full") if kind in told)
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return "Learned from: no training.json of this run says."
    return f"Tuned on {number:,} examples of this run's dataset {str(told.get('dataset', ''))[:8]}."
