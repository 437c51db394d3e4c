"""What a win rate would be at equal lengths and without a favoured place: a logistic regression on this very test set."""

import warnings
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from medinstruct.evaluation.verdicts import of_one_judge
from medinstruct.records import Verdict

EMPTY = [float("nan")] * 3


def length_controlled(
    verdicts: Iterable[Verdict | dict], texts: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    """One row a model and reference: lc_score (score at equal lengths), length slope, position effect, each with its interval.

    The log odds that the model wins are modelled as its strength, plus `length` times the log of the ratio of words, plus
    `position` where it stands first (half of it less where second). Errors are clustered by item, since both orders of
    an item are one question. `texts` is name -> item -> text. Where all verdicts agree nothing can be fitted: nan.
    """
    frame = with_lengths(of_one_judge(verdicts), texts)
    frame = frame[frame["score"].notna() & frame["log_ratio"].notna()]
    rows = {key: _fitted(group) for key, group in frame.groupby(["model", "reference"], sort=False)}
    index = pd.MultiIndex.from_tuples(list(rows), names=["model", "reference"])
    names = [
        f"{name}{end}"
        for name in ("lc_score", "length", "position")
        for end in ("", "_low", "_high")
    ]
    return pd.DataFrame(list(rows.values()), index=index, columns=names)


def with_lengths(frame: pd.DataFrame, texts: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """The table of verdicts with the log ratio of words, model over reference; nan where a text is not known."""
    words = {
        (name, item): len(text.split()) + 1
        for name, answers in texts.items()
        for item, text in answers.items()
    }
    own = [words.get(key, np.nan) for key in zip(frame["model"], frame["id"], strict=True)]
    other = [words.get(key, np.nan) for key in zip(frame["reference"], frame["id"], strict=True)]
    return frame.assign(log_ratio=np.log(np.array(own, dtype=float) / np.array(other, dtype=float)))


def _fitted(group: pd.DataFrame) -> list[float]:
    """Estimate, low and high of the score at equal lengths, of the slope and of the position effect."""
    import statsmodels.api as sm

    place = np.where(group["order"] == "model_first", 0.5, -0.5)
    columns = np.column_stack([np.ones(len(group)), group["log_ratio"], place])
    used = [0] + [n for n in (1, 2) if np.ptp(columns[:, n]) > 0]
    codes = pd.factorize(group["id"])[0]
    if group["score"].nunique() < 2 or codes.max() < 2 * len(used):
        return EMPTY * 3
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = sm.GLM(
                group["score"].to_numpy(), columns[:, used], family=sm.families.Binomial()
            ).fit(cov_type="cluster", cov_kwds={"groups": codes})
    except (np.linalg.LinAlgError, sm.tools.sm_exceptions.PerfectSeparationError):
        return EMPTY * 3
    estimates, bounds = (
        dict(zip(used, fit.params, strict=True)),
        dict(zip(used, fit.conf_int(), strict=True)),
    )
    if max(map(abs, fit.params)) > 15:  # separated: some side always wins
        return EMPTY * 3
    return _equal_lengths(estimates, np.asarray(fit.cov_params()), used) + [
        value for n in (1, 2) for value in ([estimates[n], *bounds[n]] if n in estimates else EMPTY)
    ]


def _equal_lengths(
    estimates: dict[int, float], covariance: np.ndarray, used: list[int]
) -> list[float]:
    """The mean score of the two orders at equal lengths, with an interval from the delta method on the scale of log odds."""
    orders = np.zeros((2, len(used)))
    orders[:, 0] = 1
    if 2 in used:
        orders[:, used.index(2)] = 0.5, -0.5
    chances = _odds(orders @ np.array([estimates[n] for n in used]))
    mean = float(chances.mean())
    slope = ((chances * (1 - chances))[:, None] * orders).mean(axis=0) / (mean * (1 - mean))
    error = float(np.sqrt(slope @ covariance @ slope))
    middle = np.log(mean / (1 - mean))
    return [mean, *(float(_odds(middle + side * 1.96 * error)) for side in (-1, 1))]


def _odds(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))
