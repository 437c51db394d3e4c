"""What could name a person, in seeds, tasks, answers and notebook outputs: our own recognisers, or presidio where it is installed.

`python -m medinstruct.audits.phi FILE…` is the check before a commit: it lists what it finds and ends with 1 on a hit.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from medinstruct import paths, records, stats
from medinstruct.audits.presidio import found_by_presidio
from medinstruct.audits.recognizers import NOT_NAMES, RULES, compiled
from medinstruct.errors import UserError

KINDS = tuple(RULES)
LABELLED = ("record", "id")
MOST = 200_000  # characters of one text that are searched; a longer one is cut into pieces
SHARED = (
    1000  # characters that two pieces share, so that no cut goes through an identifier and its cue
)
SHOWN = {"text/plain", "text/html", "text/markdown"}


class Hit(NamedTuple):
    """One identifier: its kind, where it stands in the text, and what it says."""

    kind: str
    start: int
    text: str


def find_identifiers(text: str, *, engine: str = "rules") -> list[Hit]:
    """What in a text could name a person, in order, each place once; `engine` is rules, or presidio on top of them.

    >>> [(hit.kind, hit.text) for hit in find_identifiers("Mr. Oskar Trell, MRN 00482913, was seen on 14 March 2023.")]
    [('name', 'Oskar Trell'), ('record', '00482913'), ('date', '14 March 2023')]
    >>> find_identifiers("Graves disease at the age of 54; blood pressure 142/88.")
    []
    """
    if engine not in ("rules", "presidio"):
        raise UserError("There is no such engine.", got=engine, do="Choose rules or presidio.")
    found: list[Hit] = []
    for start in range(0, max(len(text) - SHARED, 1), MOST - SHARED):
        piece = text[start : start + MOST]
        ours = _by_rules(piece)
        more = [Hit(*one) for one in found_by_presidio(piece)] if engine == "presidio" else []
        # where both see something and call it by two names, ours stands
        more = [
            hit
            for hit in more
            if not any(hit.kind != one.kind and _overlap(hit, one) for one in ours)
        ]
        found += [hit._replace(start=hit.start + start) for hit in ours + more]
    return _apart(found)


def masked(text: str, hits: Iterable[Hit]) -> str:
    """The text with its identifiers unreadable: of each word the first sign is kept, so that it can be found and not be read.

    >>> text = "Mr. Oskar Trell, seen on 14 March 2023"
    >>> masked(text, find_identifiers(text))
    'Mr. O•••• T••••, seen on 1• M•••• 2•••'
    """
    for hit in hits:
        hidden = re.sub(r"(?<=\w)\w", "•", hit.text)
        text = text[: hit.start] + hidden + text[hit.start + len(hit.text) :]
    return text


def counted(hits: Sequence[Hit]) -> list[bool]:
    """Which hits of one text could name somebody: a day without its year does so only beside another identifier.

    "On 2 July her knee became painful" in a teaching case is about nobody; with a name, a record number or a full date it is.

    >>> [counted(find_identifiers(text)) for text in ("On 2 July it was painful.", "Mr. Oskar Trell came on 2 July.", "Born 2 July 1961.")]
    [[False], [True, True], [True]]
    """
    alone = all(_yearless(hit) for hit in hits)
    return [not (alone and _yearless(hit)) for hit in hits]


def scan_identifiers(
    texts: Mapping[str, str], *, engine: str = "rules", mask: bool = True
) -> pd.DataFrame:
    """One row a hit over named texts: where, kind, text, whether it is `counted`, and the words around it, for human eyes.

    Masked unless told otherwise, since a list of what was found would itself give it away.
    """
    rows = []
    for where, text in texts.items():
        hits = find_identifiers(text, engine=engine)
        shown = masked(text, hits) if mask else text
        for (kind, start, said), counts in zip(hits, counted(hits), strict=True):
            end = start + len(said)
            rows.append(
                (
                    where,
                    kind,
                    shown[start:end],
                    counts,
                    " ".join(shown[max(start - 40, 0) : end + 40].split()),
                )
            )
    return pd.DataFrame(rows, columns=["where", "kind", "text", "counted", "around"]).astype(
        {"counted": bool}
    )


def phi_snippets(split: str = "") -> list[dict]:
    """The labelled snippets that ship; `split` is develop (the rules were tuned on it), held_out (not looked at while tuning, but by
    the same writer), hard (written to break the rules, odd spelling and no cue, and not tuned on), or "" for all."""
    return [
        row
        for _, row in records.rows(paths.data("phi_snippets.jsonl"))
        if not split or row["split"] == split
    ]


def phi_accuracy(labelled: Iterable[Mapping], *, engine: str = "rules") -> pd.DataFrame:
    """Recall and precision a kind and in all, with Wilson intervals; a hit counts where it overlaps a label of its kind."""
    counts = {kind: [0, 0, 0, 0] for kind in KINDS}  # labels, of them found, hits, of them right
    for row in labelled:
        hits, gold = (
            find_identifiers(row["text"], engine=engine),
            [Hit(**label) for label in row["found"]],
        )
        for one in gold:
            counts[one.kind][0] += 1
            counts[one.kind][1] += any(_meet(one, hit) for hit in hits)
        for hit in hits:
            counts[hit.kind][2] += 1
            counts[hit.kind][3] += any(_meet(hit, one) for one in gold)
    counts["all"] = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = {kind: _shares(*numbers) for kind, numbers in counts.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("kind")


def notebook_texts(path: str | Path) -> dict[str, str]:
    """What the outputs of a notebook show, by cell; of any other file its whole text."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        cells = json.loads(text)["cells"] if path.suffix == ".ipynb" else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} could not be read.", got=error, do="Give a notebook or a text file."
        ) from None
    if cells is None:
        return {str(path): text}
    return {
        f"{path}, cell {cell.get('id', number)}": "\n".join(
            part for output in cell.get("outputs", []) for part in _shown(output)
        )
        for number, cell in enumerate(cells)
    }


