"""Tables of the page: captions, scopes, every cell escaped."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from medinstruct.report.numbers import Number, printed


def table(
    frame: pd.DataFrame, *, caption: str, kind: str = "", head: str = "", raw: Sequence[str] = ()
) -> str:
    """A DataFrame as a table with a caption and scopes; every cell is escaped but those of the columns `raw`."""
    right = {
        name
        for name in frame.columns
        if name in ("this run", "n", "95 % interval", "seconds", "USD") and not kind
    }
    heads = "".join(
        f'<th scope="col"{_num(name in right)}>{escaped(name)}</th>'
        for name in [head or frame.index.name or "", *frame.columns]
    )
    rows = "".join(
        f'<tr><th scope="row">{escaped(name)}</th>'
        + "".join(
            f"<td{_num(key in right)}>{value if key in raw else escaped(value)}</td>"
            for key, value in row.items()
        )
        + "</tr>"
        for name, row in frame.iterrows()
    )
    inside = f'<table class="{kind}"><caption>{escaped(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escaped(caption)}">{inside}</div>'


def escaped(value: Any) -> str:
    """Any value as text that is safe in HTML; small and large floats stay readable."""
    text = f"{value:,.4g}" if isinstance(value, float) else str(value)
    return html.escape(text)


def badges(names: Sequence[str]) -> str:
    """The label of numbers that a stand-in had a part in."""
    return f' <span class="badge">stand-in: {escaped(", ".join(names))}</span>' if names else ""


def _num(yes: bool) -> str:
    return ' class="num"' if yes else ""


def numbers_table(found: Sequence[Number], *, caption: str) -> str:
    """Numbers with their interval beneath, n, and the paper's where one of them has it."""
    rows = {
        one.name: {
            "this run": f"<b>{escaped(one.shown())}</b>"
            + (
                f'<br><span class="ends">{escaped(one.interval())}</span>' if one.interval() else ""
            ),
            "n": "" if one.n is None else f"{one.n:,}",
            "paper": _papers(one),
        }
        for one in found
    }
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("number")
    empty = [name for name in frame.columns if not frame[name].any()]
    return table(frame.drop(columns=empty), caption=caption, raw=["this run", "paper"])


def _papers(one: Number) -> str:
    if one.paper is None:
        return ""
    return f'<b>{escaped(printed(one.paper, one.unit))}</b><br><span class="ends">{escaped(one.paper_is)}</span>'


def listed(values: Mapping[str, str], caption: str) -> str:
    """Names and values as a table."""
    frame = pd.DataFrame({"value": values}).rename_axis("name")
    return table(frame, caption=caption)
