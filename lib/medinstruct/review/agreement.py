"""How far reviewers agree: percent, weighted kappa and Gwet's AC1 and AC2 beside the statistics of all chapters; who must decide."""

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from medinstruct import stats
from medinstruct.review.store import SCALES, Vote
from medinstruct.stats import Agreement

Ratings = Sequence[Sequence[Hashable | None]]
ORDERED = {
    "correctness": 2,
    "helpfulness": 2,
    "harm": 1,
}  # differences of this much go to an adjudicator


def weights(number: int, kind: str) -> np.ndarray:
    """What two categories count as agreement: identity, linear or quadratic (Cicchetti and Allison; Fleiss and Cohen).

    >>> weights(3, "linear").tolist()
    [[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 1.0]]
    """
    gap = np.abs(np.arange(number)[:, None] - np.arange(number)[None, :]) / max(number - 1, 1)
    shapes = {"identity": (gap == 0).astype(float), "linear": 1 - gap, "quadratic": 1 - gap**2}
    if kind not in shapes:
        raise ValueError(f"weights must be identity, linear or quadratic, not {kind!r}")
    return shapes[kind]


def percent_agreement(ratings: Ratings, *, seed: int = 42, rounds: int = 2000) -> Agreement:
    """The share of pairs of ratings of one unit that are equal, averaged over units; raters are rows, None is no rating.

    >>> percent_agreement([["y", "y", "n"], ["y", "n", "n"]]).value.__round__(3)
    0.667
    """
    counts, _ = _counts(ratings, None)
    seen, _, total = _parts(counts, np.eye(counts.shape[1]))
    return _with_interval(
        np.column_stack([seen, total]),
        lambda sums: sums[:, 0] / sums[:, 1],
        len(seen),
        seed,
        rounds,
    )


def gwet(
    ratings: Ratings,
    *,
    kind: str = "identity",
    values: Sequence[Hashable] | None = None,
    seed: int = 42,
    rounds: int = 2000,
) -> Agreement:
    """Gwet's AC1 (identity weights) or AC2 (linear, quadratic) of any number of raters, with gaps (Gwet 2008).

    Unlike kappa it stays near the percentage where nearly all units are of one kind. `values` are the steps of the scale, in
    order, when it has more than were used.

    >>> both = [["+"] * 118 + ["+"] * 5 + ["-"] * 2, ["+"] * 118 + ["-"] * 5 + ["+"] * 2]
    >>> round(gwet(both).value, 4), round(stats.cohen_kappa(*both).value, 4)
    (0.9408, -0.0234)
    """
    counts, values = _counts(ratings, values)
    size = len(values)
    if size < 2 or not len(counts):  # one value only: all agree, and chance is not defined
        return Agreement(*[1.0 if len(counts) else float("nan")] * 3, len(counts))
    weight = weights(size, kind)
    seen, shares, total = _parts(counts, weight)
    everyone = _shares(_counts(ratings, values, least=1)[0])

    def value(sums: np.ndarray, prevalence: np.ndarray) -> np.ndarray:
        chance = weight.sum() / (size * (size - 1)) * (prevalence * (1 - prevalence)).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (sums[:, 0] / sums[:, 1] - chance) / (1 - chance)

    found = value(np.array([[seen.sum(), total.sum()]]), everyone.mean(axis=0, keepdims=True))[0]
    drawn = stats.resampled(np.column_stack([seen, total, shares]), seed=seed, rounds=rounds)
    low, high = stats.interval(value(drawn, drawn[:, 2:] / drawn[:, 1:2]), n=len(seen))
    return Agreement(float(found), low, high, len(seen))


