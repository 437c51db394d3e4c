"""presidio's recognisers beside our own, where `presidio-analyzer` is installed (extra `privacy`).

Its patterns need no model. Names and places are found only with a spaCy model, which is used where one is installed; nothing is
fetched, since a check of privacy should not go to the network.
"""

import logging
from functools import cache
from typing import Any

from medinstruct.errors import UserError

# presidio's names for the kinds of identifiers
KINDS = {
    "PERSON": "name",
    "DATE_TIME": "date",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "email",
    "URL": "url",
    "US_SSN": "id",
    "UK_NHS": "id",
    "IP_ADDRESS": "id",
    "US_PASSPORT": "id",
    "US_DRIVER_LICENSE": "id",
    "IBAN_CODE": "id",
    "MEDICAL_LICENSE": "id",
    "LOCATION": "address",
}
MODELS = (
    "en_core_web_trf",
    "en_core_web_lg",
    "en_core_web_md",
    "en_core_web_sm",
)  # the first that is installed is taken
SURE = 0.4  # presidio's score from which a hit counts: below it any run of digits is a licence or a passport


def found_by_presidio(text: str) -> list[tuple[str, int, str]]:
    """Kind, start and words of every identifier that presidio finds with some certainty."""
    hits = _analyzer().analyze(text=text, language="en", entities=list(KINDS), score_threshold=SURE)
    return [(KINDS[one.entity_type], one.start, text[one.start : one.end]) for one in hits]


@cache
def _analyzer() -> Any:
    """presidio over the best spaCy model there is, or over a tokenizer alone; made once."""
    try:
        import tldextract.tldextract
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    except ImportError:
        do = 'pip install "medinstruct[privacy]", or take rules.'
        raise UserError("presidio is not installed.", got="presidio", do=do) from None
    logging.getLogger("presidio-analyzer").setLevel(
        logging.ERROR
    )  # it warns of every kind that has no recogniser
    tldextract.tldextract.TLD_EXTRACTOR.suffix_list_urls = ()  # the list that it brings, not a newer one from the network
    # a model's dates are "today" and "for two weeks"
    engine = SpacyNlpEngine(
        ner_model_configuration=NerModelConfiguration(
            labels_to_ignore=["DATE", "TIME", "DATE_TIME"]
        )
    )
    engine.nlp = {"en": _pipeline()}
    return AnalyzerEngine(nlp_engine=engine)


def _pipeline() -> Any:
    """A spaCy model, or without one a tokenizer whose lemmas are the words: presidio looks for its cue words among the lemmas."""
    import spacy
    from spacy.language import Language

    for name in MODELS:
        if spacy.util.is_package(name):
            return spacy.load(name)
    if not Language.has_factory("words_as_lemmas"):
        Language.component("words_as_lemmas", func=_words_as_lemmas)
    plain = spacy.blank("en")
    plain.add_pipe("words_as_lemmas")
    return plain


def _words_as_lemmas(doc: Any) -> Any:
    for token in doc:
        token.lemma_ = token.lower_
    return doc
