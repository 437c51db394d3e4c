"""Diversity: measures against known values, tables with the right denominators, and figures that hostile data cannot break."""

import base64
import json
from collections import Counter

import nbformat as nf
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medinstruct import diversity, labels, paths, plotting, records, stats
from medinstruct.diversity import browsing, compare, drawing, loading, measures
from medinstruct.errors import UserError

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
counts = st.lists(st.integers(1, 50), min_size=1, max_size=30)
pairs_of = st.lists(
    st.tuples(st.sampled_from("abcde") | st.none(), st.sampled_from("uvwxyz") | st.none()),
    max_size=60,
)


def rows(n, **more):
    found = {
        "type": "chat",
        "topic": "Cardiology",
        "view": "nurse",
        "difficulty": 3,
        "instruction": "Write a note.",
    }
    return [found | {key: value[i % len(value)] for key, value in more.items()} for i in range(n)]


HOSTILE = {
    "without labels": [{"instruction": f"Explain finding {n}."} for n in range(5)],
    "one task": rows(1),
    "one empty text": [{"instruction": ""}],
    "script everywhere": [
        dict.fromkeys(
            ("type", "topic", "view", "difficulty", "instruction", "input", "output"), SCRIPT
        )
    ]
    * 4,
    "mathematics": rows(4, topic=["$x_{", "\\frac", "a\nb", "^"], instruction=["Write $a_{ note."]),
    "missing and odd fields": [
        {"instruction": None, "type": 7, "topic": ["a"]},
        {"question": "Why?", "response": "So."},
    ],
    "many topics": rows(3000, topic=[f"topic {'x' * 400} {n}" for n in range(3000)]),
}


@given(counts)
def test_corrected_entropies_are_never_below_the_plain_one(values):
    assert diversity.miller_madow(values) >= stats.entropy(values) - 1e-9
    assert diversity.chao_shen(values) >= 0 and np.isfinite(diversity.chao_shen(values))


def test_the_corrections_come_nearer_to_the_truth_than_the_plain_entropy_on_small_samples():
    chance, true = np.random.default_rng(3), 1 / np.arange(1, 201)
    true /= true.sum()
    truth = float(-(true * np.log2(true)).sum())
    samples = [np.bincount(chance.choice(200, 150, p=true)) for _ in range(30)]
    error = {
        f: abs(np.mean([f(s) for s in samples]) - truth)
        for f in (stats.entropy, measures.miller_madow, measures.chao_shen)
    }
    assert error[measures.chao_shen] < error[measures.miller_madow] < error[stats.entropy]


@given(counts)
def test_chao1_bounds_what_is_seen_and_the_forecast_lies_between(values):
    found = diversity.unseen(values)
    ahead = [diversity.expected(values, more=m) for m in (0, 10, 1000)]
    assert (
        found["seen"] <= ahead[0] + 1e-9
        and ahead == sorted(ahead)
        and ahead[-1] <= found["chao1"] + 1e-6
    )
    assert 0 <= found["coverage"] <= 1


def test_the_forecast_foretells_what_further_draws_bring():
    chance = np.random.default_rng(5)
    weights = 1 / np.arange(1, 501)
    draws = chance.choice(500, 2000, p=weights / weights.sum())
    told = diversity.expected(Counter(draws[:1000].tolist()), more=1000)
    assert abs(told - len(set(draws.tolist()))) < 0.1 * len(set(draws.tolist()))


@given(st.lists(st.sampled_from("abcdef") | st.none(), max_size=80))
def test_growth_never_falls_and_ends_at_what_is_there(items):
    curve = diversity.growth(items)
    assert list(curve.values()) == sorted(curve.values()) and curve[max(curve)] == len(
        set(items) - {None}
    )


def test_vendi_counts_different_texts_and_not_repeated_ones():
    different = [f"{word}ing the {word}" for word in ("walk", "eat", "read", "sleep")]
    assert diversity.vendi(["take the dose now"] * 6) == pytest.approx(1)
    assert diversity.vendi(different * 5) == pytest.approx(diversity.vendi(different), rel=0.1)
    assert 1 < diversity.vendi(different) <= 4


def test_mtld_of_a_text_that_repeats_one_word_is_short():
    assert (
        diversity.mtld(["pain " * 200])
        < 15
        < diversity.mtld([" ".join(f"word{n}" for n in range(200))])
    )


@given(pairs_of)
def test_every_share_has_all_tasks_for_its_denominator(pairs):
    found = diversity.pair_numbers(pairs, verbs=2, nouns=2)
    assert 0 <= found["in_table"] <= found["with_pair"] <= found["with_verb"] <= 1
    assert found["table_entropy"] <= 2 + 1e-9  # log2(2 x 2)


