"""What two texts have in common, to be seen: the longest common subsequence of their words, marked."""

import html
import re
from collections.abc import Iterable

from medinstruct.filtering.words import ANY_SCRIPT, TOKEN, tokenizer_named


def marked(one: str, other: str, *, tokenizer: str = "rouge") -> tuple[str, str]:
    """Both texts as HTML with the words of their longest common subsequence marked; everything else is escaped.

    >>> marked("Define <b>asthma</b>", "Explain asthma")
    ('Define &lt;b&gt;<mark>asthma</mark>&lt;/b&gt;', 'Explain <mark>asthma</mark>')
    """
    from rapidfuzz.distance import LCSseq

    found = [_words(text, tokenizer) for text in (one, other)]
    blocks = LCSseq.opcodes(*[[word for word, *_ in words] for words in found])
    same = [block for block in blocks if block.tag == "equal"]
    rows = [[n for block in same for n in range(*span(block))] for span in (_left, _right)]
    return tuple(
        _html(text, [words[n][1:] for n in row])
        for text, words, row in zip((one, other), found, rows, strict=True)
    )


def side_by_side(
    rows: Iterable[tuple[float, str, str]], *, names: tuple[str, str], tokenizer: str = "rouge"
) -> str:
    """An HTML table of pairs of texts with their score and the shared words marked."""
    cell = '<td style="text-align:left;vertical-align:top;width:46%">'
    lines = [
        f'<tr><td style="vertical-align:top">{score:.3f}</td>{cell}{a}</td>{cell}{b}</td></tr>'
        for score, one, other in rows
        for a, b in [marked(one, other, tokenizer=tokenizer)]
    ]
    head = "".join(
        f'<th style="text-align:left;white-space:nowrap">{html.escape(name)}</th>'
        for name in ("ROUGE-L", *names)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _words(text: str, tokenizer: str) -> list[tuple[str, int, int]]:
    """The tokens that the score counts, each with where it stands in the text."""
    split = tokenizer_named(tokenizer)
    runs = (
        re.finditer(TOKEN.pattern, text, re.I)
        if tokenizer == "rouge"
        else ANY_SCRIPT.finditer(text)
    )
    return [
        (token, *span)
        for run in runs
        for found in [split(run.group())]
        for token, span in zip(found, _spans(*run.span(), len(found)), strict=True)
    ]


def _spans(start: int, end: int, tokens: int) -> list[tuple[int, int]]:
    """One span a token: the whole run, or of a script without spaces each character."""
    return [(start, end)] if tokens == 1 else [(n, n + 1) for n in range(start, start + tokens)]


def _html(text: str, spans: list[tuple[int, int]]) -> str:
    at, parts = 0, []
    for start, end in spans:
        parts += [
            html.escape(text[at:start], quote=False),
            f"<mark>{html.escape(text[start:end], quote=False)}</mark>",
        ]
        at = end
    return "".join([*parts, html.escape(text[at:], quote=False)])


def _left(block: object) -> tuple[int, int]:
    return block.src_start, block.src_end


def _right(block: object) -> tuple[int, int]:
    return block.dest_start, block.dest_end
