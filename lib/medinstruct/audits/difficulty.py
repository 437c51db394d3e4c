"""How hard a task is, estimated without its label: a ridge regression on what the text shows, learned from tasks with labels.

The estimate knows surface only (length, rare and long words, findings, numbers, steps asked for). A label far from it is for human eyes.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medinstruct.audits import readability as reading

STEPS = r"\b(?:then|compare|justify|defend|distinguish|differential|weigh|plan|derive|why|explain|discuss|critically|evaluate|debate|outline|interpret|manage)\b"
HARD = r"\b(?:refractory|comorbid\w*|contraindicat\w+|rare|atypical|resistan\w+|conflict\w*|uncertain\w*|trade-?offs?|multidisciplin\w+|frail|dilemma|despite|although|however|pregnan\w+|dialysis|transplant\w*|consent)\b"
NAMES = (
    "words",
    "long words",
    "word length",
    "steps",
    "hard words",
    "numbers",
    "questions",
    "clauses",
    "grade",
)


class Estimated(NamedTuple):
    """Estimates of difficulty for some texts, and how well such estimates agree with labels where both are known (held out)."""

    values: np.ndarray
    correlation: float
    error: float
    learned_from: int


def shown(text: str) -> list[float]:
    """What the surface of a text shows of its difficulty, in the order of `NAMES`."""
    words = reading.WORD.findall(text)
    count = max(len(words), 1)
    return [
        np.log1p(len(words)),
        sum(reading.syllables(word) >= 4 for word in words) / count,
        sum(map(len, words)) / count,
        len(re.findall(STEPS, text, re.IGNORECASE)),
        len(re.findall(HARD, text, re.IGNORECASE)),
        np.log1p(len(re.findall(r"\d+", text))),
        text.count("?"),
        text.count(",") / count,
        min(reading.grade(text), 30) if words else 0.0,
    ]


def estimate_difficulty(
    texts: Sequence[str],
    *,
    known: Sequence[str],
    levels: Sequence[int],
    seed: int = 42,
    folds: int = 5,
) -> Estimated:
    """The difficulty of `texts` from 1 to 5, learned from `known` texts with their `levels`.

    Correlation (Spearman) and mean absolute error are of cross-validated estimates of the known ones: no text helps to estimate itself.
    """
    from scipy.stats import spearmanr

    if len(known) < 2 * folds:
        return Estimated(np.full(len(texts), np.nan), float("nan"), float("nan"), len(known))
    x, y = np.array([shown(text) for text in known]), np.array(levels, dtype=float)
    fold = np.random.default_rng(seed).permutation(len(known)) % folds
    held = np.empty(len(known))
    for number in range(folds):
        held[fold == number] = _ridge(x[fold != number], y[fold != number], x[fold == number])
    values = _ridge(x, y, np.array([shown(text) for text in texts])) if len(texts) else np.empty(0)
    correlation = (
        float(spearmanr(held, y).statistic) if np.ptp(held) and np.ptp(y) else float("nan")
    )
    return Estimated(values, correlation, float(np.abs(held - y).mean()), len(known))


def _ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray, *, weight: float = 5.0) -> np.ndarray:
    middle, spread = x.mean(axis=0), x.std(axis=0)
    spread[spread == 0] = 1
    z = (x - middle) / spread
    slope = np.linalg.solve(z.T @ z + weight * np.eye(z.shape[1]), z.T @ (y - y.mean()))
    return np.clip(y.mean() + (new - middle) / spread @ slope, 1, 5)
