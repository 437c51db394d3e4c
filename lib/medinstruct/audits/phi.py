"""Protected health information (PHI): identifiers in texts and notebook outputs, by rule.

`python -m medinstruct.audits.phi FILE…` is the check before a commit: it lists hits and exits 1.
"""

import json
import logging
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from medinstruct import paths, records, stats
from medinstruct.errors import UserError

PIECE = 200_000  # characters searched at once; a longer text is cut into overlapping pieces
OVERLAP = 1000  # so that no cut goes through an identifier and its cue
OUTPUT_TYPES = {"text/plain", "text/html", "text/markdown"}
PRESIDIO_KINDS = {
    "PERSON": "name",
    "DATE_TIME": "date",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "email",
    "URL": "url",
    "LOCATION": "address",
} | dict.fromkeys(
    ("US_SSN", "UK_NHS", "IP_ADDRESS", "US_PASSPORT", "IBAN_CODE", "MEDICAL_LICENSE"), "id"
)


class Hit(NamedTuple):
    """One identifier: its kind, start in the text, and words."""

    kind: str
    start: int
    text: str

    @property
    def end(self) -> int:
        """The place after the last character."""
        return self.start + len(self.text)

    def overlaps(self, other: "Hit") -> bool:
        """Return whether two hits share a character."""
        return self.start < other.end and other.start < self.end


@cache
def rules() -> dict[str, list[re.Pattern[str]]]:
    """Return the patterns by kind of identifier (data/phi_rules.yaml)."""
    content = _rules_file()

    def expand(pattern: str) -> str:
        while "<<" in pattern:
            pattern = re.sub(r"<<(\w+)>>", lambda m: content["fragments"][m[1]], pattern)
        return pattern

    return {kind: [re.compile(expand(p)) for p in rows] for kind, rows in content["rules"].items()}


@cache
def _rules_file() -> dict[str, Any]:
    return yaml.safe_load(paths.data("phi_rules.yaml").read_text(encoding="utf-8"))


def find_identifiers(text: str, *, engine: str = "rules") -> list[Hit]:
    """Return the identifiers in a text, in order; `engine` is rules, or presidio in addition.

    >>> hits = find_identifiers("Mr. Oskar Trell, MRN 00482913, was seen on 14 March 2023.")
    >>> [(hit.kind, hit.text) for hit in hits]
    [('name', 'Oskar Trell'), ('record', '00482913'), ('date', '14 March 2023')]
    >>> find_identifiers("Graves disease at the age of 54; blood pressure 142/88.")
    []
    """
    if engine not in ("rules", "presidio"):
        raise UserError("`phi_engine` is not known.", got=engine, do="Choose rules or presidio.")
    hits: list[Hit] = []
    for start in range(0, max(len(text) - OVERLAP, 1), PIECE - OVERLAP):
        piece = text[start : start + PIECE]
        own = _by_rules(piece)
        more = _by_presidio(piece) if engine == "presidio" else []
        more = [hit for hit in more if not any(_conflict(hit, other) for other in own)]
        hits += [hit._replace(start=hit.start + start) for hit in own + more]
    return _without_overlaps(hits)


def _conflict(hit: Hit, own: Hit) -> bool:
    """Return whether one of our rules names the same place another kind."""
    return hit.kind != own.kind and hit.overlaps(own)


def _by_rules(text: str) -> list[Hit]:
    hits = []
    for kind, patterns in rules().items():
        for pattern in patterns:
            for match in pattern.finditer(text):
                if kind != "name" or _is_name(match["hit"], text[match.end("hit") :][:20]):
                    hits.append(Hit(kind, match.start("hit"), match["hit"].rstrip(" \t-")))
    return hits


def _is_name(words: str, after: str) -> bool:
    """Return whether words are a name, by themselves and with the word that follows."""
    following = re.match(r"[ \t]+\w+", after)
    phrase = words + (following.group() if following else "")
    return bool(re.search(r"\w\w", words)) and not re.search(_rules_file()["not_names"], phrase)


def _without_overlaps(hits: list[Hit]) -> list[Hit]:
    """Keep the longest of overlapping hits, then those with a label before them, in text order."""
    separate: list[Hit] = []
    labelled = ("record", "id")
    for hit in sorted(hits, key=lambda hit: (-len(hit.text), hit.kind not in labelled, hit.start)):
        if not any(hit.overlaps(other) for other in separate):
            separate.append(hit)
    return sorted(separate, key=lambda hit: hit.start)


def _by_presidio(text: str) -> list[Hit]:
    """Return what presidio is sure of (score at least 0.4, below which any digits are an id)."""
    kinds = list(PRESIDIO_KINDS)
    options = {"language": "en", "entities": kinds, "score_threshold": 0.4}
    rows = _presidio().analyze(text=text, **options)
    return [Hit(PRESIDIO_KINDS[r.entity_type], r.start, text[r.start : r.end]) for r in rows]


@cache
def _presidio() -> Any:
    """Return presidio's pattern recognizers over a plain tokenizer, without network access."""
    try:
        import tldextract.tldextract
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    except ImportError:
        do = 'pip install "medinstruct[privacy]", or set phi_engine: rules.'
        raise UserError("presidio is not installed.", got="phi_engine: presidio", do=do) from None
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    tldextract.tldextract.TLD_EXTRACTOR.suffix_list_urls = ()  # the list it ships, none from afar
    dates = NerModelConfiguration(labels_to_ignore=["DATE", "TIME", "DATE_TIME"])
    engine = SpacyNlpEngine(ner_model_configuration=dates)
    engine.nlp = {"en": _tokenizer()}
    return AnalyzerEngine(nlp_engine=engine)