def weighted_kappa(
    first: Sequence[Hashable | None],
    second: Sequence[Hashable | None],
    *,
    kind: str = "quadratic",
    values: Sequence[Hashable] | None = None,
    seed: int = 42,
    rounds: int = 2000,
) -> Agreement:
    """Cohen's weighted kappa of two raters on an ordered scale: a near miss counts less than a far one (Cohen 1968)."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    steps = list(values or sorted({value for pair in pairs for value in pair}))
    if not pairs or len(steps) < 2:
        return Agreement(*[float("nan")] * 3, len(pairs))
    code, weight = {value: n for n, value in enumerate(steps)}, weights(len(steps), kind)
    a, b = (np.eye(len(steps))[[code[pair[side]] for pair in pairs]] for side in (0, 1))
    n, size = len(pairs), len(steps)

    def value(sums: np.ndarray) -> np.ndarray:
        chance = np.einsum("rc,rk,ck->r", sums[:, 1 : size + 1], sums[:, size + 1 :], weight) / n**2
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(chance < 1, (sums[:, 0] / n - chance) / (1 - chance), np.nan)

    parts = np.hstack([(a @ weight * b).sum(axis=1, keepdims=True), a, b])
    return _with_interval(parts, value, n, seed, rounds)


def agreement(votes: Sequence[Vote], *, seed: int = 42) -> pd.DataFrame:
    """One row a question and statistic: value, 95 % bootstrap interval over items, and how many items had two reviewers or more.

    With more than two reviewers kappa is given for each pair. Adjudicators do not count; a text that has changed since is another item.
    """
    rows = []
    for question in ("decision", *SCALES):
        table = _wide(votes, question)
        ratings = [list(of) for of in table.values()]
        if len(ratings) < 2:
            continue
        steps = list(SCALES[question]) if question in SCALES else None
        found = {"percent": percent_agreement(ratings, seed=seed)}
        for a, b in combinations(table, 2):
            name = f": {a[-4:]}, {b[-4:]}" if len(table) > 2 else ""
            found[f"Cohen's kappa{name}"] = stats.cohen_kappa(table[a], table[b], seed=seed)
            if steps:
                found[f"weighted kappa{name}"] = weighted_kappa(
                    table[a], table[b], values=steps, seed=seed
                )
        found["Krippendorff's alpha"] = stats.krippendorff_alpha(
            ratings, level="ordinal" if steps else "nominal", seed=seed
        )
        found["Gwet's AC2" if steps else "Gwet's AC1"] = gwet(
            ratings, kind="quadratic" if steps else "identity", values=steps, seed=seed
        )
        rows += [(question, name, *of) for name, of in found.items() if of.units]
    return pd.DataFrame(rows, columns=["question", "statistic", "value", "low", "high", "items"])


def agreement_table(agreed: pd.DataFrame) -> pd.DataFrame:
    """The same as one line a statistic and one column a question, each with its interval."""
    shown = [f"{row.value:.2f} ({row.low:.2f} to {row.high:.2f})" for row in agreed.itertuples()]
    wide = (
        agreed.assign(shown=shown)
        .pivot(index="statistic", columns="question", values="shown")
        .fillna("")
    )
    return wide.reindex(columns=agreed["question"].unique(), index=agreed["statistic"].unique())


def disagreements(votes: Sequence[Vote]) -> dict[tuple[str, str], str]:
    """What an adjudicator must look at: (item, hash) -> why, those with most at stake first; decided ones are left out."""
    decided = {(vote.item, vote.hash) for vote in votes if vote.role == "adjudicator"}
    groups: dict[tuple[str, str], list[Vote]] = {}
    for vote in votes:
        if vote.role != "adjudicator" and (vote.item, vote.hash) not in decided:
            groups.setdefault((vote.item, vote.hash), []).append(vote)
    why = {key: _difference(group) for key, group in groups.items() if len(group) > 1}
    stakes = {key: (("harm" in text), len(text)) for key, text in why.items() if text}
    return {key: why[key] for key in sorted(stakes, key=lambda key: stakes[key], reverse=True)}


def _difference(group: Sequence[Vote]) -> str:
    """In which points the votes on one text differ by more than taste; empty if in none."""
    said = Counter(_decision(vote) for vote in group)
    found = [" / ".join(f"{n} {name}" for name, n in sorted(said.items()))] if len(said) > 1 else []
    edits = {tuple(sorted(vote.edit.items())) for vote in group if vote.action == "edit"}
    found += ["different edits"] if len(edits) > 1 else []
    for name, most in ORDERED.items():
        given = [value for vote in group if (value := getattr(vote, name)) is not None]
        found += (
            [f"{name} {min(given)} to {max(given)}"]
            if given and max(given) - min(given) >= most
            else []
        )
    return "; ".join(found)


def _decision(vote: Vote) -> str:
    """The action; in a comparison the model that won, whichever side it stood on."""
    return vote.sides.get(vote.action, vote.action)


def _wide(votes: Sequence[Vote], question: str) -> dict[str, list[Hashable | None]]:
    """Reviewer -> what they said on each text that any of them saw, None where they did not."""
    kept = [vote for vote in votes if vote.role == "reviewer"]
    units = {
        key: n
        for n, key in enumerate(dict.fromkeys((vote.kind, vote.item, vote.hash) for vote in kept))
    }
    table: dict[str, list[Hashable | None]] = {vote.reviewer: [None] * len(units) for vote in kept}
    for vote in kept:
        table[vote.reviewer][units[vote.kind, vote.item, vote.hash]] = (
            _decision(vote) if question == "decision" else getattr(vote, question)
        )
    return {
        name: of for name, of in sorted(table.items()) if any(value is not None for value in of)
    }


def _counts(
    ratings: Ratings, values: Sequence[Hashable] | None, *, least: int = 2
) -> tuple[np.ndarray, list[Hashable]]:
    """How often each unit got each value, for units with at least so many ratings; and the values in order."""
    seen = {value for row in ratings for value in row if value is not None}
    steps = (
        list(values) if values else sorted(seen, key=lambda value: (isinstance(value, str), value))
    )
    code = {value: n for n, value in enumerate(steps)}
    counts = np.zeros((len(ratings[0]) if len(ratings) else 0, len(steps)))
    for row in ratings:
        for unit, value in enumerate(row):
            if value is not None:
                counts[unit, code[value]] += 1
    return counts[counts.sum(axis=1) >= least], steps


def _parts(counts: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each unit: its agreement between pairs of raters, its shares of the values, and 1."""
    raters = counts.sum(axis=1)
    seen = (counts * (counts @ weight - 1)).sum(axis=1) / np.maximum(raters * (raters - 1), 1)
    return seen, _shares(counts), np.ones(len(counts))


def _shares(counts: np.ndarray) -> np.ndarray:
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _with_interval(parts: np.ndarray, value: object, n: int, seed: int, rounds: int) -> Agreement:
    """A statistic of sums over units, and its bootstrap interval."""
    if not n:
        return Agreement(*[float("nan")] * 3, 0)
    found = value(parts.sum(axis=0, keepdims=True))[0]
    low, high = stats.interval(value(stats.resampled(parts, seed=seed, rounds=rounds)), n=n)
    return Agreement(round(float(found), 12), low, high, n)
