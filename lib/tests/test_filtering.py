"""Novelty is exact ROUGE-L, as the `rouge_score` package has it."""

import functools
import json
import random
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import process
from rapidfuzz.distance import Indel
from rouge_score import rouge_scorer

from medinstruct import filtering
from medinstruct.errors import UserError
from medinstruct.filtering import novelty

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


@functools.cache
def plain_sentences(real_data):
    """Different sentences of patients, of at least five words."""
    rows = json.loads((real_data / "chatdoctor/chatdoctor5k.json").read_text())
    parts = (part.strip() for row in rows for part in row["input"].split("."))
    return list(dict.fromkeys(part for part in parts if len(part.split()) > 4))


def sentences(real_data, count):
    """Real sentences, a third of them with a few words changed, so that many pairs lie around any limit."""
    plain = plain_sentences(real_data)
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
@given(TEXTS)
def test_nearest_other_is_what_comparing_with_all_gives(texts):
    for n, (place, score) in enumerate(filtering.nearest(texts)):
        others = {k: rouge(texts[n], other) for k, other in enumerate(texts) if k != n}
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


@functools.cache
def all_scores(texts):
    """ROUGE-L F1 of all with all, by RapidFuzz alone; read only."""
    words = [filtering.tokenize(text) for text in texts]
    lengths = np.array([len(tokens) for tokens in words])
    total = lengths[:, None] + lengths
    return (total - process.cdist(words, words, scorer=Indel.distance)) / total


@pytest.mark.parametrize("limit", [0.05, 0.5, 0.7])
def test_the_filters_lose_no_pair_of_real_texts(real_data, limit):
    texts = sentences(real_data, 1200)
    scores = all_scores(tuple(texts)).copy()
    keep = []
    for n in range(len(texts)):
        keep.append(not (scores[n, :n] > limit + 1e-12)[keep].any())
    assert filtering.keep_novel(texts, limit=limit) == keep
    np.fill_diagonal(scores, -1)
    alone = (scores <= limit + 1e-12).all(axis=1)
    assert filtering.keep_novel(texts, limit=limit, rule="drop_all") == alone.tolist()


def test_decisions_on_real_texts_are_those_of_rouge_score(real_data):
    texts = sentences(real_data, 160)
    expected = first_kept(texts, 0.7)
    assert filtering.keep_novel(texts) == expected and 0 < sum(expected) < len(texts)


def test_decisions_of_version_1_on_real_texts_stay(real_data):
    texts = sentences(real_data, 2400)
    keep = filtering.keep_novel(texts)
    assert [n for n, novel in enumerate(keep) if not novel][:8] == [
        48,
        84,
        94,
        96,
        103,
        116,
        122,
        166,
    ]
    assert sum(keep) == 1607
    near = filtering.nearest(texts[:200])
    assert sum(score for _, score in near) == pytest.approx(103.5474455543637)


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
    pool = filtering.Pool([], limit=0.6)
    pieces = [
        flag for start in range(0, 900, 37) for flag in pool.add_novel(texts[start : start + 37])
    ]
    assert pieces == filtering.keep_novel(texts, limit=0.6) and 0 < sum(pieces) < 900


def test_texts_without_words_are_like_nothing_and_kept():
    assert filtering.keep_novel(["", "...", "?!", "a", "a"]) == [True, True, True, True, False]
    assert filtering.nearest(["a"], []) == [(-1, 0.0)] and filtering.keep_novel([]) == []
    assert filtering.nearest([]) == [] and filtering.nearest([""]) == [(-1, 0.0)]


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
    assert sys.maxunicode == novelty.LAST_CHARACTER
    monkeypatch.setattr(novelty, "LAST_CHARACTER", 1_000)
    words = " ".join(f"w{n}" for n in range(1_200))
    texts = [words, "a b c d e f", "a b c d e g", "x y z", "x y z q"]
    assert filtering.keep_novel(texts) == [True, True, False, True, False]


def test_other_scripts_are_invisible_to_the_published_tokens_but_not_to_ours():
    texts = [
        "Объясните астму пациенту",
        "Объясните астму пациенту",
        "解释哮喘的原因",
        "解释哮喘的原因吗",
        "哮喘",
    ]
    assert filtering.keep_novel(texts) == [True] * 5 and not any(map(filtering.tokenize, texts))
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
    evidence = filtering.nearest(texts[1:], ["Draw a big heart now", texts[0]])
    assert evidence == [(1, 0.75), (0, 8 / 9), (0, 0.8)]


