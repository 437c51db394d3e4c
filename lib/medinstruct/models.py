"""Models: addresses, prices and limits by name, from params/models.yaml."""

import difflib
import os
import re
from contextlib import suppress
from datetime import date
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from medinstruct import network, paths, records
from medinstruct.errors import UserError

ROLES = ("teacher", "responder", "judge", "judges", "answerer")  # parameters that name models
STAND_IN = "offline-stand-in"
OPENAI = "https://api.openai.com/v1"
NOTICE = 90  # days before a model's end at which a run warns


class Price(NamedTuple):
    """US dollars per million tokens."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Return the cost in US dollars."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


class Model(BaseModel, extra="forbid", frozen=True):
    """One model at one address; params/models.yaml describes its fields."""

    url: str = ""
    model: str = Field(min_length=1)
    key: str = "OPENAI_API_KEY"
    usd_per_mtok: tuple[float, float] | None = None
    concurrency: int = Field(8, ge=1)
    room: int = Field(0, ge=0)
    thinking: bool | None = None
    reasoning_effort: str = ""
    extra: dict[str, Any] = {}
    tuned: str = ""
    aligned: str = ""
    ends: date | None = None
    judge_style: str = Field("explain", pattern="^(short|explain)$")
    judge_max_tokens: int = Field(2000, ge=1)

    @property
    def is_stand_in(self) -> bool:
        """Return whether the offline stand-in answers."""
        return self.url.partition("?")[0] == "offline"

    @property
    def address(self) -> str:
        """Return the base address: `url`, else OPENAI_BASE_URL, else OpenAI's."""
        given = self.url or os.environ.get("OPENAI_BASE_URL", "").strip(network.EDGES) or OPENAI
        return re.sub(r"/+(chat/)?completions/*$", "", given)


def load(name: str) -> Model:
    """Return a model by its name in models.yaml, "model@url", or "offline?refusal=0.2"."""
    table = known()
    if name in table:
        return table[name]
    if match := re.fullmatch(r"(?i)(.+?)@((?:https?://|offline).*)", name):
        return Model(model=match[1], url=match[2])
    if name.partition("?")[0] == "offline":
        return Model(model=STAND_IN, url=name)
    near = difflib.get_close_matches(name, table, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(table)}."
    do = f"{hint} Add it to params/models.yaml, or write model@url."
    raise UserError("No model has this name.", got=name or "an empty name", do=do)


def known() -> dict[str, Model]:
    """Return the models of params/models.yaml by name."""
    path = paths.root() / "params" / "models.yaml"
    if not path.exists():
        return {}
    do = "Write one model a line, as in `local: {url: http://localhost:8000/v1, model: mine}`."
    entries = paths.read_yaml(path, do=do) or {}
    try:
        fields = {name: {"model": name} | entry for name, entry in entries.items()}
    except (AttributeError, TypeError) as error:
        raise UserError(f"{path} cannot be read.", got=str(error)[:300], do=do) from None
    return {name: records.parse(Model, f, where=f"{path}, {name}") for name, f in fields.items()}


def asked(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (role, name) of the models that answer now: not "here", no stored verdicts."""
    given = [(role, values.get(role) or []) for role in ROLES]
    pairs = [(role, n) for role, v in given for n in (v if isinstance(v, list) else [v])]
    return [(role, n) for role, n in pairs if n != "here" and not n.startswith("replay:")]


def named_in(values: dict[str, Any]) -> dict[str, Any]:
    """Return name -> definition of the models that parameters name; UserError if one is unknown."""
    return {name: load(name).model_dump(exclude={"ends"}) for _, name in asked(values)}


def ending(name: str, end: str | None = None, *, today: date | None = None) -> str:
    """Return a sentence if a model has ended or ends within 90 days, else "".

    `end` is the day that its server announces; without one, `ends` in models.yaml counts.
    """
    with suppress(ValueError):  # of a model without an end, or a date in another form
        end = date.fromisoformat(str(end or load(name).ends))
        days = (end - (today or date.today())).days
        if days <= NOTICE:
            return f"{name} {'ends' if days > 0 else 'ended'} on {end}"
    return ""


def price(model: str) -> Price | None:
    """Return the price of a model by its name, with or without the date at its end.

    Entries with `extra` fields, such as a cheaper service tier, are not looked at.
    """
    entries = [entry for entry in known().values() if entry.usd_per_mtok and not entry.extra]
    table = {entry.model: entry.usd_per_mtok for entry in entries}
    names = [name for name in table if re.match(rf"{re.escape(name)}(-[20]|$)", model)]
    return Price(*table[max(names, key=len)]) if names else None
