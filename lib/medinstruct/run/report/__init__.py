"""The report of a run: read what it left, say it in one figure and one sentence a part, and write the page."""

from medinstruct.run.report.gather import Run, gather
from medinstruct.run.report.numbers import Number, numbers
from medinstruct.run.report.page import note, write_page
from medinstruct.run.report.parts import (
    Part,
    assist,
    benchmarks,
    diversity,
    freeform,
    parts,
    pipeline,
    review,
    safety,
    training,
)
from medinstruct.run.report.provenance import cost, deviations, differs, mismatches, roles, settings
from medinstruct.run.report.saving import as_json

__all__ = [
    "Number", "Part", "Run", "as_json", "assist", "benchmarks", "cost", "deviations", "differs", "diversity", "freeform", "gather",
    "mismatches", "note", "numbers", "parts", "pipeline", "review", "roles", "safety", "settings", "training", "write_page",
]  # fmt: skip
