"""The report of a run: read what it left, say it in one figure and one sentence a part, and write the page."""

from collections.abc import Callable, Sequence

import pandas as pd

from medinstruct.report.data_parts import diversity, pipeline, review
from medinstruct.report.gather import NAMES, Run, gather
from medinstruct.report.model_parts import assist, benchmarks, freeform, safety, training
from medinstruct.report.numbers import Number, numbers
from medinstruct.report.page import note, write_page
from medinstruct.report.parts import Part
from medinstruct.report.provenance import cost, differs, mismatches, roles, settings
from medinstruct.report.published import deviations
from medinstruct.report.run_comparison import Comparison, compare
from medinstruct.report.saving import as_json
from medinstruct.report.svg import on_white

__all__ = [
    "Comparison",
    "compare",
    "NAMES",
    "Number",
    "Part",
    "Run",
    "as_json",
    "assist",
    "benchmarks",
    "cost",
    "deviations",
    "differs",
    "diversity",
    "freeform",
    "gather",
    "mismatches",
    "note",
    "numbers",
    "on_white",
    "parts",
    "pipeline",
    "review",
    "roles",
    "safety",
    "settings",
    "training",
    "write_page",
]


def parts(run: Run, ledger: pd.DataFrame) -> list[Part]:
    """All parts in the order of the page."""
    chapters: Sequence[Callable[[Run], Part | None]] = (
        diversity,
        review,
        training,
        freeform,
        benchmarks,
        safety,
        assist,
    )
    return [pipeline(run, ledger), *(one for one in (chapter(run) for chapter in chapters) if one)]
