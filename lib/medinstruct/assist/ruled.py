"""What the rules of this chapter say, as data for the page: ways of working, emergencies, and what stands out in an answer."""

from typing import Any

from medinstruct import review
from medinstruct.assist.checking import Checked, checked, criticals
from medinstruct.assist.live import Answer, Live
from medinstruct.assist.panels import read_panel
from medinstruct.assist.redflags import emergencies
from medinstruct.assist.ways import HEADING, WAYS

FREE = {
    "name": "",
    "title": "Free question",
    "readers": [],
    "responsibility": "Whoever asks answers for what is done with the answer.",
}


def ways() -> list[dict[str, Any]]:
    """A free question, and the five ways of working with their readers."""
    named = [
        {
            "name": way.name,
            "title": way.title,
            "readers": list(way.readers),
            "responsibility": way.responsibility,
        }
        for way in WAYS.values()
    ]
    return [FREE, *named]


def worded(way: str, text: str, *, reader: str = "") -> tuple[str, str]:
    """(instruction, input) of a question in a way of working; a case without a question gets the way's own.

    >>> worded("", "What helps against asthma?")
    ('What helps against asthma?', '')
    """
    if way not in WAYS:
        return HEADING.sub("", text), ""
    return WAYS[way].task(text if "?" in text else "", "" if "?" in text else text, reader=reader)


def alarms(text: str) -> list[dict[str, str]]:
    """The emergencies that the words of a question can mean, and the critical values in it, in the order in which they are shown."""
    found = [*emergencies(text), *criticals(read_panel(text))]
    return [
        {"name": one.name, "notice": one.notice, "words": ", ".join(map(review.visible, one.words))}
        for one in found
    ]


def look(live: Live, answer: Answer) -> None:
    """Let the rules read an answer; what they find is shown beside it."""
    if answer.finish == "error":
        return
    found = checked(
        live.question,
        review.visible(answer.text),
        samples=[review.visible(one) for one in answer.samples],
        given="" if answer.alone else live.given,
    )
    answer.spans = _spans(found)
    answer.lines = [
        line for line in found.lines if not (answer.samples and line == found.agreement.sentence)
    ]
    told = found.agreement
    answer.agreement = (
        {"score": round(told.score, 2), "low": told.low, "text": told.sentence}
        if answer.samples
        else {}
    )


def _spans(found: Checked) -> list[tuple[int, int, str, str]]:
    """(start, end, kind, reason) of what is marked; of two that overlap the first, and a conflict before a mark."""
    rows = [(one.start, one.end, one.kind, one.reason) for one in found.marks]
    rows += [
        (one.start, one.end, "conflict", one.reason)
        for one in found.conflicts
        if one.end > one.start
    ]
    kept: list[tuple[int, int, str, str]] = []
    for row in sorted(rows, key=lambda row: (row[0], row[2] != "conflict")):
        if not kept or row[0] >= kept[-1][1]:
            kept.append(row)
    return kept
