"""What was published: counts, settings and scores of the paper, and the places where they do not agree with the released files."""

from functools import cache
from typing import Any

import pandas as pd
import yaml

from medinstruct import labels, paths


@cache
def published() -> dict[str, Any]:
    """The published counts and settings (data/published.yaml)."""
    return yaml.safe_load(paths.data("published.yaml").read_text(encoding="utf-8"))


@cache
def published_benchmarks() -> dict[str, float]:
    """AlpaCare's benchmark scores; the provenance is "recalled, unverified"."""
    content = yaml.safe_load(paths.data("published_benchmarks.yaml").read_text(encoding="utf-8"))
    return {name: value / 100 for name, value in content[0]["scores"]["AlpaCare"].items()}


def merged(axis: str) -> dict[str, int]:
    """The published counts of types or views after our label rules.

    >>> len(merged("type")), merged("type")["rewrite"]
    (10, 4758)
    """
    counts: dict[str, int] = {}
    for raw, count in labels.published("generated", axis).items():
        name = str(labels.canonical(axis, raw) or "other")
        counts[name] = counts.get(name, 0) + count
    return counts


def deviations() -> pd.DataFrame:
    """The known problems of the published numbers: the claim, what the files show, where it can be seen, what is done here."""
    rows = yaml.safe_load(paths.data("deviations.yaml").read_text(encoding="utf-8"))
    facts = _facts()
    return pd.DataFrame(
        [
            {key: text.format(**facts) if key == "shows" else text for key, text in row.items()}
            for row in rows
        ]
    )


def _facts() -> dict[str, str]:
    facts = published()
    free, verbs, cut = facts["freeform"]["iCliniq"], facts["dataset"]["verb_noun"], facts["cut"]
    means = {name: sum(scores.values()) / len(scores) for name, scores in free.items()}
    return {
        "in_figure": f"{verbs['in_figure']:,}",
        "dataset": f"{verbs['n']:,}",
        "verb_share": f"{100 * verbs['in_figure'] / verbs['n']:.1f} %",
        "generated": f"{facts['generated']['n']:,}",
        "icliniq_gain": f"{means['AlpaCare'] - means['Baize-H']:.1f}",
        "davinci": f"{facts['freeform']['MedInstruct-test']['AlpaCare']['text-davinci-003']:.1f}",
        "baize": f"{means['Baize-H']:.1f}",
        "types": str(len(merged("type"))),
        "cut_gpt4": f"{cut['references']['gpt-4']} %",
        "cut_gpt35": f"{cut['references']['gpt-3.5-turbo']} %",
        "cut_7b": f"{cut['models']['AlpaCare-7b']} %",
        "cut_13b": f"{cut['models']['AlpaCare-13b']} %",
    }
