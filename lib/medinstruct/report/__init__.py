"""Report of a run: files, numbers, parts with figures, provenance, comparison, page."""

from medinstruct.report import definitions, provenance
from medinstruct.report.collect import Run, read_run
from medinstruct.report.definitions import deviations
from medinstruct.report.numbers import Number, read_numbers
from medinstruct.report.page import Part, as_json, draw_parts, notice, write_page
from medinstruct.report.run_comparison import compare
