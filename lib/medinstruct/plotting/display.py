"""Display: saved figures, one table, one reader of records, notebook pages; all text is escaped."""

import html
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd

from medinstruct import paths, records
from medinstruct.plotting.charts import BLUE, number, short

LIVE = ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD", "COLAB_RELEASE_TAG")
ALL = "(all)"
LONGEST = 6000  # characters of one text
PLAIN = 'class="tex2jax_ignore mathjax_ignore"'  # "$" in a text starts no formula
WRAP = "white-space:pre-wrap;overflow-wrap:anywhere;text-align:left"
CARD = f"border-left:4px solid {BLUE};padding:.2em .8em;margin:.5em 0;{WRAP}"


class Output:
    """What a notebook displays: contents by MIME type, with their metadata."""

    def __init__(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        self.data, self.metadata = data, metadata or {}

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict, dict]:
        return self.data, self.metadata


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
    """Return an executed notebook as HTML; unlike nbconvert's page, images have their alt text."""
    from jinja2 import FileSystemLoader
    from nbconvert import HTMLExporter

    loaders = [FileSystemLoader(paths.data(""))]
    exporter = HTMLExporter(extra_loaders=loaders, template_file="notebook.html.j2")
    return exporter.from_filename(str(notebook))[0]


def table(frame: Any, *, caption: str = "", fold: int = 30) -> Output:
    """Return a DataFrame, Series or list of dicts as an HTML table; rows after `fold` are folded.

    Text is wrapped at the left, numbers are at the right.
    """
    frame = frame.to_frame() if isinstance(frame, pd.Series) else pd.DataFrame(frame)
    frame = frame.set_axis([short(name, 60) for name in frame.columns], axis="columns")
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name:
        names = [name or "" for name in frame.index.names]
        frame = frame.reset_index(names=names, allow_duplicates=True)
    head = "".join(f'<th style="text-align:left">{_escape(name)}</th>' for name in frame)
    rows = [f"<tr>{''.join(map(_cell, row))}</tr>" for row in frame.itertuples(index=False)]
    page = f"<table><tr>{head}</tr>{''.join(rows[:fold])}</table>"
    if len(rows) > fold:
        more = f"<table><tr>{head}</tr>{''.join(rows[fold:])}</table>"
        page += f"<details><summary>{len(rows) - fold:,} more rows</summary>{more}</details>"
    title = f"<p><b>{_escape(caption)}</b></p>" if caption else ""
    plain = f"{caption}\n{frame.to_string(index=False)}".strip()
    return Output({"text/html": f"<div {PLAIN}>{title}{page}</div>", "text/plain": plain})


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "<td>–</td>"
    if isinstance(value, Real) and not isinstance(value, bool):
        return f'<td style="text-align:right">{number(value)}</td>'
    return f'<td style="{WRAP};max-width:44em">{_escape(value)}</td>'


def _escape(value: Any) -> str:
    text = str(value)
    return html.escape(text if len(text) <= LONGEST else f"{text[:LONGEST]} […]")


def reader(rows: Iterable[Any], *, text: Sequence[str], labels=(), number=6, title="") -> Any:
    """Return a reader of records (or dicts, or a DataFrame) with `number` records a page.

    `text` are the fields to read, `labels` those that a menu filters by. On a live page it is a
    widget with search; elsewhere the first records are cards, the first one open.
    """
    rows = rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)
    rows = [row if isinstance(row, Mapping) else row.model_dump() for row in rows]

    def page(matches: Sequence[Mapping[str, Any]], start: int) -> str:
        part = matches[start : start + number]
        place = f"{min(start + 1, len(matches))} to {start + len(part)} of {len(matches):,}"
        cards = "".join(_card(row, text, labels, is_open=n == 0) for n, row in enumerate(part))
        return f"<div {PLAIN}><p><b>{_escape(title)}</b> {place}</p>{cards}</div>"

    if live():
        return _widget(rows, page, text=text, labels=labels, number=number)
    plain = f"{title}: {min(number, len(rows))} of {len(rows):,} records".lstrip(": ")
    return Output({"text/html": page(rows, 0), "text/plain": plain})


def _card(row: Mapping[str, Any], text: Sequence, labels: Sequence, *, is_open: bool) -> str:
    tags = " · ".join(str(row[name]) for name in labels if row.get(name) not in (None, ""))
    fields = [(name, row[name]) for name in text if row.get(name) not in (None, "")]
    body = "".join(f"<p><b>{_escape(name)}</b>\n{_escape(value)}</p>" for name, value in fields)
    head = f"{_escape(short(row.get(text[0], ''), 90))} <small>{_escape(tags)}</small>"
    opened = " open" if is_open else ""
    return f'<details style="{CARD}"{opened}><summary>{head}</summary>{body}</details>'


def _widget(rows: Sequence, page: Any, *, text: Sequence, labels: Sequence, number: int) -> Any:
    """Return the live reader: menus and a search that filter `rows`, and the page to show."""
    import ipywidgets as widgets

    menus = {}
    for name in labels:
        counts = Counter(str(row.get(name, "")) for row in rows).most_common(200)
        options = [(f"{ALL} {name}", ALL), *((f"{short(v, 34)} ({n:,})", v) for v, n in counts)]
        menus[name] = widgets.Dropdown(options=options, layout={"width": "15em"})
    search = widgets.Text(placeholder="search the texts", continuous_update=False)
    place = widgets.BoundedIntText(1, min=1, description="page")
    view = widgets.HTML()

    def matches(row: Mapping[str, Any]) -> bool:
        body = "\n".join(str(row.get(name, "")) for name in text).lower()
        labeled = (menu.value in (ALL, str(row.get(name, ""))) for name, menu in menus.items())
        return all(labeled) and all(word in body for word in search.value.lower().split())

    def update(_: Any = None) -> None:
        chosen = [row for row in rows if matches(row)]
        place.max = max(1, -(-len(chosen) // number))
        view.value = page(chosen, (place.value - 1) * number)

    for control in (*menus.values(), search, place):
        control.observe(update, names="value")
    update()
    filters = widgets.HBox(list(menus.values()), layout={"flex_flow": "row wrap"})
    return widgets.VBox([filters, widgets.HBox([search, place]), view])
