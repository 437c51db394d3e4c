"""Parallel: results of a function for many texts, computed once, by two processes if many."""

import sys
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from itertools import chain
from multiprocessing import get_context
from typing import Any

MANY = 1000  # texts above which a second process saves more than its start costs
PORTION = 250  # texts that a process reads at once
_KNOWN: dict[Callable, dict[str, Any]] = {}


def by_text(function: Callable[[list], list], texts: Iterable[Hashable]) -> dict[Hashable, Any]:
    """Return by text (or other value) the results of a function of several texts."""
    unique = list(dict.fromkeys(texts))
    parts = [unique[start : start + PORTION] for start in range(0, len(unique), PORTION)]
    if sys.platform == "linux" and len(unique) > MANY:  # where a fork is safe in a notebook
        with get_context("fork").Pool(2) as processes:
            results = processes.map(function, parts)
    else:
        results = list(map(function, parts))
    return dict(zip(unique, chain.from_iterable(results), strict=True))


def remembered(function: Callable[[str], Any], texts: Sequence[str]) -> list[Any]:
    """Return the results of a function of one text, kept since a page audits texts again."""
    known = _KNOWN.setdefault(function, {})
    known |= by_text(partial(_each, function), (text for text in texts if text not in known))
    return [known[text] for text in texts]


def _each(function: Callable[[str], Any], texts: list[str]) -> list[Any]:
    return list(map(function, texts))