def main(files: list[str]) -> int:
    """List the hits of all files, masked, on the error stream; 1 where there is any, 2 where a file could not be read."""
    try:
        found = [scan_identifiers(notebook_texts(file)) for file in files]
    except UserError as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    hits = pd.concat(found).query("counted") if found else pd.DataFrame()
    for row in hits.itertuples():
        sys.stderr.write(f"{row.where}: {row.kind} {row.text!r}\n")
    return int(len(hits) > 0)


def _by_rules(text: str) -> list[Hit]:
    found = []
    for kind in KINDS:
        for pattern in compiled(kind):
            for match in pattern.finditer(text):
                if kind != "name" or _is_name(match["hit"], text[match.end("hit") :][:20]):
                    found.append(Hit(kind, match.start("hit"), match["hit"].rstrip(" \t-")))
    return found


def _is_name(words: str, after: str) -> bool:
    """Whether words where a name could stand are one, by themselves and with the word that follows."""
    follows = re.match(r"[ \t]+\w+", after)
    return bool(re.search(r"\w\w", words)) and not NOT_NAMES.search(
        words + (follows.group() if follows else "")
    )


def _apart(hits: list[Hit]) -> list[Hit]:
    """Of hits that overlap the longest, and of equal ones that which a label before it names; in the order of the text."""
    kept: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (-len(hit.text), hit.kind not in LABELLED, hit.start)):
        if not any(_overlap(hit, one) for one in kept):
            kept.append(hit)
    return sorted(kept, key=lambda hit: hit.start)


def _overlap(one: Hit, other: Hit) -> bool:
    return one.start < other.start + len(other.text) and other.start < one.start + len(one.text)


def _meet(one: Hit, other: Hit) -> bool:
    return one.kind == other.kind and _overlap(one, other)


def _yearless(hit: Hit) -> bool:
    return hit.kind == "date" and not re.search(r"\d{4}|\d[-/.]\d+[-/.]\d", hit.text)


def _shares(labels: int, found: int, hits: int, right: int) -> dict[str, float]:
    recall, precision = stats.wilson(found, labels), stats.wilson(right, hits)
    return {
        "labels": labels,
        "recall": recall.share,
        "recall_low": recall.low,
        "recall_high": recall.high,
        "hits": hits,
        "precision": precision.share,
        "precision_low": precision.low,
        "precision_high": precision.high,
    }


def _shown(output: Mapping) -> list[str]:
    parts = [output.get("text", ""), *output.get("traceback", [])]
    parts += [value for kind, value in output.get("data", {}).items() if kind in SHOWN]
    return ["".join(part) if isinstance(part, list) else str(part) for part in parts]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
