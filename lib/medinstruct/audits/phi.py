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

from medinstruct import paths, records, stats
from medinstruct.errors import UserError

PIECE = 200_000  # characters searched at once; a longer text is cut into overlapping pieces
OVERLAP = 1000  # so that no cut goes through an identifier and its cue
OUTPUT_TYPES = {"text/plain", "text/html", "text/markdown"}


class Hit(NamedTuple):
    """One identifier: its kind, start in the text, and words."""

    kind: str
    start: int
    text: str

    def overlaps(self, other: "Hit") -> bool:
        """Return whether two hits share a character."""
        ends = self.start + len(self.text), other.start + len(other.text)
        return self.start < ends[1] and other.start < ends[0]


@cache
def rules() -> dict[str, list[re.Pattern[str]]]:
    """Return the patterns by kind of identifier (data/phi_rules.yaml)."""
    content = paths.load("phi_rules")

    def expand(pattern: str) -> str:
        while "<<" in pattern:
            pattern = re.sub(r"<<(\w+)>>", lambda m: content["fragments"][m[1]], pattern)
        return pattern

    return {kind: [re.compile(expand(p)) for p in rows] for kind, rows in content["rules"].items()}


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
        more = [m for m in more if not any(m.kind != o.kind and m.overlaps(o) for o in own)]
        hits += [hit._replace(start=hit.start + start) for hit in own + more]
    return _without_overlaps(hits)


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
    return bool(re.search(r"\w\w", words)) and not re.search(
        paths.load("phi_rules")["not_names"], phrase
    )


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
    kinds = paths.load("phi_rules")["presidio"]
    options = {"language": "en", "entities": list(kinds), "score_threshold": 0.4}
    rows = _presidio().analyze(text=text, **options)
    return [Hit(kinds[row.entity_type], row.start, text[row.start : row.end]) for row in rows]


@cache
def _presidio() -> Any:
    """Return presidio's pattern recognizers over a plain tokenizer, without network access."""
    try:
        import spacy
        import tldextract.tldextract
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    except ImportError:
        do = 'pip install "medinstruct[privacy]", or set phi_engine: rules.'
        raise UserError("presidio is not installed.", got="phi_engine: presidio", do=do) from None

    @spacy.Language.component("words_as_lemmas")  # presidio looks for its cues among the lemmas
    def words_as_lemmas(doc: Any) -> Any:
        for token in doc:
            token.lemma_ = token.lower_
        return doc

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    tldextract.tldextract.TLD_EXTRACTOR.suffix_list_urls = ()  # the list it ships, none from afar
    dates = NerModelConfiguration(labels_to_ignore=["DATE", "TIME", "DATE_TIME"])
    engine = SpacyNlpEngine(ner_model_configuration=dates)
    engine.nlp = {"en": spacy.blank("en")}
    engine.nlp["en"].add_pipe("words_as_lemmas")
    return AnalyzerEngine(nlp_engine=engine)


def masked(text: str, hits: Iterable[Hit]) -> str:
    """Hide all but the first character of each word of the identifiers.

    >>> text = "Mr. Oskar Trell, seen on 14 March 2023"
    >>> masked(text, find_identifiers(text))
    'Mr. O•••• T••••, seen on 1• M•••• 2•••'
    """
    for hit in hits:
        hidden = re.sub(r"(?<=\w)\w", "•", hit.text)
        text = text[: hit.start] + hidden + text[hit.start + len(hidden) :]
    return text


def counted(hits: Sequence[Hit]) -> list[bool]:
    """Return which hits count: a day without a year does so only beside another identifier.

    >>> texts = ("On 2 July it hurt.", "Mr. Oskar Trell came on 2 July.", "Born 2 July 1961.")
    >>> [counted(find_identifiers(text)) for text in texts]
    [[False], [True, True], [True]]
    """
    year = re.compile(r"\d{4}|\d[-/.]\d+[-/.]\d")
    yearless = [hit.kind == "date" and not year.search(hit.text) for hit in hits]
    return [not alone or not all(yearless) for alone in yearless]


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
            end = hit.start + len(hit.text)
            around = " ".join(page[max(hit.start - 40, 0) : end + 40].split())
            rows.append((where, hit.kind, page[hit.start : end], counts, around))
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
    rows = []
    for snippet in snippets:
        hits = find_identifiers(snippet["text"], engine=engine)
        gold = [Hit(**label) for label in snippet["found"]]
        for measure, wanted, others in (("recall", gold, hits), ("precision", hits, gold)):
            for hit in wanted:
                right = any(hit.kind == other.kind and hit.overlaps(other) for other in others)
                rows.append((hit.kind, measure, right))
    frame, table = pd.DataFrame(rows, columns=["kind", "measure", "right"]), {}
    for kind in (*rules(), "all"):
        part, table[kind] = frame[frame["kind"].eq(kind) | (kind == "all")], {}
        for measure, size in (("recall", "labels"), ("precision", "hits")):
            right = part.loc[part["measure"] == measure, "right"]
            share = stats.wilson(int(right.sum()), len(right))
            ends = {f"{measure}_low": share.low, f"{measure}_high": share.high}
            table[kind] |= {size: len(right), measure: share.share} | ends
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("kind")


def notebook_texts(path: str | Path) -> dict[str, str]:
    """Return the output texts of a notebook by cell, or the whole text of any other file."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix != ".ipynb":
            return {str(path): text}
        cells = json.loads(text)["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        do = "Give a notebook or a text file."
        raise UserError(f"{path} could not be read.", got=error, do=do) from None
    return {f"{path}, cell {cell.get('id', n)}": _output_text(cell) for n, cell in enumerate(cells)}


def _output_text(cell: Mapping[str, Any]) -> str:
    parts = []
    for output in cell.get("outputs", []):
        parts += [output.get("text", ""), *output.get("traceback", [])]
        parts += [part for kind, part in output.get("data", {}).items() if kind in OUTPUT_TYPES]
    return "\n".join("".join(part) for part in parts)


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
