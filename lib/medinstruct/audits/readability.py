"""Readability: Flesch-Kincaid school grades, syllables counted by rule.

Rules of our own since textstat downloads a pronouncing dictionary. Patients need grade 6 to 8.
"""

import math
import re
from collections.abc import Mapping
from functools import lru_cache

import pandas as pd

from medinstruct import paths

VIEWS = ("patient/public", "clinician")  # lay and expert
SENTENCE = re.compile(r"(?<![.!?])[.!?]++(?=\s|$)|\n+")
WORD = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?")
LONGEST = 60  # letters of a word that are read


@lru_cache(maxsize=100_000)
def syllables(word: str) -> int:
    """Return the number of syllables of a word by rule; about nine of ten are right."""
    word, rules = word.lower().replace("’", "'").removesuffix("'s"), paths.load("syllables")
    if word in rules["words"]:
        return rules["words"][word]
    added, dropped = (sum(bool(re.search(r, word)) for r in rules[k]) for k in ("add", "drop"))
    return max(len(re.findall(r"[aeiouy]+", word)) + added - dropped, 1)


def grade(text: str) -> float:
    """Return the Flesch-Kincaid grade (Kincaid et al. 1975), or nan without words."""
    sentences = max(sum(bool(WORD.search(part)) for part in SENTENCE.split(text)), 1)
    if not (words := [word[:LONGEST] for word in WORD.findall(text)]):
        return math.nan
    return 0.39 * len(words) / sentences + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


def reading_levels(texts: Mapping, views: Mapping, *, minimum: int = 20) -> pd.DataFrame:
    """Return view, words and grade of each text with at least `minimum` words."""
    rows = []
    for name, text in texts.items():
        if (size := len(WORD.findall(text))) >= minimum:
            rows.append((name, views.get(name) or "none", size, grade(text)))
    return pd.DataFrame(rows, columns=["id", "view", "words", "grade"]).set_index("id")


def reading_gap(levels: pd.DataFrame) -> dict[str, float]:
    """Return the mean grade of lay and expert texts, and the gap with Welch's 95% interval."""
    from scipy.stats import ttest_ind

    a, b = (levels.loc[levels["view"] == view, "grade"] for view in VIEWS)
    low = high = math.nan
    if min(len(a), len(b)) > 1:
        low, high = map(float, ttest_ind(b, a, equal_var=False).confidence_interval())
    means = {"lay": float(a.mean()), "expert": float(b.mean()), "gap": float(b.mean() - a.mean())}
    return means | {"low": low, "high": high, "lay_n": len(a), "expert_n": len(b)}
