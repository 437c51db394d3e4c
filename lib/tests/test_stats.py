"""The statistics against published worked examples and against simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medinstruct import stats

# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability": four observers, twelve units, gaps.
N = None
FOUR = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
]


@pytest.mark.parametrize(
    ("level", "alpha"),
    [("nominal", 0.743), ("ordinal", 0.815)],
)
def test_alpha_is_that_of_the_published_example_with_gaps(level, alpha):
    found = stats.krippendorff_alpha(FOUR, level=level)
    assert round(found.value, 3) == alpha and found.units == 11
    assert found.low < found.value <= found.high


def test_alpha_is_that_of_the_published_examples_of_two_observers():
    letters = ["a a b b d c c c e d d a", "b a b b b c c c e d d d"]
    assert round(stats.krippendorff_alpha([row.split() for row in letters]).value, 3) == 0.692
    twos = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]
    assert round(stats.krippendorff_alpha(twos).value, 3) == 0.095


def test_kappa_is_that_of_cohens_own_table():
    table = [
        [44, 7, 9],
        [5, 20, 5],
        [1, 3, 6],
    ]  # Cohen (1960): two clinicians, three diagnoses, 100 patients
    pairs = [
        (row, column) for row in range(3) for column in range(3) for _ in range(table[row][column])
    ]
    found = stats.cohen_kappa(*zip(*pairs, strict=True))
    assert round(found.value, 3) == 0.492 and found.low < 0.492 < found.high


def test_agreement_without_ratings_or_without_variation_is_not_a_number():
    assert np.isnan(stats.cohen_kappa([None], ["a"]).value) and np.isnan(
        stats.krippendorff_alpha([]).value
    )
    assert np.isnan(stats.krippendorff_alpha([["a", "a"], ["a", "a"]]).value)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from(["a", "b", "c", None])] * 3), min_size=3, max_size=20))
def test_alpha_does_not_care_who_is_who_or_in_which_order(units):
    rows = list(zip(*units, strict=True))
    first = stats.krippendorff_alpha(rows, rounds=10).value
    turned = stats.krippendorff_alpha([row[::-1] for row in rows[::-1]], rounds=10).value
    assert first == pytest.approx(turned, nan_ok=True)


# numbers of version 1, whose formulas were written out by hand
def test_wilson_is_that_of_version_1():
    old = {
        (0, 20): (0.0, 0.0, 0.16112515805281938),
        (3, 20): (0.15, 0.052368745896216595, 0.36041886474075696),
        (20, 20): (1.0, 0.8388748419471806, 1.0),
        (2.5, 7.25): (0.3448275862068966, 0.11372880844590372, 0.6834123939537289),
    }
    for (hits, n), share in old.items():
        assert stats.wilson(hits, n) == pytest.approx((*share, hits, n))
    assert np.isnan(stats.wilson(0, 0).low)


def test_paired_tests_and_power_are_those_of_version_1():
    assert stats.holm([0.01, 0.04, 0.03, 0.5, 0.001]) == pytest.approx(
        [0.04, 0.09, 0.09, 0.5, 0.005]
    )
    assert stats.holm([]) == []
    assert stats.mcnemar(1, 9) == pytest.approx(0.021484375) and stats.mcnemar(0, 0) == 1.0
    assert stats.t_quantile(0.975, 10) == pytest.approx(2.2281388520)
    assert stats.mcnemar(12, 3) == pytest.approx(0.03515625) and stats.mcnemar(5, 5) == 1.0
    assert stats.paired_interval([1, 0, 1, 1] * 9, [1, 1, 0, 1] * 9) == pytest.approx(
        (-0.22479646857155275, 0.22479646857155275)
    )
    assert stats.paired_interval([0] * 60, [0] * 60) == pytest.approx((-0.06017185, 0.06017185))
    assert stats.minimal_difference(216) == pytest.approx(0.095311864656954, rel=1e-5)
    assert stats.items_needed(0.05) == 785 and stats.items_needed(0.2) == 50
    assert stats.entropy([1, 2, 3, 0]) == pytest.approx(1.4591479170272448)


def test_kappa_keeps_its_value_and_its_interval_stays_near_the_bootstraps():
    chance = np.random.default_rng(5)
    first = list(chance.integers(0, 3, 60))
    second = [rating if chance.random() < 0.7 else 9 for rating in first]
    found = stats.cohen_kappa(first, second)
    assert found.value == pytest.approx(0.588150289017341)
    assert found[1:3] == pytest.approx((0.4531, 0.7251), abs=0.01)  # of version 1, resampled


def test_the_sign_flip_test_is_exact_for_few_and_keeps_its_level():
    assert stats.sign_flip_test([1, 1, 1, 1]) == 2 / 16
    chance = np.random.default_rng(1)
    found = [stats.sign_flip_test(chance.normal(size=30), rounds=400, seed=n) for n in range(300)]
    assert 0.02 <= np.mean(np.array(found) < 0.05) <= 0.085


def test_the_minimal_difference_is_found_in_four_of_five_runs():
    gap, chance = stats.minimal_difference(216), np.random.default_rng(2)
    found = [
        stats.bootstrap_interval(chance.random(216) < 0.5 + gap, rounds=400)[0] > 0.5
        for _ in range(300)
    ]
    assert 0.72 <= np.mean(found) <= 0.88
    assert stats.items_needed(gap) in (216, 217)


@pytest.mark.parametrize(("n", "share"), [(216, 0.1), (216, 0.5), (60, 0.3)])
def test_bootstrap_intervals_hold_the_truth_in_about_95_of_100_runs(n, share):
    hits = 0
    for run in range(400):
        chance = np.random.default_rng(run)
        both = chance.random(n) < share, chance.random(n) < share
        low, high = stats.bootstrap_interval((both[0] * 1.0 + both[1]) / 2, rounds=500, seed=run)
        hits += low <= share <= high
    assert 0.925 <= hits / 400 <= 0.975


def test_a_ratio_has_its_own_interval_and_nothing_has_none():
    low, high = stats.bootstrap_ratio([1, 0, 1, 0] * 20, [1, 1, 1, 0] * 20)
    assert low < 2 / 3 < high
    assert all(np.isnan(stats.bootstrap_interval([]))) and all(
        np.isnan(stats.bootstrap_ratio([0], [0]))
    )


def judge_and_people(seed, n, many, honest=0.8):
    chance = np.random.default_rng(seed)
    truth = (chance.random(n + many) < 0.6) * 1.0
    judged = np.where(chance.random(n + many) < honest, truth, 1.0)  # a judge that is too kind
    return truth[:n], judged[:n], judged[n:]


def test_few_people_and_many_verdicts_hold_the_truth_and_are_narrower_than_people_alone():
    found = [stats.prediction_powered(*judge_and_people(seed, 60, 600)) for seed in range(300)]
    assert 0.92 <= np.mean([one.low <= 0.6 <= one.high for one in found]) <= 0.98
    assert np.mean([one.worth for one in found]) > 80
    naive = np.mean(np.concatenate(judge_and_people(0, 60, 600)[1:]))
    assert naive > 0.63  # the judge alone is wrong, and its many verdicts do not help


def test_a_useless_judge_costs_next_to_nothing():
    chance = np.random.default_rng(3)
    found = stats.prediction_powered(
        (chance.random(80) < 0.5) * 1.0, chance.random(80), chance.random(500)
    )
    assert found.high - found.low <= 1.02 * (found.human_high - found.human_low)
    with pytest.raises(ValueError):
        stats.prediction_powered([1.0], [1.0], [1.0])
