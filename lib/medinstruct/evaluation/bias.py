"""The bias panel that stands beside every win rate: place, length, kinship of judge and judged, truncated answers."""

import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from medinstruct import stats
from medinstruct.evaluation.length_control import length_controlled, with_lengths
from medinstruct.evaluation.looks import is_cut
from medinstruct.evaluation.verdicts import by_judge, of_one_judge, table
from medinstruct.evaluation.winrates import win_rates
from medinstruct.records import Verdict

FAMILIES = {
    "OpenAI": r"gpt|davinci|\bo[1-9]\b|chatgpt",
    "Anthropic": r"claude",
    "Google": r"gemini|palm|gemma",
    "LLaMA": r"llama|alpaca|alpacare|vicuna|baize|chatdoctor|meditron",
    "Qwen": r"qwen",
    "Mistral": r"mistral|mixtral",
    "DeepSeek": r"deepseek",
    "stand-in": r"offline-stand-in",
}


def bias_panel(
    verdicts: Iterable[Verdict],
    texts: Mapping[str, Mapping[str, str]],
    *,
    cut: Mapping[str, set[str]] | None = None,
    seed: int = 42,
) -> pd.DataFrame:
    """One row a model and reference: what may have moved its score besides quality.

    score and lc_score (at equal lengths) with position_bias and consistency as in `win_rates`; length: slope of the log odds on the
    log ratio of words; longer_wins: share of decisive items (both orders agree on a winner) that the longer answer wins, of
    `decisive`; cut_model and cut_reference: share of answers that end in mid-sentence; kin: whose family the judge is of.
    `texts` is name -> item -> text, of models and references; `cut` adds answers known to have ended at the token limit.
    """
    verdicts = list(verdicts)
    frame = with_lengths(of_one_judge(verdicts), texts)
    rates, fits = win_rates(verdicts, seed=seed, by_model=True), length_controlled(verdicts, texts)
    names = [
        "score",
        "low",
        "high",
        "consistency",
        "position_bias",
        "position_bias_low",
        "position_bias_high",
    ]
    panel = rates[names].join(fits)
    longer = {
        key: _longer(group, seed)
        for key, group in frame.groupby(["model", "reference"], sort=False)
    }
    for column in ("longer_wins", "longer_wins_low", "longer_wins_high", "decisive"):
        panel[column] = [longer[key][column] for key in panel.index]
    shares = {
        name: _cut_share(answers, (cut or {}).get(name, set())) for name, answers in texts.items()
    }
    panel["cut_model"] = [shares.get(model, np.nan) for model, _ in panel.index]
    panel["cut_reference"] = [shares.get(reference, np.nan) for _, reference in panel.index]
    judge = family(verdicts[0].judge) if verdicts else None
    panel["kin"] = [_kin(judge, *key) for key in panel.index]
    return panel


def self_preference(verdicts: Iterable[Verdict], *, seed: int = 42) -> pd.DataFrame:
    """How much more a judge favours its own family than the other judges do, on the same comparisons.

    One row a judge and pair of which exactly one side is of its family: mean extra score for the own side with its interval.
    Needs several judges; with one, kinship cannot be told from quality, and the table is empty.
    """
    verdicts = list(verdicts)
    scores = {name: _keyed(given) for name, given in by_judge(verdicts).items()}
    families = {name: family(given[0].judge) for name, given in by_judge(verdicts).items()}
    rows = []
    for name, own in scores.items():
        others = [
            score
            for other, score in scores.items()
            if other != name and families[other] != families[name]
        ]
        if not others or families[name] is None:
            continue
        gaps = (own - pd.concat(others, axis=1).mean(axis=1)).dropna()
        for (model, reference), group in gaps.groupby(["model", "reference"]):
            side = {(True, False): 1.0, (False, True): -1.0}.get(
                (family(model) == families[name], family(reference) == families[name])
            )
            if side:
                extra = side * group.groupby("id").mean()
                interval = stats.bootstrap_interval(extra.to_numpy(), seed=seed)
                rows.append((name, model, reference, len(extra), extra.mean(), *interval))
    return pd.DataFrame(rows, columns=["judge", "model", "reference", "n", "extra", "low", "high"])


def family(name: str) -> str | None:
    """The family of a model by its name, or None.

    >>> family("gpt-4o-mini-2024-07-18"), family("Alpaca-Llama-2-7b-chat"), family("written")
    ('OpenAI', 'LLaMA', None)
    """
    return next((one for one, words in FAMILIES.items() if re.search(words, name.lower())), None)


def _longer(group: pd.DataFrame, seed: int) -> dict[str, float]:
    """The share of decisive items that the longer answer wins."""
    item = group.groupby("id").agg(
        low=("score", "min"), high=("score", "max"), ratio=("log_ratio", "first")
    )
    item = item[
        (item["low"] == item["high"])
        & item["low"].isin([0.0, 1.0])
        & (item["ratio"].fillna(0) != 0)
    ]
    wins = ((item["low"] == 1.0) == (item["ratio"] > 0)).to_numpy(dtype=float)
    low, high = stats.bootstrap_interval(wins, seed=seed)
    share = float(wins.mean()) if len(wins) else float("nan")
    return {
        "longer_wins": share,
        "longer_wins_low": low,
        "longer_wins_high": high,
        "decisive": len(wins),
    }


def _keyed(given: list[Verdict]) -> pd.Series:
    return table(given).set_index(["id", "model", "reference", "order"])["score"].dropna()


def _cut_share(answers: Mapping[str, str], known: set[str]) -> float:
    return (
        float(np.mean([item in known or is_cut(text) for item, text in answers.items()]))
        if answers
        else float("nan")
    )


def _kin(judge: str | None, model: str, reference: str) -> str:
    own = [
        side
        for side, name in (("model", model), ("reference", reference))
        if judge and family(name) == judge
    ]
    return " and ".join(own)
