"""Definitions: the report's parts, the published numbers, and the expressions in both."""

import re
from functools import cache
from typing import Any

import jinja2
import pandas as pd

from medinstruct import labels, paths, stats

SPACE = "\u00a0"


@cache
def load(name: str) -> Any:
    """Return a file of definitions: report, deviations or published.

    In `published`, `merged` holds the counts of types and views after our label rules.
    """
    content = paths.load(name)
    if name == "published":
        content = content | {"merged": {}}
        for axis in ("type", "view"):
            names = [
                str(labels.canonical(axis, raw) or "other") for raw in content["generated"][axis]
            ]
            counts = pd.Series(content["generated"][axis].values(), index=names)
            content["merged"][axis] = counts.groupby(level=0, sort=False).sum().to_dict()
    return content


def formatted(value: float | None, unit: str) -> str:
    """Format a number by its unit; a missing one is a dash.

    >>> formatted(0.4567, "share"), formatted(64350, "count"), formatted(3.1258, "nats")
    ('45.7\xa0%', '64,350', '3.13\xa0nats')
    """
    if value is None or value != value:
        return "–"
    if unit == "share":
        return f"{100 * value:.1f}{SPACE}%"
    if unit == "points":
        return f"{100 * value:+.1f}{SPACE}points"
    if unit == "count":
        return f"{value:,.0f}"
    return f"{value:.2f}" + (f"{SPACE}{unit}" if unit in ("bits", "nats") else "")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(undefined=jinja2.ChainableUndefined)
    environment.filters |= {"unit": formatted, "entropy": stats.entropy}
    environment.globals["published"] = load("published")
    return environment


def fill(template: str, scope: dict[str, Any]) -> str:
    """Return a template's text, its line breaks and double blanks as one blank."""
    return re.sub("[ \n]+", " ", _environment().from_string(template).render(scope)).strip()


def evaluate(expression: str, scope: dict[str, Any]) -> Any:
    """Return the value of an expression, or None where something in it is undefined.

    >>> evaluate("run.steps / 2", {"run": {"steps": 3}}), evaluate("run.a / 2", {"run": {}})
    (1.5, None)
    """
    try:
        return _environment().compile_expression(expression)(scope)
    except jinja2.UndefinedError:
        return None


def deviations() -> pd.DataFrame:
    """Return known problems of the published numbers: claim, evidence, place, what we do."""
    rows = [row | {"shows": fill(row["shows"], {})} for row in load("deviations")]
    names = {"shows": "what the files show", "where": "where to see it"}
    return pd.DataFrame(rows).rename(columns=names)
