"""Demographics: who the texts are about, by rule on words, and how evenly."""

import re
from collections.abc import Sequence

import pandas as pd

from medinstruct import paths, stats

AGE = re.compile(
    r"\b(?:aged?\s+)?(\d{1,3})[- ](years?|months?|weeks?|days?)[- ]old\b"
    r"|\bage[d:]?\s+(\d{1,3})\b|\b(\d{1,3})\s?y/?o\b",
    re.IGNORECASE,
)
ONE_SEX = ({"female"}, {"male"})


def mentions(text: str) -> dict[str, set[str]]:
    """Return the groups that a text mentions, by trait; an age in figures counts for its group."""
    groups = {
        trait: {name for name, words in patterns.items() if re.search(words, text, re.IGNORECASE)}
        for trait, patterns in paths.load("demographics").items()
    }
    groups["age"] |= {_age_group(match) for match in AGE.finditer(text)}
    if "uninsured" in groups["insurance"]:
        groups["insurance"].discard("insured")
    return groups


def _age_group(match: re.Match[str]) -> str:
    number = int(match[1] or match[3] or match[4])
    years = number if not match[2] or match[2].lower().startswith("year") else 0
    limits = {12: "child", 18: "adolescent", 65: "adult"}
    return next((name for limit, name in limits.items() if years < limit), "older")


def demographic_shares(texts: Sequence[str]) -> pd.DataFrame:
    """Return the share of texts that mention each group, with Wilson's interval."""
    groups, rows = [mentions(text) for text in texts], {}
    for trait, patterns in paths.load("demographics").items():
        for name in patterns:
            hits = sum(name in row[trait] for row in groups)
            rows[trait, name] = stats.wilson(hits, len(texts))._asdict()
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["trait", "value"])
    return frame.rename(columns={"hits": "texts"})[["texts", "n", "share", "low", "high"]]


def balance(texts: Sequence[str]) -> dict[str, float]:
    """Return the female share of texts that name one sex, and the share that names an ethnicity."""
    groups = [mentions(text) for text in texts]
    sexes = [next(iter(row["sex"])) for row in groups if row["sex"] in ONE_SEX]
    sex = stats.wilson(sexes.count("female"), len(sexes))
    named = stats.wilson(sum(bool(row["ethnicity"]) for row in groups), len(groups))
    ends = {"female_low": sex.low, "female_high": sex.high}
    return {"female": sex.share, "one_sex": sex.n, "ethnicity": named.share} | ends
