"""Parser: replies of the teacher to tasks, or to rejects with raw text and reason."""

import json
import re
from contextlib import suppress
from itertools import zip_longest
from typing import Any

from pydantic import ValidationError

from medinstruct import paths
from medinstruct.llm import is_refusal
from medinstruct.records import Provenance, Reject, Task, as_text

FIELDS = ("type", "topic", "view", "difficulty", "style", "instruction", "input")
PATTERNS = paths.load("task_patterns")
FIELD = re.compile(PATTERNS["field"])
NEXT_ON_LINE = re.compile(PATTERNS["next_on_line"])
SEPARATOR = re.compile(PATTERNS["separator"])
FENCE = re.compile(r"```(?:jsonl?)?[ \t]*\n\s*(?=[\[{])")
TRAILING_NUMBER = re.compile(PATTERNS["trailing_number"])
QUOTES = {'"': '"', "“": "”", "**": "**", "`": "`"}
CUTS = {"stop": "", "tool_calls": "", "length": "cut at the token limit"}


def parse_tasks(
    reply: str, finish_reason: str = "stop", *, provenance: Provenance | None = None
) -> tuple[list[Task], list[Reject]]:
    """Parse a reply into tasks and rejects; nothing is dropped silently.

    Blocks and JSON are read alike. A task begins at a field that the one before already has, or at
    a separator before a field. Labels may share a line, and a task may lack Style and Input. The
    last task of a reply that was cut is rejected.
    """
    origin = provenance or Provenance()
    cut = CUTS.get(finish_reason, f"cut: {finish_reason}")
    reply = as_text(reply, where="reply")
    text = reply.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    rows, rest = _json_rows(text)
    if rows is None:
        for _ in FIELDS:
            text, count = NEXT_ON_LINE.subn(r"\1\n", text)
            if not count:
                break
        pieces = [(block, _block_fields(block)) for block in _blocks(text)]
        if cut and pieces:
            pieces[-1] = (pieces[-1][0], cut)
    else:
        raws = (as_text(json.dumps(row, ensure_ascii=False), where="row") for row in rows)
        pieces = list(zip(raws, map(_row_fields, rows), strict=True))
    if rest:
        pieces.append((rest, cut or "broken JSON"))
    if not pieces:
        pieces = [(reply, "no task in it" if reply.strip() else "empty reply")]
    tasks, rejects = [], []
    for raw, fields in pieces:
        task = fields if isinstance(fields, str) else _task(fields, origin)
        if isinstance(task, Task):
            tasks.append(task)
        else:
            rejects.append(Reject(raw=raw, reason=task, provenance=origin))
    return tasks, rejects


def _json_rows(text: str) -> tuple[list[Any] | None, str]:
    """Return the objects of a JSON reply (whole, fenced or cut) and the rest; None if not JSON."""
    fence = FENCE.search(text)
    is_fenced = fence and not FIELD.search(text[: fence.start()])
    body = text[fence.end() :].partition("\n```")[0] if is_fenced else text
    body = body.strip().removesuffix("```").strip()
    if not re.match(r"[\[{]\s*[\[{\"]", body):
        return None, ""
    with suppress(ValueError, RecursionError):
        value = json.loads(body)
        rows = value.get("tasks", [value]) if isinstance(value, dict) else value
        return (rows, "") if isinstance(rows, list) else (None, "")
    rows, end = [], re.match(r'(?:(?:\{\s*"\w+"\s*:\s*)?\[)?', body).end()
    with suppress(ValueError, RecursionError):  # of a cut list the complete objects
        while start := re.compile(r"[\s,]*(?=\{)").match(body, end):
            row, end = json.JSONDecoder().raw_decode(body, start.end())
            rows.append(row)
    rest = body[end:].strip(" \n,]}")
    return (rows, rest) if rows or rest.startswith("{") else (None, "")


def _blocks(text: str) -> list[str]:
    """Cut a reply before separators that a field follows and before fields that repeat."""
    cuts, seen = [0], set()
    marks = [*FIELD.finditer(text), *SEPARATOR.finditer(text)]
    marks.sort(key=lambda mark: (mark.start(), mark.re is FIELD))
    end = len(text.rstrip())
    for mark, following in zip_longest(marks, marks[1:]):
        name = mark.re is FIELD and mark[1].lower()
        if name in seen or (not name and _separates(text, mark, following, end)):
            cuts.append(mark.start())
            seen = set()
        seen |= {name} if name else set()
    edges = zip(cuts, [*cuts[1:], None], strict=True)
    blocks = [text[start:end].strip() for start, end in edges]
    return [block for block in blocks if re.search(r"\w", SEPARATOR.sub("", block))]


def _separates(text: str, mark: re.Match, following: re.Match | None, end: int) -> bool:
    """Return whether a separator stands before a field or at the end."""
    if mark.end() >= end:
        return True
    if following is None or following.re is SEPARATOR:
        return False
    return not text[mark.end() : following.start()].strip(" \t\n*#-=0123456789.)")


def _block_fields(block: str) -> dict[str, str] | str:
    """Return the fields of a block, or the reason why there are none."""
    marks = list(FIELD.finditer(block))
    if not marks:
        return "refused" if is_refusal(block) else "no field in it"
    ends = [*(mark.start() for mark in marks[1:]), None]
    pairs = zip(marks, ends, strict=True)
    return {mark[1].lower(): _value(block[mark.end() : end]) for mark, end in pairs}


def _row_fields(row: Any) -> dict[str, str] | str:
    """Return the fields of a JSON object, or the reason why there are none."""
    if not isinstance(row, dict):
        return "not an object"
    row = {str(key).lower(): "" if value is None else value for key, value in row.items()}
    values = {name: row[name] for name in FIELDS if name in row}
    if nested := [name for name, value in values.items() if isinstance(value, dict | list)]:
        return f"bad {nested[0]}"
    return {k: as_text(str(value), where=k).strip() for k, value in values.items()}


def _task(values: dict[str, str], origin: Provenance) -> Task | str:
    """Return the task of some fields, or what is missing or bad."""
    if not re.search(r"\binput\W{0,3}[:：]", values.get("instruction", ""), re.IGNORECASE):
        values = {"input": ""} | values
    filled = {name for name, value in values.items() if value or name == "input"}
    if missing := [name for name in FIELDS if name not in {*filled, "style"}]:
        return f"missing {', '.join(missing)}"
    level = re.fullmatch(r"\D*([1-5])(?:\.0)?(?:\s*/\s*5)?\D*", values["difficulty"])
    if not level:
        return "bad difficulty"
    try:
        return Task(**values | {"difficulty": level[1], "provenance": origin})
    except ValidationError as error:
        return f"bad {error.errors()[0]['loc'][0]}"


def _value(text: str) -> str:
    """Return a field's text without the next task's number and without quotes around all of it."""
    text = TRAILING_NUMBER.sub("", text.strip()).strip()
    for start, end in QUOTES.items():
        inner = text[len(start) : -len(end)]
        is_quoted = text.startswith(start) and text.endswith(end) and len(text) > len(start + end)
        if is_quoted and start not in inner and end not in inner:
            text = inner.strip()
    return text
