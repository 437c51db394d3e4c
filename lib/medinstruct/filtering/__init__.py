"""What is kept of the tasks: novelty by exact ROUGE-L, content rules, test sets kept out, and the most diverse few."""

from medinstruct.filtering.decontamination import Hit, Item, contaminated, contamination, test_items
from medinstruct.filtering.drawing import coverage_curve, limits_curve, spread
from medinstruct.filtering.evidence import marked, side_by_side
from medinstruct.filtering.meaning import embedder, paraphrases
from medinstruct.filtering.neighbours import likest, nearest, nearest_other
from medinstruct.filtering.novelty import Pool, compared, keep_novel, kept_by_limit
from medinstruct.filtering.rules import RULES, broken, rules_on
from medinstruct.filtering.scale import keep_novel_on_dask
from medinstruct.filtering.subset import coverage, diverse, likeness
from medinstruct.filtering.words import tokens, unread

__all__ = [
    "RULES",
    "Hit",
    "Item",
    "Pool",
    "broken",
    "compared",
    "contaminated",
    "contamination",
    "coverage",
    "coverage_curve",
    "diverse",
    "embedder",
    "keep_novel",
    "keep_novel_on_dask",
    "kept_by_limit",
    "likeness",
    "likest",
    "limits_curve",
    "marked",
    "nearest",
    "nearest_other",
    "paraphrases",
    "rules_on",
    "side_by_side",
    "spread",
    "test_items",
    "tokens",
    "unread",
]
