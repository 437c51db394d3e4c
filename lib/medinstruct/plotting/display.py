"""Display: saved figures, one table, one reader of records, notebook pages; all text is escaped."""

import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from numbers import Real
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from medinstruct import paths, records
from medinstruct.plotting.titles import number, short

LIVE = ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD", "COLAB_RELEASE_TAG")
PAGES = jinja2.Environment(loader=jinja2.FileSystemLoader(paths.data("")), autoescape=True)
READER = "reader.html.j2"  # tables, differences, readers of records
LONGEST = 6000  # characters of one text
MOST_STATIC, MOST_LIVE = 200, 2000  # records of a reader
PLAIN_NUMBERS = {"id", "item", "seed", "year"}  # columns whose numbers have no separators
HEADING = re.compile(r'<h([23]) id="([^"]*)"[^>]*>(.*?)<a class="anchor-link"')


@dataclass(frozen=True)
class Output:
    """What a notebook displays: contents by MIME type, with their metadata."""

    data: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict, dict]:
        return self.data, self.metadata

    def __str__(self) -> str:
        return self.data["text/plain"]


def live() -> bool:
    """Return whether widgets work here (JupyterLab, VS Code, Colab); not under papermill."""
    return any(os.environ.get(name) for name in LIVE)


def show(figure: Any, name: str, *, folder: str | Path, alt: str = "", data: Any = None) -> Output:
    """Save a figure as figures/`name`.svg and its `data` as CSV; return it with its alt text."""
    files, svg = Path(folder) / "figures", io.StringIO()
    figure.savefig(svg, format="svg", metadata={"Date": None}, bbox_inches="tight")
    records.write_text(files / f"{name}.svg", svg.getvalue())
    if data is not None:
        records.write_text(files / f"{name}.csv", data.to_csv(lineterminator="\n"))
    text = " ".join((alt or figure.get_suptitle() or name).split())
    about = {"image/png": {"alt": text, "width": round(figure.get_figwidth() * 100)}}
    return Output({"text/plain": text, "image/png": _png(figure)}, about)


def _png(figure: Any) -> bytes:
    """Return a transparent PNG of 256 octree colors; median cut would lose single dots."""
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=150, bbox_inches="tight")
    octree = {"method": Image.Quantize.FASTOCTREE, "dither": Image.Dither.NONE}
    Image.open(full).quantize(256, **octree).save(small, "png", optimize=True)
    return small.getvalue()


def to_html(notebook: str | Path) -> str:
    """Return an executed notebook as one page that needs no other files and no network."""
    from nbconvert import HTMLExporter

    path = Path(notebook)
    exporter = HTMLExporter(extra_loaders=[PAGES.loader], template_file="notebook.html.j2")
    exporter.register_filter("headings", HEADING.findall)
    page, _ = exporter.from_filename(str(path), resources={"run": path.resolve().parent.name})
    page = re.sub(r'<img (?=[^>]*src="https?:)[^>]*alt="([^"]*)"[^>]*>', r"\1", page)
    return re.sub(r"<th\b([^>]*)></th>", r"<td\1></td>", page)  # a header without text


def render(page: str, **parts: Any) -> str:
    """Return a page of `data/` with its parts filled in; everything in them is escaped."""
    return PAGES.get_template(page).render(short=short, **parts)


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
    rows = [list(map(_cell, row, frame)) for row in frame.itertuples(index=False)]
    heads = [name.replace("_", " ") for name in frame]
    page = render(READER, kind="table", title=caption, heads=heads, rows=rows, fold=fold)
    plain = f"{caption}\n{frame.set_axis(heads, axis='columns').to_string(index=False)}".strip()
    return Output({"text/html": page, "text/plain": plain})


def _join_intervals(frame: pd.DataFrame) -> pd.DataFrame:
    """Join each number's column with its low and high: `score`, or `x` with `x_low`, `x_high`."""
    for name in list(frame):
        ends = [end for end in (f"{name}_low", f"{name}_high") if end in frame]
        if name in ("score", "value", "difference", "mean"):
            ends = [end for end in ("low", "high") if end in frame] or ends
        if len(ends) == 2:
            rows = frame[[name, *ends]].itertuples(index=False)
            frame = frame.assign(**{name: [_interval(*row) for row in rows]}).drop(columns=ends)
            frame = frame.rename(columns={name: f"{name} [95% interval]"})
    return frame


