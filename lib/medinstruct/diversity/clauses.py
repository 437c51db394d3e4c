"""Clauses: the clause of a text that asks for something, chosen by its words before any parsing."""

import re
from itertools import chain
from typing import NamedTuple

from medinstruct import paths

_TABLES = paths.load("request_words")
WRAPPING = re.compile(rf"(?:(?:{'|'.join(_TABLES['wrappings'])})\b\s*)+", re.I)
WORDS = {kind: frozenset(ws.split()) for kind, ws in _TABLES.items() if kind != "wrappings"}
LY = rf"(?!(?:{'|'.join(WORDS['ly_verbs'])})\b)[a-z]+ly"
ADVERBS = re.compile(rf"\A(?:(?:{'|'.join(WORDS['adverbs'])}|{LY})\b[\s,]+)+", re.I)
ENDED = "".join(rf"(?<!\b{re.escape(word)}\.)" for word in WORDS["abbreviations"])
SENTENCE_END = re.compile(rf"{ENDED}(?:(?<=[.!?])|(?<=[.!?][\"'”’)]))\s+(?=[\"'“‘(]*[A-Z0-9])|\n+")
HEADING = r"(?:task|instruction|question|prompt|problem|q)\s*:\s*"
LEAD = re.compile(rf"\A(?:[\W_]+|\(?(?:\d+|[a-z])[.)]\s+|{HEADING})+", re.I)
BREAK = re.compile(r"(?:[,:;–—]|\s-)\s+(?:(?:and|then)\s+)*")
WORD = re.compile(r"[A-Za-z][\w'’-]*")
OPENING = re.compile(rf"({WORD.pattern})(?:[ \"“‘'(]+(?:(?:up|down|out|off) )?({WORD.pattern}))?")


class Clause(NamedTuple):
    """The part of a text that is parsed; an imperative begins with its verb."""

    text: str
    imperative: bool


class Lexicon(NamedTuple):
    """Lemmas that may be verbs, nouns, and adjectives or adverbs."""

    verbs: set[str]
    nouns: set[str]
    modifiers: set[str]

    def american(self, verb: str) -> str:
        """Return a verb in lower case, -ise and -yse spelled -ize and -yze where that is a verb."""
        verb = verb.lower()
        spelling = f"{verb[:-2]}ze" if verb.endswith(("ise", "yse")) else verb
        return spelling if spelling in self.verbs else verb


def asking_clause(text: str, lexicon: Lexicon) -> Clause:
    """Return the first clause that asks: an imperative, a wrapped request or a question.

    Without one it is a scene ("Consider a hospital kitchen."), else the first two sentences.
    """
    sentences = SENTENCE_END.split(text[:10_000])[:12]
    sentences = [LEAD.sub("", sentence, count=1) for sentence in sentences]
    clauses = (_request(sentence, lexicon) for sentence in sentences)
    scenes = (Clause(sentence, True) for sentence in sentences if _is(sentence, "scene_verbs"))
    statement = Clause(" ".join(sentences[:2]), False)
    return next((clause for clause in chain(clauses, scenes) if clause), statement)


def _request(sentence: str, lexicon: Lexicon) -> Clause | None:
    """Return the clause that asks in a sentence, if there is one."""
    start = ADVERBS.sub("", sentence, count=1)
    if WRAPPING.match(start):
        return _unwrapped(start)
    question = sentence.rstrip("\"”’' )").endswith("?")
    polite = sentence[:6].lower() == "please" and _opening(start)[0] in lexicon.verbs
    if polite or _has_object(start) or (not question and _commands(start, lexicon)):
        return _after_scene(start) if _is(start, "scene_verbs") else Clause(start, True)
    if question:
        words = {word.lower() for word in WORD.findall(sentence)}
        verbal = words & (WORDS["question_words"] | WORDS["auxiliaries"])
        return Clause(sentence, False) if verbal else None
    if _is(start, "question_words") and not _is(start, "introductions"):
        return Clause(sentence, False)
    return _after_introduction(start, lexicon)


def _unwrapped(clause: str) -> Clause:
    """Return an imperative without a polite wrapping ("I would like you to ...")."""
    return Clause(ADVERBS.sub("", WRAPPING.sub("", clause, count=1), count=1), True)


def _after_scene(sentence: str) -> Clause | None:
    """Return the request after a scene ("Imagine you are a nurse and write a note.")."""
    gaps = re.finditer(r"[,:;] (?:and |then )*|\band (?:then )?", sentence)
    tails = (sentence[gap.end() :] for gap in gaps)
    return next((Clause(tail, True) for tail in tails if _has_object(tail)), None)


def _after_introduction(sentence: str, lexicon: Lexicon) -> Clause | None:
    """Return the request after an introduction ("In simple terms, explain the term.")."""
    first = _opening(sentence)[0]
    introduced = first in WORDS["introductions"] or first.endswith(("ing", "ed"))
    for gap in BREAK.finditer(sentence):
        tail = ADVERBS.sub("", sentence[gap.end() :], count=1)
        sure = _is(tail, "instruction_verbs") and _opening(tail)[1]
        if sure or WRAPPING.match(tail) or (introduced and _commands(tail, lexicon)):
            return _unwrapped(tail)
        if introduced and _is(tail, "question_words"):
            return Clause(tail, False)
    words = list(WORD.finditer(sentence)) if introduced else []
    for last, word in zip(words, words[1:], strict=False):  # without a comma
        if last[0].lower() not in WORDS["closed"] and _has_object(sentence[word.start() :]):
            return Clause(sentence[word.start() :], True)
    return None


def _commands(clause: str, lexicon: Lexicon) -> bool:
    """Return whether a clause begins with an imperative, and not with a noun as its subject."""
    first, after = _opening(clause)
    verb = lexicon.american(first)
    if after == "of" or after in WORDS["auxiliaries"] or verb in WORDS["introductions"]:
        return False
    if verb in WORDS["instruction_verbs"] or verb == "be":
        return True
    ambiguous = verb in lexicon.nouns or verb in lexicon.modifiers or verb in ("do", "have")
    return verb in lexicon.verbs and (not ambiguous or after in WORDS["determiners"])


def _has_object(clause: str) -> bool:
    """Return whether a clause begins with an instruction verb and a determiner."""
    return _is(clause, "instruction_verbs") and _opening(clause)[1] in WORDS["determiners"]


def _is(clause: str, kind: str) -> bool:
    return _opening(clause)[0] in WORDS[kind]


def _opening(clause: str) -> tuple[str, str]:
    """Return the first two words of a clause in lower case, without particles; "" if missing."""
    match = OPENING.match(clause)
    return (match[1].lower(), (match[2] or "").lower()) if match else ("", "")
