"""Whether several answers to one question say the same: what differs from sample to sample, the model does not know."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from medinstruct.filtering import nearest

LOW = 0.35  # mean ROUGE-L F1 of the pairs under which a reader is told; a choice, not a measured limit


class Agreement(NamedTuple):
    """Mean ROUGE-L F1 of all pairs of answers (nan for fewer than two), whether it is low, and the sentence that says so."""

    score: float
    low: bool
    sentence: str


def agreement(answers: Sequence[str]) -> Agreement:
    """How far several answers to the same question agree in their words.

    >>> agreement(["Give fluids.", "Give fluids."]).sentence
    '2 answers to this question agree by 1.00 (mean ROUGE-L of the pairs).'
    >>> agreement(["Give fluids.", "Restrict salt."]).low, agreement(["Give fluids."]).low
    (True, False)
    """
    if len(answers) < 2:
        return Agreement(
            float("nan"), False, "Asked once: nothing is known of how sure the model is."
        )
    scores = [nearest([one], [other])[0][1] for one, other in combinations(answers, 2)]
    score = float(np.mean(scores))
    low = score < LOW
    sentence = (
        f"{len(answers)} answers to this question agree by {score:.2f} (mean ROUGE-L of the pairs)."
    )
    return Agreement(
        score, low, f"Uncertain: {sentence[0].lower() + sentence[1:]}" if low else sentence
    )
