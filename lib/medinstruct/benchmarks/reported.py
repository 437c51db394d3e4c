"""Beside the published numbers: the paper's averages, and what others reported."""

import numpy as np
import pandas as pd
import yaml

from medinstruct import paths

PUBLISHED = {
    "medical": ("medqa", "headqa", "pubmedqa", "medmcqa", "meqsum"),
    "general": ("mmlu", "bbh", "truthfulqa"),
}


def averages(table: pd.DataFrame) -> pd.DataFrame:
    """The macro-averages of the paper by model, group and variant: over those of its benchmarks that were run, and how many."""
    asked = table.dropna(subset=["score"]).assign(
        set=lambda rows: rows["task"].str.replace(r"_(ll|gen)$", "", regex=True)
    )
    rows = []
    for (model, variant), part in asked.groupby(["model", "variant"], sort=False):
        for group, wanted in PUBLISHED.items():
            found = part[part["set"].isin(wanted)]
            row = {
                "model": model,
                "variant": variant,
                "group": group,
                "run": len(found),
                "of": len(wanted),
            }
            rows.append(row | {"average": found["score"].mean() if len(found) else np.nan})
    return pd.DataFrame(rows, columns=["model", "variant", "group", "average", "run", "of"])


def published() -> pd.DataFrame:
    """The scores that others reported, each with how well it is sourced; facts only."""
    content = yaml.safe_load(paths.data("published_benchmarks.yaml").read_text(encoding="utf-8"))
    rows = [
        {
            "set": name,
            "model": model,
            "published": value / 100,
            "provenance": source["provenance"],
            "source": source["source"],
        }
        for source in content
        for model, values in source["scores"].items()
        for name, value in values.items()
    ]
    return pd.DataFrame(rows)


def beside(table: pd.DataFrame) -> pd.DataFrame:
    """Our scores above the published ones: one row a model with its provenance, one column a set that either of them has."""
    ran = table.dropna(subset=["score"])
    ours = pd.DataFrame(
        {
            "model": ran["model"],
            "provenance": "measured here, by " + ran["variant"],
            "set": ran["task"].str.replace(r"_(ll|gen)$", "", regex=True),
            "score": ran["score"],
        }
    )
    theirs = published().rename(columns={"published": "score"})[list(ours.columns)]
    both = pd.concat([ours, theirs], ignore_index=True)
    order = list(dict.fromkeys(zip(both["model"], both["provenance"], strict=True)))
    wide = both.pivot_table(index=["model", "provenance"], columns="set", values="score")
    return wide.reindex(order)[list(dict.fromkeys(both["set"]))].rename_axis(None, axis="columns")
