"""Questions: with a question word, or with an auxiliary in front; what is asked for may be subject, fronted object or neither."""

from medinstruct.diversity import vocabulary
from medinstruct.diversity.clauses import Clause, statement
from medinstruct.diversity.phrases import (
    Phrase,
    at,
    full_phrase,
    is_base,
    is_gerund,
    is_participle,
    is_word,
    noun_phrase,
    skip_adverbs,
    skip_prepositional,
)
from medinstruct.diversity.verbs import being, object_of, verb_phrase
from medinstruct.diversity.words import parts


def question(w: list[str], i: int) -> Clause | None:
    """The question that begins at `i`: one with a question word, or one that begins with an auxiliary."""
    start = i = skip_adverbs(w, i) if at(w, i) != "how" else i
    while at(w, i) in vocabulary.PREPOSITIONS and i - start < 1:  # at what rate
        i += 1
    if at(w, i) in vocabulary.QUESTION_WORDS and at(w, i) != "whether":
        return _asked(w, i, with_preposition=i > start)
    if i == start and at(w, i) in vocabulary.AUXILIARIES - {"be", "having", "being"}:
        return _yes_no(w, i)
    return None


def _asked(w: list[str], i: int, *, with_preposition: bool) -> Clause | None:
    """A question with a question word: what it asks for is a subject, a fronted object, or the noun beside "be"."""
    asks = w[i]
    front = _fronted(w, i)
    asks = "what" if at(w, i + 1) == "of" else asks
    if asks in ("when", "where") and is_gerund(at(w, i + 1)):
        return None
    end, token = front.end, at(w, front.end)
    if token == "to":
        verb, noun, _ = verb_phrase(w, end)
        return Clause("question", verb, noun) if verb else None
    if token in vocabulary.BE:
        return _what_is(w, end, asks=asks, head=front.head)
    if token in vocabulary.AUXILIARIES:
        subject = _subject(w, skip_adverbs(w, end + 1), have=token in vocabulary.HAVE)
        if subject is None:
            verb, noun, _ = verb_phrase(w, end)
            return Clause("question", verb, noun)
        verb, noun, place = verb_phrase(w, subject)
        stranded = at(w, skip_adverbs(w, place)) in vocabulary.PREPOSITIONS and not is_word(
            at(w, skip_adverbs(w, place) + 1)
        )
        if (
            noun is None
            and verb
            and not with_preposition
            and not stranded
            and asks in ("what", "which", "whose", "how")
        ):
            noun = front.head
        return Clause("question", verb or ("do" if token in vocabulary.DO else "have"), noun)
    verb, noun, _ = verb_phrase(w, end)
    return Clause("question", verb, noun) if verb else statement(w, end)


def _fronted(w: list[str], i: int) -> Phrase:
    """The question word with its noun ("which blood tests", "how many tablets", "which of the following")."""
    asks, i = w[i], i + 1
    if asks == "how" and at(w, i) in ("many", "much"):
        phrase = _shortened(w, i + 1)
        return Phrase(skip_prepositional(w, phrase.end), phrase.head)
    if asks == "how":
        while is_word(at(w, i)) and _is_degree(w[i]):
            i += 1
        return Phrase(i, None)
    if asks in ("what", "which", "whose"):
        if asks != "whose" and at(w, i) in vocabulary.AUXILIARIES:
            return Phrase(i, None)
        if at(w, i) == "of":
            end = skip_prepositional(w, i)
            return Phrase(skip_adverbs(w, end + (at(w, end) == "following")), None)
        phrase = _shortened(w, i)
        end = skip_prepositional(w, phrase.end)
        return Phrase(skip_adverbs(w, end), phrase.head)
    return Phrase(skip_adverbs(w, i), None)


def _is_degree(token: str) -> bool:
    """Whether a word goes with "how" ("how often", "how long"): an adjective or adverb that is no verb."""
    return "VERB" not in parts(token) and bool(
        {"ADJ", "ADV"} & set(parts(token)) or token in vocabulary.ADVERBS
    )


