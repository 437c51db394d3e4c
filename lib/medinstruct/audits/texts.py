"""Texts of a dataset: who they are about, how hard they are to read, words to look at.

All by rule, never a verdict: a careful reader looks at what is flagged. School grades are those of
Flesch and Kincaid; syllables are counted by rules of our own since textstat downloads a pronouncing
dictionary. Patients need grade 6 to 8.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import pandas as pd

from medinstruct import cues, labels, languages, parallel, paths, stats
from medinstruct.llm import is_refusal, is_unfinished

AGES = paths.load("ages")
AGE = re.compile(AGES["figures"], re.IGNORECASE)
ONE_SEX = ({"female"}, {"male"})
VIEWS = ("patient/public", "clinician")  # lay and expert
SENTENCE = re.compile(r"(?<![.!?])[.!?]++(?=\s|$)|\n+")
WORD = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?")
ENGLISH = ("en", "")  # also where a text is too short to tell
LONGEST = 60  # letters of a word that are read


@cache
def _groups() -> dict[re.Pattern[str], tuple[str, str]]:
    """Return trait and group by pattern; ages in figures have none."""
    table = paths.load("demographics")
    groups = {re.compile(p, re.I): (t, name) for t in table for name, p in table[t].items()}
    return groups | {AGE: ("", "")}


def mentions(text: str) -> dict[str, set[str]]:
    """Return the groups that a text mentions, by trait; an age in figures counts for its group."""
    groups, known = {trait: set() for trait in paths.load("demographics")}, _groups()
    possible = cues.possible(known, text)
    for trait, name in (known[pattern] for pattern in possible if pattern.search(text)):
        groups.get(trait, set()).add(name)
    for match in AGE.finditer(text) if AGE in possible else ():
        is_years = not match[2] or match[2].lower().startswith("year")
        years = int(match[1] or match[match.lastindex]) if is_years else 0
        older = (name for limit, name in AGES["groups"].items() if years < limit)
        groups["age"].add(next(older, "older"))
    if "uninsured" in groups["insurance"]:
        groups["insurance"].discard("insured")
    return groups


def demographic_shares(texts: Sequence[str]) -> pd.DataFrame:
    """Return the share of texts that mention each group, with Wilson's interval."""
    groups, rows = parallel.remembered(mentions, texts), {}
    for trait, patterns in paths.load("demographics").items():
        for name in patterns:
            hits = sum(name in row[trait] for row in groups)
            rows[trait, name] = stats.wilson(hits, len(texts))._asdict()
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["trait", "value"])
    return frame.rename(columns={"hits": "texts"})[["texts", "n", "share", "low", "high"]]


def balance(texts: Sequence[str]) -> dict[str, float]:
    """Return the female share of the texts that name one sex, with its interval."""
    groups = parallel.remembered(mentions, texts)
    sexes = [row["sex"] for row in groups if row["sex"] in ONE_SEX]
    share, low, high, *_ = stats.wilson(sexes.count({"female"}), len(sexes))
    return {"female": share, "one_sex": len(sexes), "female_low": low, "female_high": high}


@lru_cache(maxsize=100_000)
def syllables(word: str) -> int:
    """Return the number of syllables of a word by rule; about nine of ten are right."""
    word, rules = word.lower().replace("’", "'").removesuffix("'s"), paths.load("syllables")
    if word in rules["words"]:
        return rules["words"][word]
    added, dropped = (sum(bool(re.search(r, word)) for r in rules[k]) for k in ("add", "drop"))
    return max(len(re.findall(r"[aeiouy]+", word)) + added - dropped, 1)


def grade(text: str) -> float:
    """Return the Flesch-Kincaid grade (Kincaid et al. 1975) of an English text, else nan."""
    sentences = max(sum(bool(WORD.search(part)) for part in SENTENCE.split(text)), 1)
    words = [word[:LONGEST] for word in WORD.findall(text)]
    if not words or languages.detect(text) not in ENGLISH:
        return math.nan
    return 0.39 * len(words) / sentences + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


def reading_levels(texts: Mapping, views: Mapping, *, minimum: int = 20) -> pd.DataFrame:
    """Return view, words and grade of each English text with at least `minimum` words."""
    rows, grades = [], parallel.remembered(grade, [*texts.values()])
    for (name, text), level in zip(texts.items(), grades, strict=True):
        if (size := len(WORD.findall(text))) >= minimum:
            rows.append((name, views.get(name) or "none", size, level))
    levels = pd.DataFrame(rows, columns=["id", "view", "words", "grade"]).set_index("id")
    return levels.dropna(subset="grade")


def no_formula(texts: Iterable[str]) -> str:
    """Return the languages of the texts without a grade, such as "Korean (24)"."""
    counts = Counter(map(languages.detect, texts)).most_common()
    return ", ".join(f"{languages.NAMES[c]} ({n})" for c, n in counts if c not in ENGLISH)


def risks(example: Any) -> dict[str, str]:
    """Return the flags of one example, each with the words that raised it."""
    return _risks(example.output.strip(), labels.canonical("type", example.type))


@lru_cache(maxsize=200_000)  # a page audits the same texts again
def _risks(text: str, kind: str | None) -> dict[str, str]:
    words: dict[str, str] = {}
    for flag, rule in paths.load("risk_flags").items():
        if "pattern" in rule and kind not in rule.get("except", ()):
            case = 0 if rule.get("case_sensitive") else re.IGNORECASE
            match = cues.search(re.compile(rule["pattern"], case), text)
            words |= {flag: match.group()} if match else {}
    words |= {"truncated": text[-27:]} if is_unfinished(text) else {}
    return words | ({"refusal": text[:80]} if is_refusal(text) else {})


def flagged(examples: Iterable[Any]) -> pd.DataFrame:
    """Return one row a flag of an example: id, flag, words, instruction, output."""
    rows = [
        (example.id, flag, words, example.instruction, example.output)
        for example in examples
        for flag, words in risks(example).items()
    ]
    return pd.DataFrame(rows, columns=["id", "flag", "words", "instruction", "output"])


def flag_rates(flags: pd.DataFrame, *, n: int) -> pd.DataFrame:
    """Return the share of `n` examples with each flag, with Wilson's interval and its meaning."""
    counts, rows = flags["flag"].value_counts(), {}
    for flag, rule in paths.load("risk_flags").items():
        share = stats.wilson(int(counts.get(flag, 0)), n)
        rows[flag] = share._asdict() | {"means": rule["means"]}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("flag")
