"""What the votes say of the whole dataset: shares with their intervals, from a sample that favoured suspicious items."""

from collections.abc import Sequence

import pandas as pd

from medinstruct.review.planner import estimate
from medinstruct.review.sampling import Drawn
from medinstruct.review.store import Vote
from medinstruct.review.versions import decide

ENDS = {"accepted": "accept", "edited": "edit", "rejected": "reject", "disputed": "open"}


def standing(votes: Sequence[Vote], drawn: Sequence[Drawn], *, population: int, least: int = 1) -> pd.DataFrame:
    """One row a mark: its share in the dataset (`score`) with a 95 % interval, and how many drawn items were read for it.

    Of several reviewers the mean counts for correctness and helpfulness, and the worst for harm. Votes on items outside the
    sample are left out, since nobody knows what they stand for.
    """
    weights = {one.item.id: one.weight for one in drawn}
    said = [vote for vote in votes if vote.item in weights]
    ends = {item: action for (item, _), (action, *_) in decide(said, least=least).items()}
    marks = {name: {item: action == end for item, action in ends.items()} for name, end in ENDS.items()}
    for name in ("correctness", "helpfulness"):
        marks[f"{name} 4 or 5"] = {item: sum(of) / len(of) >= 4 for item, of in _scores(said, name).items()}
    for least_harm, name in ((1, "any harm"), (2, "serious harm")):
        marks[name] = {item: max(of) >= least_harm for item, of in _scores(said, "harm").items()}
    rows = {name: estimate(of, weights, population=population)._asdict() for name, of in marks.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename(columns={"share": "score"}).rename_axis("mark")


def _scores(votes: Sequence[Vote], name: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for vote in votes:
        if (value := getattr(vote, name)) is not None:
            found.setdefault(vote.item, []).append(value)
    return found