def _shortened(w: list[str], i: int) -> Phrase:
    """A noun phrase after a question word, given back its last word where that must be the verb ("what causes gout")."""
    phrase = noun_phrase(w, i)
    after = at(w, phrase.end)
    if after in vocabulary.AUXILIARIES:
        return phrase
    for place in range(phrase.end - 1, i - 1, -1):
        token = w[place]
        finite = "VERB" in parts(token) and not is_gerund(token)
        if (
            finite
            and (place == i or "NOUN" in parts(w[place - 1]))
            and "VERB" not in parts(after or ",")
        ):
            shorter = noun_phrase(w[:place], i)
            return Phrase(place, shorter.head)
    return phrase


def _what_is(w: list[str], i: int, *, asks: str, head: str | None) -> Clause:
    """A question with "be": a passive or progressive, or a plain "be" with the noun that is asked for."""
    after = skip_adverbs(w, i + 1)
    if head is not None or asks in ("how", "why", "when", "where", "who", "which"):
        verb, noun, _ = being(w, i + 1)
        if verb != "be":
            return Clause("question", verb, noun)
    subject = full_phrase(w, after)
    verb, noun, _ = being(w, subject.end) if subject.end > after else ("be", None, 0)
    bare = asks in ("what", "who") and head is None
    if verb and verb != "be" and not (bare and not is_gerund(at(w, skip_adverbs(w, subject.end)))):
        return Clause("question", verb, noun)
    return Clause("question", "be", head or (subject.head if asks in ("what", "who") else None))


def _subject(w: list[str], i: int, *, have: bool) -> int | None:
    """Where the subject after an auxiliary ends, or None where no subject stands there ("which drugs can cause ...")."""
    if at(w, i) in vocabulary.SUBORDINATORS | vocabulary.BE | vocabulary.HAVE:
        return None
    phrase = noun_phrase(w, i)
    if at(w, i) not in vocabulary.DETERMINERS | vocabulary.PRONOUNS:
        split = [
            n for n in range(i, phrase.end) if (is_participle(w[n]) if have else is_base(w[n]))
        ]
        sure = [n for n in split if n > i and ("NOUN" not in parts(w[n]) or w[n - 1].endswith("s"))]
        if (
            split
            and split[0] == i
            and not sure
            and not _verb_follows(w, skip_prepositional(w, phrase.end), have=have)
        ):
            return None
    if phrase.end == i:
        return None
    end = full_phrase(w, i).end
    for stop in (end, skip_prepositional(w, phrase.end), phrase.end):
        if _verb_follows(w, stop, have=have):
            return stop
    taken = [
        stop for stop in range(phrase.end - 1, i, -1) if _verb_follows(w, stop, have=have)
    ]  # "do the drugs cause"
    if taken:
        return next((stop for stop in taken if "NOUN" not in parts(w[stop])), taken[0])
    return end


def _verb_follows(w: list[str], i: int, *, have: bool) -> bool:
    i = skip_adverbs(w, i)
    token = at(w, i)
    if have:
        return is_participle(token) or token in ("been", "had", "done")
    return is_base(token) or token in ("be", "have", "do")


def _yes_no(w: list[str], i: int) -> Clause | None:
    """A question that begins with an auxiliary; polite ones are requests by what they ask."""
    token, after = w[i], skip_adverbs(w, i + 1)
    if token in vocabulary.BE:
        if at(w, after) == "there":
            return Clause("question", "be", noun_phrase(w, skip_adverbs(w, after + 1)).head)
        subject = full_phrase(w, after)
        verb, noun, _ = being(w, subject.end)
        return Clause("question", verb if subject.end > after else "be", noun)
    subject = _subject(w, after, have=token in vocabulary.HAVE)
    if subject is None:
        return None
    verb, noun, _ = verb_phrase(w, subject)
    if verb is None and token in vocabulary.HAVE | vocabulary.DO:
        verb, noun = (
            ("have", object_of(w, i + 1, "have")) if token in vocabulary.HAVE else (None, None)
        )
    return Clause("question", verb, noun) if verb else None
