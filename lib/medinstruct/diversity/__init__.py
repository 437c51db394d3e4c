"""How varied a dataset is: verbs and nouns, coverage, lexical measures, growth, and one dataset beside another."""

from medinstruct.diversity.browsing import browse, matching
from medinstruct.diversity.compare import by_axis, counts_of, divergence, divergences, gaps, only_in, published, shares
from medinstruct.diversity.coverage import cells, empty, ordered, pair_numbers, specialty_tree, top_pairs
from medinstruct.diversity.drawing import (
    before_after,
    distributions,
    growth_curves,
    lengths,
    live_sunburst,
    spans,
    sunburst,
    tree,
    verb_bars,
)
from medinstruct.diversity.loading import frame, load
from medinstruct.diversity.measures import chao_shen, distinct_n, expected, growth, lexical, miller_madow, mtld, sampled, unseen, vendi
from medinstruct.diversity.pairs import accuracy, hand_labelled, naive, verb_noun

__all__ = [
    "accuracy", "before_after", "browse", "by_axis", "cells", "chao_shen", "counts_of", "distinct_n", "distributions", "divergence",
    "divergences", "empty", "expected", "frame", "gaps", "growth", "growth_curves", "hand_labelled", "lengths", "lexical",
    "live_sunburst", "load", "matching", "miller_madow", "mtld", "naive", "only_in", "ordered", "pair_numbers", "published", "sampled",
    "shares", "spans", "specialty_tree", "sunburst", "top_pairs", "tree", "unseen", "vendi", "verb_bars", "verb_noun",
]  # fmt: skip