def test_only_the_unicode_tokenizer_reads_other_scripts():
    words = filtering.tokenize("What's the BP (132/82)?")
    assert words == ["what", "s", "the", "bp", "132", "82"]
    assert filtering.tokenize("喘息とは") == []
    assert filtering.tokenize("喘息とは", tokenizer="unicode") == list("喘息とは")
    assert filtering.tokenize("Объясните астму!", tokenizer="unicode") == ["объясните", "астму"]


SCRIPTS = st.lists(st.text(alphabet="천식喘息ぜんそ asthma é1.", max_size=24), max_size=6)


def tokens_by_hand(text):
    """Letters and digits: a run of one script with spaces, or one character of another."""
    tokens, run = [], ""
    for letter in [*unicodedata.normalize("NFC", text).lower(), " "]:
        alone = any(
            name in unicodedata.name(letter, "") for name in ("HANGUL", "CJK", "HIRAGANA", "THAI")
        )
        if alone or not letter.isalnum():
            tokens += [run] * bool(run) + [letter] * alone
        run = run + letter if letter.isalnum() and not alone else ""
    return tokens


def rouge_by_hand(one, other):
    """Lin's definition: F1 of the longest common subsequence, row by row of its table."""
    one, other = tokens_by_hand(one), tokens_by_hand(other)
    row = [0] * (len(other) + 1)
    for token in one:
        above, row = row, [0]
        for n, letter in enumerate(other):
            row.append(above[n] + 1 if token == letter else max(above[n + 1], row[n]))
    return 2 * row[-1] / max(len(one) + len(other), 1)


@settings(deadline=None, max_examples=60)
@given(SCRIPTS, st.sampled_from(LIMITS))
def test_in_any_script_decisions_and_scores_are_those_of_the_definition(texts, limit):
    texts = [unicodedata.normalize("NFD" if n % 2 else "NFC", text) for n, text in enumerate(texts)]
    kept, flags = [], []
    for text in texts:
        flags.append(all(rouge_by_hand(text, other) <= limit + 1e-12 for other in kept))
        kept += [text] * flags[-1]
    assert filtering.keep_novel(texts, limit=limit, tokenizer="unicode") == flags
    near = filtering.nearest(texts, texts[:3], tokenizer="unicode")
    for text, (_, score) in zip(texts, near, strict=True):
        best = max((rouge_by_hand(text, other) for other in texts[:3]), default=0)
        assert score == pytest.approx(best)


def test_hangul_is_read_by_syllables_also_where_they_are_taken_apart():
    apart = unicodedata.normalize("NFD", "천식 약은?")
    assert filtering.tokenize(apart, tokenizer="unicode") == list("천식약은")
    assert filtering.keep_novel(["천식 약은?", apart], tokenizer="unicode") == [True, False]


def test_the_tokenizer_follows_the_letters_of_the_texts():
    english = ["What is asthma?", "Naïve café, 37.5 °C", "12/80", ""] * 60
    assert filtering.tokenizer_of(english) == filtering.tokenizer_of([]) == "rouge"
    assert filtering.tokenizer_of(["¿Qué es la hipertensión?", "Was ist Übelkeit?"]) == "rouge"
    assert filtering.tokenizer_of([*english, "천식이란?"]) == "rouge", "less than one text in 100"
    for other in ("천식이란 무엇인가요?", "什么是哮喘？", "Что такое астма?"):
        assert filtering.tokenizer_of([*english[:90], other]) == "unicode"


def test_a_length_in_words_does_not_need_spaces():
    assert filtering.count_words("My chest hurts, 3-4 times a day.") == 7
    assert filtering.count_words("가슴이 자주 아파요.") == 3
    assert filtering.count_words("我每天胸口疼痛三四次") == 5
    assert filtering.count_words("患者有 COPD 病史") == 4


def test_a_tie_with_the_limit_is_exact():
    assert [int(novelty.max_unmatched(20, limit)) for limit in (0.7, 0.69)] == [5, 6]
