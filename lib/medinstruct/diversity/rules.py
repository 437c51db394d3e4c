"""The default engine: the sentence that asks is found, then its verb and object are read by rules."""

from functools import lru_cache

from medinstruct.diversity import vocabulary, words
from medinstruct.diversity.clauses import Clause, imperative, statement
from medinstruct.diversity.phrases import at, is_gerund, is_participle, is_word
from medinstruct.diversity.questions import question


@lru_cache(maxsize=100_000)
def pair(text: str) -> tuple[str | None, str | None]:
    """Verb and object of the first sentence that asks for something; else of the first that has a verb.

    >>> pair("My blood pressure is normal now. Can I stop the medicine?")
    ('stop', 'medicine')
    """
    first = None
    for sentence in words.sentences(text)[:12]:
        found = clause(sentence)
        if found.kind in ("request", "question"):
            return found.verb, found.noun
        first = first or (found if found.verb else None)
    return (first.verb, first.noun) if first else (None, None)


def clause(sentence: str) -> Clause:
    """What a sentence does, its verb and its object."""
    w = words.tokens(sentence)
    start = _start(w)
    asks = (
        question(w, start) if at(w, start) in vocabulary.QUESTION_WORDS or w[-1:] == ["?"] else None
    )
    found = asks or imperative(w, start) or question(w, start)
    if found and found.kind == "scene":
        return _second(w, start) or found
    return found or _later(w, start) or statement(w, start) or Clause("fragment")


def _start(w: list[str]) -> int:
    """The place of the first word, behind bullets, numbers ("1."), quotes and a heading ("Task:")."""
    i = 0
    while i < len(w) and (not is_word(w[i]) or (w[i].isdigit() and at(w, i + 1) in (".", ")"))):
        i += 1
    if (
        at(w, i) in ("task", "instruction", "question", "prompt", "q", "problem")
        and at(w, i + 1) == ":"
    ):
        i += 2
    return i


def _later(w: list[str], start: int) -> Clause | None:
    """A request or question behind an introduction ("In simple language, ...", "Given the case, ...")."""
    introduced = _introduces(at(w, start))
    for i in range(start + 1, len(w)):
        if w[i - 1] not in (",", ":", ";", "-", "–", "—") and not (
            w[i - 1] in vocabulary.JOINERS and at(w, i - 2) == ","
        ):
            continue
        i += w[i] in vocabulary.JOINERS
        found = _request_at(w, i, sure=not introduced)
        if found:
            return found
    if not introduced:
        return None
    behind = (_unannounced(w, i) for i in range(start + 1, len(w)))
    spoken = (statement(w, i + 1) for i in range(start + 1, len(w) - 1) if w[i] == ",")
    return next((found for found in (*behind, *spoken) if found and found.verb), None)


def _request_at(w: list[str], i: int, *, sure: bool) -> Clause | None:
    """A request or question that begins at a place; `sure` asks for a verb that instructions begin with."""
    if at(w, i) in vocabulary.QUESTION_WORDS or (
        w[-1] == "?" and at(w, i) in vocabulary.AUXILIARIES
    ):
        return question(w, i) if w[-1] == "?" or not sure else None
    if sure and not (at(w, i) in vocabulary.INSTRUCTION_VERBS or at(w, i) == "please"):
        return None
    return imperative(w, i)


def _unannounced(w: list[str], i: int) -> Clause | None:
    """A request without a comma before it ("In simple terms explain the ...")."""
    follows = at(w, i + 1) in vocabulary.DETERMINERS | vocabulary.QUESTION_WORDS
    return (
        imperative(w, i)
        if w[i] in vocabulary.INSTRUCTION_VERBS
        and follows
        and at(w, i - 1) not in vocabulary.CLOSED
        else None
    )


def _second(w: list[str], start: int) -> Clause | None:
    """The request after a scene in the same sentence ("Imagine you are a nurse and write ...")."""
    for i in range(start + 1, len(w) - 1):
        sure = w[i] in (";", ":") or at(w, i + 2) in vocabulary.DETERMINERS
        if w[i] in ("and", ",", ";", ":") and w[i + 1] in vocabulary.INSTRUCTION_VERBS and sure:
            return imperative(w, i + 1)
    return None


def _introduces(token: str) -> bool:
    """Whether a sentence that begins with this word has an introduction before its main clause."""
    prepares = token in vocabulary.PREPOSITIONS | vocabulary.SUBORDINATORS | vocabulary.ADVERBS | {
        "step",
        "when",
        "where",
    }
    return bool(token) and (prepares or is_gerund(token) or is_participle(token))
