"""How varied a dataset is: verbs and nouns, coverage, lexical measures, growth, and one dataset beside another."""

from medinstruct.diversity.browsing import browse, matching
from medinstruct.diversity.compare import by_axis, counts_of, divergence, divergences, gaps, only_in, published, shares
from medinstruct.diversity.coverage import ORDER, cells, empty, lengths, pair_numbers, specialty_tree, top_pairs
from medinstruct.diversity.drawing import (
    before_after,
    distributions,
    growth_curves,
    spans,
    tree,
)
from medinstruct.diversity.loading import frame, load, load_named
from medinstruct.diversity.measures import (
    chao_shen,
    distinct_n,
    expected,
    growth,
    lexical,
    miller_madow,
    mtld,
    plain,
    sampled,
    unseen,
    vendi,
)
from medinstruct.diversity.pairs import accuracy, hand_labelled, naive, verb_noun
from medinstruct.diversity.verb_figures import live_sunburst, sunburst, verb_bars

__all__ = [
    "ORDER", "accuracy", "before_after", "browse", "by_axis", "cells", "chao_shen", "counts_of", "distinct_n", "distributions", "divergence",
    "divergences", "empty", "expected", "frame", "gaps", "growth", "growth_curves", "hand_labelled", "lengths", "lexical",
    "live_sunburst", "load", "load_named", "matching", "miller_madow", "mtld", "naive", "only_in", "pair_numbers", "plain", "published", "sampled",
    "shares", "spans", "specialty_tree", "sunburst", "top_pairs", "tree", "unseen", "vendi", "verb_bars", "verb_noun",
]  # fmt: skip
