"""Pipeline: run notebooks in order, sweep a grid, diagnose a machine, write repeated text."""

from medinstruct.pipeline import doctor, runner, sweep
from medinstruct.pipeline.runner import run
