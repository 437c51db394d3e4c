"""Novelty is exact ROUGE-L, as the `rouge_score` package has it."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import process
from rapidfuzz.distance import Indel
from rouge_score import rouge_scorer

from medinstruct import filtering
from medinstruct.errors import UserError
from medinstruct.filtering import index as finding
from medinstruct.filtering import novelty, words

SCORER = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
TEXTS = st.lists(st.text(alphabet="abc xyz.?1 é", max_size=30), max_size=8)
LIMITS = [0.0, 0.3, 0.5, 0.7, 0.75, 1.0]


def rouge(a, b):
    return SCORER.score(a, b)["rougeL"].fmeasure


def first_kept(texts, limit, pool=()):
    kept, flags = list(pool), []
    for text in texts:
        flags.append(all(rouge(text, other) <= limit + 1e-12 for other in kept))
        kept += [text] * flags[-1]
    return flags


def sentences(real_data, count):
    """Real sentences, a third of them with a few words changed, so that many pairs lie around any limit."""
    rows = json.loads((real_data / "chatdoctor/chatdoctor5k.json").read_text())
    plain = list(
        dict.fromkeys(
            part.strip()
            for row in rows
            for part in row["input"].split(".")
            if len(part.split()) > 4
        )
    )
    chance = random.Random(5)
    chosen = chance.sample(plain, count * 2 // 3)
    for text in chance.sample(chosen, count - len(chosen)):
        words, other = text.split(), chance.choice(plain).split()
        for _ in range(chance.randint(1, 5)):
            words[chance.randrange(len(words))] = chance.choice(other)
        chosen.append(" ".join(words))
    chance.shuffle(chosen)
    return chosen


@settings(deadline=None)
@given(TEXTS, TEXTS, st.sampled_from(LIMITS))
def test_decisions_are_those_of_rouge_score(texts, pool, limit):
    assert filtering.keep_novel(texts, limit=limit, pool=pool) == first_kept(texts, limit, pool)


@settings(deadline=None)
@given(TEXTS, TEXTS, st.sampled_from(LIMITS))
def test_the_published_rule_drops_every_member_of_a_group(texts, pool, limit):
    others = [[*pool, *texts[:n], *texts[n + 1 :]] for n in range(len(texts))]
    alone = [
        all(rouge(text, other) <= limit + 1e-12 for other in rest)
        for text, rest in zip(texts, others, strict=True)
    ]
    assert filtering.keep_novel(texts, limit=limit, pool=pool, rule="drop_all") == alone


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_one_pass_gives_every_limit(texts, pool):
    found = filtering.kept_by_limit(texts, [0.3, 0.5, 0.7, 0.9], pool=pool)
    assert found == {limit: first_kept(texts, limit, pool) for limit in found}


@settings(deadline=None)
@given(TEXTS, st.booleans())
def test_nearest_other_is_what_comparing_with_all_gives(texts, earlier):
    for n, (place, score) in enumerate(filtering.nearest_other(texts, earlier=earlier)):
        others = {
            k: rouge(texts[n], one)
            for k, one in enumerate(texts)
            if k != n and (k < n or not earlier)
        }
        best = max(others, key=lambda k: (round(others[k], 12), -k), default=-1)
        assert (place, pytest.approx(score)) == (best, others.get(best, 0.0))


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_nearest_is_the_first_of_the_most_similar(texts, pool):
    for text, (place, score) in zip(texts, filtering.nearest(texts, pool), strict=True):
        scores = [round(rouge(text, other), 12) for other in pool]
        assert (place, pytest.approx(score)) == (
            (scores.index(max(scores)), max(scores)) if pool else (-1, 0.0)
        )


@pytest.mark.parametrize("limit", [0.5, 0.7])
def test_the_sieves_lose_no_pair_of_real_texts(real_data, limit):
    texts = sentences(real_data, 1200)
    index = finding.Index(texts)
    own = index.encode(texts)
    found = np.zeros((1200, 1200), bool)
    for later, earlier, _ in index.near(own, limit, own=True):
        found[later, earlier] = True
    left = process.cdist(own.strings, own.strings, scorer=Indel.distance)
    expected = left <= finding.allowance(own.lengths[:, None] + own.lengths, limit)
    assert (found == np.tril(expected, -1)).all() and found.sum() > 200


def test_the_words_left_over_are_those_of_rouge_score_on_real_texts(real_data):
    texts = sentences(real_data, 600)
    own = finding.Index(texts).encode(texts)
    pairs = random.Random(2).sample([(a, b) for a in range(600) for b in range(a)], 8000)
    left = finding.left_over([own.strings[a] for a, _ in pairs], [own.strings[b] for _, b in pairs])
    for (a, b), over in zip(pairs, left, strict=True):
        total = len(own.strings[a]) + len(own.strings[b])
        assert (total - over) / total == pytest.approx(rouge(texts[a], texts[b]), abs=1e-12)


def test_decisions_on_real_texts_in_portions_are_those_of_rouge_score(real_data, monkeypatch):
    monkeypatch.setattr(novelty, "PORTION", 16)
    texts = sentences(real_data, 240)
    expected = first_kept(texts, 0.7)
    assert filtering.keep_novel(texts) == expected and 0 < sum(expected) < len(texts)


def test_real_seeds_and_tests_have_the_scores_of_rouge_score(real_data):
    texts = [
        row["instruction"] for row in json.loads((real_data / "alpacare/med_seed.json").read_text())
    ]
    for n, (place, score) in enumerate(filtering.nearest(texts[:20], texts[20:])):
        assert score == pytest.approx(max(rouge(texts[n], other) for other in texts[20:]))
        assert score == pytest.approx(rouge(texts[n], texts[20 + place]))


def test_a_tie_with_the_limit_is_kept_whatever_the_floats_say():
    one = "a b c d e f g h i j"
    assert rouge(one, "a b c d e f g x y z") == pytest.approx(0.7)
    assert filtering.keep_novel([one, "a b c d e f g x y z"]) == [True, True]
    assert filtering.keep_novel([one, "a b c d e f g h y z"]) == [True, False]
    assert filtering.keep_novel([one, one], limit=1.0) == [True, True]


def test_a_pool_fed_in_pieces_decides_as_in_one(real_data):
    texts = sentences(real_data, 900)
    pool = filtering.Pool(limit=0.6)
    pieces = [
        flag for start in range(0, 900, 37) for flag in pool.add_novel(texts[start : start + 37])
    ]
    assert pieces == filtering.keep_novel(texts, limit=0.6) and len(pool) == sum(pieces)


def test_asking_a_pool_adds_nothing():
    pool = filtering.Pool(["Explain asthma now"])
    assert (
        pool.are_novel(["Explain asthma now", "Draw a heart", "Draw a heart"])
        == [False, True, True]
        and len(pool) == 1
    )


def test_texts_without_words_are_like_nothing_and_kept():
    assert filtering.keep_novel(["", "...", "?!", "a", "a"]) == [True, True, True, True, False]
    assert filtering.nearest(["a"], []) == [(-1, 0.0)] and filtering.keep_novel([]) == []
    assert filtering.nearest_other([]) == [] and filtering.nearest_other([""]) == [(-1, 0.0)]


def test_one_word_and_a_hundred_thousand_words_go_together():
    long = " ".join(f"w{n}" for n in range(100_000))
    assert filtering.keep_novel(["asthma", long, long + " more", "asthma", "w1 w2"]) == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_more_different_words_than_there_are_characters_stay_exact(monkeypatch):
    monkeypatch.setattr(words, "LAST_POINT", 3)
    texts = ["a b c d e f", "a b c d e g", "x y z", "a b", "x y z q"]
    assert filtering.keep_novel(texts, limit=0.7) == first_kept(texts, 0.7)


def test_other_scripts_are_invisible_to_the_published_tokens_but_not_to_ours():
    texts = [
        "Объясните астму пациенту",
        "Объясните астму пациенту",
        "解释哮喘的原因",
        "解释哮喘的原因吗",
        "哮喘",
    ]
    assert filtering.keep_novel(texts) == [True] * 5 and filtering.unread(texts) == 5
    assert filtering.keep_novel(texts, tokenizer="unicode") == [True, False, True, False, True]


@pytest.mark.parametrize(
    "settings_", [{"limit": 1.5}, {"limit": -0.1}, {"tokenizer": "bpe"}, {"rule": "keep_last"}]
)
def test_a_setting_that_cannot_be_is_one_clear_problem(settings_):
    with pytest.raises(UserError):
        filtering.keep_novel(["a"], **settings_)


def test_what_a_dropped_text_resembles_is_a_kept_one_with_its_score():
    texts = [
        "Explain asthma to me",
        "Explain asthma to you",
        "Draw a big heart",
        "Draw a big red heart",
    ]
    keep = filtering.keep_novel(texts, pool=["Draw a big heart now"])
    assert keep == [True, False, False, False]
    assert filtering.likest(texts, keep, pool=["Draw a big heart now"]) == [
        (1, 0.75),
        (0, 8 / 9),
        (0, 0.8),
    ]
    assert filtering.likest(texts, [False, False, True, True], rule="drop_all") == [
        (1, 0.75),
        (0, 0.75),
    ]


def test_shared_words_are_marked_and_all_else_is_escaped():
    left, right = filtering.marked("<script>Explain</script> asthma", "Explain the ASTHMA")
    assert left == "&lt;script&gt;<mark>Explain</mark>&lt;/script&gt; <mark>asthma</mark>"
    assert right == "<mark>Explain</mark> the <mark>ASTHMA</mark>"
    assert "<script>" not in filtering.side_by_side([(0.5, "<script>", "x")], names=("<b>", "c"))


def test_the_marks_of_a_script_without_spaces_are_those_that_the_score_counts():
    one, other = filtering.marked("喘息とは?", "喘息とは何", tokenizer="unicode")
    assert one.count("<mark>") == 4 and other.endswith("<mark>は</mark>何")
