"""How hard a text is for its reader: the school grade of notebook 06 in three bands."""

import math

from medinstruct.audits.readability import WORD, grade

BANDS = {"easy": 6.0, "middle": 10.0, "hard": math.inf}  # up to this Flesch-Kincaid grade
FEWEST = 10  # words under which a grade says nothing


def reading_grade(text: str) -> float:
    """The Flesch-Kincaid grade of a text; nan where it has too few words to tell."""
    return grade(text) if len(WORD.findall(text)) >= FEWEST else float("nan")


def band(text: str) -> str:
    """easy (up to grade 6), middle (up to 10), hard, or "" where there is too little to tell.

    >>> band("Take one pill each day. Take it with food. Call us if you feel sick."), band("Rest.")
    ('easy', '')
    """
    value = reading_grade(text)
    return next((name for name, most in BANDS.items() if value <= most), "")