def test_published_counts_keep_their_sum_under_our_rules():
    for axis in ("type", "view", "topic"):
        raw, merged = diversity.published(axis)
        assert sum(raw.values()) == sum(merged.values()) and len(merged) < len(raw) == 20
    assert compare.NO_MATCH not in diversity.published("type")[1]


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1),
    st.dictionaries(st.sampled_from("cdef"), st.integers(1, 9), min_size=1),
)
def test_divergence_is_symmetric_between_nought_and_one(one, other):
    far = diversity.divergence(one, other)
    assert 0 <= far <= 1 and far == pytest.approx(diversity.divergence(other, one), abs=1e-9)
    assert diversity.divergence(one, one) == pytest.approx(0, abs=1e-9)
    assert set(diversity.only_in(one, other)) == set(one) - set(other)


def test_every_specialty_stands_in_one_field():
    names = [name for of in labels.FIELDS.values() for name in of]
    assert sorted(names) == sorted(labels.SPECIALTIES) and len(set(names)) == len(names)


def test_the_tree_holds_every_task_once_and_shows_gaps():
    table = diversity.frame(rows(9, topic=["Cardiology", "zebra quilting", ""]))
    tree = diversity.specialty_tree(table)
    assert sum(n for of in tree.values() for n in of.values()) == 9
    assert (
        tree["Other"] == {loading.NO_MATCH: 3, loading.NO_LABEL: 3}
        and tree["Brain and mind"]["Neurology"] == 0
    )


def test_cells_count_every_task_and_mark_the_empty_ones():
    table = diversity.cells(
        diversity.frame(rows(6, type=["chat", "Rewriting"])), "type", "difficulty"
    )
    assert (
        table.to_numpy().sum() == 6
        and table.shape == (10, 5)
        and diversity.empty(table) == (48, 50)
    )


def test_a_task_without_a_label_makes_no_empty_cells():
    table = diversity.cells(diversity.frame(rows(6, type=["chat", ""])), "type", "difficulty")
    assert (
        table.shape == (11, 5) and table.to_numpy().sum() == 6 and diversity.empty(table)[1] == 50
    )


def test_datasets_with_one_file_name_stay_apart(tmp_path):
    for name, count in (("a", 1), ("b", 2)):
        records.write_json(tmp_path / name / "tasks.jsonl", rows(count))
    found = diversity.load_named(f"{tmp_path}/a/tasks.jsonl, {tmp_path}/b/tasks.jsonl,")
    assert {name: len(table) for name, table in found.items()} == {
        "a/tasks.jsonl": 1,
        "b/tasks.jsonl": 2,
    }
    assert list(diversity.load_named(f"{tmp_path}/a/")) == ["a"] and diversity.load_named("") == {}


def test_a_missing_topic_is_no_new_topic():
    assert diversity.growth(["a", float("nan"), None, "b"])[4] == 2


def test_a_dataset_is_read_from_every_shape_it_comes_in(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "dataset.jsonl").write_text(json.dumps(rows(1)[0]) + "\n")
    records.write_json(
        tmp_path / "alpaca.json", [{"instruction": "Write a note.", "input": "", "output": "So."}]
    )
    for source in (
        "earlier",
        tmp_path / "earlier",
        tmp_path / "earlier" / "dataset.jsonl",
        tmp_path / "alpaca.json",
    ):
        assert list(diversity.load(source)["instruction"]) == ["Write a note."]
    with pytest.raises(UserError, match="holds no dataset"):
        diversity.load(tmp_path)
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(UserError, match="holds no task"):
        diversity.load(tmp_path / "none.jsonl")


def test_the_clinicians_seeds_are_read_with_all_their_labels(real_data):
    table = diversity.load(real_data / "alpacare" / "med_seed.json")
    assert (
        len(table) == 167
        and not table[[f"{axis}_of" for axis in loading.AXES]]
        .isin([loading.NO_LABEL, loading.NO_MATCH])
        .any()
        .any()
    )
    assert diversity.counts_of(table, "difficulty") == labels.published("seeds", "difficulty")


@pytest.mark.parametrize("name", HOSTILE)
def test_every_figure_draws_or_says_why_not(name, tmp_path):
    plotting.style()
    table = diversity.frame(HOSTILE[name])
    pairs = diversity.verb_noun(list(table["instruction"]))
    top, totals = diversity.top_pairs(pairs), Counter(verb for verb, noun in pairs if verb and noun)
    drawn = [diversity.sunburst(top, title="t"), diversity.verb_bars(top, totals, title="t")]
    drawn += [
        diversity.tree(diversity.specialty_tree(table), title="t"),
        plotting.bars(table["topic"].value_counts(), title="t", label="x"),
    ]
    drawn += [
        plotting.heat(diversity.cells(table, *axes), title="t", label="x")
        for axes in (("topic", "type"), ("topic", "difficulty"))
    ]
    drawn += [diversity.spans(diversity.lengths(table), title="t", label="words")]
    drawn += [
        diversity.growth_curves({"topics": diversity.growth(list(table["topic"]))}, {}, title="t")
    ]
    drawn += [diversity.distributions({"x": []}, title="t", label="x")]
    drawn += [
        diversity.before_after(
            {}, {"a": diversity.counts_of(table, "type")}, title="t", names=labels.TYPES
        )
    ]
    for number, figure in enumerate(drawn):
        shown = plotting.show(figure, f"f{number}", folder=tmp_path, alt=name)
        png = shown.data["image/png"]
        assert png.startswith(b"\x89PNG") and len(png) < 500_000
    diversity.live_sunburst(top).to_json()
    assert len(list((tmp_path / "figures").glob("*.svg"))) == len(drawn)


