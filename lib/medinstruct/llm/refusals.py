"""Refusals: what a server's error means, the parameter that it names, the room that it leaves."""

import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from medinstruct import paths
from medinstruct.errors import UserError

PASSING = (408, 409, 424, 425, 429, 498, *range(500, 600))  # statuses that may pass by themselves
ENDING = (None, 401, 402, 403, 404, 405, 407, 410)  # about the key, the account, model or address
KEPT = {"model", "messages", "prompt", "stream"}  # parameters that are never left out
LONGEST_WAIT = 3600.0  # seconds that a server may ask to wait; more ends a run
TEXTS = paths.load("refusals")
PATTERNS, FLAGS = TEXTS["patterns"], re.IGNORECASE | re.DOTALL | re.ASCII


def match(pattern: str, text: str) -> re.Match[str] | None:
    """Return the first place in an error's text that a pattern of data/refusals.yaml fits."""
    return re.search(pattern, text, FLAGS)


class Refused(UserError):
    """The refusal of one request; `reason` is content_filter, context or refused_by_server."""

    def __init__(self, what: str, reason: str, **more: Any) -> None:
        super().__init__(what, **more)
        self.reason = reason


class Fault(NamedTuple):
    """An error as it was read: words to show, full text, its `meaning`, and seconds to wait."""

    shown: str
    text: str
    status: int | None
    reason: str
    wait: float = 0.0

    @property
    def passes(self) -> bool:
        """Return whether the error may pass by itself."""
        is_short = self.wait <= LONGEST_WAIT
        return is_short and not self.reason and self.status in (None, *PASSING)


def asked_wait(headers: Mapping[str, str]) -> float:
    """Return the seconds that a server asks to wait, also until a date; 0 if it names none."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        with suppress(ValueError):
            return max(0.0, float(headers.get(name, "")) / unit)
    with suppress(ValueError):
        return max(0.0, parsedate_to_datetime(headers.get(name, "")).timestamp() - time.time())
    return 0.0


def meaning(text: str, status: int | None) -> tuple[int | None, str]:
    """Return the status that an error means, and why it refuses one request, "" if it does not.

    A wrong key, an empty account and an unknown model may come under any status, and what a filter
    refuses or the context does not hold under those that otherwise pass.
    """
    status = next((n for n, means in PATTERNS["means"].items() if match(means, text)), status)
    reason = next((n for n, why in PATTERNS["reasons"].items() if match(why, text)), "")
    if status and status < 400:
        return 404, ""  # a redirection that leads nowhere
    if status in ENDING or status == 429:
        return status, reason if (status, reason) == (403, "content_filter") else ""
    other = "context" if status in (413, 414) else "refused_by_server"
    return status, reason or ("" if status in PASSING else other)


def unquoted(text: str, contents: Iterable[str]) -> str:
    """Return an error's text without what it quotes of a prompt: all, or five words in a row."""
    runs, parts, end = set(), [], 0
    for content in contents:
        text = text.replace(content, "[…]") if len(content) > 10 else text
        words = re.findall(r"\w+", content.lower())
        runs.update(zip(*(words[n:] for n in range(5)), strict=False))
    for place in re.finditer(r"\b(?=(\w+(?:\W+\w+){4}))", text):  # each five words
        if tuple(re.findall(r"\w+", place[1].lower())) in runs:
            parts.append(text[end : place.start()])  # empty within a longer quotation
            end = place.end(1)
    return "".join([*parts, text[end:]])


def refused_name(text: str, sent: Mapping[str, Any]) -> str:
    """Return the parameter that an error refuses: the one it calls `param`, or the first it names.

    A penalty may lack its kind, and each name may be spelled otherwise (presencePenalty). The room
    counts only where it is no parameter at all, not for its value.
    """
    places = []
    for name in sent.keys() - KEPT:
        loose = re.sub("^(.*)_(?=penalty)", r"(\1_)?", re.escape(name)).replace("_", "[_ -]?")
        is_param = re.search(rf"""['"]param['"]: ?['"]{re.escape(name)}\b""", text)
        for place in re.finditer(rf"\b{loose}\b", text, FLAGS):
            near = text[max(0, place.start() - 120) : place.end() + 120]
            is_value = "tokens" not in name and (is_param or match(PATTERNS["value"], near))
            if is_value or match(PATTERNS["unsupported"], near):
                places.append((not is_param, place.start(), name))
    return min(places, default=("",))[-1]


def room_left(text: str, room: int, first: int) -> int:
    """Return the room for a reply that an error names, 0 for none below `room`.

    Where `room` is lower than the `first` one, it was named too large: at most half is left.
    """
    stated = next(filter(None, (match(pattern, text) for pattern in PATTERNS["room"])), None)
    groups = stated.groupdict().items() if stated else ()
    number = {name: int(digits.replace(",", "")) for name, digits in groups if digits}
    left = min(number.values(), default=0)
    if "limit" in number:
        left = number["limit"] - number.get("input", number.get("asked", 0) - room)
    left = min(left, room // 2) if room < first else left
    return left if 0 < left < room else 0
