"""The verb and the object of a clause: imperatives, questions, polite requests and statements, by rules over tokens.

A request that is wrapped ("I would like you to summarise ...", "Your task is to ...", "Help me write ...") counts by what is asked.
"""

from typing import Literal, NamedTuple

from medinstruct.diversity import words
from medinstruct.diversity.phrases import (
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
from medinstruct.diversity.words import parts

WANTING = frozenset("like want need wish love prefer ask require request instruct invite expect help".split())
OPENERS = frozenset("the a an some any my your his her its our their both".split())
RECEIVERS = frozenset("me us you him her them yourself myself themselves".split())
TASKS = frozenset("task job goal role aim assignment objective mission work duty question".split())
TWO_OBJECTS = frozenset("give tell show offer send write provide teach ask bring buy get make draw draft find read suggest".split())
SCENES = frozenset("imagine suppose assume consider read pretend let".split())


class Clause(NamedTuple):
    """What a sentence does, its verb and its object."""

    kind: Literal["request", "question", "statement", "scene", "fragment"]
    verb: str | None = None
    noun: str | None = None


def object_of(w: list[str], i: int, verb: str) -> str | None:
    """The head noun of the direct object of a verb that ends before place `i`.

    >>> object_of("to a first-year student the role of insulin".split(), 0, "explain")
    'role'
    >>> object_of("the patient a list of foods".split(), 0, "give")
    'list'
    """
    i = skip_adverbs(w, i)
    while at(w, i) in words.JOINERS and is_base(at(w, i + 1)):  # compare and contrast
        i = skip_adverbs(w, i + 2)
    if at(w, i) in words.PARTICLES and (at(w, i + 1) in words.DETERMINERS or "NOUN" in parts(at(w, i + 1) or ",")):
        if at(w, i) not in ("in", "on", "over", "through") or verb in ("fill", "carry", "take", "turn", "go", "hand"):
            return noun_phrase(w, i + 1).head if not (at(w, i) == "in") else None
    if at(w, i) in words.PREPOSITIONS:
        end = skip_prepositional(w, i)
        return noun_phrase(w, end).head if at(w, end) in OPENERS and end > i + 1 else None
    first = noun_phrase(w, i)
    if first.end == i:
        return None
    receiver = verb in TWO_OBJECTS or (first.end == i + 1 and at(w, i) in RECEIVERS and at(w, first.end) in OPENERS)
    if receiver and is_word(at(w, first.end)) and at(w, first.end) not in words.QUESTION_WORDS:
        second = noun_phrase(w, first.end)
        if second.head and (at(w, first.end) in OPENERS or first.head is None):
            return second.head
    return first.head


def verb_phrase(w: list[str], i: int, *, passive: bool = False) -> tuple[str | None, str | None, int]:
    """Verb, object and the place behind the verb of the verb phrase at `i`, from its auxiliaries or its verb on."""
    i = skip_adverbs(w, i)
    token = at(w, i)
    if token in words.MODALS or token in words.DO or token == "to":
        after = skip_adverbs(w, i + 1)
        if at(w, after) == "like":
            return _unwrapped(w, after + 1, "like")
        if is_base(at(w, after)) or at(w, after) in ("be", "have", "do"):
            return verb_phrase(w, after)
        return ("do", object_of(w, i + 1, "do"), i + 1) if token in words.DO else (None, None, i)
    if token in words.BE:
        return _being(w, i + 1)
    if token in words.HAVE:
        after = skip_adverbs(w, i + 1)
        if at(w, after) == "to":
            return verb_phrase(w, after)
        if at(w, after) in words.BE or at(w, after) in words.HAVE or at(w, after) in ("done",) or is_participle(at(w, after)):
            return verb_phrase(w, after)
        return _unwrapped(w, i + 1, "have")
    if token == "done" or (token in ("doing",)):
        return "do", object_of(w, i + 1, "do"), i + 1
    if not token or "VERB" not in parts(token):
        return None, None, i
    return _unwrapped(w, i + 1, parts(token)["VERB"])


def _being(w: list[str], i: int) -> tuple[str | None, str | None, int]:
    """What follows a form of "be": a progressive, a passive, a wrapped request or a plain "be"."""
    after = skip_adverbs(w, i)
    token = at(w, after)
    if token == "being":
        return _being(w, after + 1)
    if token == "to" or (token == "able" and "you" in w[:i]):
        infinitive = verb_phrase(w, after + (token == "able"))
        return infinitive if infinitive[0] else ("be", None, i)
    if is_gerund(token) and "ADJ" not in parts(token):
        return _unwrapped(w, after + 1, parts(token)["VERB"])
    if is_participle(token) and token not in ("concerned", "worried", "tired", "interested", "married", "pregnant"):
        verb = parts(token)["VERB"]
        if verb in WANTING and at(w, after + 1) == "to":
            return verb_phrase(w, after + 1)
        return verb, None, after + 1
    return "be", None, i


def _unwrapped(w: list[str], i: int, verb: str) -> tuple[str | None, str | None, int]:
    """The verb with its object; or, where it only wraps a request ("like you to ..."), the verb that is wrapped."""
    j = skip_adverbs(w, i)
    if verb in WANTING:
        k = skip_adverbs(w, j + 1 if at(w, j) in ("you", "me", "us") else j)
        if at(w, k) == "to" and is_base(at(w, skip_adverbs(w, k + 1))) or at(w, k + 1) in ("be", "have", "do") and at(w, k) == "to":
            return verb_phrase(w, k)
        if verb == "help" and k > j and is_base(at(w, k)):
            return verb_phrase(w, k)
    if verb == "mind" and is_gerund(at(w, j)):
        return verb_phrase(w, j)
    return verb, object_of(w, i, verb), i


def imperative(w: list[str], i: int) -> Clause | None:
    """The request that begins at `i`, if one does."""
    i = skip_adverbs(w, i)
    token, after = at(w, i), at(w, i + 1)
    if token == "do" and (after in words.NEGATIONS or is_base(after)):
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
    if after == "of" or after in words.BE or after in words.MODALS or after in words.HAVE:
        return False
    if set(parts(token)) == {"VERB"} or token in words.COMMON_VERBS:
        return token in words.COMMON_VERBS or is_word(after) or not after or after in "\"“‘'(.!,:"
    if after in words.DETERMINERS or after in words.PRONOUNS or after in words.QUESTION_WORDS or after in ("if",):
        return True
    if after in words.PARTICLES or after[:1].isdigit():
        return "NOUN" not in parts(token) or after in ("out", "up", "off", "down")
    return "NOUN" not in parts(token) and (is_word(after) and "VERB" not in parts(after) or not is_word(after))


def statement(w: list[str], i: int) -> Clause | None:
    """The main verb of a statement: the first finite verb behind its subject."""
    i = skip_adverbs(w, i)
    i = skip_adverbs(w, i + 1) if at(w, i) == "," else i
    subject = full_phrase(w, i)
    end = subject.end
    if at(w, i) in words.QUESTION_WORDS:
        return None
    if end == i:
        verb, noun, _ = verb_phrase(w, i)
        return Clause("statement", verb, noun) if verb and "NOUN" not in parts(w[i]) else _first_finite(w, i + 1)
    end = _behind_relative(w, end)
    verb, noun, place = _unwrapped(w, end + 1, "like") if at(w, end) == "like" else verb_phrase(w, end)
    if verb is None:
        return _first_finite(w, i + 1)
    if verb == "be" and at(w, i) == "there":
        noun = noun_phrase(w, place).head
    if subject.head in TASKS and at(w, i) == "your" and at(w, skip_adverbs(w, place)) == "to":
        verb, noun, _ = verb_phrase(w, skip_adverbs(w, place))
    asks = "to" in w[end:place] and verb in words.INSTRUCTION_VERBS or at(w, i) == "you" and at(w, end) in words.MODALS
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
            if last in words.DETERMINERS or last in words.PREPOSITIONS or (last in words.QUESTION_WORDS or last == "that") and sure:
                continue
            auxiliary = token in words.BE - {"be", "been", "being"} or token in words.MODALS or token in words.HAVE | words.DO
            verb = "VERB" in parts(token) and not is_gerund(token) and ("NOUN" not in parts(token) or not sure)
            if auxiliary or verb:
                found, noun, _ = verb_phrase(w, place)
                if found:
                    return Clause("statement", found, noun)
    return None


def question(w: list[str], i: int) -> Clause | None:
    """The question that begins at `i`: one with a question word, or one that begins with an auxiliary."""
    start = i = skip_adverbs(w, i) if at(w, i) != "how" else i
    while at(w, i) in words.PREPOSITIONS and i - start < 1:  # at what rate
        i += 1
    if at(w, i) in words.QUESTION_WORDS and at(w, i) != "whether":
        return _asked(w, i, with_preposition=i > start)
    if i == start and (at(w, i) in words.MODALS | words.BE | words.HAVE | words.DO) and at(w, i) not in ("be", "having", "being"):
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
    if token in words.BE:
        return _what_is(w, end, asks=asks, head=front.head)
    if token in words.MODALS | words.DO | words.HAVE:
        subject = _subject(w, skip_adverbs(w, end + 1), have=token in words.HAVE)
        if subject is None:
            verb, noun, _ = verb_phrase(w, end)
            return Clause("question", verb, noun)
        verb, noun, place = verb_phrase(w, subject)
        stranded = at(w, skip_adverbs(w, place)) in words.PREPOSITIONS and not is_word(at(w, skip_adverbs(w, place) + 1))
        if noun is None and verb and not with_preposition and not stranded and asks in ("what", "which", "whose", "how"):
            noun = front.head
        return Clause("question", verb or ("do" if token in words.DO else "have"), noun)
    verb, noun, _ = verb_phrase(w, end)
    return Clause("question", verb, noun) if verb else statement(w, end)


def _fronted(w: list[str], i: int) -> "Phrase":  # noqa: F821
    """The question word with its noun ("which blood tests", "how many tablets", "which of the following")."""
    from medinstruct.diversity.phrases import Phrase

    asks, i = w[i], i + 1
    if asks == "how" and at(w, i) in ("many", "much"):
        phrase = _shortened(w, i + 1)
        return Phrase(skip_prepositional(w, phrase.end), phrase.head)
    if asks == "how":
        while is_word(at(w, i)) and ({"ADJ", "ADV"} & set(parts(w[i])) or w[i] in words.ADVERBS) and "VERB" not in parts(w[i]):
            i += 1
        return Phrase(i, None)
    if asks in ("what", "which", "whose"):
        if asks != "whose" and (at(w, i) in words.BE or at(w, i) in words.MODALS | words.DO | words.HAVE):
            return Phrase(i, None)
        if at(w, i) == "of":
            end = skip_prepositional(w, i)
            return Phrase(skip_adverbs(w, end + (at(w, end) == "following")), None)
        phrase = _shortened(w, i)
        end = skip_prepositional(w, phrase.end)
        return Phrase(skip_adverbs(w, end), phrase.head)
    return Phrase(skip_adverbs(w, i), None)


def _shortened(w: list[str], i: int) -> "Phrase":  # noqa: F821
    """A noun phrase after a question word, given back its last word where that must be the verb ("what causes gout")."""
    from medinstruct.diversity.phrases import Phrase

    phrase = noun_phrase(w, i)
    after = at(w, phrase.end)
    if after in words.MODALS | words.DO | words.HAVE | words.BE:
        return phrase
    for place in range(phrase.end - 1, i - 1, -1):
        token = w[place]
        finite = "VERB" in parts(token) and not is_gerund(token)
        if finite and (place == i or "NOUN" in parts(w[place - 1])) and "VERB" not in parts(after or ","):
            shorter = noun_phrase(w[:place], i)
            return Phrase(place, shorter.head)
    return phrase


def _what_is(w: list[str], i: int, *, asks: str, head: str | None) -> Clause:
    """A question with "be": a passive or progressive, or a plain "be" with the noun that is asked for."""
    after = skip_adverbs(w, i + 1)
    if head is not None or asks in ("how", "why", "when", "where", "who", "which"):
        verb, noun, _ = _being(w, i + 1)
        if verb != "be":
            return Clause("question", verb, noun)
    subject = full_phrase(w, after)
    verb, noun, _ = _being(w, subject.end) if subject.end > after else ("be", None, 0)
    bare = asks in ("what", "who") and head is None
    if verb and verb != "be" and not (bare and not is_gerund(at(w, skip_adverbs(w, subject.end)))):
        return Clause("question", verb, noun)
    return Clause("question", "be", head or (subject.head if asks in ("what", "who") else None))


def _subject(w: list[str], i: int, *, have: bool) -> int | None:
    """Where the subject after an auxiliary ends, or None where no subject stands there ("which drugs can cause ...")."""
    if at(w, i) in words.SUBORDINATORS | words.BE | words.HAVE:
        return None
    phrase = noun_phrase(w, i)
    if at(w, i) not in words.DETERMINERS | words.PRONOUNS:
        split = [n for n in range(i, phrase.end) if (is_participle(w[n]) if have else is_base(w[n]))]
        sure = [n for n in split if n > i and ("NOUN" not in parts(w[n]) or w[n - 1].endswith("s"))]
        if split and split[0] == i and not sure and not _verb_follows(w, skip_prepositional(w, phrase.end), have=have):
            return None
    if phrase.end == i:
        return None
    end = full_phrase(w, i).end
    for stop in (end, skip_prepositional(w, phrase.end), phrase.end):
        if _verb_follows(w, stop, have=have):
            return stop
    taken = [stop for stop in range(phrase.end - 1, i, -1) if _verb_follows(w, stop, have=have)]  # "do the drugs cause"
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
    if token in words.BE:
        if at(w, after) == "there":
            return Clause("question", "be", noun_phrase(w, skip_adverbs(w, after + 1)).head)
        subject = full_phrase(w, after)
        verb, noun, _ = _being(w, subject.end)
        return Clause("question", verb if subject.end > after else "be", noun)
    subject = _subject(w, after, have=token in words.HAVE)
    if subject is None:
        return None
    verb, noun, _ = verb_phrase(w, subject)
    if verb is None and token in words.HAVE | words.DO:
        verb, noun = ("have", object_of(w, i + 1, "have")) if token in words.HAVE else (None, None)
    return Clause("question", verb, noun) if verb else None
