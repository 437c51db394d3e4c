"""Two questions beyond the score: does a model know what it knows (calibration), and does it read the options or their order?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medinstruct import stats
from medinstruct.benchmarks.loading import Benchmark
from medinstruct.benchmarks.models import Contestant
from medinstruct.benchmarks.running import Result, run
from medinstruct.benchmarks.sets import Question
from medinstruct.evaluation.test_sets import evenly


def calibration(result: Result, *, bins: int = 10) -> tuple[float, pd.DataFrame]:
    """The expected calibration error, and by bins of confidence: n, mean confidence, accuracy, and Wilson's interval.

    Confidence is the probability of the chosen option among all options; the error is the mean gap between confidence and
    accuracy over bins of equal width, weighted by their size (Naeini et al. 2015).
    """

    surest = np.array([max(sample.probabilities) for sample in result.samples])
    rows = []
    for place in sorted(set(places := np.minimum((surest * bins).astype(int), bins - 1))):
        inside, right = surest[places == place], result.scores[places == place]
        found = stats.wilson(int(right.sum()), len(right))
        rows.append((place / bins, len(right), inside.mean(), right.mean(), found.low, found.high))
    table = pd.DataFrame(rows, columns=["from", "n", "confidence", "accuracy", "low", "high"])
    return float(
        (table["n"] * (table["confidence"] - table["accuracy"]).abs()).sum() / table["n"].sum()
    ), table


def turned(question: Question, steps: int) -> Question:
    """The question with its options moved on in a circle, the right one with them.

    >>> one = {"id": "q", "options": ["a", "b", "c"], "answer": 2}
    >>> turned(one, 1)["options"], turned(one, 1)["answer"]
    (['c', 'a', 'b'], 0)
    """
    size = len(question["options"])
    options = [question["options"][(n - steps) % size] for n in range(size)]
    return question | {
        "id": f"{question['id']}+{steps}",
        "options": options,
        "answer": (question["answer"] + steps) % size,
    }


def orders(benchmark: Benchmark, *, items: int) -> Benchmark:
    """The benchmark with some questions asked once for each turn of their options."""
    asked = [
        turned(one, n)
        for one in evenly(benchmark.questions, items)
        for n in range(len(one["options"]))
    ]
    return benchmark._replace(questions=asked, total=len(asked))


def order_sensitivity(
    benchmark: Benchmark,
    models: Sequence[Contestant],
    *,
    items: int,
    folder: str | Path,
    **settings: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Per model how far answers depend on the order of the options; and how often each place was chosen.

    same: questions whose chosen option stays the same in every turn (a blind guesser of one place: none); score: accuracy over
    all turns; spread: accuracy with the right option in its best place less that in its worst.
    """
    asked = orders(benchmark, items=items)
    rows, places = {}, {}
    for result in run([asked], models, folder=folder, **settings):
        frame = pd.DataFrame(
            _chosen(result, asked), columns=["question", "option", "place", "answer", "score"]
        )
        by_place = frame.groupby("answer")["score"].mean()
        same = frame.groupby("question")["option"].nunique() == 1
        rows[result.model] = {
            "questions": len(same),
            "same": same.mean(),
            "score": frame["score"].mean(),
            "spread": by_place.max() - by_place.min(),
        }
        letters = max((one["letters"] for one in asked.questions), key=len)
        places[result.model] = (
            frame["place"].value_counts(normalize=True).reindex(letters, fill_value=0.0)
        )
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model"), pd.DataFrame(
        places
    ).fillna(0.0).rename_axis("place")


def _chosen(result: Result, asked: Benchmark) -> list[tuple]:
    rows = []
    for sample, one in zip(result.samples, asked.questions, strict=True):
        option = one["options"][sample.choice] if sample.choice is not None else ""
        place = one["letters"][sample.choice] if sample.choice is not None else "none"
        rows.append(
            (
                sample.id.rpartition("+")[0],
                option,
                place,
                one["letters"][sample.answer],
                sample.score,
            )
        )
    return rows
