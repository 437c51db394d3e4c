"""Diversity: metrics with known values, tables with the right denominators, datasets of every shape."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medinstruct import diversity, labels, plotting, records
from medinstruct.errors import UserError

metrics, coverage = diversity.metrics, diversity.coverage
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
AXES = tuple(labels.VALUES)
counts = st.lists(st.integers(1, 50), min_size=1, max_size=30)


def rows(n, **columns):
    labels = {"type": "chat", "topic": "Cardiology", "view": "nurse", "difficulty": 3}
    row = labels | {"style": "SOAP note", "instruction": "Write a note."}
    return [
        row | {name: values[i % len(values)] for name, values in columns.items()} for i in range(n)
    ]


def frame(rows):
    """Rows as the table that `diversity.load` makes of a file with them."""
    return coverage._counted([coverage._fields(row, "a row") for row in rows])


HOSTILE = {
    "without labels": [{"instruction": f"Explain finding {n}."} for n in range(5)],
    "one task": rows(1),
    "one empty text": [{"instruction": ""}],
    "script everywhere": [dict.fromkeys((*AXES, "instruction", "input", "output"), SCRIPT)] * 4,
    "mathematics": rows(4, topic=["$x_{", "\\frac", "a\nb", "^"], instruction=["Write $a_{ note."]),
    "missing and odd fields": [
        {"instruction": None, "type": 7, "topic": ["a"]},
        {"question": "Why?", "response": "So."},
    ],
    "many topics": rows(3000, topic=[f"topic {'x' * 400} {n}" for n in range(3000)]),
}


def test_estimators_have_their_known_values():
    assert metrics.richness([4, 2, 1, 1]) == {"seen": 4, "chao1": 4.5, "coverage": 0.75}
    assert metrics.extrapolated([4, 2, 1, 1], more=8) == pytest.approx(4.48, abs=5e-3)
    assert metrics.distinct_n(["a b c", "a b d"]) == 0.75


def test_nothing_counted_has_no_richness():
    assert metrics.richness([]) == {"seen": 0, "chao1": 0, "coverage": 0.0}
    assert metrics.extrapolated([], more=0) == 0


@settings(deadline=None)
@given(counts)
def test_chao1_bounds_what_is_seen_and_extrapolated(values):
    bound = metrics.richness(values)
    total = sum(values)
    ahead = [metrics.extrapolated(values, more=more) for more in (0, total // 2, total)]
    assert bound["seen"] <= ahead[0] + 1e-9
    assert ahead == sorted(ahead) and ahead[-1] <= bound["chao1"] + 1e-6
    assert 0 <= bound["coverage"] <= 1


def test_extrapolation_predicts_further_draws():
    chance = np.random.default_rng(5)
    weights = 1 / np.arange(1, 501)
    draws = chance.choice(500, 2000, p=weights / weights.sum())
    expected = metrics.extrapolated(Counter(draws[:1000].tolist()).values(), more=1000)
    assert expected == pytest.approx(len(set(draws.tolist())), rel=0.1)


def test_an_extrapolation_ends_at_twice_the_sample():
    with pytest.raises(UserError, match="twice the sample"):
        metrics.extrapolated([3, 2, 1, 1], more=8)


def test_vendi_counts_different_texts_and_not_repeated_ones():
    different = [f"{word}ing the {word}" for word in ("walk", "eat", "read", "sleep")]
    assert metrics.vendi(["take the dose now"] * 6) == pytest.approx(1)
    assert metrics.vendi(different * 5) == pytest.approx(metrics.vendi(different), rel=0.1)
    assert 1 < metrics.vendi(different) <= 4 and metrics.vendi([]) == 0
    assert metrics.vendi(["", "take the dose"]) == pytest.approx(2)


def test_lexical_metrics_equal_those_of_version_1():
    """Oracle: version 1's own TF-IDF, on the same texts."""
    texts = [f"Explain the {a} of {b}." for a in ("risk", "use") for b in ("iron", "gout", "flu")]
    assert metrics.lexical(texts) == pytest.approx(
        {"texts": 6, "distinct-1": 0.26667, "distinct-2": 0.33333, "Vendi": 3.23324},
        abs=1e-4,
    )


def test_lexical_metrics_read_characters_where_words_have_no_spaces():
    assert metrics.distinct_n(["哮喘哮喘"], 1) == metrics.distinct_n(["천식 천식"], 1) == 0.5
    assert metrics.distinct_n(["哮喘的 COPD"], 2) == 1
    assert metrics.vendi(["咳嗽三周", "什么原因"]) == pytest.approx(2)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1),
    st.dictionaries(st.sampled_from("cdef"), st.integers(1, 9), min_size=1),
)
def test_divergence_is_symmetric_between_0_and_1(one, other):
    bits = metrics.divergence(one, other)
    assert 0 <= bits <= 1 and bits == pytest.approx(metrics.divergence(other, one), abs=1e-9)
    assert metrics.divergence(one, one) == pytest.approx(0, abs=1e-9)
    assert np.isnan(metrics.divergence(one, {})) and np.isnan(metrics.divergence({}, {}))


def test_top_pairs_are_ranked_by_verb_and_noun():
    pairs = [("list", "sign")] * 2 + [("write", "note")] * 2 + [("write", "poem"), ("rest", None)]
    assert list(coverage.top_pairs(pairs)) == [
        ("write", "note"),
        ("write", "poem"),
        ("list", "sign"),
    ]
    assert coverage.top_pairs(pairs, verbs=1, nouns=1) == {("write", "note"): 2}
    assert coverage.top_pairs([]) == {}