def _tokenizer() -> Any:
    """Return spaCy's tokenizer with words as lemmas, among which presidio looks for its cues."""
    import spacy
    from spacy.language import Language

    def words_as_lemmas(doc: Any) -> Any:
        for token in doc:
            token.lemma_ = token.lower_
        return doc

    Language.component("words_as_lemmas", func=words_as_lemmas)
    nlp = spacy.blank("en")
    nlp.add_pipe("words_as_lemmas")
    return nlp


def masked(text: str, hits: Iterable[Hit]) -> str:
    """Hide all but the first character of each word of the identifiers.

    >>> text = "Mr. Oskar Trell, seen on 14 March 2023"
    >>> masked(text, find_identifiers(text))
    'Mr. O•••• T••••, seen on 1• M•••• 2•••'
    """
    for hit in hits:
        text = text[: hit.start] + re.sub(r"(?<=\w)\w", "•", hit.text) + text[hit.end :]
    return text


def counted(hits: Sequence[Hit]) -> list[bool]:
    """Return which hits count: a day without a year does so only beside another identifier.

    >>> texts = ("On 2 July it hurt.", "Mr. Oskar Trell came on 2 July.", "Born 2 July 1961.")
    >>> [counted(find_identifiers(text)) for text in texts]
    [[False], [True, True], [True]]
    """
    has_other = not all(_is_yearless(hit) for hit in hits)
    return [has_other or not _is_yearless(hit) for hit in hits]


def _is_yearless(hit: Hit) -> bool:
    return hit.kind == "date" and not re.search(r"\d{4}|\d[-/.]\d+[-/.]\d", hit.text)


def scan_identifiers(
    texts: Mapping[str, str], *, engine: str = "rules", mask: bool = True
) -> pd.DataFrame:
    """Return one row a hit in named texts: where, kind, text, counted, context; masked by default.

    An unmasked list of identifiers would itself be a leak.
    """
    rows = []
    for where, text in texts.items():
        hits = find_identifiers(text, engine=engine)
        page = masked(text, hits) if mask else text
        for hit, counts in zip(hits, counted(hits), strict=True):
            around = " ".join(page[max(hit.start - 40, 0) : hit.end + 40].split())
            rows.append((where, hit.kind, page[hit.start : hit.end], counts, around))
    table = pd.DataFrame(rows, columns=["where", "kind", "text", "counted", "around"])
    return table.astype({"counted": bool})


def phi_snippets(split: str = "") -> list[dict]:
    """Return the shipped labelled snippets of a split, or all.

    develop: the rules were tuned on it; held_out: not used for tuning, same writer; hard: written
    to break the rules.
    """
    rows = [row for _, row in records.rows(paths.data("phi_snippets.jsonl"))]
    return [row for row in rows if split in ("", row["split"])]


def phi_accuracy(snippets: Iterable[Mapping], *, engine: str = "rules") -> pd.DataFrame:
    """Return recall and precision by kind with Wilson intervals; overlap of one kind is a match."""
    counts = {kind: [0, 0, 0, 0] for kind in rules()}  # labels, recalled, hits, right
    for row in snippets:
        hits = find_identifiers(row["text"], engine=engine)
        gold = [Hit(**label) for label in row["found"]]
        for place, (wanted, others) in ((0, (gold, hits)), (2, (hits, gold))):
            for hit in wanted:
                matches = any(hit.kind == other.kind and hit.overlaps(other) for other in others)
                counts[hit.kind][place] += 1
                counts[hit.kind][place + 1] += matches
    counts["all"] = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = {}
    for kind, (labels, recalled, hits, right) in counts.items():
        rows[kind] = {"labels": labels, "hits": hits}
        for name, share in (
            ("recall", stats.wilson(recalled, labels)),
            ("precision", stats.wilson(right, hits)),
        ):
            ends = {f"{name}_low": share.low, f"{name}_high": share.high}
            rows[kind] |= {name: share.share} | ends
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("kind")


def notebook_texts(path: str | Path) -> dict[str, str]:
    """Return the output texts of a notebook by cell, or the whole text of any other file."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        cells = json.loads(text)["cells"] if path.suffix == ".ipynb" else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        do = "Give a notebook or a text file."
        raise UserError(f"{path} could not be read.", got=error, do=do) from None
    if cells is None:
        return {str(path): text}
    return {
        f"{path}, cell {cell.get('id', number)}": "\n".join(
            part for output in cell.get("outputs", []) for part in _output_texts(output)
        )
        for number, cell in enumerate(cells)
    }


def _output_texts(output: Mapping) -> list[str]:
    parts = [output.get("text", ""), *output.get("traceback", [])]
    parts += [value for kind, value in output.get("data", {}).items() if kind in OUTPUT_TYPES]
    return ["".join(part) if isinstance(part, list) else str(part) for part in parts]


def main(files: list[str]) -> int:
    """Write masked hits to the error stream; return 1 for any hit, 2 for an unreadable file."""
    try:
        tables = [scan_identifiers(notebook_texts(file)) for file in files]
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    hits = pd.concat(tables).query("counted") if tables else pd.DataFrame()
    for row in hits.itertuples():
        sys.stderr.write(f"{row.where}: {row.kind} {row.text!r}\n")
    return int(len(hits) > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
