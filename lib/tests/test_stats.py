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
    first = stats.krippendorff_alpha(rows).value
    turned = stats.krippendorff_alpha([row[::-1] for row in rows[::-1]]).value
    assert first == pytest.approx(turned, nan_ok=True)


# numbers of version 1, whose formulas were written out by hand
def test_wilson_is_that_of_version_1():
    old = {
        (0, 20): (0.0, 0.0, 0.16112515805281938),
        (3, 20): (0.15, 0.052368745896216595, 0.36041886474075696),
        (20, 20): (1.0, 0.8388748419471806, 1.0),
        (5, 14.5): (0.3448275862068966, 0.157387302, 0.597266892),
    }
    for (hits, n), share in old.items():
        assert stats.wilson(hits, n) == pytest.approx((*share, hits, n))
    assert np.isnan(stats.wilson(0, 0).low)


def test_holms_correction_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    chance = np.random.default_rng(1)
    for count in (1, 2, 5, 40):
        p = chance.choice([0, 0.001, 0.01, 0.04, 0.3, 0.7, 1, *chance.random(3)], count)
        assert stats.holm(p) == multipletests(p, method="holm")[1].tolist()


def test_paired_tests_and_power_are_those_of_version_1():
    assert stats.holm([0.01, 0.04, 0.03, 0.5, 0.001]) == pytest.approx(
        [0.04, 0.09, 0.09, 0.5, 0.005]
    )
    assert stats.holm([]) == []
    assert stats.mcnemar(1, 9) == pytest.approx(0.021484375) and stats.mcnemar(0, 0) == 1.0
    assert stats.t_quantile(0.975, 10) == pytest.approx(2.2281388520)
    assert stats.mcnemar(12, 3) == pytest.approx(0.03515625) and stats.mcnemar(5, 5) == 1.0
    assert stats.minimal_difference(216) == pytest.approx(0.095311864656954, rel=1e-5)
    assert stats.items_needed(0.05) == 785 and stats.items_needed(0.2) == 50
    assert stats.entropy([1, 2, 3, 0]) == pytest.approx(1.4591479170272448)


def test_kappa_keeps_its_value_and_its_interval_stays_near_the_bootstraps():
    chance = np.random.default_rng(5)
    first = list(chance.integers(0, 3, 60))
    second = [rating if chance.random() < 0.7 else 9 for rating in first]
    found = stats.cohen_kappa(first, second)
    assert found.value == pytest.approx(0.588150289017341)
    assert found[1:3] == pytest.approx((0.4531, 0.7251), abs=0.03)  # of version 1, resampled


def test_the_sign_flip_test_is_exact_for_few_and_keeps_its_level():
    assert stats.sign_flip_test([1, 1, 1, 1]) == 2 / 16
    chance = np.random.default_rng(1)
    found = [stats.sign_flip_test(chance.normal(size=30), rounds=400, seed=n) for n in range(300)]
    assert 0.02 <= np.mean(np.array(found) < 0.05) <= 0.085


def test_the_minimal_difference_is_found_in_four_of_five_runs():
    gap, chance = stats.minimal_difference(216), np.random.default_rng(2)
    found = [stats.mean_interval(chance.random(216) < 0.5 + gap)[1] > 0.5 for _ in range(300)]
    assert 0.72 <= np.mean(found) <= 0.88
    assert stats.items_needed(gap) in (216, 217)


def score_of(chance, n, p):
    """Return the mean scores of n items in two orders, with up to 30% ties."""
    ties = min(0.3, 2 * p, 2 - 2 * p)
    place = chance.random((n, 2))
    return np.select([place < p - ties / 2, place < p + ties / 2], [1.0, 0.5], 0.0).mean(axis=1)


def recall_of(chance, n, p):
    """Return found and labeled identifiers of n snippets that differ in how hard they are."""
    sizes, hard = chance.integers(1, 5, n), chance.beta(6 * p, max(6 * (1 - p), 1e-12), n)
    return chance.binomial(sizes, hard if p < 1 else 1.0), sizes


def raters(chance, n, p):
    """Return two raters who agree on a share p of the units and are independent on the others."""
    first, other = chance.random(n) < 0.5, chance.random(n) < 0.5
    return first.tolist(), np.where(chance.random(n) < p, first, other).tolist()


