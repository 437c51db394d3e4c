"""The licences of what a dataset was made from, carried through, and where they do not go together; the table is `data/licences.yaml`."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import yaml

from medinstruct import paths


class Licence(NamedTuple):
    """The terms of one input; `restricts` says what reaches on to what is made from it, `hub` is the hub's name for the licence."""

    what: str
    licence: str
    hub: str
    url: str = ""
    terms: str = ""
    restricts: tuple[str, ...] = ()


def of_inputs(*, seeds: str, models: Iterable[str]) -> list[Licence]:
    """The licence of the seeds and of every model that wrote.

    >>> [one.licence for one in of_inputs(seeds="own", models=["offline-stand-in", "Llama-3.3-70B-Instruct"])]
    ['Apache-2.0', 'Apache-2.0', 'Llama community licence (3.1 and later)']
    """
    given = seeds if "://" in seeds or seeds == "own" else seeds.rpartition("/")[2]
    found = [
        _find(
            "seeds",
            given,
            "the seed tasks",
            f"Given as {given.partition('#')[0].rpartition('/')[2]}.",
        )
    ]
    return found + [
        _find("models", model.rpartition("/")[2], f"the texts of {model}", "") for model in models
    ]


def conflicts(licences: Sequence[Licence], *, released: str = "Apache-2.0") -> list[str]:
    """Where an input has a condition that a release under `released` would not carry on, or terms that are not known; and where
    several conditions meet. Named for people to settle; nothing here says what is allowed."""
    found = [
        f"{one.what} ({one.licence}) come with a condition that {released} does not carry on: {', '.join(one.restricts)}. "
        f"Terms looked at on {looked()}: {one.url}"
        for one in licences
        if one.restricts
    ]
    found += [
        f"The terms of {one.what} are not known: name them before a release."
        for one in licences
        if one.licence == "unknown"
    ]
    kinds = {one.licence for one in licences if one.restricts}
    return found + (
        [f"Several restrictions apply at once: {', '.join(sorted(kinds))}."]
        if len(kinds) > 1
        else []
    )


def looked() -> str:
    """The day on which the terms in the table were last looked at."""
    return str(_table()["looked"])


@cache
def _table() -> dict[str, Any]:
    return yaml.safe_load(paths.data("licences.yaml").read_text(encoding="utf-8"))


def _find(kind: str, name: str, what: str, otherwise: str) -> Licence:
    for row in _table()[kind]:
        if re.search(row["pattern"], name, re.IGNORECASE):
            return Licence(
                what,
                row["licence"],
                row["hub"],
                row["url"],
                row["says"],
                tuple(row.get("restricts", ())),
            )
    return Licence(what, "unknown", "unknown", "", otherwise)
