"""How hard a text is to read, as a school grade: Flesch-Kincaid and SMOG, with syllables counted by rule.

Own rules since the usual library loads a pronouncing dictionary over the network. Texts for patients should be at grade 6 to 8.
"""

import math
import re
from collections.abc import Mapping
from functools import lru_cache

import pandas as pd

SENTENCE = re.compile(r"[.!?]+(?=\s|$)|\n+")
WORD = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?")
# where two vowels are two syllables, an ending that is one, and letters that are silent: what is added and taken away
ADD = (
    r"ia(?!ge)",
    r"io(?!n|us)",
    r"(?<![cgstx])ious",
    r"iu",
    r"eo(?!us)",
    r"[^q]ua[lt]",
    r"[^q]uids?$",
    r"uiet",
    r"uity",
    r"iety",
    r"ying",
    r"[aeiouy][a-z]+ea$",
    r"(?:[dnl]|(?<!f)r)ien",
    r"^[^aeiou]+ions?$",
    r"^reac",
    r"creat(?!ur)",
    r"[a-z]yo",
    r"[^aeiouy]le$",
    r"[aeiou]sms?$",
    r"thms?$",
)
DROP = (
    r"e$",
    r"[^tdaeiouy]ed$",
    r"[^aeiouylscgxz]es$",
    r"[^aeiouy]ely$",
    r"eful",
    r"[tc]ia[ln]",
    r"eness$",
    r"[^aeiou]ements?$",
)
RARE = {
    "people": 2,
    "every": 2,
    "being": 2,
    "doing": 2,
    "going": 2,
    "science": 2,
    "diet": 2,
    "trial": 2,
    "aged": 2,
    "diabetes": 4,
    "sometimes": 2,
    "therefore": 2,
    "sea": 1,
    "tea": 1,
    "simile": 3,
    "syncope": 3,
    "acne": 2,
}


@lru_cache(maxsize=100_000)
def syllables(word: str) -> int:
    """How many syllables a word has, by rule; about nine of ten are right.

    >>> [syllables(word) for word in ("heart", "fever", "medicine", "hypertension", "table", "walked", "the")]
    [1, 2, 3, 4, 2, 1, 1]
    """
    word = word.lower().replace("’", "'").removesuffix("'s")
    if word in RARE:
        return RARE[word]
    count = len(re.findall(r"[aeiouy]+", word))
    count += sum(bool(re.search(rule, word)) for rule in ADD)
    count -= sum(bool(re.search(rule, word)) for rule in DROP)
    return max(count, 1)


def grade(text: str) -> float:
    """The Flesch-Kincaid grade of a text (Kincaid and others 1975); nan where it has no words.

    >>> round(grade("The cat sat on the mat."), 2)
    -1.45
    """
    words, sentences = _parts(text)
    if not words:
        return float("nan")
    return 0.39 * len(words) / sentences + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


def smog(text: str) -> float:
    """The SMOG grade (McLaughlin 1969), made for 30 sentences and rough for fewer; nan where there are no words."""
    words, sentences = _parts(text)
    hard = sum(syllables(word) >= 3 for word in words)
    return 1.043 * math.sqrt(hard * 30 / sentences) + 3.1291 if words else float("nan")


def reading_levels(
    texts: Mapping[str, str], views: Mapping[str, str | None], *, fewest: int = 20
) -> pd.DataFrame:
    """One row a text of at least so many words: view, words, grade, smog."""
    rows = [
        (name, views.get(name) or "none", len(WORD.findall(text)), grade(text), smog(text))
        for name, text in texts.items()
        if len(WORD.findall(text)) >= fewest
    ]
    return pd.DataFrame(rows, columns=["id", "view", "words", "grade", "smog"]).set_index("id")


def reading_gap(
    levels: pd.DataFrame, *, lay: str = "patient/public", expert: str = "clinician"
) -> dict[str, float]:
    """Mean grade of texts for lay people and for clinicians, and their difference with the interval of Welch's t test."""
    from scipy.stats import ttest_ind

    a, b = levels.loc[levels["view"] == lay, "grade"], levels.loc[levels["view"] == expert, "grade"]
    low, high = (
        ttest_ind(b, a, equal_var=False).confidence_interval()
        if min(len(a), len(b)) > 1
        else (float("nan"),) * 2
    )
    return {
        "lay": float(a.mean()),
        "expert": float(b.mean()),
        "gap": float(b.mean() - a.mean()),
        "low": float(low),
        "high": float(high),
        "lay_n": len(a),
        "expert_n": len(b),
    }


def _parts(text: str) -> tuple[list[str], int]:
    sentences = sum(bool(WORD.search(part)) for part in SENTENCE.split(text))
    return WORD.findall(text), max(sentences, 1)