INTERVALS = {
    "share": lambda chance, n, p: stats.mean_interval(chance.random(n) < p),
    "score with ties": lambda chance, n, p: stats.mean_interval(score_of(chance, n, p)),
    "rubric": lambda chance, n, p: stats.mean_interval(
        chance.beta(8 * p, 8 * (1 - p), n) if p < 1 else np.ones(n)
    ),
    "recall by snippet": lambda chance, n, p: stats.share_of_sums(*recall_of(chance, n, p)),
    "kappa": lambda chance, n, p: stats.cohen_kappa(*raters(chance, n, p))[:3],
    "alpha": lambda chance, n, p: stats.krippendorff_alpha(raters(chance, n, p))[:3],
    "AC1": lambda chance, n, p: stats.gwet(raters(chance, n, p))[:3],
}


@pytest.mark.parametrize("p", [0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("kind", INTERVALS)
def test_every_interval_has_a_width_and_holds_the_truth_in_95_of_100_studies(kind, p):
    for n in (10, 20, 60, 150):
        studies = [INTERVALS[kind](np.random.default_rng(run), n, p) for run in range(200)]
        value, low, high = np.array(studies).T
        known = np.isfinite(low)  # a coefficient is undefined where one value is left
        assert known.mean() > 0.95 and (high - low)[known].min() > 0.01
        assert (low <= value + 1e-9)[known].all() and (value <= high + 1e-9)[known].all()
        coverage = ((low <= p + 1e-9) & (p <= high + 1e-9))[known].mean()
        assert coverage >= 0.89, (n, coverage)  # the percentile bootstrap had 0.64 at p 0.95, n 20


def test_fewer_than_ten_items_have_no_interval_and_equal_differences_have_one():
    for values in ([1] * 9, [0.5] * 9, []):
        assert np.isnan(stats.mean_interval(values)[1:]).all()
    assert np.isnan(stats.wilson(9, 9)[1:3]).all() and stats.wilson(9, 9).share == 1
    assert np.isnan(stats.paired_change([0] * 9, [1] * 9)["low"])
    for change in ([0.0] * 10, [1.0] * 10):
        _, low, high = stats.mean_interval(change, limits=(-1, 1))
        assert -1 <= low < high <= 1 and low <= change[0] <= high
    assert np.isnan(stats.mean_interval([3.5] * 20, limits=())[1:]).all(), "no scale, no variation"
    same = stats.paired_change([0.5] * 20, [0.5] * 20)
    assert same["low"] < 0 < same["high"] and same["p"] == 1


def test_the_parts_of_an_item_are_not_counted_as_items():
    sizes = np.array([20] * 12)
    hits = np.array([20, 0] * 6)  # all or nothing: 12 observations, not 240
    _, low, high = stats.share_of_sums(hits, sizes)
    wide = stats.wilson(6, 12)
    assert (low, high) == pytest.approx(wide[1:3], abs=0.01)
    assert stats.wilson(120, 240).low > low + 0.15
    assert stats.difference(wide, stats.wilson(6, 12))[0] == 0


@pytest.mark.parametrize(("gain", "loss"), [(0, 0), (0.05, 0), (0.2, 0.05), (0.3, 0.3)])
def test_the_interval_of_a_paired_change_holds_it_in_95_of_100_studies(gain, loss):
    for n in (10, 20, 60, 150):
        held = []
        for study in range(200):
            place = np.random.default_rng(study).random(n)
            before = np.where(place < gain, 0, np.where(place < gain + loss, 1, place < 0.8))
            after = np.where(place < gain, 1, np.where(place < gain + loss, 0, before))
            change = stats.paired_change(before, after)
            assert change["low"] < change["high"]
            held.append(change["low"] <= gain - loss <= change["high"])
        assert np.mean(held) >= 0.9, n


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=4, max_size=4))
def test_the_interval_of_a_difference_of_shares_is_newcombes(counts):
    (a, b), (m, n) = sorted(counts)[:2], (30, 45)
    first, second = stats.wilson(a, m), stats.wilson(b, n)
    gap, low, high = stats.difference(first, second)
    assert gap - low == pytest.approx(
        np.hypot(second.share - second.low, first.high - first.share), abs=1e-9
    )
    assert high - gap == pytest.approx(
        np.hypot(second.high - second.share, first.share - first.low), abs=1e-9
    )


def test_kappa_is_that_of_statsmodels():
    from statsmodels.stats.inter_rater import cohens_kappa, to_table

    chance = np.random.default_rng(2)
    first = chance.integers(0, 4, 80)
    second = np.where(chance.random(80) < 0.6, first, chance.integers(0, 4, 80))
    table = to_table(np.column_stack([first, second]))[0]
    own, theirs = stats.cohen_kappa(first.tolist(), second.tolist()), cohens_kappa(table)
    assert own.value == pytest.approx(theirs.kappa)
    assert own[1:3] == pytest.approx((theirs.kappa_low, theirs.kappa_upp), abs=0.04)
