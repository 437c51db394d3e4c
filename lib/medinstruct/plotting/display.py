"""Display: saved figures, one table, one reader of records, notebook pages; all text is escaped."""

import html
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import paths, records
from medinstruct.plotting.titles import number, short

LIVE = ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD", "COLAB_RELEASE_TAG")
ALL = "(all)"
LONGEST = 6000  # characters of one text
EMBEDDED = 200  # records on a static page
WRAP = "white-space:pre-wrap;overflow-wrap:anywhere;text-align:left;max-width:44em"
YES = '<span style="color:#00926a">✓ yes</span>'  # 3.9 to 1 on white, 4 to 1 on #212121
NO = '<span style="color:#e05000">✗ no</span>'
HEADING = re.compile(r'<h([23]) id="([^"]*)"[^>]*>(.*?)<a class="anchor-link"')


class Output:
    """What a notebook displays: contents by MIME type, with their metadata."""

    def __init__(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        self.data, self.metadata = data, metadata or {}

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict, dict]:
        return self.data, self.metadata

    def __str__(self) -> str:
        return self.data["text/plain"]


def live() -> bool:
    """Return whether widgets answer (JupyterLab, VS Code, Colab); not so under papermill."""
    return any(os.environ.get(name) for name in LIVE)


def show(figure: Any, name: str, *, folder: str | Path, alt: str = "", data: Any = None) -> Output:
    """Save a figure as figures/`name`.svg in the run's `folder` and return it to be displayed.

    `data` (DataFrame or Series) is saved beside it as CSV; `alt` describes the figure to readers
    who do not see it, by default with its title.
    """
    files, svg = Path(folder) / "figures", io.StringIO()
    figure.savefig(svg, format="svg", metadata={"Date": None}, bbox_inches="tight")
    records.write_text(files / f"{name}.svg", svg.getvalue())
    if data is not None:
        records.write_text(files / f"{name}.csv", data.to_csv(lineterminator="\n"))
    text = " ".join((alt or figure.get_suptitle() or name).split())
    about = {"image/png": {"alt": text, "width": round(figure.get_figwidth() * 100)}}
    return Output({"text/plain": text, "image/png": _png(figure)}, about)


def _png(figure: Any) -> bytes:
    """Return a figure as PNG of 256 colors, a third of the full size."""
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=150, bbox_inches="tight")
    image = Image.open(full).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    image.save(small, "png", optimize=True)
    return small.getvalue()


def to_html(notebook: str | Path) -> str:
    """Return an executed notebook as one page without other files, for outputs/<run>/pages.

    Set-up cells are folded, code can be hidden, headings are listed, images have their alt text;
    images from the network are replaced by it.
    """
    from jinja2 import FileSystemLoader
    from nbconvert import HTMLExporter

    loaders, path = [FileSystemLoader(paths.data(""))], Path(notebook)
    exporter = HTMLExporter(extra_loaders=loaders, template_file="notebook.html.j2")
    exporter.register_filter("headings", HEADING.findall)
    page, _ = exporter.from_filename(str(path), resources={"run": path.resolve().parent.name})
    page = re.sub(r'<img (?=[^>]*src="https?:)[^>]*alt="([^"]*)"[^>]*>', r"\1", page)
    return re.sub(r"<th\b([^>]*)></th>", r"<td\1></td>", page)  # a header without text


def _page(body: str, kind: str, *, script: bool = True, more: str = "") -> str:
    """Return HTML in the style of tables and readers; "$" in it starts no formula."""
    style = f"<style>{paths.data('reader.css').read_text(encoding='utf-8')}</style>"
    code = f"<script>{paths.data('reader.js').read_text(encoding='utf-8')}</script>"
    name = f"mi-out mi-{kind} tex2jax_ignore mathjax_ignore"
    return f'<div class="{name}"{more}>{style}{body}</div>{code if script else ""}'


