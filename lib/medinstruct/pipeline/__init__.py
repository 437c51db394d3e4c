"""Pipeline: run notebooks in order, sweep a grid, diagnose a machine, write repeated text."""

from medinstruct.pipeline.doctor import diagnose
from medinstruct.pipeline.notebook_docs import write_docs
from medinstruct.pipeline.runner import Done, run, time_table
from medinstruct.pipeline.sweep import sweep_grid

__all__ = ["Done", "diagnose", "run", "sweep_grid", "time_table", "write_docs"]
