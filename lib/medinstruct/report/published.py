"""Published results of AlpaCare: counts, settings, scores, and claims that its files contradict."""

from functools import cache
from typing import Any

import pandas as pd
import yaml

from medinstruct import labels, paths


@cache
def published() -> dict[str, Any]:
    """Return the published counts and settings (data/published.yaml)."""
    return yaml.safe_load(paths.data("published.yaml").read_text(encoding="utf-8"))


def merged(axis: str) -> dict[str, int]:
    """Return the published counts of types or views after our label rules.

    >>> len(merged("type")), merged("type")["rewrite"]
    (10, 4758)
    """
    counts: dict[str, int] = {}
    for raw, count in published()["generated"][axis].items():
        name = str(labels.canonical(axis, raw) or "other")
        counts[name] = counts.get(name, 0) + count
    return counts


def deviations() -> pd.DataFrame:
    """Return known problems of the published numbers: claim, evidence, place, what we do."""
    rows = yaml.safe_load(paths.data("deviations.yaml").read_text(encoding="utf-8"))
    facts = _facts()
    table = pd.DataFrame([row | {"shows": row["shows"].format(**facts)} for row in rows])
    return table.rename(columns={"shows": "what the files show", "where": "where to see it"})


def _facts() -> dict[str, str]:
    source = published()
    scores, verbs, cut = (
        source["freeform"]["iCliniq"],
        source["dataset"]["verb_noun"],
        source["cut"],
    )
    means = {name: sum(row.values()) / len(row) for name, row in scores.items()}
    return {
        "in_figure": f"{verbs['in_figure']:,}",
        "dataset": f"{verbs['n']:,}",
        "verb_share": f"{100 * verbs['in_figure'] / verbs['n']:.1f} %",
        "generated": f"{source['generated']['n']:,}",
        "icliniq_gain": f"{means['AlpaCare'] - means['Baize-H']:.1f}",
        "davinci": f"{source['freeform']['MedInstruct-test']['AlpaCare']['text-davinci-003']:.1f}",
        "baize": f"{means['Baize-H']:.1f}",
        "types": str(len(merged("type"))),
        "cut_gpt4": f"{cut['references']['gpt-4']} %",
        "cut_gpt35": f"{cut['references']['gpt-3.5-turbo']} %",
        "cut_7b": f"{cut['models']['AlpaCare-7b']} %",
        "cut_13b": f"{cut['models']['AlpaCare-13b']} %",
    }