def test_published_counts_keep_their_sum_under_our_rules():
    for axis in ("type", "view", "topic"):
        raw, merged = labels.published("generated", axis), coverage.published(axis)
        assert sum(raw.values()) == sum(merged.values()) and len(merged) < len(raw) == 20
    assert "(no match)" not in coverage.published("type")


def test_counts_by_axis_leave_out_unlabeled_tasks():
    table = frame(rows(9, topic=["Cardiology", "zebra quilting", ""]))
    by_axis = coverage.by_axis(table, [("write", "note")] * 8 + [("rest", None)])
    assert by_axis["topic"] == {"Cardiology": 3} and by_axis["difficulty"] == {3: 9}
    assert by_axis["verb"] == {"write": 8, "rest": 1}
    assert by_axis["verb and noun"] == {("write", "note"): 8}
    assert set(coverage.by_axis(table)) == set(AXES)


def test_gaps_count_every_labeled_task_and_every_empty_cell():
    table = frame(rows(6, type=["chat", "Rewriting"]))
    cells = coverage.gaps(table, "type", "difficulty")
    assert cells.to_numpy().sum() == 6 and cells.shape == (10, 5)
    assert coverage.empty_cells(cells) == (48, 50)


def test_gaps_hold_every_specialty_the_emptiest_first():
    tasks = [
        {"instruction": "?", "type": kind, "topic": topic}
        for kind, topic in [("chat", "Cardiology"), ("rewrite", "Cardiology"), ("chat", "Oncology")]
    ]
    tasks += [
        {"instruction": "?", "type": "chat", "topic": ""},
        {"instruction": "?", "type": "chat"},
    ]
    table = coverage.gaps(frame([*tasks, tasks[0]]), "topic", "type")
    assert table.shape == (61, 10) and table.to_numpy().sum() == 4
    assert list(table.index[-2:]) == ["Oncology", "Cardiology"] and not table.iloc[0].any()
    empty = (table == 0).sum(axis=1)
    assert empty.is_monotonic_decreasing and coverage.empty_cells(table) == (610 - 3, 610)
    by_view = coverage.gaps(frame(tasks), "topic", "view")
    assert by_view.shape[0] == 61 and coverage.empty_cells(by_view)[0] == by_view.size


def test_a_task_without_a_label_makes_no_empty_cells():
    cells = coverage.gaps(frame(rows(6, type=["chat", ""])), "type", "difficulty")
    assert cells.shape == (10, 5) and cells.to_numpy().sum() == 3
    assert coverage.empty_cells(cells) == (49, 50)


@pytest.mark.parametrize("name", HOSTILE)
def test_tables_and_figures_hold_hostile_data(name, tmp_path):
    table = frame(HOSTILE[name])
    top = coverage.top_pairs(diversity.verb_noun(table["instruction"]))
    figures = [plotting.sunburst(top, title="Pairs")]
    for axes in (("topic", "type"), ("topic", "difficulty")):
        cells = coverage.gaps(table, *axes).head(25)
        assert len(cells) == 25 and cells.to_numpy().sum() <= len(table)
    figures.append(plotting.heatmap(cells, title="Cells", label="tasks"))
    for number, figure in enumerate(figures):
        picture = plotting.show(figure, f"f{number}", folder=tmp_path)
        png = picture.data["image/png"]
        assert png.startswith(b"\x89PNG") and len(png) < 500_000


def test_datasets_with_one_file_name_stay_apart(tmp_path):
    files = [str(tmp_path / name / "tasks.jsonl") for name in ("a", "b", "c/a")]
    for count, file in enumerate(files, 1):
        records.write_json(file, rows(count))
    sizes = {name: len(table) for name, table in diversity.load_many(files).items()}
    assert sizes == dict(zip(files, (1, 2, 3), strict=True)) and diversity.load_many([]) == {}


def test_a_dataset_is_read_from_every_shape_it_comes_in(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    file = tmp_path / "earlier" / "dataset.jsonl"
    records.write_text(file, json.dumps(rows(1)[0]) + "\n")
    alpaca = {"instruction": "Write a note.", "input": "", "output": "So."}
    records.write_json(tmp_path / "alpaca.json", [alpaca])
    records.write_text(tmp_path / "answers.csv", "question,response\nWrite a note.,So.\n")
    for source in (
        "earlier",
        file.parent,
        file,
        tmp_path / "alpaca.json",
        tmp_path / "answers.csv",
    ):
        assert list(diversity.load(source)["instruction"]) == ["Write a note."]
    with pytest.raises(UserError, match="holds no dataset"):
        diversity.load(tmp_path)
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(UserError, match="holds no task"):
        diversity.load(tmp_path / "none.jsonl")


def test_a_mistyped_path_is_not_asked_of_the_network(monkeypatch):
    datasets = pytest.importorskip("datasets", reason="extra `train` is not installed")
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda name, **_: asked.append(name) or rows(2))
    for source in ("outputs/datset.jsonl", "xz97/MedInstruct", "nowhere"):
        with pytest.raises(UserError):
            diversity.load(source)
    with pytest.raises(UserError, match="hf:xz97/MedInstruct"):
        diversity.load("xz97/MedInstruct")
    assert not asked
    assert len(diversity.load("hf:xz97/MedInstruct")) == 2 and asked == ["xz97/MedInstruct"]


def test_the_clinicians_seeds_are_read_with_all_their_labels(real_data):
    table = diversity.load(real_data / "alpacare" / "med_seed.json")
    published = [f"{axis}_of" for axis in AXES if axis != "style"]
    assert len(table) == 167 and not table[published].isin(coverage.UNLABELED).any().any()
    assert set(table["style_of"]) == {labels.NO_LABEL} and "style" not in coverage.by_axis(table)
    assert coverage.by_axis(table)["difficulty"] == labels.published("seeds", "difficulty")
