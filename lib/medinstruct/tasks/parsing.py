"""Reading a reply into tasks: each comes out whole, or goes to the rejects with its raw text and the reason."""

import re

from pydantic import ValidationError

from medinstruct.records import Provenance, Reject, Task

FIELDS = ("type", "topic", "view", "difficulty", "instruction", "input")
# A field starts a line: optional list or heading marks, a number, bold; the name; a colon, so that the words "Input" or
# "Type" inside a sentence are left alone.
FIELD = re.compile(
    r"^[ \t>*#-]*(?:\d{1,3}[.)][ \t]*)?[*_]{0,2}(type|topic|view|difficulty|instruction|input)[*_]{0,2}[ \t]*:[*_]{0,2}",
    re.IGNORECASE | re.MULTILINE,
)
SEPARATOR = re.compile(
    r"^[ \t]*(?:#{2,}|\*{3,}|-{3,})[ \t]*(?:task[ \t]*)?(?:\d{1,3}[.):]?)?[ \t]*", re.IGNORECASE | re.MULTILINE
)
REFUSED = re.compile(
    r"^\W*(?:i(?:'m| am) (?:very )?sorry|sorry|i apologi[sz]e|as an ai|unfortunately, i|i (?:can(?:no|')t|won't|am unable))\b",
    re.IGNORECASE,
)
TRAILING_NUMBER = re.compile(r"\n[ \t]*(?:task[ \t]*)?\d{1,3}[.)][ \t]*$", re.IGNORECASE)


def parse_tasks(
    reply: str, *, finish_reason: str = "stop", provenance: Provenance | None = None
) -> tuple[list[Task], list[Reject]]:
    """The tasks of a reply and what could not be used of it; nothing is dropped silently.

    A task begins where a field appears that the one before already has, or at a separator. The last task of a reply that
    was cut at the token limit is rejected, since its end is missing.

    >>> found, rejects = parse_tasks("Type: chat\\nTopic: Sleep\\nView: patient\\nDifficulty: 2\\nInstruction: Use the Input. Why?\\nInput: DNA")
    >>> found[0].instruction, found[0].input, rejects
    ('Use the Input. Why?', 'DNA', [])
    """
    origin = provenance or Provenance()
    blocks = _blocks(reply.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n"))
    tasks: list[Task] = []
    rejects: list[Reject] = []
    for n, block in enumerate(blocks):
        is_cut = finish_reason == "length" and n == len(blocks) - 1
        task, reason = (None, "cut at the token limit") if is_cut else _task(block, origin)
        if task:
            tasks.append(task)
        else:
            rejects.append(Reject(raw=block, reason=reason, provenance=origin))
    if not blocks:
        rejects.append(Reject(raw=reply, reason="empty reply" if not reply.strip() else "no task in it", provenance=origin))
    return tasks, rejects


def _blocks(text: str) -> list[str]:
    """Cut a reply before each separator and before each field that repeats one of the running task."""
    cuts, seen = [], set()
    marks = sorted([*FIELD.finditer(text), *SEPARATOR.finditer(text)], key=lambda mark: mark.start())
    for mark in marks:
        name = mark.group(1).lower() if mark.re is FIELD else ""
        if not name or name in seen:
            cuts.append(mark.start())
            seen = set()
        seen |= {name} - {""}
    edges = [0, *cuts, len(text)]
    pieces = [text[a:b].strip() for a, b in zip(edges, edges[1:], strict=False)]
    return [piece for piece in pieces if re.search(r"\w", SEPARATOR.sub("", piece))]


def _task(block: str, origin: Provenance) -> tuple[Task | None, str]:
    """One task from one block, or the reason why not."""
    marks = list(FIELD.finditer(block))
    if not marks:
        return None, "refused" if REFUSED.match(block) else "no field in it"
    ends = [*(mark.start() for mark in marks[1:]), len(block)]
    values = {mark.group(1).lower(): _value(block[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)}
    missing = [name for name in FIELDS if name not in values or (not values[name] and name != "input")]
    if missing:
        return None, f"missing {', '.join(missing)}"
    level = re.search(r"\d+", values["difficulty"])
    try:
        return Task.model_validate(values | {"difficulty": level.group() if level else "", "provenance": origin}), ""
    except ValidationError as error:
        return None, f"bad {error.errors()[0]['loc'][0]}"


def _value(text: str) -> str:
    text = TRAILING_NUMBER.sub("", text.strip()).strip()
    for mark in ("**", '"'):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark) and text.count(mark) == 2:
            text = text[len(mark) : -len(mark)].strip()
    return text
