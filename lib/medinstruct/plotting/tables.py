"""Tables: one table for numbers and text, one reader of records; all content is escaped."""

import html
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medinstruct.plotting.charts import number
from medinstruct.plotting.display import live
from medinstruct.plotting.palette import BLUE, short

ALL = "(all)"
LONGEST = 6000  # characters of one text
PLAIN = 'class="tex2jax_ignore mathjax_ignore"'  # "$" in a text starts no formula
WRAP = "white-space:pre-wrap;overflow-wrap:anywhere;text-align:left"
CARD = f"border-left:4px solid {BLUE};padding:.2em .8em;margin:.5em 0;{WRAP}"


class Page:
    """HTML that a notebook displays, with its plain text for other readers."""

    def __init__(self, content: str, text: str = "") -> None:
        self.content, self.text = content, text

    def _repr_html_(self) -> str:
        return self.content

    def __repr__(self) -> str:
        return self.text


def table(frame: Any, *, caption: str = "", fold: int = 30) -> Page:
    """Return a DataFrame, Series or list of dicts as an HTML table; rows after `fold` are folded.

    Text is wrapped at the left, numbers are at the right; every cell is escaped.
    """
    import pandas as pd

    frame = frame.to_frame() if isinstance(frame, pd.Series) else pd.DataFrame(frame)
    frame = frame.set_axis([short(name, 60) for name in frame.columns], axis="columns")
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name:
        names = [name or "" for name in frame.index.names]
        frame = frame.reset_index(names=names, allow_duplicates=True)
    head = "".join(f"<th style='text-align:left'>{_cell(name)}</th>" for name in frame)
    rows = [f"<tr>{''.join(map(_data, row))}</tr>" for row in frame.itertuples(index=False)]
    parts = [f"<p><b>{_cell(caption)}</b></p>"] if caption else []
    for n, part in enumerate((rows[:fold], rows[fold:])):
        body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(part)}</tbody></table>"
        more = f"<details><summary>{len(part):,} more rows</summary>{body}</details>"
        parts += [more if n else body] if part or not n else []
    return Page(
        f"<div {PLAIN}>{''.join(parts)}</div>", f"{caption}\n{frame.to_string(index=False)}".strip()
    )


def _data(value: Any) -> str:
    """Return one cell of a table."""
    if value is None or value != value:
        return "<td>–</td>"
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return f"<td style='text-align:right'>{number(value)}</td>"
    return f"<td style='{WRAP};max-width:44em'>{_cell(value)}</td>"


def _cell(value: Any) -> str:
    text = str(value)
    return html.escape(text if len(text) <= LONGEST else f"{text[:LONGEST]} […]")


def reader(
    rows: Iterable[Any],
    *,
    text: Sequence[str],
    labels: Sequence[str] = (),
    number: int = 6,
    title: str = "",
) -> Any:
    """Return a reader of records (or dicts, or a DataFrame) with `number` records a page.

    `text` are the fields to read, `labels` those that a menu filters by. On a live page it is a
    widget with search; elsewhere the first records are cards, the first one open.
    """
    rows = rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)
    rows = [row if isinstance(row, Mapping) else row.model_dump() for row in rows]
    if live():
        return _widget(rows, text=text, labels=labels, number=number, title=title)
    page = cards(rows[:number], total=len(rows), text=text, labels=labels, title=title)
    return Page(page, f"{title}: {min(number, len(rows))} of {len(rows):,} records".lstrip(": "))


def matching(
    rows: Sequence[Mapping[str, Any]],
    *,
    text: Sequence[str],
    search: str = "",
    labels: Mapping[str, str] | None = None,
) -> list[Mapping[str, Any]]:
    """Return the records with these labels whose texts contain every word of `search`."""
    words = search.lower().split()
    chosen = {name: value for name, value in (labels or {}).items() if value != ALL}
    matches = []
    for row in rows:
        body = "\n".join(str(row.get(name, "")) for name in text).lower()
        labelled = all(str(row.get(name, "")) == value for name, value in chosen.items())
        if labelled and all(word in body for word in words):
            matches.append(row)
    return matches


def cards(
    rows: Sequence[Mapping[str, Any]],
    *,
    total: int,
    start: int = 0,
    text: Sequence[str],
    labels: Sequence[str] = (),
    title: str = "",
) -> str:
    """Return records as HTML cards, the first one open."""
    last = start + len(rows)
    head = f"<p><b>{_cell(title)}</b> {min(start + 1, total):,} to {last:,} of {total:,}</p>"
    parts = []
    for n, row in enumerate(rows):
        tags = " · ".join(str(row[name]) for name in labels if row.get(name) not in (None, ""))
        first = short(row.get(text[0], ""), 90)
        fields = [(name, row.get(name)) for name in text if row.get(name) not in (None, "")]
        body = "".join(f"<p><b>{_cell(name)}</b>\n{_cell(value)}</p>" for name, value in fields)
        summary = f"<summary>{_cell(first)} <small>{_cell(tags)}</small></summary>"
        opened = "" if n else " open"
        parts.append(f'<details{opened} style="{CARD}">{summary}{body}</details>')
    return f"<div {PLAIN}>{head}{''.join(parts)}</div>"


def _widget(
    rows: list, *, text: Sequence[str], labels: Sequence[str], number: int, title: str
) -> Any:
    import ipywidgets as widgets

    wide = {"layout": {"width": "15em"}}
    menus = {name: widgets.Dropdown(options=_choices(rows, name), **wide) for name in labels}
    search = widgets.Text(placeholder="search the texts", continuous_update=False)
    previous, following = (widgets.Button(description=word) for word in ("previous", "next"))
    page, start = widgets.HTML(), widgets.IntText(value=0)

    def draw(_: Any = None) -> None:
        chosen = {name: menu.value for name, menu in menus.items()}
        matches = matching(rows, text=text, search=search.value, labels=chosen)
        part = matches[start.value : start.value + number]
        place = {"total": len(matches), "start": start.value}
        page.value = cards(part, **place, text=text, labels=labels, title=title)
        previous.disabled = start.value == 0
        following.disabled = start.value + number >= len(matches)

    def turn(pages: int) -> None:
        start.value = max(0, start.value + pages * number) if pages else 0
        draw()

    for control in (*menus.values(), search):
        control.observe(lambda _: turn(0), names="value")
    previous.on_click(lambda _: turn(-1))
    following.on_click(lambda _: turn(1))
    draw()
    filters = widgets.HBox(list(menus.values()), layout={"flex_flow": "row wrap"})
    return widgets.VBox([filters, widgets.HBox([search, previous, following]), page])


def _choices(rows: Sequence[Mapping[str, Any]], name: str) -> list[tuple[str, str]]:
    """Return what a menu offers: every label with its number of records, most frequent first."""
    from collections import Counter

    counts = Counter(str(row.get(name, "")) for row in rows)
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:200]
    return [(f"{ALL} {name}", ALL), *((f"{short(v)} ({n:,})", v) for v, n in ranked)]
