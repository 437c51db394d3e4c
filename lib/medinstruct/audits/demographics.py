"""Who the texts are about: sex, age, ethnicity, pregnancy, insurance, by rule on words; and how evenly."""

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from medinstruct import stats

AGE = re.compile(
    r"\b(?:aged?\s+)?(\d{1,3})[- ](years?|months?|weeks?|days?)[- ]old\b|\bage[d:]?\s+(\d{1,3})\b|\b(\d{1,3})\s?y/?o\b",
    re.IGNORECASE,
)
RULES: dict[str, dict[str, str]] = {
    "sex": {
        "female": r"\b(?:wom[ae]n|females?|girls?|mother|wife|daughter|grandmother|sister(?! chromatid)|aunt|she|her|mrs|ms|lady)\b",
        "male": r"\b(?:m[ae]n(?!ag)|males?|boys?|father|husband|son|grandfather|brother|uncle|he|his|him|mr|gentleman)\b",
        "other": r"\b(?:non-?binary|transgender|trans (?:wom[ae]n|m[ae]n|patients?|people)|intersex|gender[- ]diverse)\b",
    },
    "age": {
        "child": r"\b(?:newborns?|neonates?|infants?|bab(?:y|ies)|toddlers?|child(?:ren)?|kids?)\b",
        "adolescent": r"\b(?:adolescents?|teen(?:ager)?s?)\b",
        "adult": r"\b(?:adults?|middle[- ]aged)\b",
        "older": r"\b(?:elderly|older (?:adults?|people|persons?|wom[ae]n|m[ae]n|patients?)|geriatric|grand(?:mother|father))\b",
    },
    "ethnicity": {
        "Black": r"\b(?:african[- ]americans?|afro-?caribbean|(?-i:Black) (?:wom[ae]n|m[ae]n|patients?|people|person|adults?|bab(?:y|ies)|child(?:ren)?)|of african (?:descent|ancestry))\b",
        "White": r"\b(?:caucasians?|(?-i:White) (?:wom[ae]n|m[ae]n|patients?|people|person|adults?)|of (?:northern )?european (?:descent|ancestry))\b",
        "Hispanic": r"\b(?:hispanics?|latin[oax]s?)\b",
        "Asian": r"\b(?:(?:south |east )?asians?|chinese|japanese|korean|vietnamese|pakistani|bangladeshi|of (?:south |east )?asian (?:descent|ancestry))\b",
        "Indigenous": r"\b(?:native american|indigenous|aboriginal|m[aā]ori|inuit|first nations)\b",
        "other": r"\b(?:middle[- ]eastern|mediterranean (?:descent|ancestry)|ashkenazi|roma(?:ni)? (?:people|wom[ae]n|m[ae]n|famil(?:y|ies)))\b",
    },
    "pregnancy": {
        "pregnant": r"\b(?:pregnan(?:t|cy)|gestation(?:al)?|trimester|gravida|postpartum|weeks pregnant)\b"
    },
    "insurance": {
        "uninsured": r"\b(?:uninsured|no (?:health )?insurance|without (?:health )?insurance|cannot afford|can't afford)\b",
        "insured": r"\b(?:medicaid|medicare|private(?:ly)? insur\w+|health insurance|insured)\b",
    },
    "other": {
        "disability": r"\b(?:disabilit(?:y|ies)|disabled|wheelchair|deaf|blind(?!ed| study|ness)|learning difficult\w+)\b",
        "language or migration": r"\b(?:interpreter|refugees?|migrants?|immigrants?|asylum|does not speak)\b",
        "poverty or housing": r"\b(?:homeless\w*|shelter|low[- ]income|poverty)\b",
    },
}


def mentions(text: str) -> dict[str, set[str]]:
    """What a text says of the people in it, by trait; an age in figures counts for its group.

    >>> found = mentions("A 72-year-old Black woman without insurance")
    >>> sorted(found["sex"]), sorted(found["age"]), sorted(found["ethnicity"]), sorted(found["insurance"])
    (['female'], ['older'], ['Black'], ['uninsured'])
    """
    found = {
        trait: {
            value for value, pattern in values.items() if re.search(pattern, text, re.IGNORECASE)
        }
        for trait, values in RULES.items()
    }
    found["age"] |= {_group(match) for match in AGE.finditer(text)}
    if "uninsured" in found["insurance"]:
        found["insurance"].discard("insured")
    return found


def demographic_shares(texts: Sequence[str]) -> pd.DataFrame:
    """One row a trait and value: in how many texts it stands, their share, with Wilson's interval."""
    found = [mentions(text) for text in texts]
    rows = {
        (trait, value): stats.wilson(
            sum(value in one[trait] for one in found), len(texts)
        )._asdict()
        for trait, values in RULES.items()
        for value in values
    }
    frame = pd.DataFrame.from_dict(rows, orient="index").rename(columns={"hits": "texts"})
    frame.index = pd.MultiIndex.from_tuples(frame.index, names=["trait", "value"])
    return frame[["texts", "n", "share", "low", "high"]]


def balance(texts: Sequence[str]) -> dict[str, float]:
    """The share of female among texts that name one sex only, with its interval, and the share of texts that name any ethnicity."""
    found = [mentions(text) for text in texts]
    one_sex = [next(iter(one["sex"])) for one in found if one["sex"] in ({"female"}, {"male"})]
    sex = stats.wilson(one_sex.count("female"), len(one_sex))
    named = stats.wilson(sum(bool(one["ethnicity"]) for one in found), len(found))
    return {
        "female": sex.share,
        "female_low": sex.low,
        "female_high": sex.high,
        "one_sex": sex.n,
        "ethnicity": named.share,
    }


def lopsided(
    texts: Mapping[str, str], topics: Mapping[str, str], *, fewest: int = 8
) -> pd.DataFrame:
    """Topics whose texts name one sex much more often than the other, the most one-sided first: for human eyes, since some must."""
    rows = [(topics[name], mentions(text)["sex"]) for name, text in texts.items()]
    frame = pd.DataFrame(
        [(topic, sex == {"female"}) for topic, sex in rows if sex in ({"female"}, {"male"})],
        columns=["topic", "female"],
    )
    if frame.empty:
        return pd.DataFrame(columns=["female", "texts"])
    table = (
        frame.groupby("topic")["female"].agg(female="mean", texts="size").query("texts >= @fewest")
    )
    return table.sort_values("female", key=lambda column: -(column - 0.5).abs(), kind="stable")


def _group(match: re.Match[str]) -> str:
    number = int(next(part for part in (match[1], match[3], match[4]) if part))
    years = number if not match[2] or match[2].lower().startswith("year") else 0
    return (
        "child"
        if years < 12
        else "adolescent"
        if years < 18
        else "adult"
        if years < 65
        else "older"
    )
