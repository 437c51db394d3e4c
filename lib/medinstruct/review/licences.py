"""The licences of what a dataset was made from, carried through, and where they do not go together."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Licence(NamedTuple):
    """The terms of one input; `restricts` says that they reach what is made from it, `hub` is the hub's name for the licence."""

    what: str
    licence: str
    hub: str
    url: str = ""
    terms: str = ""
    restricts: tuple[str, ...] = ()


CC_BY_NC = "https://creativecommons.org/licenses/by-nc/4.0/"
APACHE = "https://www.apache.org/licenses/LICENSE-2.0"
# what a model's name contains -> licence, hub name, address, terms, restrictions; as their providers publish them, to be read again before a release
TEACHERS: tuple[tuple[str, tuple[str, str, str, str, tuple[str, ...]]], ...] = (
    (r"stand-in", ("Apache-2.0", "apache-2.0", APACHE, "A program of this repository, no model.", ())),
    (r"^(?:gpt-oss)", ("Apache-2.0", "apache-2.0", APACHE, "", ())),
    (r"^(?:gpt|o\d|chatgpt|text-davinci)", ("OpenAI terms of use", "other", "https://openai.com/policies/", "Output may not be used to develop models that compete with OpenAI.", ("no competing models",))),
    (r"^claude", ("Anthropic commercial terms", "other", "https://www.anthropic.com/legal/commercial-terms", "Output may not be used to build a competing product.", ("no competing models",))),
    (r"^gemini", ("Gemini API terms", "other", "https://ai.google.dev/gemini-api/terms", "Output may not be used to develop competing models; clinical use is excluded.", ("no competing models",))),
    (r"llama", ("Llama community licence", "llama3", "https://www.llama.com/license/", "Models trained on the output carry “Llama” in their name.", ("name carried on",))),
    (r"qwen|mixtral|mistral-7b|olmo", ("Apache-2.0 (most sizes)", "apache-2.0", APACHE, "Check the size that was used.", ())),
)  # fmt: skip


def of_inputs(*, seeds: str, models: Iterable[str]) -> list[Licence]:
    """The licence of the seeds and of every model that wrote.

    >>> [one.licence for one in of_inputs(seeds="own", models=["offline-stand-in"])]
    ['Apache-2.0', 'Apache-2.0']
    """
    return [_of_seeds(seeds), *(_of_model(model) for model in models)]


def conflicts(licences: Sequence[Licence], *, released: str = "Apache-2.0") -> list[str]:
    """Where an input's terms do not allow a release under `released`, or are not known; and where two inputs' terms meet badly."""
    found = [
        f"{one.what} ({one.licence}) does not allow a release under {released}: {', '.join(one.restricts)}."
        for one in licences
        if one.restricts
    ]
    found += [
        f"The terms of {one.what} are not known: name them before a release." for one in licences if one.licence == "unknown"
    ]
    kinds = {one.licence for one in licences if one.restricts}
    return found + ([f"Several restrictions apply at once: {', '.join(sorted(kinds))}."] if len(kinds) > 1 else [])


def _of_seeds(seeds: str) -> Licence:
    if seeds == "own":
        return Licence(
            "the seed tasks", "Apache-2.0", "apache-2.0", APACHE, "Shipped with this repository, not reviewed by clinicians."
        )
    if re.search(r"alpacare|med_seed|medinstruct", seeds, re.IGNORECASE):
        return Licence(
            "the seed tasks",
            "CC BY-NC 4.0",
            "cc-by-nc-4.0",
            CC_BY_NC,
            "Of the authors of AlpaCare.",
            ("non-commercial", "attribution"),
        )
    return Licence("the seed tasks", "unknown", "unknown", "", f"Given as {seeds.partition('#')[0].rpartition('/')[2]}.")


def _of_model(model: str) -> Licence:
    name = model.lower().rpartition("/")[2]
    for pattern, parts in TEACHERS:
        if re.search(pattern, name):
            return Licence(f"the texts of {model}", *parts)
    return Licence(f"the texts of {model}", "unknown", "unknown")