def _interval(value: float, low: float, high: float) -> Any:
    """Return a number with its interval, all with as many decimals as the largest needs."""
    if pd.isna(value):
        return None
    digits = 2 if max(abs(low), abs(high)) < 10 else 1
    first, *ends = (f"{number:z,.{digits}f}".replace("-", "−") for number in (value, low, high))
    return first if pd.isna(low) else f"{first} [{', '.join(ends)}]"


def estimate(value: float, low: float, high: float, n: float, *, form: str = ".0%") -> str:
    """Return a number with its interval for a sentence, or with n where it has none."""
    value, low, high = (np.float64(number) for number in (value, low, high))
    if np.isnan(value):
        return f"– (n = {n:g})"
    if np.isnan(low + high):
        return f"{value:{form}} (n = {n:g})"
    return f"{value:{form}} (95% interval {low:{form}} to {high:{form}})"


def _cell(value: Any, name: str) -> tuple[str, str]:
    """Return the kind and the text of a cell in the column `name`."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "missing", "–"
    if isinstance(value, Output):
        return "html", value.data["text/html"]
    if isinstance(value, bool | np.bool_):
        return ("yes", "✓ yes") if value else ("no", "✗ no")
    if isinstance(value, Real):
        if name in ("p", "p_holm") or name.endswith("_p"):
            return "number", "<0.001" if value < 0.001 else f"{value:.3f}"
        is_plain = name in PLAIN_NUMBERS or name.endswith("_id")
        return "number", str(value) if is_plain else number(value)
    return "interval" if name.endswith("interval]") else "text", _words(value)


def _words(value: Any) -> str:
    """Return a value as text of limited length; mappings and lists are joined."""
    if isinstance(value, Mapping):
        value = "; ".join(f"{key} ({content})" for key, content in value.items())
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple | set) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} […]"


def diff(before: str, after: str) -> Output:
    """Return the change of a text, word by word, alone or as a cell of a table."""
    old, new = _words(before).split(), _words(after).split()
    parts = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        pairs = [("", old[a:b])] if kind == "equal" else [("del", old[a:b]), ("ins", new[c:d])]
        parts += [(tag, " ".join(words)) for tag, words in pairs if words]
    plain = " ".join(f"{{{tag}: {text}}}" if tag else text for tag, text in parts)
    return Output({"text/html": render(READER, kind="diff", rows=parts), "text/plain": plain})


def reader(
    rows: Iterable[Any], *, text: Sequence[str], labels=(), number=6, title="", closed=False
) -> Output:
    """Return a reader of records (or dicts, or a DataFrame) with `number` records a page.

    `text` are the fields to read, `labels` those that a menu filters by. The page holds its
    records, at most 200 (2,000 where it is live), evenly spaced, and searches them by a script;
    without it, the first ones are cards and the others are folded. `closed` opens no record.
    """
    rows = rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)
    rows = [row if isinstance(row, Mapping) else row.model_dump() for row in rows]
    most, total = max(MOST_LIVE if live() else MOST_STATIC, number), len(rows)
    if total > most:
        rows = [rows[n] for n in np.linspace(0, total - 1, most).astype(int)]
        title = f"{title} ({most:,} of {total:,} records, evenly spaced)".strip()
    cards = [_card(row, text, labels) for row in rows]
    place = f"1 to {min(number, len(rows))} of {len(rows):,}" if rows else "No record matches."
    parts = {"title": title, "place": place, "closed": closed}
    parts["labels"] = [name.replace("_", " ") for name in labels]
    page = render(READER, kind="reader", rows=cards, fold=number, **parts)
    plain = f"{title}: {min(number, total)} of {total:,} records".lstrip(": ")
    return Output({"text/html": page, "text/plain": plain})


def _content(value: Any) -> str:
    """Return a field as text, or a diff as HTML without the style that the page has."""
    from markupsafe import Markup

    if isinstance(value, Output):
        return Markup(re.sub("<style>.*?</style>", "", value.data["text/html"], flags=re.DOTALL))
    return _words(value)


def _card(row: Mapping[str, Any], text: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    shown = {name: _content(row[name]) for name in text if row.get(name) not in (None, "")}
    texts = [(name.replace("_", " "), content) for name, content in shown.items()]
    values = ["" if row.get(name) is None else str(row[name]) for name in labels]
    return {"head": short(row.get(text[0], ""), 90), "texts": texts, "values": values}
