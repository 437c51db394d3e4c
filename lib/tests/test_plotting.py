"""Plotting: every chart says what it shows, every text is escaped, every figure has fixed bytes."""

import base64

import nbformat as nf
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from medinstruct import plotting
from medinstruct.records import Task

NASTY = "<script>alert(1)</script> $5 and $6"
RATES = pd.DataFrame(
    {
        "score": [0.3, 0.5, 0.8, np.nan],
        "low": [0.2, 0.4, 0.7, np.nan],
        "high": [0.4, 0.6, 0.9, np.nan],
        "model": ["base", "tuned", "base", "tuned"],
        "chance": [0.25] * 4,
    },
    index=[("medqa", "letters"), ("medqa", "letters"), "pubmedqa", "empty"],
)
WORDS = {"title": "A claim with $5", "label": "tasks"}
CHARTS = {
    "bars": lambda: plotting.bars({"a": 3, NASTY: 2000, "c": 1}, top=2, **WORDS),
    "grouped_bars": lambda: plotting.grouped_bars({"x": {"a": 1}, "y": {"b": 2}}, **WORDS),
    "heatmap": lambda: plotting.heatmap(pd.DataFrame([[0, 1], [2, np.nan]]), **WORDS),
    "centered": lambda: plotting.heatmap(pd.DataFrame([[0.1]]), center=0.5, fmt=".2f", **WORDS),
    "intervals": lambda: plotting.intervals(RATES, group="model", marks=["chance"], **WORDS),
    "panels": lambda: plotting.intervals({"one": RATES, "two": RATES}, reference=0, **WORDS),
    "lines": lambda: plotting.lines(
        pd.DataFrame({"training": [3, 2], "held out": [np.nan, 2]}, index=[0, 1]),
        reference={1: "end"},
        **WORDS,
    ),
    "histogram": lambda: plotting.histogram([0.2, 0.4, np.nan], reference=0.7, **WORDS),
    "histograms": lambda: plotting.histogram(
        {"kept": [0.1], "dropped": [0.9] * 9}, share=True, **WORDS
    ),
    "dumbbell": lambda: plotting.dumbbell(pd.DataFrame({"base": [1, 2], "tuned": [2, 1]}), **WORDS),
    "funnel": lambda: plotting.funnel({"asked": 9, "parsed": 7}, **WORDS),
    "sunburst": lambda: plotting.sunburst(
        {("write", "note"): 3, ("list", "sign"): 2}, title=WORDS["title"]
    ),
}
EMPTY = {
    "bars": lambda: plotting.bars({}, **WORDS),
    "grouped_bars": lambda: plotting.grouped_bars({}, **WORDS),
    "heatmap": lambda: plotting.heatmap(pd.DataFrame(), **WORDS),
    "intervals": lambda: plotting.intervals(RATES[3:], **WORDS),
    "lines": lambda: plotting.lines(pd.DataFrame({"a": [np.nan]}), **WORDS),
    "histogram": lambda: plotting.histogram({"a": []}, **WORDS),
    "dumbbell": lambda: plotting.dumbbell(pd.DataFrame({"a": [np.nan], "b": [1]}), **WORDS),
    "funnel": lambda: plotting.funnel({}, **WORDS),
    "sunburst": lambda: plotting.sunburst({}, title="t"),
}


def texts(figure):
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_has_its_title_and_its_label(name, tmp_path):
    figure = CHARTS[name]()
    assert figure.get_suptitle() == "A claim with $5"
    assert "tasks" in texts(figure) or name == "sunburst"
    shown = plotting.show(figure, name, folder=tmp_path)
    assert shown.data["text/plain"] == "A claim with $5"
    assert shown.data["image/png"].startswith(b"\x89PNG")


@pytest.mark.parametrize("name", CHARTS)
def test_a_figure_is_the_same_bytes_in_every_run(name, tmp_path):
    first, second = (plotting.show(CHARTS[name](), f"f{n}", folder=tmp_path) for n in (1, 2))
    assert first.data == second.data
    svgs = [(tmp_path / "figures" / f"f{n}.svg").read_bytes() for n in (1, 2)]
    assert svgs[0] == svgs[1] and b"<dc:date>" not in svgs[0]


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_to_draw_is_a_figure_that_says_so(name):
    assert "Nothing to draw" in texts(EMPTY[name]())


def test_bars_count_what_they_leave_out():
    assert "1 others with 1 not shown" in texts(CHARTS["bars"]())
    assert "2,000" in texts(CHARTS["bars"]())


def test_intervals_have_a_legend_of_groups_and_marks_and_skip_rows_without_a_score():
    figure = CHARTS["intervals"]()
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["base", "tuned", "chance"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        "pubmedqa",
        "medqa: letters",
    ][::-1]


def test_panels_share_one_label_under_the_middle_of_the_figure():
    figure = CHARTS["panels"]()
    assert figure.get_supxlabel() == "tasks"
    assert not any(panel.get_xlabel() for panel in figure.axes)
    assert CHARTS["intervals"]().axes[0].get_xlabel() == "tasks"


