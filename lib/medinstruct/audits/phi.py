"""Protected health information (PHI): identifiers in texts, found by rule and shown masked."""

import re
from collections import namedtuple
from collections.abc import Iterable, Mapping
from functools import cache

import pandas as pd

from medinstruct import cues, parallel, paths, records, stats

PIECE = 10_000  # characters searched at once; a longer text is cut into overlapping pieces
OVERLAP = 1000  # so that no cut goes through an identifier and its cue
CHECKS = {
    "mod23": lambda n: "TRWAGMYFPDXBNJZSQVHLCKE"[n % 23],
    "mod97": lambda n: f"{97 - n % 97:02}",
}
LETTERS = str.maketrans("XYZ", "012")  # of a Spanish NIE
YEAR = re.compile(r"\d{4}|\d[-/.]\d+[-/.]\d")


class Hit(namedtuple("Hit", "kind start text")):
    """One identifier: its kind, start in the text, and words."""

    def overlaps(self, other: "Hit") -> bool:
        """Return whether two hits share a character."""
        ends = self.start + len(self.text), other.start + len(other.text)
        return self.start < ends[1] and other.start < ends[0]


@cache
def rules() -> dict[str, list[re.Pattern[str]]]:
    """Return the patterns by kind (data/phi_rules.yaml)."""
    content = paths.load("phi_rules")

    def expand(pattern: str) -> str:
        while "<<" in pattern:
            pattern = re.sub(r"<<(\w+)>>", lambda m: content["fragments"][m[1]], pattern)
        return pattern

    return {k: [re.compile(expand(p)) for p in rows] for k, rows in content["rules"].items()}


def find_identifiers(text: str) -> list[Hit]:
    """Return the identifiers in a text, in order; of overlapping ones the longest."""
    hits: list[Hit] = []
    for start in range(0, max(len(text) - OVERLAP, 1), PIECE - OVERLAP):
        piece = text[start : start + PIECE]
        hits += [hit._replace(start=hit.start + start) for hit in _matches(piece)]
    separate, taken = [], bytearray(len(text))
    labeled = ("record", "id")  # of equally long hits those with a label before them
    for hit in sorted(hits, key=lambda hit: (-len(hit.text), hit.kind not in labeled, hit.start)):
        place = slice(hit.start, hit.start + len(hit.text))
        if not any(taken[place]):
            taken[place] = b"\1" * len(hit.text)
            separate.append(hit)
    return sorted(separate, key=lambda hit: hit.start)


def _matches(text: str) -> list[Hit]:
    """Return the hits of all rules, overlapping ones too, without words that are not names."""
    hits, not_names = [], paths.load("phi_rules")["not_names"]
    kinds = {pattern: kind for kind, patterns in rules().items() for pattern in patterns}
    for pattern in cues.possible(kinds, text):
        for match in pattern.finditer(text):
            kind, words, end = kinds[pattern], match["hit"], match.end("hit")
            wider = words + re.match(r"([ \t]+\w+)?", text[end : end + 20])[0]
            is_name = re.search(r"\w\w|[가-힣]", words) and not re.search(not_names, wider)
            if _has_check(match) if kind != "name" else is_name:
                hits.append(Hit(kind, match.start("hit"), words.rstrip(" \t-")))
    return hits


def _has_check(match: re.Match[str]) -> bool:
    """Return whether a number ends with its check letter or key, if its rule demands one."""
    for name, check in CHECKS.items():
        if number := match.groupdict().get(name):
            number = number.replace("2A", "19").replace("2B", "18").translate(LETTERS)
            end = check(int(re.sub(r"\D", "", number)))
            return re.sub(r"\W", "", match["hit"]).endswith(end)
    return True


def masked(text: str, hits: Iterable[Hit]) -> str:
    """Hide all but the first character of each word of the identifiers."""
    characters = list(text)
    for hit in hits:
        hidden = re.sub(r"(?<=\w)\w", "•", hit.text)
        characters[hit.start : hit.start + len(hidden)] = hidden
    return "".join(characters)


def scan_identifiers(texts: Mapping[str, str], *, mask: bool = True) -> pd.DataFrame:
    """Return one row a hit in named texts: where, kind, text, counted, context; masked by default.

    An unmasked list of identifiers would itself be a leak. A day without a year is counted only
    beside another identifier.
    """
    rows, every = [], parallel.remembered(find_identifiers, [*texts.values()])
    for (where, text), hits in zip(texts.items(), every, strict=True):
        page = masked(text, hits) if hits and mask else text
        counted = any(hit.kind != "date" or YEAR.search(hit.text) for hit in hits)
        for hit in hits:
            end = hit.start + len(hit.text)
            around = " ".join(page[max(hit.start - 40, 0) : end + 40].split())
            rows.append((where, hit.kind, page[hit.start : end], counted, around))
    table = pd.DataFrame(rows, columns=["where", "kind", "text", "counted", "around"])
    return table.astype({"counted": bool})


def phi_snippets(split: str = "", language: str = "en") -> list[dict]:
    """Return labeled snippets of a split: develop (tuned on), held_out, hard; or all."""
    name = "phi_snippets" if language == "en" else "phi_snippets_other"
    rows = [{"language": "en"} | row for _, row in records.rows(paths.data(f"{name}.jsonl"))]
    return [r for r in rows if split in ("", r["split"]) and r["language"] == language]


def phi_accuracy(snippets: Iterable[Mapping]) -> pd.DataFrame:
    """Return recall and precision by kind, with intervals over snippets, which are independent."""
    rows = []
    for number, snippet in enumerate(snippets):
        hits = find_identifiers(snippet["text"])
        gold = [Hit(**label) for label in snippet["found"]]
        for measure, wanted, others in (("recall", gold, hits), ("precision", hits, gold)):
            for hit in wanted:
                right = any(hit.kind == other.kind and hit.overlaps(other) for other in others)
                rows += [(kind, measure, number, right) for kind in (hit.kind, "all")]
    frame = pd.DataFrame(rows, columns=["kind", "measure", "snippet", "right"])
    table: dict[str, dict[str, float]] = {kind: {} for kind in (*rules(), "all")}
    for kind, row in table.items():
        for measure, size in (("recall", "labels"), ("precision", "hits")):
            part = frame[frame["kind"].eq(kind) & frame["measure"].eq(measure)]
            by_snippet = part.groupby("snippet")["right"].agg(["sum", "size"])
            share, low, high = stats.share_of_sums(by_snippet["sum"], by_snippet["size"])
            row |= {measure: share, f"{measure}_low": low, f"{measure}_high": high, size: len(part)}
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("kind")
