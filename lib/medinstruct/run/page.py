"""A run's report as one HTML page that needs nothing else: figures inside, text escaped, light and dark."""

import base64
import html
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from medinstruct import records

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--soft:#5c6570;--line:#d8dee4;--tint:#f4f6f8}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--paper:#14171a;--soft:#9aa4af;--line:#343b43;--tint:#1d2226}
figure img{background:#fff;border-radius:6px}}
body{font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:0 auto;padding:2rem 1rem 4rem}
h1{font-size:1.9rem;line-height:1.2}h2{margin-top:2.5rem;font-size:1.3rem}
.note{background:var(--tint);border-left:4px solid #d55e00;padding:.6rem 1rem;border-radius:4px}
figure{margin:1rem 0}img{max-width:100%;height:auto}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.92rem;margin:1rem 0}
th,td{border-bottom:1px solid var(--line);padding:.35rem .7rem;text-align:right;vertical-align:top}
th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:600}
"""


def write_page(path: str | Path, *, title: str, note: str, sections: Iterable[tuple[str, str, str]]) -> Path:
    """Write the page: a title, a note that stands first, and sections of (heading, sentence, body already in HTML)."""
    parts = [f"<h1>{html.escape(title)}</h1>", f'<p class="note">{html.escape(note)}</p>']
    for heading, sentence, body in sections:
        parts.append(f"<section><h2>{html.escape(heading)}</h2><p>{html.escape(sentence)}</p>{body}</section>")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    page = f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{"".join(parts)}</body></html>\n'
    return records.write_text(path, page)


def figure_html(figure: Any, *, alt: str) -> str:
    """A matplotlib figure as an image inside the page, with its alternative text."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144, bbox_inches="tight", metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<figure><img alt="{html.escape(alt)}" src="data:image/png;base64,{data}"></figure>'


def frame_html(frame: Any) -> str:
    """A DataFrame as a table, every cell escaped."""
    table = frame.to_html(border=0, escape=True, na_rep="not measured", float_format=lambda x: f"{x:.3g}")
    return f'<div class="wide">{table}</div>'
