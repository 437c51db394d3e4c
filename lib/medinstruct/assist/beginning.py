"""How a turn begins: a question with its settings and the emergencies in it; or a kept turn that is shown again."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medinstruct.assist import ruled
from medinstruct.assist.live import Answer, Live, revived
from medinstruct.assist.speaking import Models, Speaker, speakers
from medinstruct.assist.transcript import Turn
from medinstruct.errors import UserError

ROOM = {"temperature": (0.0, 2.0), "max_tokens": (1, 32_000), "samples": (1, 8)}
START = {"temperature": 0.0, "max_tokens": 400, "samples": 1}


def asked(
    text: str,
    who: Iterable[Speaker],
    *,
    way: str = "",
    reader: str = "",
    settings: Mapping[str, Any] = START,
) -> Live:
    """A question as a turn that waits for its answers, with the emergencies that its words can mean."""
    instruction, context = ruled.worded(way, text, reader=reader)
    answers = [Answer(one.name, about=one.about, data=one.data, alone=one.alone) for one in who]
    return Live(
        question=text,
        instruction=instruction,
        input=context,
        way=way,
        reader=reader,
        settings=settings_of(settings, START),
        answers=answers,
        alarms=ruled.alarms(text),
    )


def revive(turns: Sequence[Turn], models: Models, *, folder: str | Path) -> list[Live]:
    """Kept turns as they are shown: the rules read them again."""
    return again(turns, {one.name: one for one in speakers(models, folder=folder)})


def again(turns: Sequence[Turn], who: Mapping[str, Speaker]) -> list[Live]:
    found = [revived(turn) for turn in turns]
    for n, live in enumerate(found):
        live.alarms, live.given = ruled.alarms(live.question), given(found[:n])
        for answer in live.answers:
            answer.alone = answer.name in who and who[answer.name].alone
            ruled.look(live, answer)
    return found


def given(turns: Sequence[Live]) -> str:
    return "\n".join(live.question for live in turns)


def settings_of(asked: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with those that were asked for, each a number within its room."""
    found = dict(before)
    for name, (low, high) in ROOM.items():
        try:
            value = float(asked.get(name, before[name]))
        except (TypeError, ValueError):
            value = float("nan")
        if not low <= value <= high:
            raise UserError(
                f"This is no {name}.", got=asked.get(name), do=f"A number from {low:g} to {high:g}."
            )
        found[name] = value if name == "temperature" else int(value)
    return found