def table(frame: Any, *, caption: str = "", fold: int = 10) -> Output:
    """Return a DataFrame, Series or list of dicts as an HTML table; rows after `fold` are folded.

    Text is wrapped at the left, numbers are at the right. Columns `score`, `low`, `high` (or `x`,
    `x_low`, `x_high`) become one with the interval; columns without a value are left out. A click
    on a heading sorts tables of more than ten rows.
    """
    frame = frame.to_frame() if isinstance(frame, pd.Series) else pd.DataFrame(frame)
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name:
        names = [name or "" for name in frame.index.names]
        frame = frame.reset_index(names=names, allow_duplicates=True)
    frame = frame.dropna(axis="columns", how="all") if len(frame) else frame
    frame = _join_intervals(frame.set_axis([short(name, 60) for name in frame], axis="columns"))
    heads = [name.replace("_", " ") for name in frame]
    head = "".join(
        f'<th scope="col" style="text-align:left">{_escape(name)}</th>' for name in heads
    )
    rows = ["".join(map(_cell, row, frame)) for row in frame.itertuples(index=False)]
    rows = [f"<tr>{row}</tr>" for row in rows]
    head = f"<thead><tr>{head}</tr></thead>"
    page = f"<table>{head}<tbody>{''.join(rows[:fold])}</tbody></table>"
    if len(rows) > fold:
        more = f"<table>{head}<tbody>{''.join(rows[fold:])}</tbody></table>"
        summary = f"<summary>{len(rows) - fold:,} more rows</summary>"
        page += f'<details class="mi-rest">{summary}{more}</details>'
    title = f"<p><b>{_escape(caption)}</b></p>" if caption else ""
    plain = f"{caption}\n{frame.set_axis(heads, axis='columns').to_string(index=False)}".strip()
    page = _page(title + page, "table", script=len(rows) > min(fold, 10))
    return Output({"text/html": page, "text/plain": plain})


def _join_intervals(frame: pd.DataFrame) -> pd.DataFrame:
    """Join each number's column with its `_low` and `_high` columns."""
    names = list(frame)
    plain = next((name for name in ("score", "value", "difference", "mean") if name in names), "")
    for name in names:
        low, high = ("low", "high") if name == plain else (f"{name}_low", f"{name}_high")
        if {low, high} <= set(names):
            joined = [
                _interval(*row) for row in zip(*map(frame.get, (name, low, high)), strict=True)
            ]
            frame = frame.assign(**{name: joined}).drop(columns=[low, high])
            frame = frame.rename(columns={name: f"{name} [95 % interval]"})
    return frame


def _interval(value: float, low: float, high: float) -> Any:
    """Return a number with its interval, all with as many decimals as the largest needs.

    >>> _interval(0.534, 0.47, 0.5906), _interval(12.34, 9.5, 15.5)
    ('0.53 [0.47, 0.59]', '12.3 [9.5, 15.5]')
    """
    if pd.isna(value):
        return None
    digits = 2 if max(abs(low), abs(high)) < 10 else 1
    shown = f"{value:,.{digits}f}"
    return shown if pd.isna(low) else f"{shown} [{low:,.{digits}f}, {high:,.{digits}f}]"


def _cell(value: Any, name: str) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "<td>–</td>"
    if isinstance(value, Output):
        return f'<td style="{WRAP}">{value.data["text/html"]}</td>'
    if isinstance(value, bool | np.bool_):
        return f'<td style="text-align:left">{YES if value else NO}</td>'
    if isinstance(value, Real):
        return f'<td style="text-align:right">{_figure(value, name)}</td>'
    if name.endswith("[95 % interval]"):
        return f'<td style="text-align:right;white-space:nowrap">{_escape(value)}</td>'
    text = _words(value)
    if len(text) > 200:
        head = _escape(short(text, 160))
        return (
            f'<td style="{WRAP}"><details><summary>{head}</summary>{_escape(text)}</details></td>'
        )
    return f'<td style="{WRAP}">{_escape(text)}</td>'


def _figure(value: Any, name: str) -> str:
    """Return a number as its column's name asks: p values, identifiers, else as in figures."""
    if name == "p" or name.endswith(("_p", "p value")):
        return "&lt;0.001" if value < 0.001 else f"{value:.3f}"
    is_id = name in ("id", "item", "seed", "year") or name.endswith("_id")
    return str(value) if is_id else number(value)


