"""The report of a run: read what it left, say it in one figure and one sentence a part, and write the page."""

from collections.abc import Callable, Sequence

import pandas as pd

from medinstruct.run.report.data_parts import diversity, pipeline, review
from medinstruct.run.report.gather import NAMES, Run, gather
from medinstruct.run.report.model_parts import assist, benchmarks, freeform, safety, training
from medinstruct.run.report.numbers import Number, numbers
from medinstruct.run.report.page import note, write_page
from medinstruct.run.report.parts import Part
from medinstruct.run.report.provenance import cost, differs, mismatches, roles, settings
from medinstruct.run.report.published import deviations
from medinstruct.run.report.saving import as_json
from medinstruct.run.report.svg import on_white

__all__ = [
    "NAMES", "Number", "Part", "Run", "as_json", "assist", "benchmarks", "cost", "deviations", "differs", "diversity", "freeform", "gather",
    "mismatches", "note", "numbers", "on_white", "parts", "pipeline", "review", "roles", "safety", "settings", "training", "write_page",
]  # fmt: skip


def parts(run: Run, ledger: pd.DataFrame) -> list[Part]:
    """All parts in the order of the page."""
    chapters: Sequence[Callable[[Run], Part | None]] = (diversity, review, training, freeform, benchmarks, safety, assist)
    return [pipeline(run, ledger), *(one for one in (chapter(run) for chapter in chapters) if one)]
