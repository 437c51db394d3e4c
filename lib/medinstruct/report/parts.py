"""The parts of the report: one figure, one computed sentence and the numbers of each; what has not run says how to run it."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from medinstruct import plotting
from medinstruct.report import provenance, svg
from medinstruct.report.gather import Run
from medinstruct.report.numbers import Number, numbers, printed, stand_ins


@dataclass(frozen=True)
class Part:
    """One part: `figure` for a notebook, the same in `svg` for the page, `alt` in words; `todo` where its notebook has not run."""

    name: str
    heading: str
    sentence: str
    figure: Any = None
    svg: str = ""
    svg_narrow: str = ""
    alt: str = ""
    numbers: list[Number] = field(default_factory=list)
    stand_ins: list[str] = field(default_factory=list)
    todo: str = ""

    @property
    def table(self) -> pd.DataFrame:
        """The numbers as text: this run, interval, n, the paper's."""
        rows = [
            (
                one.name,
                one.shown(),
                one.interval(),
                "" if one.n is None else f"{one.n:,}",
                f"{printed(one.paper, one.unit)} ({one.paper_is})" if one.paper is not None else "",
            )
            for one in self.numbers
        ]
        return pd.DataFrame(
            rows, columns=["", "this run", "95 % interval", "n", "paper"]
        ).set_index("")


def part_of(
    run: Run,
    name: str,
    heading: str,
    sentence: str,
    *,
    alt: str,
    title: str = "",
    figure: Any = None,
    drawn: tuple[str, str] = ("", ""),
) -> Part:
    """A part with its numbers; the page takes the figure before it gets the `title` that a notebook shows."""
    import matplotlib.pyplot as plt

    wide, narrow = drawn
    if figure is not None:
        wide = svg.inline(figure, name, alt=alt)
        plt.close(plotting.titled(figure, title))  # who shows it decides when
    own = [one for one in numbers(run) if one.part == name]
    return Part(name, heading, sentence, figure, wide, narrow, alt, own, stand_ins(run, name))


def missing(run: Run, name: str, heading: str, notebook: str) -> Part:
    """The part of a notebook that has not run, with the command that runs it."""
    sentence = f"Not measured in this run: notebook {notebook} has not written its files yet."
    profile = f"params/{provenance.nearest_profile(run)[0] or 'demo'}.yaml"
    do = f"python -m medinstruct run {profile} {notebook} --set run={run.name}"
    return Part(name, heading, sentence, plotting.note(f"{sentence} {do}"), alt=sentence, todo=do)