def test_lines_draw_every_column_and_step_over_gaps():
    frame = pd.DataFrame({f"c{n}": [n, np.nan, n + 1] for n in range(9)})
    figure = plotting.lines(frame, **WORDS)
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [2] * 9


def test_a_funnel_names_what_each_stage_lost():
    assert "7 (−2)" in texts(CHARTS["funnel"]())


@pytest.mark.parametrize(
    ("better", "rise", "fall"),
    [("higher", "#009E73", "#D55E00"), ("lower", "#D55E00", "#009E73"), ("", "#7A8490", "#7A8490")],
)
def test_a_dumbbell_judges_a_change_only_where_it_knows_what_is_better(better, rise, fall):
    frame = pd.DataFrame({"base": [1, 2], "tuned": [2, 1]})
    figure = plotting.dumbbell(frame, better=better, **WORDS)
    lines = figure.axes[0].collections[0]
    assert [to_hex(color).upper() for color in lines.get_colors()] == [rise, fall]


def test_words_in_a_sunburst_fit_or_are_hidden():
    pairs = {("write", f"noun{n}"): 1 for n in range(300)}
    words = {text.get_text(): text for text in plotting.sunburst(pairs, title="t").axes[0].texts}
    assert words["write"].get_visible() and not words["noun7"].get_visible()


def test_a_table_escapes_every_cell_and_keeps_numbers_at_the_right():
    frame = pd.DataFrame({NASTY: [NASTY, None], "n": [12345, np.nan]}, index=pd.Index(["a", "b"]))
    page = plotting.table(frame, caption=NASTY).data["text/html"]
    assert "<script>" not in page and page.count("&lt;script&gt;") == 3
    assert '<td style="text-align:right">12,345</td>' in page and "<td>–</td>" in page
    assert "mathjax_ignore" in page  # "$" starts no formula


def test_a_long_table_folds_its_rows_and_any_table_of_pandas_fits():
    page = plotting.table([{"a": n} for n in range(50)], fold=10).data["text/html"]
    assert "40 more rows" in page and page.count("<tr>") == 52
    many = pd.Series([1, 2], index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)]), name="n")
    assert ">x<" in plotting.table(many).data["text/html"]
    assert "<table>" in plotting.table(pd.DataFrame()).data["text/html"]


TASKS = [
    Task(
        type=("chat", "rewrite")[n % 2],
        topic=NASTY,
        view="patient",
        difficulty=1,
        instruction=f"{NASTY} {n}",
        input="A cough" if n == 3 else "",
    )
    for n in range(9)
]


def test_the_reader_gives_escaped_cards_where_the_page_is_not_live():
    page = plotting.reader(TASKS, text=["instruction", "input"], labels=["type", "topic"], number=4)
    page, plain = page.data["text/html"], page.data["text/plain"]
    assert "1 to 4 of 9" in page and "<script>alert" not in page and plain
    assert page.count('<details class="mi-card"') == 9 and "5 more records" in page
    assert page.index("5 more records") > page.index(f"{TASKS[3].instruction[-8:]}")
    assert "No record matches" in plotting.reader([], text=["a"]).data["text/html"]


def test_the_reader_filters_searches_and_turns_pages_where_the_page_is_live(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "x.ipynb")
    widget = plotting.reader(TASKS, text=["instruction", "input"], labels=["type"], number=2)
    filters, controls, view = widget.children
    search, page = controls.children
    assert "1 to 2 of 9" in view.value and page.max == 5 and "<script>" not in view.value
    page.value = 5
    assert "9 to 9 of 9" in view.value
    filters.children[0].value = "rewrite"
    assert "1 to 2 of 4" in view.value and page.value == 1
    search.value = "COUGH a"
    assert "1 to 1 of 1" in view.value and page.max == 1
    search.value = "nowhere"
    assert "No record matches" in view.value
    search.value = ""
    assert "1 to 2 of 4" in view.value


def test_an_exported_page_carries_alternative_text_escaped(tmp_path):
    bs4 = pytest.importorskip("bs4")
    alt = f'bars "> {NASTY}'
    shown = plotting.show(CHARTS["bars"](), "f", folder=tmp_path, alt=alt, data=pd.Series({"a": 2}))
    data, metadata = shown._repr_mimebundle_()
    data = data | {"image/png": base64.b64encode(data["image/png"]).decode()}
    output = nf.v4.new_output("display_data", data=data, metadata=metadata)
    book = nf.v4.new_notebook(cells=[nf.v4.new_code_cell("x", outputs=[output])])
    nf.write(book, tmp_path / "n.ipynb")
    page = plotting.to_html(tmp_path / "n.ipynb")
    assert "<script>alert(1)" not in page
    assert bs4.BeautifulSoup(page, "html.parser").img["alt"] == alt
    assert (tmp_path / "figures" / "f.csv").read_text() == ",0\na,2\n"