def test_a_chart_of_lines_draws_every_column():
    figure = plotting.lines(
        pd.DataFrame({f"c{n}": [n, n + 1] for n in range(7)}), title="t", label="x"
    )
    assert len(figure.axes[0].lines) == 7


def test_nothing_from_the_data_reaches_the_browser_as_html():
    table = diversity.frame(HOSTILE["script everywhere"])
    page = browsing.Cards(table, 3)._repr_html_()
    assert "&lt;script&gt;" in page and "<script" not in page and "<img" not in page
    assert "<script" not in browsing.cards(table, number=9)


def test_filters_and_words_narrow_together():
    table = diversity.frame(
        rows(
            6,
            topic=["Cardiology", "Neurology"],
            instruction=["Write a note.", "Explain gout.", "Draw a heart."],
        )
    )
    assert (
        len(diversity.matching(table))
        == len(diversity.matching(table, topic="(all)", search=" "))
        == 6
    )
    assert (
        len(diversity.matching(table, topic="Cardiology", difficulty="3", search="WRITE note")) == 1
    )
    assert (
        diversity.matching(table, topic="Urology").empty
        and diversity.matching(table, search="(.*").empty
    )


def test_the_live_widget_filters_searches_and_turns_pages(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "x.ipynb")
    table = diversity.frame(
        rows(
            7,
            topic=["Cardiology", "Neurology"],
            instruction=[f"Write note number{n}." for n in range(7)],
        )
    )
    menus, controls, page = diversity.browse(table, number=3).children
    search, back, on = controls.children
    assert "1 to 3 of 7" in page.value and back.disabled
    on.click()
    assert "4 to 6 of 7" in page.value and "number3" in page.value
    menus.children[0].value = "Neurology"
    assert "1 to 3 of 3" in page.value and on.disabled
    search.value = "number5"
    assert "1 to 1 of 1" in page.value


def test_a_page_that_is_not_live_shows_the_first_tasks():
    assert isinstance(diversity.browse(diversity.frame(rows(5))), browsing.Cards)


@pytest.fixture(autouse=True)
def printed(monkeypatch):
    """No test runs on a live page unless it says so."""
    for name in ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)


def shown_notebook(tmp_path, alt):
    figure = plotting.bars({"a": 2}, title="t", label="x")
    shown = plotting.show(
        figure,
        "f",
        folder=tmp_path,
        alt=alt,
        data=pd.Series({"a": 2}),
        interactive=diversity.live_sunburst({"a": {"b": 2}}),
    )
    data, metadata = shown._repr_mimebundle_()
    data = data | {"image/png": base64.b64encode(data["image/png"]).decode()}
    output = nf.v4.new_output("display_data", data=data, metadata=metadata)
    book = nf.v4.new_notebook(cells=[nf.v4.new_code_cell("x", outputs=[output])])
    nf.write(book, tmp_path / "n.ipynb")
    return tmp_path / "n.ipynb"


def test_an_executed_notebook_holds_the_image_and_nothing_of_plotly(tmp_path):
    book = shown_notebook(tmp_path, "bars").read_text()
    assert '"image/png"' in book and "plotly" not in book and len(book) < 100_000
    assert (tmp_path / "figures" / "f.csv").read_text() == ",0\na,2\n"


def test_the_exported_page_carries_alternative_text_escaped(tmp_path):
    pytest.importorskip("nbconvert")
    page = plotting.to_html(shown_notebook(tmp_path, 'one bar "><script>alert(1)</script>'))
    assert (
        'alt="one bar &#34;&gt;&lt;script&gt;' in page
        or 'alt="one bar &quot;&gt;&lt;script&gt;' in page
        or "one bar" in page
    )
    assert "<script>alert(1)" not in page and "plotly" not in page


def test_one_figure_is_the_same_bytes_at_every_run(tmp_path):
    plotting.style()
    table = {"write": {"note": 3, "poem": 1}, "list": {"sign": 2}}
    first, second = (
        plotting.show(diversity.sunburst(table, title="t"), n, folder=tmp_path, alt="a")
        for n in ("a", "b")
    )
    assert first.data == second.data
    assert (tmp_path / "figures" / "a.svg").read_bytes() == (
        tmp_path / "figures" / "b.svg"
    ).read_bytes()


def test_words_on_colours_can_be_read():
    def luminance(color):
        part = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2]

    from matplotlib.colors import to_rgb

    from medinstruct.diversity.verb_figures import ink_on, shade

    for place in range(20):
        for white in (0, 0.25, 0.45, 0.75):
            ground, ink = (
                luminance(shade(place, white=white)),
                luminance(to_rgb(ink_on(shade(place, white=white)))),
            )
            assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 3, (place, white)


def test_the_chapters_public_names_are_all_there():
    assert all(hasattr(diversity, name) for name in diversity.__all__)
    assert drawing and paths.data("verb_noun.jsonl").exists()
