"""Novelty is exact ROUGE-L, as the `rouge_score` package has it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from medinstruct import filtering

SCORER = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
TEXTS = st.lists(st.text(alphabet="abc xyz.?1 é", max_size=30), max_size=8)


def rouge(a, b):
    return SCORER.score(a, b)["rougeL"].fmeasure


@settings(deadline=None)
@given(TEXTS, TEXTS, st.sampled_from([0.3, 0.5, 0.7]))
def test_decisions_are_those_of_rouge_score(texts, pool, limit):
    kept, flags = list(pool), []
    for text in texts:
        flags.append(all(rouge(text, other) <= limit + 1e-12 for other in kept))
        kept += [text] * flags[-1]
    assert filtering.keep_novel(texts, limit=limit, pool=pool) == flags


def test_nearest_finds_the_score_of_rouge_score_on_real_seeds(real_data):
    texts = [row["instruction"] for row in json.loads((real_data / "alpacare/med_seed.json").read_text())]
    for n, (index, score) in enumerate(filtering.nearest(texts[:20], texts[20:])):
        assert score == pytest.approx(max(rouge(texts[n], other) for other in texts[20:]))
        assert score == pytest.approx(rouge(texts[n], texts[20 + index]))


def test_the_first_of_a_group_is_kept():
    assert filtering.keep_novel(["Explain asthma now", "Explain asthma now", "Draw a heart"]) == [True, False, True]


def test_empty_texts_and_an_empty_pool_are_defined():
    assert filtering.keep_novel(["", "...", "a"]) == [True, True, True]
    assert filtering.nearest(["a"], []) == [(-1, 0.0)]


def test_nearest_other_leaves_a_text_itself_out():
    assert filtering.nearest_other(["a b", "c d", "a b"]) == [(2, 1.0), (0, 0.0), (0, 1.0)]
    assert filtering.nearest_other(["a b", "a b"], earlier=True) == [(-1, 0.0), (0, 1.0)]
