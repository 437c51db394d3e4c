"""Running notebooks end to end, the report on a run, and two runs side by side."""

from medinstruct.run.comparing import Comparison, compare
from medinstruct.run.contents import contents
from medinstruct.run.doctor import doctor
from medinstruct.run.runner import Done, run, run_each, time_table
from medinstruct.run.sweep import sweep

__all__ = [
    "Comparison", "Done", "compare", "contents", "doctor", "run", "run_each", "sweep", "time_table",
]  # fmt: skip
