"""Report of a run: numbers, parts with figures, provenance, comparison, page."""

from medinstruct.report import results
from medinstruct.report.page import Part, as_json, draw_parts, notice, write_page
from medinstruct.report.results import Run, by_model, compare, deviations, read_numbers, read_run
