"""Report of a run: files, numbers, parts with figures, provenance, comparison, page."""

from medinstruct.report import provenance, published
from medinstruct.report.collect import Run, read_run
from medinstruct.report.numbers import Number, read_numbers
from medinstruct.report.parts import Part, draw_parts
from medinstruct.report.render import as_json, notice, write_page
from medinstruct.report.run_comparison import compare

__all__ = [
    "Number",
    "Part",
    "Run",
    "as_json",
    "compare",
    "draw_parts",
    "notice",
    "provenance",
    "published",
    "read_numbers",
    "read_run",
    "write_page",
]
