"""Findings: each audit's number with its interval, stated threshold, and pass or miss."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from medinstruct import paths

LIMITS: dict[str, list[float]] = paths.load("audit_limits")


class Finding(NamedTuple):
    """One number of an audit beside its threshold; `keeps` is None if nothing was measured."""

    audit: str
    value: float
    low: float
    high: float
    n: int
    limit: str
    keeps: bool | None


def finding(
    audit: str, value: float, *, low=math.nan, high=math.nan, n: int = 0, subject: str = ""
) -> Finding:
    """Compare an audit's number with its threshold in `LIMITS`; `subject` says of what.

    >>> finding("machine speaks", 0.0, n=500).keeps, finding("emergency", 0.4).limit
    (True, 'at least 0.9')
    >>> finding("female share", math.nan).keeps is None
    True
    """
    least, most = LIMITS[audit]
    limit = f"{least:g} to {most:g}"
    if math.isinf(most):
        limit = f"at least {least:g}"
    elif math.isinf(least):
        limit = f"at most {most:g}"
    name = f"{audit}, {subject}" if subject else audit
    passed = None if math.isnan(value) else bool(least <= value <= most)
    return Finding(name, float(value), float(low), float(high), int(n), limit, passed)


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """Return all findings, those that miss their threshold first."""
    frame = pd.DataFrame(findings, columns=list(Finding._fields)).set_index("audit")
    rank = frame["keeps"].map({False: 0, None: 1, True: 2}.get)
    return frame.loc[rank.sort_values(kind="stable").index]


def as_json(findings: Iterable[Finding]) -> list[dict]:
    """Return the findings for `quality.json`; a missing number is null."""
    rows = [finding._asdict() for finding in findings]
    return [{key: None if value != value else value for key, value in row.items()} for row in rows]
