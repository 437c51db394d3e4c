"""Verb phrases: the verb behind its auxiliaries, its direct object, and the request behind a polite wrapping.

A request that is wrapped ("I would like you to summarise ...", "Your task is to ...", "Help me write ...") counts by what is asked.
"""

from medinstruct.diversity import vocabulary
from medinstruct.diversity.phrases import (
    at,
    is_base,
    is_gerund,
    is_participle,
    is_word,
    noun_phrase,
    skip_adverbs,
    skip_prepositional,
)
from medinstruct.diversity.words import parts

WANTING = vocabulary.some(
    "like want need wish love prefer ask require request instruct invite expect help"
)
OPENERS = vocabulary.some("the a an some any my your his her its our their both")
RECEIVERS = vocabulary.some("me us you him her them yourself myself themselves")
TWO_OBJECTS = vocabulary.some(
    "give tell show offer send write provide teach ask bring buy get make draw draft find read suggest"
)


def object_of(w: list[str], i: int, verb: str) -> str | None:
    """The head noun of the direct object of a verb that ends before place `i`.

    >>> object_of("to a first-year student the role of insulin".split(), 0, "explain")
    'role'
    >>> object_of("the patient a list of foods".split(), 0, "give")
    'list'
    """
    i = skip_adverbs(w, i)
    while at(w, i) in vocabulary.JOINERS and is_base(at(w, i + 1)):  # compare and contrast
        i = skip_adverbs(w, i + 2)
    if _is_particle(w, i, verb):
        return noun_phrase(w, i + 1).head
    if at(w, i) in vocabulary.PREPOSITIONS:
        end = skip_prepositional(w, i)
        return noun_phrase(w, end).head if at(w, end) in OPENERS and end > i + 1 else None
    first = noun_phrase(w, i)
    if first.end == i:
        return None
    receiver = verb in TWO_OBJECTS or (
        first.end == i + 1 and at(w, i) in RECEIVERS and at(w, first.end) in OPENERS
    )
    if receiver and is_word(at(w, first.end)) and at(w, first.end) not in vocabulary.QUESTION_WORDS:
        second = noun_phrase(w, first.end)
        if second.head and (at(w, first.end) in OPENERS or first.head is None):
            return second.head
    return first.head


def _is_particle(w: list[str], i: int, verb: str) -> bool:
    """Whether a particle of the verb stands here before its object ("point out the error"), and not a preposition."""
    token, after = at(w, i), at(w, i + 1)
    unclear = token in ("on", "over", "through") and verb not in (
        "carry",
        "take",
        "turn",
        "go",
        "hand",
    )
    nominal = after in vocabulary.DETERMINERS or "NOUN" in parts(after or ",")
    return token in vocabulary.PARTICLES - {"in"} and nominal and not unclear


def verb_phrase(w: list[str], i: int) -> tuple[str | None, str | None, int]:
    """Verb, object and the place behind the verb of the verb phrase at `i`, from its auxiliaries or its verb on."""
    i = skip_adverbs(w, i)
    token = at(w, i)
    if token in vocabulary.MODALS or token in vocabulary.DO or token == "to":
        after = skip_adverbs(w, i + 1)
        if at(w, after) == "like":
            return unwrapped(w, after + 1, "like")
        if is_base(at(w, after)) or at(w, after) in ("be", "have", "do"):
            return verb_phrase(w, after)
        return (
            ("do", object_of(w, i + 1, "do"), i + 1) if token in vocabulary.DO else (None, None, i)
        )
    if token in vocabulary.BE:
        return being(w, i + 1)
    if token in vocabulary.HAVE:
        after = skip_adverbs(w, i + 1)
        goes_on = at(w, after) in vocabulary.BE | vocabulary.HAVE | {"to", "done"} or is_participle(
            at(w, after)
        )
        return verb_phrase(w, after) if goes_on else unwrapped(w, i + 1, "have")
    if token in ("done", "doing"):
        return "do", object_of(w, i + 1, "do"), i + 1
    if not token or "VERB" not in parts(token):
        return None, None, i
    return unwrapped(w, i + 1, parts(token)["VERB"])


def being(w: list[str], i: int) -> tuple[str | None, str | None, int]:
    """What follows a form of "be": a progressive, a passive, a wrapped request or a plain "be"."""
    after = skip_adverbs(w, i)
    token = at(w, after)
    if token == "being":
        return being(w, after + 1)
    if token == "to" or (token == "able" and "you" in w[:i]):
        infinitive = verb_phrase(w, after + (token == "able"))
        return infinitive if infinitive[0] else ("be", None, i)
    if is_gerund(token) and "ADJ" not in parts(token):
        return unwrapped(w, after + 1, parts(token)["VERB"])
    if is_participle(token) and token not in (
        "concerned",
        "worried",
        "tired",
        "interested",
        "married",
        "pregnant",
    ):
        verb = parts(token)["VERB"]
        if verb in WANTING and at(w, after + 1) == "to":
            return verb_phrase(w, after + 1)
        return verb, None, after + 1
    return "be", None, i


def unwrapped(w: list[str], i: int, verb: str) -> tuple[str | None, str | None, int]:
    """The verb with its object; or, where it only wraps a request ("like you to ..."), the verb that is wrapped."""
    j = skip_adverbs(w, i)
    if verb in WANTING:
        k = skip_adverbs(w, j + 1 if at(w, j) in ("you", "me", "us") else j)
        if at(w, k) == "to" and (
            is_base(at(w, skip_adverbs(w, k + 1))) or at(w, k + 1) in ("be", "have", "do")
        ):
            return verb_phrase(w, k)
        if verb == "help" and k > j and is_base(at(w, k)):
            return verb_phrase(w, k)
    if verb == "mind" and is_gerund(at(w, j)):
        return verb_phrase(w, j)
    return verb, object_of(w, i, verb), i
