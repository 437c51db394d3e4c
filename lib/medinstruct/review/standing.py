"""What the votes say of the whole dataset: shares with their intervals, from a sample that favoured suspicious items."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from medinstruct.review.cards import text_hash
from medinstruct.review.planner import estimate
from medinstruct.review.sampling import Drawn, reasons
from medinstruct.review.store import Store, Vote
from medinstruct.review.versions import decide, load

ENDS = {"accepted": "accept", "edited": "edit", "rejected": "reject", "disputed": "open"}


def standing(
    votes: Sequence[Vote], drawn: Sequence[Drawn], *, population: int, least: int = 1
) -> pd.DataFrame:
    """One row a mark: its share in the dataset (`score`) with a 95 % interval, and how many drawn items were read for it.

    Of several reviewers the mean counts for correctness and helpfulness, and the worst for harm. Votes on items outside the
    sample, or on what was their text before, are left out, since nobody knows what they stand for.
    """
    weights = {one.item.id: one.weight for one in drawn}
    texts = {(one.item.id, text_hash(one.item)) for one in drawn}
    said = [vote for vote in votes if (vote.item, vote.hash) in texts]
    ends = {item: action for (item, _), (action, *_) in decide(said, least=least).items()}
    marks = {
        name: {item: action == end for item, action in ends.items()} for name, end in ENDS.items()
    }
    for name in ("correctness", "helpfulness"):
        marks[f"{name} 4 or 5"] = {
            item: sum(of) / len(of) >= 4 for item, of in _scores(said, name).items()
        }
    for least_harm, name in ((1, "any harm"), (2, "serious harm")):
        marks[name] = {item: max(of) >= least_harm for item, of in _scores(said, "harm").items()}
    rows = {
        name: estimate(of, weights, population=population)._asdict() for name, of in marks.items()
    }
    return (
        pd.DataFrame.from_dict(rows, orient="index")
        .rename(columns={"share": "score"})
        .rename_axis("mark")
    )


def review_rates(folder: str | Path, mode: str = "dataset") -> dict[str, tuple[float, float]]:
    """What people said of the items of a run, each mark as (hits, n) for `compare_rates`; empty where nobody has voted.

    Whatever the sample was: what was read of the suspicious items speaks for all suspicious ones, and so the others.
    """
    path = Path(folder) / "reviews.sqlite"
    votes = Store(path).votes(mode) if path.exists() else []
    items = load(mode, folder) if votes else []
    seen = {(vote.item, vote.hash) for vote in votes}
    groups = [[item for item in items if bool(reasons(item)) == odd] for odd in (True, False)]
    read = [[item for item in group if (item.id, text_hash(item)) in seen] for group in groups]
    drawn = [
        Drawn(item, len(group) / len(of), ())
        for group, of in zip(groups, read, strict=True)
        for item in of
    ]
    if not drawn:
        return {}
    table = standing(votes, drawn, population=len(items)).query("effective > 0")
    return {
        f"review: {one.Index}": (one.score * one.effective, one.effective)
        for one in table.itertuples()
    }


def _scores(votes: Sequence[Vote], name: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for vote in votes:
        if (value := getattr(vote, name)) is not None:
            found.setdefault(vote.item, []).append(value)
    return found
