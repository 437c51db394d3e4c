"""Drift: between two versions of a dataset (labels, lengths, rates), and from a language."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy

from medinstruct import filtering, labels, languages, stats
from medinstruct.audits import texts

PSI_LIMIT = 0.2  # common rule of thumb: above 0.2 a distribution has changed
KS_LIMIT = 0.1
RATE_LIMIT = 0.02  # a rate that moves less raises no alarm, however certain
LENGTHS = ("instruction", "input", "output")


def psi(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the population stability index of counts (last axis), 0.5 added to each count."""
    a, b = ((n + 0.5) / (n + 0.5).sum(axis=-1, keepdims=True) for n in (before, after))
    return ((b - a) * np.log(b / a)).sum(axis=-1)


def psi_limit(before: np.ndarray, after: np.ndarray) -> float:
    """Return the alarm threshold: at least 0.2, and the 99th percentile of random splits."""
    pool, rng = before + after, np.random.default_rng(42)
    splits = rng.multivariate_hypergeometric(pool, before.sum(), size=999)
    return max(PSI_LIMIT, float(np.quantile(psi(splits, pool - splits), 0.99)))


def compare_versions(before: Sequence[Any], after: Sequence[Any]) -> pd.DataFrame:
    """Return one row an axis: labels by PSI, text lengths by Kolmogorov-Smirnov, with alarms.

    A vanished label is an alarm if it had 1% or more before and chance would put all of it on
    one side less than once in a hundred.
    """
    rows, share = [], len(before) / max(len(before) + len(after), 1)
    for axis in labels.VALUES:
        a, b = (label_counts(version, axis) for version in (before, after))
        table = pd.DataFrame([a, b]).fillna(0).to_numpy(int)
        value, limit = float(psi(*table)), psi_limit(*table)
        new, gone = sorted({*b} - {*a}), sorted({*a} - {*b})
        lost = (a[name] for name in gone if a[name] >= 0.01 * len(before))
        alarm = value > limit or any(share**count < 0.01 / len(a) for count in lost)
        rows.append((axis, "PSI", value, limit, ", ".join(new), ", ".join(gone), alarm))
    for name in LENGTHS:
        words = [lengths(version, name) for version in (before, after)]
        value = limit = float("nan")
        if all(words):  # 1% of random splits exceed the limit
            value = float(scipy.stats.ks_2samp(*words, method="asymp").statistic)
            limit = max(KS_LIMIT, 1.628 * (1 / len(before) + 1 / len(after)) ** 0.5)
        rows.append((f"words of {name}", "KS", value, limit, "", "", value > limit))
    columns = ["axis", "measure", "value", "limit", "new", "gone", "alarm"]
    return pd.DataFrame(rows, columns=columns).set_index("axis")


def compare_flags(before: Sequence[Any], after: Sequence[Any]) -> pd.DataFrame:
    """Compare the rates of risk flags in two versions, as `compare_rates` does."""
    rates = (texts.flag_rates(texts.flagged(v), n=len(v))[["hits", "n"]] for v in (before, after))
    return compare_rates(*(table.T.to_dict("list") for table in rates))


def language_drift(
    examples: Sequence[Any], *, tasks: Sequence[Any] = (), set_aside: Sequence[Any] = ()
) -> pd.DataFrame:
    """Return the share of texts in another language, by kind (tasks, answers) and language asked.

    For records without a language, that of most texts is taken as asked for. A text whose language
    cannot be identified does not count; of the records `set_aside`, those in another language do.
    `others` counts the other languages.
    """
    rows = [("tasks", row.language, f"{row.instruction} {row.input}") for row in tasks or examples]
    rows += [("answers", row.language, row.output) for row in examples]
    rows = [(kind, asked, languages.detect(text)) for kind, asked, text in rows]
    for row in set_aside:
        reason = getattr(row, "reason", "")  # of a reject
        if codes := languages.DRIFTS.get(reason or row.finish_reason):
            rows.append(("tasks" if reason else "answers", *codes))
    table, frame = {}, pd.DataFrame(rows, columns=["kind", "asked", "is"]).query("`is` != ''")
    usual = next(iter(frame["is"].mode()), "en")
    frame = frame.assign(asked=frame["asked"].replace("", usual))
    for (kind, asked), part in frame.groupby(["kind", "asked"], sort=False):
        others = part.loc[part["is"] != asked, "is"].map(languages.NAMES).value_counts().to_dict()
        share = stats.wilson(sum(others.values()), len(part))._asdict()
        table[kind, languages.NAMES[asked]] = share | {"others": others}
    return pd.DataFrame.from_dict(table, orient="index").rename_axis(["kind", "asked"])


def label_counts(version: Sequence[Any], axis: str) -> Counter[str]:
    """Return how many records of a version have each canonical label."""
    return Counter(str(labels.counted(axis, getattr(row, axis, ""))) for row in version)


def lengths(version: Sequence[Any], name: str) -> list[int]:
    """Return the number of words of a field in each record of a version."""
    return [filtering.count_words(getattr(row, name, "")) for row in version]


def compare_rates(before: Mapping[str, tuple], after: Mapping[str, tuple]) -> pd.DataFrame:
    """Compare rates given as (hits, n): difference, Newcombe's interval, alarm."""
    rows = {}
    for name in filter(after.get, before):
        a, b = stats.wilson(*before[name]), stats.wilson(*after[name])
        change, low, high = stats.difference(a, b)
        alarm = bool(abs(change) > RATE_LIMIT and (low > 0 or high < 0))
        rows[name] = (a.share, b.share, change, low, high, RATE_LIMIT, alarm)
    columns = ["before", "after", "change", "low", "high", "limit", "alarm"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("rate")
