"""Titles: fields such as {n} and {largest} that a chart fills in from the data that it draws.

- One series (bars, funnel; heat map: its cells; sunburst: its verbs; intervals: the scores):
  {n} rows, {empty} of them 0 or missing, {total}, {mean}, {median}; {first}, {last}, {largest},
  {smallest} name a row, {largest_value} is its number, {largest_share} its part of the total;
  {top3_share}, {top5_share}, {top10_share}; and the value of any row by its name: {surgery}.
- Several columns or groups (grouped bars, lines, histogram, dumbbell, groups of intervals): these
  fields of the first column (of all groups), of a certain one {tuned.largest}; {columns} names
  them. Tables also have {widest}, the row whose values differ most, {widest_gap}, and {rise},
  {fall}, {same}: rows by their change from the first to the last column.
- Besides, bars: {shown}, {hidden} rows; heat map: {rows}, {columns}; funnel: {left_share}, the last
  stage by the first; dumbbell: {improved}, {worsened}; histogram: {over}, {over_share} at or above
  the first reference; intervals: {above}, {below}: wholly on one side of reference or marks.
"""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

FIELD = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")


def short(name: object, limit: int = 40) -> str:
    """Return a label on one line, cut with an ellipsis at `limit` characters; tuples are joined.

    >>> short("hypertension", 8), short(("age", "75"))
    ('hyperte…', 'age: 75')
    """
    text = ": ".join(map(str, name)) if isinstance(name, tuple) else str(name)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number(value: float) -> str:
    """Return a number for a reader: whole with separators, else three significant digits.

    >>> number(12345), number(0.12345), number(1234.5)
    ('12,345', '0.123', '1,234')
    """
    whole = abs(value) >= 100 or float(value).is_integer()
    return f"{value:,.0f}" if whole else f"{value:.3g}"


def fill(title: str, fields: Mapping[str, Any]) -> str:
    """Return a title with its known fields filled in; any other braces stay as they are.

    A field may have a format, as in {largest_share:.0%}. The first letter becomes a capital.

    >>> fill("{largest} leads, {n} in all, {so} it {is:x}", {"largest": "surgery", "n": 1200})
    'Surgery leads, 1,200 in all, {so} it {is:x}'
    """

    def value(match: re.Match) -> str:
        field, spec = match.groups()
        content = fields.get(field, match.group())
        if isinstance(content, str):
            return content
        return format(content, spec) if spec else number(content)

    text = FIELD.sub(value, title)
    return text[:1].upper() + text[1:] if text != title else text


def series_fields(values: Any, *, over: float | None = None) -> dict[str, Any]:
    """Return the fields of one series of numbers.

    >>> fields = series_fields(pd.Series({"chat": 6, "rewrite": 3, "choose": 1, "plan": 0}))
    >>> fill("{largest} has {largest_share:.0%}, {smallest} {smallest_value} of {total}", fields)
    'Chat has 60%, plan 0 of 10'
    >>> fill("Three of {n} types hold {top3_share:.0%}, {empty} is empty, chat {chat}", fields)
    'Three of 4 types hold 100%, 1 is empty, chat 6'
    """
    values = pd.Series(values, dtype=float)
    numbers = values.dropna()
    total = numbers.sum()
    fields = {short(name, 999): value for name, value in numbers.items()}
    fields |= {"n": len(values), "empty": len(values) - int((numbers != 0).sum()), "total": total}
    if numbers.empty:
        return fields
    if over is not None:
        fields |= {"over": int((numbers >= over).sum()), "over_share": (numbers >= over).mean()}
    top = numbers.nlargest(10)
    fields |= {f"top{k}_share": top[:k].sum() / (total or 1) for k in (3, 5, 10)}
    fields |= {"mean": numbers.mean(), "median": numbers.median()}
    places = {"first": 0, "last": -1, "largest": numbers.argmax(), "smallest": numbers.argmin()}
    for name, place in places.items():
        value = numbers.iloc[place]
        fields |= {name: short(numbers.index[place]), f"{name}_value": value}
        fields[f"{name}_share"] = value / (total or 1)
    return fields


def column_fields(columns: Mapping, *, over: float | None = None) -> dict[str, Any]:
    """Return the fields of several series: those of the first, and of each as {name.field}."""
    parts = {name: series_fields(column, over=over) for name, column in columns.items()}
    fields = dict(next(iter(parts.values()), {"n": 0}))
    names = [short(name, 999) for name in parts if name]
    fields["columns"] = " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
    for name, part in parts.items():
        fields |= {f"{name}.{field}": value for field, value in part.items()}
    return fields


def frame_fields(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the fields of a table: those of its columns, and how its rows change.

    >>> frame = pd.DataFrame({"base": [1, 2], "tuned": [4, 1]}, index=["cough", "fever"])
    >>> fill("{columns}: {rise} up, {fall} down; {widest} by {widest_gap}", frame_fields(frame))
    'Base and tuned: 1 up, 1 down; cough by 3'
    >>> fill("{base.mean} to {tuned.mean}, fever {tuned.fever:.1f}", frame_fields(frame))
    '1.5 to 2.5, fever 1.0'
    """
    fields = column_fields(dict(frame.items()))
    change = frame.iloc[:, -1] - frame.iloc[:, 0]
    signs = {"rise": (change > 0).sum(), "fall": (change < 0).sum(), "same": (change == 0).sum()}
    gaps = (frame.max(axis=1) - frame.min(axis=1)).dropna()
    if len(gaps):
        fields |= {"widest": short(gaps.index[gaps.argmax()]), "widest_gap": gaps.max()}
    return fields | signs
