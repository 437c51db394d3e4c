"""Pipeline: run notebooks in order, sweep a grid, diagnose a machine, export a model."""

from medinstruct.pipeline.runner import run
