"""Titles: fields such as {n} and {largest} that a chart fills in from the data that it draws.

- One series (funnel; heat map: its cells; sunburst: its verbs; intervals: the scores):
  {n} rows, {empty} of them 0 or missing, {total}, {median}; {first}, {last}, {largest}, {smallest}
  name a row, {largest_value} is its number, {largest_share} its part of the total; and the value of
  any row by its name: {surgery}.
- Several columns (grouped bars, lines, histogram): these fields of the first column, of a certain
  one {tuned.largest}; {widest} is the row whose values differ most, by {widest_gap}.
- Besides, funnel: {left_share}, the last stage by the first; histogram: {over} values at or above
  the first reference; intervals: {above}, {below}: wholly on one side of reference or marks.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

FIELD = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")


def short(name: object, limit: int = 40) -> str:
    """Return a label on one line, cut with an ellipsis at `limit` characters; tuples are joined."""
    text = ": ".join(map(str, name)) if isinstance(name, tuple) else str(name)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number(value: float) -> str:
    """Return a number for a reader: whole with separators, else three significant digits."""
    whole = abs(value) >= 100 or float(value).is_integer()
    return (f"{value:,.0f}" if whole else f"{value:.3g}").replace("-", "−")


def fill(title: str, fields: Mapping[str, Any]) -> str:
    """Return a title, capitalized, with its known fields, as {n} or {share:.0%}, filled in."""

    def value(match: re.Match) -> str:
        field, spec = match.groups()
        content = fields.get(field, match.group())
        if isinstance(content, str):
            return content
        return format(content, spec) if spec else number(content)

    text = FIELD.sub(value, title)
    return text[:1].upper() + text[1:] if text != title else text


def series_fields(values: Any, *, over: float | None = None) -> dict[str, Any]:
    """Return the fields of one series of numbers."""
    values = pd.Series(values, dtype=float)
    numbers = values.dropna()
    fields = {short(name, 999): value for name, value in numbers.items()}
    fields |= {"n": len(values), "empty": len(values) - int((numbers != 0).sum())}
    fields |= {"total": numbers.sum(), "median": numbers.median()}
    fields["over"] = int((numbers >= (np.nan if over is None else over)).sum())
    if numbers.empty:
        return fields
    places = {"first": 0, "last": -1, "largest": numbers.argmax(), "smallest": numbers.argmin()}
    for name, place in places.items():
        fields |= {name: short(numbers.index[place]), f"{name}_value": numbers.iloc[place]}
    return fields | {"largest_share": numbers.max() / (numbers.sum() or 1)}


def column_fields(columns: Mapping, *, over: float | None = None) -> dict[str, Any]:
    """Return the fields of several series: those of the first, and of each as {name.field}."""
    parts = {name: series_fields(column, over=over) for name, column in columns.items()}
    fields = dict(next(iter(parts.values()), {"n": 0}))
    for name, part in parts.items():
        fields |= {f"{name}.{field}": value for field, value in part.items()}
    if isinstance(columns, pd.DataFrame) and columns.size:
        gaps = columns.max(axis=1) - columns.min(axis=1)
        fields |= {"widest": short(gaps.idxmax()), "widest_gap": gaps.max()}
    return fields
