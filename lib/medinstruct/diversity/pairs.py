"""The verb that asks and its direct object: two engines behind one function, and how far to trust them."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from medinstruct import paths
from medinstruct.diversity import words
from medinstruct.errors import UserError

Pair = tuple[str | None, str | None]


def verb_noun(texts: Sequence[str], *, engine: str = "rules", spacy_model: str = "") -> list[Pair]:
    """For each text the lemma of the root verb of what it asks and of that verb's direct object, None where there is none.

    The first sentence that asks counts; a polite wrapping is taken off ("I would like you to ..."), as is a scene
    ("Imagine you are a nurse."). An object is a noun, never a pronoun or a clause; a question with "be" has the noun
    that it asks for. `engine` is rules, which needs no download, or spacy; a `spacy_model` (name or path) means spacy.

    >>> verb_noun(["Could you please summarise my report?", "What are the side effects of statins?", "Why do I snore?"])
    [('summarize', 'report'), ('be', 'effect'), ('snore', None)]
    """
    if engine not in ("rules", "spacy"):
        raise UserError("There is no such engine.", got=repr(engine), do="Choose rules or spacy.")
    distinct = list(dict.fromkeys(texts))
    if spacy_model or engine == "spacy":
        from medinstruct.diversity import dependencies

        found = dependencies.pairs(distinct, model=spacy_model or "en_core_web_sm")
    else:
        from medinstruct.diversity import rules

        found = [rules.pair(text) for text in distinct]
    table = dict(zip(distinct, found, strict=True))
    return [table[text] for text in texts]


def naive(texts: Sequence[str]) -> list[Pair]:
    """The naive rule to measure against: the first word that may be a verb, and the next word that may be a noun.

    >>> naive(["List the symptoms of measles."])
    [('list', 'symptom')]
    """
    return [_naive(words.tokens(text)) for text in texts]


def _naive(w: list[str]) -> Pair:
    place = next((i for i, token in enumerate(w) if "VERB" in words.parts(token)), None)
    if place is None:
        return None, None
    nouns = (words.parts(token)["NOUN"] for token in w[place + 1 :] if "NOUN" in words.parts(token))
    return words.parts(w[place])["VERB"], next(nouns, None)


@cache
def _labelled() -> tuple[dict[str, Any], ...]:
    text = paths.data("verb_noun.jsonl").read_text(encoding="utf-8")
    return tuple(json.loads(line) for line in text.splitlines())


def hand_labelled(part: str = "held_out") -> tuple[list[str], list[Pair]]:
    """Our own labelled instructions and their pairs: `held_out`, `tune` (looked at while the rules were written) or `all`."""
    chosen = [row for row in _labelled() if part in ("all", row["part"])]
    return [row["text"] for row in chosen], [(row["verb"], row["noun"]) for row in chosen]


def accuracy(found: Sequence[Pair], gold: Sequence[Pair]) -> dict[str, float]:
    """Shares: right verbs, right pairs (of all), right pairs of those that have an object, and texts with a pair found.

    >>> accuracy([("take", "dose"), ("be", None)], [("take", "dose"), ("mean", None)])
    {'verb': 0.5, 'pair': 0.5, 'pair_with_object': 1.0, 'coverage': 0.5}
    """
    both = list(zip(found, gold, strict=True))
    objects = [(f, g) for f, g in both if g[1]]
    share = {
        "verb": _share([f[0] == g[0] for f, g in both]),
        "pair": _share([f == g for f, g in both]),
    }
    return share | {
        "pair_with_object": _share([f == g for f, g in objects]),
        "coverage": _share([f[1] is not None for f in found]),
    }


def _share(flags: list[bool]) -> float:
    return sum(flags) / len(flags) if flags else float("nan")
