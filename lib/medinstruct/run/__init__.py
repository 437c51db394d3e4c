"""Running notebooks end to end, and the page that reports on a run."""

from medinstruct.run.contents import contents
from medinstruct.run.doctor import doctor
from medinstruct.run.page import figure_html, frame_html, write_page
from medinstruct.run.runner import run
from medinstruct.run.sweep import sweep

__all__ = ["contents", "doctor", "figure_html", "frame_html", "run", "sweep", "write_page"]
