"""Imperatives and statements: the verb and the object of a clause, by rules over tokens."""

from typing import Literal, NamedTuple

from medinstruct.diversity import vocabulary
from medinstruct.diversity.phrases import (
    at,
    full_phrase,
    is_base,
    is_gerund,
    is_word,
    noun_phrase,
    skip_adverbs,
)
from medinstruct.diversity.verbs import unwrapped, verb_phrase
from medinstruct.diversity.words import parts

TASKS = vocabulary.some("task job goal role aim assignment objective mission work duty question")
SCENES = vocabulary.some("imagine suppose assume consider read pretend let")
FINITE = vocabulary.AUXILIARIES - {"be", "been", "being"}
BEFORE_NOUNS = vocabulary.DETERMINERS | vocabulary.PREPOSITIONS
OPEN_CLAUSES = vocabulary.QUESTION_WORDS | {"that"}


class Clause(NamedTuple):
    """What a sentence does, its verb and its object."""

    kind: Literal["request", "question", "statement", "scene", "fragment"]
    verb: str | None = None
    noun: str | None = None


def imperative(w: list[str], i: int) -> Clause | None:
    """The request that begins at `i`, if one does."""
    i = skip_adverbs(w, i)
    token, after = at(w, i), at(w, i + 1)
    if token == "do" and (after in vocabulary.NEGATIONS or is_base(after)):
        verb, noun, _ = verb_phrase(w, skip_adverbs(w, i + 1))
        return Clause("request", verb, noun) if verb else None
    if token in ("let", "lets") and (after in ("us", "'s", "’s") or token == "lets"):
        verb, noun, _ = verb_phrase(w, skip_adverbs(w, i + 1 + (token == "let")))
        return Clause("request", verb, noun) if verb else None
    if token in ("be", "have", "do") and is_word(after):
        verb, noun, _ = verb_phrase(w, i)
        return Clause("request", verb, noun)
    if not is_base(token) or not _commands(w, i):
        return None
    verb, noun, end = verb_phrase(w, i)
    return Clause("scene" if verb in SCENES else "request", verb, noun)


def _commands(w: list[str], i: int) -> bool:
    """Whether a word that may be a verb's base form is an imperative here, and not a noun that begins a statement."""
    token, after = w[i], at(w, i + 1)
    if (
        after == "of"
        or after in vocabulary.BE
        or after in vocabulary.MODALS
        or after in vocabulary.HAVE
    ):
        return False
    if set(parts(token)) == {"VERB"} or token in vocabulary.COMMON_VERBS:
        return (
            token in vocabulary.COMMON_VERBS or is_word(after) or not after or after in "\"“‘'(.!,:"
        )
    if after in vocabulary.DETERMINERS | vocabulary.PRONOUNS | vocabulary.QUESTION_WORDS | {"if"}:
        return True
    if after in vocabulary.PARTICLES or after[:1].isdigit():
        return "NOUN" not in parts(token) or after in ("out", "up", "off", "down")
    return "NOUN" not in parts(token) and (
        is_word(after) and "VERB" not in parts(after) or not is_word(after)
    )


def statement(w: list[str], i: int) -> Clause | None:
    """The main verb of a statement: the first finite verb behind its subject."""
    i = skip_adverbs(w, i)
    i = skip_adverbs(w, i + 1) if at(w, i) == "," else i
    subject = full_phrase(w, i)
    end = subject.end
    if at(w, i) in vocabulary.QUESTION_WORDS:
        return None
    if end == i:
        verb, noun, _ = verb_phrase(w, i)
        return (
            Clause("statement", verb, noun)
            if verb and "NOUN" not in parts(w[i])
            else _first_finite(w, i + 1)
        )
    end = _behind_relative(w, end)
    verb, noun, place = (
        unwrapped(w, end + 1, "like") if at(w, end) == "like" else verb_phrase(w, end)
    )
    if verb is None:
        return _first_finite(w, i + 1)
    if verb == "be" and at(w, i) == "there":
        noun = noun_phrase(w, place).head
    if subject.head in TASKS and at(w, i) == "your" and at(w, skip_adverbs(w, place)) == "to":
        verb, noun, _ = verb_phrase(w, skip_adverbs(w, place))
    asks = (
        "to" in w[end:place]
        and verb in vocabulary.INSTRUCTION_VERBS
        or at(w, i) == "you"
        and at(w, end) in vocabulary.MODALS
    )
    return Clause("request" if asks else "statement", verb, noun)


def _behind_relative(w: list[str], i: int) -> int:
    """The place behind a relative clause or a participle that follows a subject."""
    if at(w, i) in ("who", "which", "that", "whose") and i + 1 < len(w):
        _, _, end = verb_phrase(w, i + 1)
        return full_phrase(w, end).end if end > i + 1 else i
    return i


def _first_finite(w: list[str], i: int) -> Clause | None:
    """A statement whose subject could not be read: its first auxiliary, else its first word that may be a finite verb."""
    for sure in (True, False):
        for place in range(i, len(w)):
            token, last = w[place], w[place - 1]
            if last in BEFORE_NOUNS or (sure and last in OPEN_CLAUSES):
                continue
            verb = (
                "VERB" in parts(token)
                and not is_gerund(token)
                and ("NOUN" not in parts(token) or not sure)
            )
            if token in FINITE or verb:
                found, noun, _ = verb_phrase(w, place)
                if found:
                    return Clause("statement", found, noun)
    return None
