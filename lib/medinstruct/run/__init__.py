"""Running notebooks end to end, and the page that reports on a run."""

from medinstruct.run.doctor import doctor
from medinstruct.run.runner import run
from medinstruct.run.sweep import sweep

__all__ = ["doctor", "run", "sweep"]
