"""Reading a reply into tasks: each comes out whole, or goes to the rejects with its raw text and the reason."""

import json
import re
from itertools import zip_longest
from typing import Any

from pydantic import ValidationError

from medinstruct.llm import is_refusal
from medinstruct.records import Provenance, Reject, Task

FIELDS = ("type", "topic", "view", "difficulty", "instruction", "input")
# A field starts a line: optional list or heading marks, a number, bold; the name; a colon, so that the words "Input" or
# "Type" inside a sentence are left alone. Without a colon a name counts only where it stands alone on its line.
NAME = r"(?:(?P<{0}>type|topic|view|difficulty|instruction|input))"
MARKS = r"^[ \t>*#-]*(?:(?:task[ \t]*)?\d{1,4}[.):][ \t]*)?[*_`\"]{0,3}"
FIELD = re.compile(
    rf"{MARKS}{NAME.format('a')}(?:[ \t]+level)?[*_`\"]{{0,3}}[ \t]*[:：][*_`]{{0,3}}"
    rf"|{MARKS}{NAME.format('b')}[*_`]{{0,3}}[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
# Rulers and numbered heads between tasks. A number alone at the start of a line is a head only before a field.
SEPARATOR = re.compile(
    r"^[ \t]*(?:(?:#{2,}|\*{3,}|-{3,}|={3,})[ \t]*(?:\*\*)?[ \t]*(?:task[ \t]*)?(?:\d{1,4}[.):]?)?|\*\*(?:task[ \t]*)?\d{1,4}[.):]?\*\*|task[ \t]+\d{1,4}[.):]?)"
    r"[ \t*]*$|^[ \t]*#{2,}[ \t]*\d{1,4}[.):]",
    re.IGNORECASE | re.MULTILINE,
)
TRAILING_NUMBER = re.compile(
    r"\n[ \t]*(?:#{1,6}[ \t]*)?(?:task[ \t]*)?\d{1,4}[.)]?[ \t]*$", re.IGNORECASE
)
QUOTES = {'"': '"', "“": "”", "**": "**", "`": "`"}


def parse_tasks(
    reply: str, *, finish_reason: str = "stop", provenance: Provenance | None = None
) -> tuple[list[Task], list[Reject]]:
    """The tasks of a reply and what could not be used of it; nothing is dropped silently.

    Blocks and JSON are read alike. A task begins where a field appears that the one before already has, or at a separator
    before a field. The last task of a reply that was cut at the token limit is rejected, since its end is missing.

    >>> found, rejects = parse_tasks("Type: chat\\nTopic: Sleep\\nView: patient\\nDifficulty: 2\\nInstruction: Use the Input. Why?\\nInput: DNA")
    >>> found[0].instruction, found[0].input, rejects
    ('Use the Input. Why?', 'DNA', [])
    """
    origin = provenance or Provenance()
    text = reply.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    rows, tail = _json_rows(text)
    pieces = (
        [(json.dumps(row, ensure_ascii=False), row) for row in rows]
        if rows is not None
        else [(b, None) for b in _blocks(text)]
    )
    cut = {"stop": "", "tool_calls": "", "length": "cut at the token limit"}.get(
        finish_reason, f"cut: {finish_reason}"
    )
    tasks: list[Task] = []
    rejects: list[Reject] = []
    for n, (raw, row) in enumerate(pieces):
        is_cut = bool(cut) and n == len(pieces) - 1 and rows is None
        task, reason = (
            (None, cut)
            if is_cut
            else _from_row(row, origin)
            if rows is not None
            else _task(raw, origin)
        )
        if task:
            tasks.append(task)
        else:
            rejects.append(Reject(raw=raw, reason=reason, provenance=origin))
    if tail:
        rejects.append(Reject(raw=tail, reason=cut or "broken JSON", provenance=origin))
    if not pieces and not tail:
        rejects.append(
            Reject(
                raw=reply,
                reason="empty reply" if not reply.strip() else "no task in it",
                provenance=origin,
            )
        )
    return tasks, rejects


def _json_rows(text: str) -> tuple[list[Any] | None, str]:
    """The objects of a JSON reply (whole, fenced, or cut in the middle) and what is left after them; None where it is no JSON."""
    body = re.sub(r"^\s*```(?:json)?\s*\n|\n\s*```\s*$", "", text).strip()
    if not re.match(r"[\[{]\s*[\[{\"]", body):
        return None, ""
    try:
        value = json.loads(body)
    except (json.JSONDecodeError, RecursionError):
        return _whole_objects(body)
    rows = value.get("tasks", [value]) if isinstance(value, dict) else value
    return (rows, "") if isinstance(rows, list) else (None, "")


def _whole_objects(body: str) -> tuple[list[Any] | None, str]:
    """The objects that are complete in a JSON text that is not, and the broken rest."""
    start = body.find("[")
    rows: list[Any] = []
    at = start + 1
    while (
        start >= 0
        and (found := re.compile(r"[\s,]*").match(body, at))
        and body[found.end() : found.end() + 1] == "{"
    ):
        try:
            row, at = json.JSONDecoder().raw_decode(body, found.end())
        except (json.JSONDecodeError, RecursionError):
            break
        rows.append(row)
    rest = body[at:].strip(" \n,]}")
    return (rows, rest) if rows or rest.startswith("{") else (None, "")


def _from_row(row: Any, origin: Provenance) -> tuple[Task | None, str]:
    """One task from one JSON object, or the reason why not."""
    if not isinstance(row, dict):
        return None, "not an object"
    values = {str(key).lower(): "" if value is None else value for key, value in row.items()}
    if nested := [name for name in FIELDS if isinstance(values.get(name), dict | list)]:
        return None, f"bad {nested[0]}"
    return _made({name: str(values[name]).strip() for name in FIELDS if name in values}, origin)


def _blocks(text: str) -> list[str]:
    """Cut a reply before each separator that a field follows, and before each field that repeats one of the running task."""
    cuts, seen = [], set()
    marks = sorted(
        [*FIELD.finditer(text), *SEPARATOR.finditer(text)],
        key=lambda mark: (mark.start(), mark.re is FIELD),
    )
    for mark, after in zip_longest(marks, marks[1:]):
        if mark.re is SEPARATOR:
            follows = (
                after is not None
                and after.re is FIELD
                and not text[mark.end() : after.start()].strip(" \t\n*#-=0123456789.)")
            )
            if follows or not text[mark.end() :].strip():
                cuts.append(mark.start())
                seen = set()
            continue
        name = _name(mark)
        if name in seen:
            cuts.append(mark.start())
            seen = set()
        seen.add(name)
    edges = [0, *cuts, len(text)]
    pieces = [text[a:b].strip() for a, b in zip(edges, edges[1:], strict=False)]
    return [piece for piece in pieces if re.search(r"\w", SEPARATOR.sub("", piece))]


def _task(block: str, origin: Provenance) -> tuple[Task | None, str]:
    """One task from one block, or the reason why not."""
    marks = list(FIELD.finditer(block))
    if not marks:
        return None, "refused" if is_refusal(block) else "no field in it"
    ends = [*(mark.start() for mark in marks[1:]), len(block)]
    return _made(
        {
            _name(mark): _value(block[mark.end() : end])
            for mark, end in zip(marks, ends, strict=True)
        },
        origin,
    )


def _made(values: dict[str, str], origin: Provenance) -> tuple[Task | None, str]:
    """The task of some fields, or what is missing or bad about them."""
    missing = [
        name for name in FIELDS if name not in values or (not values[name] and name != "input")
    ]
    if missing:
        return None, f"missing {', '.join(missing)}"
    level = re.fullmatch(r"\D*([1-5])(?:\s*/\s*5)?\D*", values["difficulty"])
    if not level:
        return None, "bad difficulty"
    try:
        return Task.model_validate(
            values | {"difficulty": level.group(1), "provenance": origin}
        ), ""
    except ValidationError as error:
        return None, f"bad {error.errors()[0]['loc'][0]}"


def _name(mark: re.Match[str]) -> str:
    return (mark.group("a") or mark.group("b")).lower()


def _value(text: str) -> str:
    """The text of a field without what belongs to the next task, and without quotes around all of it."""
    text = TRAILING_NUMBER.sub("", text.strip()).strip()
    for start, end in QUOTES.items():
        inner = text[len(start) : -len(end)]
        if (
            text.startswith(start)
            and text.endswith(end)
            and len(text) > len(start + end)
            and start not in inner
            and end not in inner
        ):
            text = inner.strip()
    return text