def _words(value: Any) -> str:
    """Return a value as text; mappings and lists are joined by commas."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {content}" for key, content in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | set) else str(value)


def _escape(value: Any) -> str:
    text = _words(value)
    return html.escape(text if len(text) <= LONGEST else f"{text[:LONGEST]} […]")


def diff(before: str, after: str) -> Output:
    """Return the change of a text, word by word, alone or as a cell of a table.

    >>> print(diff("Take two tablets daily.", "Take one tablet daily."))
    Take [-two tablets-] {+one tablet+} daily.
    """
    old, new = (re.findall(r"\S+\s*|\s+", str(text)[:LONGEST]) for text in (before, after))
    keys = [[word.strip() for word in words] for words in (old, new)]
    page, plain = [], []
    for kind, a, b, c, d in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        gone, came = "".join(old[a:b]), "".join(new[c:d])
        if kind == "equal":
            page.append(_escape(came))
            plain.append(came.strip())
            continue
        page += [f"<{tag}>{_escape(t)}</{tag}> " for tag, t in (("del", gone), ("ins", came)) if t]
        plain += [f"[-{gone.strip()}-]"] * bool(gone) + [f"{{+{came.strip()}+}}"] * bool(came)
    body = f'<div style="{WRAP}">{"".join(page)}</div>'
    page = _page(body, "diff", script=False)
    return Output({"text/html": page, "text/plain": " ".join(plain)})


def reader(rows: Iterable[Any], *, text: Sequence[str], labels=(), number=6, title="") -> Any:
    """Return a reader of records (or dicts, or a DataFrame) with `number` records a page.

    `text` are the fields to read, `labels` those that a menu filters by. On a live page it is a
    widget that searches all records; elsewhere HTML that searches at most 200, evenly spaced.
    """
    rows = rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)
    rows = [row if isinstance(row, Mapping) else row.model_dump() for row in rows]
    if live():
        return _widget(rows, text=text, labels=labels, number=number, title=title)
    few = rows
    if len(rows) > max(EMBEDDED, number):
        few = [rows[n] for n in np.linspace(0, len(rows) - 1, EMBEDDED).astype(int)]
        title = f"{title} ({EMBEDDED} of {len(rows):,} records, evenly spaced)".strip()
    page = _cards(few[:number], few, 0, text=text, labels=labels, title=title)
    rest = "".join(_card(row, text, labels) for row in few[number:])
    if rest:
        summary = f"<summary>{len(few) - number:,} more records</summary>"
        page += f'<details class="mi-rest">{summary}{rest}</details>'
    names = html.escape(json.dumps([_label(name) for name in labels]))
    more = f' data-step="{number}" data-labels="{names}"'
    plain = f"{title}: {min(number, len(rows))} of {len(rows):,} records".lstrip(": ")
    return Output({"text/html": _page(page, "reader", more=more), "text/plain": plain})


def _cards(
    part: Sequence, matches: Sequence, start: int, *, text: Any, labels: Any, title: str
) -> str:
    """Return one page of records as HTML, with its place among all that match."""
    place = f"{start + 1} to {start + len(part)} of {len(matches):,}"
    place = place if matches else "No record matches."
    head = f"<b>{_escape(title)}</b> <span>{place}</span>"
    cards = "".join(_card(row, text, labels, opened=n == 0) for n, row in enumerate(part))
    return f'<p class="mi-place" role="status">{head}</p>{cards}'


def _card(row: Mapping[str, Any], text: Sequence, labels: Sequence, *, opened=False) -> str:
    tags = " · ".join(str(row[name]) for name in labels if row.get(name) not in (None, ""))
    fields = [(name, row[name]) for name in text if row.get(name) not in (None, "")]
    body = "".join(f"<p><b>{_label(name)}</b>\n{_escape(value)}</p>" for name, value in fields)
    head = f"{_escape(short(row.get(text[0], ''), 90))} <small>{_escape(tags)}</small>"
    values = html.escape(json.dumps([str(row.get(name, "")) for name in labels]))
    more = f' data-values="{values}"' + " open" * opened
    return f'<details class="mi-card"{more}><summary>{head}</summary>{body}</details>'


def _label(name: str) -> str:
    return _escape(name.replace("_", " "))


def _widget(rows: Sequence, *, text: Sequence, labels: Sequence, number: int, title: str) -> Any:
    """Return the live reader: menus and a search that filter `rows`, and the page to show."""
    import ipywidgets as widgets

    menus = {}
    for name in labels:
        counts = Counter(str(row.get(name, "")) for row in rows).most_common(200)
        options = [
            (f"{ALL} {_label(name)}", ALL),
            *((f"{short(v, 34)} ({n:,})", v) for v, n in counts),
        ]
        menus[name] = widgets.Dropdown(options=options, layout={"width": "15em"})
    search = widgets.Text(placeholder="search the texts")
    place = widgets.BoundedIntText(1, min=1, description="page")
    view = widgets.HTML()

    def matches(row: Mapping[str, Any]) -> bool:
        body = "\n".join(str(row.get(name, "")) for name in text).lower()
        labeled = (menu.value in (ALL, str(row.get(name, ""))) for name, menu in menus.items())
        return all(labeled) and all(word in body for word in search.value.lower().split())

    def update(change: Any = None) -> None:
        if change and change.owner is not place:
            place.value = 1
        chosen = [row for row in rows if matches(row)]
        place.max = max(1, -(-len(chosen) // number))
        start = (place.value - 1) * number
        part = chosen[start : start + number]
        page = _cards(part, chosen, start, text=text, labels=labels, title=title)
        view.value = _page(page, "cards", script=False)

    for control in (*menus.values(), search, place):
        control.observe(update, names="value")
    update()
    filters = widgets.HBox(list(menus.values()), layout={"flex_flow": "row wrap"})
    return widgets.VBox([filters, widgets.HBox([search, place]), view])
