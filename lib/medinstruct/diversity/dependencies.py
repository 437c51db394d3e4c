"""The second engine: spaCy's dependency parse, where an English model is installed; labels of spaCy and of UD alike."""

from collections.abc import Sequence
from typing import Any

from medinstruct.diversity import words
from medinstruct.diversity.clauses import SCENES, TASKS
from medinstruct.diversity.verbs import WANTING
from medinstruct.errors import UserError

OBJECTS = ("dobj", "obj")
SUBJECTS = ("nsubj", "nsubjpass", "nsubj:pass")


def pairs(texts: Sequence[str], *, model: str) -> list[tuple[str | None, str | None]]:
    """Verb and object of each text by the parse of a spaCy model, given by name or path."""
    found = load(model).pipe(texts, batch_size=256)
    return [pair(document) for document in found]


def load(model: str) -> Any:
    """A spaCy pipeline without what is not needed here; a missing one is a problem that says how to get it."""
    do = "Install spaCy and the model (conda install -c conda-forge spacy spacy-model-en_core_web_sm), or leave `spacy_model` empty."
    try:
        import spacy

        pipeline = spacy.load(model, exclude=["ner"])
    except (ImportError, OSError) as error:
        raise UserError(
            "The spaCy engine is not ready.", got=str(error).split("\n")[0], do=do
        ) from None
    if "parser" not in pipeline.pipe_names and "dependencies" not in pipeline.pipe_names:
        raise UserError(
            "That spaCy pipeline does not parse.",
            got=", ".join(pipeline.pipe_names) or "no components",
            do=do,
        )
    return pipeline


def pair(document: Any) -> tuple[str | None, str | None]:
    """Verb and object of the first sentence that asks; else of the first one with a verb."""
    first: tuple[str | None, str | None] = (None, None)
    for sentence in document.sents:
        root = _unwrapped(sentence.root)
        found = _lemma(root), _object(root)
        if found[0] and (_asks(sentence, root) and root.lemma_.lower() not in SCENES):
            return found
        first = first if first[0] else found
    return first


def _asks(sentence: Any, root: Any) -> bool:
    """A question, a wrapped request, or an imperative: a base form without a subject."""
    if sentence.text.rstrip().endswith("?") or root.i != sentence.root.i:
        return True
    return root.tag_ in ("VB", "VBP") and not any(child.dep_ in SUBJECTS for child in root.children)


def _unwrapped(root: Any) -> Any:
    """The verb that is asked for: behind "I would like you to", "help me", "would you mind" and "your task is to"."""
    subjects = [child for child in root.children if child.dep_ in SUBJECTS]
    inner = [
        child
        for child in root.children
        if child.dep_ in ("xcomp", "ccomp") and child.pos_ == "VERB"
    ]
    wraps = root.lemma_.lower() in WANTING | {"mind", "let"}
    task = root.lemma_.lower() == "be" and any(child.lemma_.lower() in TASKS for child in subjects)
    return inner[0] if inner and (wraps or task) else root


def _lemma(root: Any) -> str | None:
    """The verb in its one spelling; a noun or adjective with a copula counts as "be"."""
    if root.pos_ in ("VERB", "AUX"):
        return words.american(root.lemma_.lower())
    return "be" if any(child.dep_ == "cop" for child in root.children) else None


def _object(root: Any) -> str | None:
    """The direct object, or what a question with "be" or "there is" asks for, if it is a noun."""
    wanted = [child for child in root.children if child.dep_ in OBJECTS]
    if not wanted and root.lemma_.lower() == "be":
        children = list(root.children)
        asks = any(child.tag_ in ("WP", "WDT", "EX") for child in children)
        wanted = [child for child in children if child.dep_ in (*SUBJECTS, "attr")] if asks else []
    nouns = [child for child in wanted if child.pos_ in ("NOUN", "PROPN")]
    return nouns[0].lemma_.lower() if nouns else None
