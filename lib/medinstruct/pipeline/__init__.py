"""Running notebooks end to end, the report on a run, and two runs side by side."""

from medinstruct.pipeline.contents import contents
from medinstruct.pipeline.doctor import doctor
from medinstruct.pipeline.runner import Done, run, run_each, time_table
from medinstruct.pipeline.sweep import sweep

__all__ = [
    "Done",
    "contents",
    "doctor",
    "run",
    "run_each",
    "sweep",
    "time_table",
]
