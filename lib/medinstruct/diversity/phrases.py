"""Noun phrases, prepositional phrases and verb groups: where each ends, and its head. All work on tokens in lower case."""

from typing import NamedTuple

from medinstruct.diversity import vocabulary
from medinstruct.diversity.words import parts

SKIPPED = vocabulary.ADVERBS | vocabulary.NEGATIONS
UNCHANGED = vocabulary.some("put cut set read hit let hurt spread cast shut cost quit split")


class Phrase(NamedTuple):
    """A noun phrase: where it ends (where it began, if there is none) and the lemma of its head noun, if it has one."""

    end: int
    head: str | None


def at(w: list[str], i: int) -> str:
    """The token at a place, or nothing behind the end."""
    return w[i] if 0 <= i < len(w) else ""


def is_base(token: str) -> bool:
    """Whether a token may be the base form of a verb."""
    lemma = parts(token).get("VERB", "") if token else ""
    return bool(lemma) and lemma in (token, token[:-2] + "ze")


def is_gerund(token: str) -> bool:
    """Whether a token may be a verb's form in -ing."""
    return token.endswith("ing") and "VERB" in parts(token)


def is_participle(token: str) -> bool:
    """Whether a token may be a past participle."""
    lemma = parts(token).get("VERB") if token else None
    return (
        lemma is not None
        and not token.endswith(("ing", "s"))
        and (lemma != token or token in UNCHANGED)
        and not is_base(token)
    )


def is_word(token: str) -> bool:
    """Whether a token is a word or a number, not punctuation and not the end."""
    return bool(token) and token[0].isalnum()


def skip_adverbs(w: list[str], i: int) -> int:
    """The place behind adverbs and negations."""
    while at(w, i) in SKIPPED or (is_word(at(w, i)) and set(parts(w[i])) == {"ADV"}):
        i += 1
    return i


def noun_phrase(w: list[str], i: int) -> Phrase:
    """The noun phrase that begins at a place, without what follows its head.

    >>> noun_phrase("the most common side effects of statins".split(), 0)
    Phrase(end=5, head='effect')
    >>> noun_phrase("type 1 and type 2 diabetes in a table".split(), 0)
    Phrase(end=6, head='diabetes')
    """
    start, head = i, None
    while at(w, i) in ('"', "“", "‘", "'", "(", "[") and i - start < 2:
        i += 1
    opened = i
    while at(w, i):
        token = w[i]
        if token in vocabulary.DETERMINERS or token in ("'s", "’s"):
            if head is not None and token not in ("'s", "’s"):
                break
            head, i = None, i + 1
        elif token in vocabulary.PRONOUNS:
            return (
                Phrase(i + 1, None)
                if i == opened or w[i - 1] in vocabulary.DETERMINERS
                else Phrase(i, head)
            )
        elif token[0].isdigit():
            i += 1
        elif token in vocabulary.JOINERS or token == ",":
            if not _goes_on(w, i, head):
                break
            i, head = i + 1, None
        elif _is_degree(w, i) and head is None:
            i += 1
        elif not _joins(w, i, head):
            break
        else:
            head, i = parts(token).get("NOUN", head), i + 1
    if i == opened:
        return Phrase(start, None)
    return Phrase(
        i,
        head
        if "NOUN" in parts(w[i - 1]) or w[i - 1][0].isdigit() or not is_word(w[i - 1])
        else None,
    )


def _is_degree(w: list[str], i: int) -> bool:
    """Whether an adverb stands here before an adjective or participle ("most likely")."""
    adverb = w[i] in vocabulary.ADVERBS or set(parts(w[i])) == {"ADV"}
    return adverb and ("ADJ" in parts(at(w, i + 1) or "x") or is_participle(at(w, i + 1)))


def _joins(w: list[str], i: int, head: str | None) -> bool:
    """Whether a word goes on with the noun phrase: a noun does; an adjective or participle where a noun follows it."""
    token, can = w[i], parts(w[i])
    if not is_word(token) or token in vocabulary.CLOSED or not can:
        return False
    after = at(w, i + 1)
    if "NOUN" in can:
        if "VERB" not in can or head is None:
            return True
        return not (_opens_object(after) and (is_base(token) or token.endswith("s")))
    if is_gerund(token) and "-" in at(w, i - 1):  # "single-step reasoning question"
        return "NOUN" in parts(after or ",")
    nouny = bool(after) and (
        _may_be_in(after)
        or after in vocabulary.JOINERS
        and _may_be_in(at(w, i + 2))
        or after == ","
    )
    if head is None:
        return "ADJ" in can or ((is_participle(token) or is_gerund(token)) and nouny)
    return "ADJ" in can and bool(after) and "NOUN" in parts(after)


def _may_be_in(token: str) -> bool:
    return bool(token) and (
        token[0].isdigit() or bool({"NOUN", "ADJ"} & set(parts(token))) or is_participle(token)
    )


def _opens_object(token: str) -> bool:
    """Whether a token begins a noun phrase for certain, so that a verb may stand before it."""
    return token not in ("that", "there", "one") and (
        token in vocabulary.DETERMINERS or token in vocabulary.PRONOUNS
    )


def _goes_on(w: list[str], i: int, head: str | None) -> bool:
    """Whether what a joiner joins is still one phrase: two adjectives before a noun, or "type 1 and type 2 diabetes"."""
    if w[i] == "," and head is not None:
        return False
    last, after = at(w, i - 1), at(w, i + 1)
    if last and last[0].isdigit():
        return "NOUN" in parts(after or ",") or (
            after[:1].isdigit() and "NOUN" in parts(at(w, i + 2) or ",")
        )
    adjectives = (
        is_word(last) and head is None and bool(parts(last)) and last not in vocabulary.CLOSED
    )
    return adjectives and is_word(after) and _may_be_in(after) and after not in vocabulary.CLOSED


def skip_prepositional(w: list[str], i: int) -> int:
    """The place behind prepositional phrases, such as "of the heart in adults"; the same place where there is none."""
    while at(w, i) in vocabulary.PREPOSITIONS:
        j = i + 1
        while at(w, j) in vocabulary.PREPOSITIONS:
            j += 1
        j = j + 1 if is_gerund(at(w, j)) else j
        end = noun_phrase(w, j).end
        while at(w, end) in vocabulary.JOINERS or (
            at(w, end) == "," and at(w, end + 1) in vocabulary.JOINERS
        ):
            follow = noun_phrase(w, end + 1 + (at(w, end) == ","))
            if (
                follow.head is None
                or is_base(at(w, end + 1))
                and "NOUN" not in parts(at(w, end + 1))
            ):
                break
            end = follow.end
        if end == j and j == i + 1:
            return i + 1
        i = end
    return i


def full_phrase(w: list[str], i: int) -> Phrase:
    """A noun phrase with what is coordinated to it and the prepositional phrases behind it; the head is the first one's."""
    first = noun_phrase(w, i)
    end = skip_prepositional(w, first.end)
    while at(w, end) in vocabulary.JOINERS and end > i:
        follow = noun_phrase(w, end + 1)
        if follow.end == end + 1:
            break
        end = skip_prepositional(w, follow.end)
    return Phrase(end, first.head)
