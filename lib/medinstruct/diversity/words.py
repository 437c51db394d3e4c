"""Words: sentences and tokens, and what parts of speech a word may be.

The parts come from LemmInflect (MIT), which carries the biomedical SPECIALIST lexicon of the US National Library of Medicine.
"""

import re
from functools import cache

from medinstruct.diversity.vocabulary import CLOSED, NEVER_NOUN, NEVER_VERB

SENTENCE_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"'”’)]))\s+(?=[\"'“‘(]*[A-Z0-9])|\n+")
ABBREVIATED = re.compile(r"(?:^|[\s(])(?:Dr|Mr|Mrs|Ms|Prof|St|vs|e\.g|i\.e|approx|No|Fig|[A-Z])\.$")
TOKEN = re.compile(r"n['’]t\b|['’](?:s|d|ll|re|ve|m)\b|\w+(?=n['’]t\b)|\w+(?:[-/]\w+)*|[^\w\s]")


@cache
def parts(word: str) -> dict[str, str]:
    """The lemma of a lower-case word for each part of speech that it may have; an unknown word may be a noun.

    >>> parts("symptoms"), parts("summarises"), parts("the")
    ({'NOUN': 'symptom'}, {'VERB': 'summarize'}, {})
    """
    if word in CLOSED or not word[0].isalpha():
        return {}
    if word[0].isupper():
        return {"NOUN": _named(word)}
    found = _listed(word) or (_hyphenated(word) if "-" in word or "/" in word else _guessed(word))
    if word in NEVER_VERB:
        found = {part: lemma for part, lemma in found.items() if part != "VERB"}
    if word in NEVER_NOUN:
        found = {part: lemma for part, lemma in found.items() if part != "NOUN"}
    return found


def _named(word: str) -> str:
    """A name or abbreviation in lower case, in the singular where the lexicon has it."""
    return _listed(word.lower()).get("NOUN", word.lower())


def _listed(word: str) -> dict[str, str]:
    """What the lexicon says."""
    from lemminflect import getAllLemmas

    found = {
        part: lemmas[0]
        for part, lemmas in getAllLemmas(word).items()
        if part in ("NOUN", "VERB", "ADJ", "ADV")
    }
    verb = "lay" if word == "lay" else found.get("VERB")
    return found | ({"VERB": american(verb)} if verb else {})


def american(verb: str) -> str:
    """One spelling of a verb, so that its counts are not split: -ise and -yse become -ize and -yze where that is a verb, too."""
    from lemminflect import getAllLemmas

    other = verb[:-2] + "ze" if verb.endswith(("ise", "yse")) else verb
    return other if "VERB" in getAllLemmas(other) else verb


def _hyphenated(word: str) -> dict[str, str]:
    """A compound is what its last part is; with a participle (evidence-based) or an age (year-old) at its end, an adjective."""
    last = re.split(r"[-/]", word)[-1]
    found = _listed(last) if last and last not in CLOSED else {}
    if last.endswith(("ed", "ing", "old", "wide", "free", "term")) or "ADJ" in found:
        return {"ADJ": word}
    start = word[: -len(last)] if last else word
    return {part: start + lemma for part, lemma in found.items() if part in ("NOUN", "VERB")} or {
        "NOUN": word
    }


def _guessed(word: str) -> dict[str, str]:
    """An unknown word by its ending; else a noun, such as a drug's name."""
    from lemminflect import getAllLemmasOOV

    if word.endswith("ly"):
        return {"ADV": word}
    noun = {"NOUN": getAllLemmasOOV(word, upos="NOUN").get("NOUN", (word,))[0]}
    return (
        {"ADJ": word} | noun
        if word.endswith(("al", "ic", "ous", "ive", "able", "ible", "ary", "less", "ful"))
        else noun
    )


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text; "Dr. Smith" and "e.g. in" do not end one.

    >>> sentences("Dr. Lee sees a child. What is next?")
    ['Dr. Lee sees a child.', 'What is next?']
    """
    found: list[str] = []
    for piece in SENTENCE_END.split(text):
        if found and ABBREVIATED.search(found[-1]):
            found[-1] += " " + piece
        elif piece.strip():
            found.append(piece.strip())
    return found


def tokens(sentence: str) -> list[str]:
    """Words in lower case, but names and abbreviations as they are; clitics apart, and punctuation.

    >>> tokens("What's a low-dose CT? I don't know.")
    ['what', "'s", 'a', 'low-dose', 'CT', '?', 'i', 'do', "n't", 'know', '.']
    """
    found = TOKEN.findall(sentence.replace("cannot", "can not"))
    shouts = sentence.isupper()
    return [
        token if not shouts and _is_name(token, last) else token.lower()
        for last, token in zip(["", *found], found, strict=False)
    ]


def _is_name(token: str, last: str) -> bool:
    """Whether a word is an abbreviation (CT, ACE), or has a capital although no sentence or quotation begins with it."""
    if token.lower() in CLOSED or not token[0].isupper():
        return False
    return token[1:2].isupper() or (last[:1].islower() or last[:1].isdigit())
