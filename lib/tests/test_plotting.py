"""Plotting: every chart says what it shows, every text is escaped, every figure has fixed bytes."""

import base64
import io
import re
import shutil

import nbformat as nf
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from medinstruct import plotting
from medinstruct.plotting import charts
from medinstruct.records import Task

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
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
    "bars": lambda: plotting.grouped_bars(pd.Series({"a": 3, NASTY: 2000, "c": 1}), **WORDS),
    "grouped_bars": lambda: plotting.grouped_bars({"x": {"a": 1}, "y": {"b": 2}}, **WORDS),
    "heatmap": lambda: plotting.heatmap(pd.DataFrame([[0, 1], [2, np.nan]]), **WORDS),
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
    "funnel": lambda: plotting.funnel({"asked": 9, "parsed": 7}, **WORDS),
    "sunburst": lambda: plotting.sunburst(
        {("write", "note"): 3, ("list", "sign"): 2}, title=WORDS["title"]
    ),
}
EMPTY = {
    "grouped_bars": lambda: plotting.grouped_bars({}, **WORDS),
    "heatmap": lambda: plotting.heatmap(pd.DataFrame(), **WORDS),
    "intervals": lambda: plotting.intervals(RATES[3:], **WORDS),
    "lines": lambda: plotting.lines(pd.DataFrame({"a": [np.nan]}), **WORDS),
    "histogram": lambda: plotting.histogram({"a": []}, **WORDS),
    "funnel": lambda: plotting.funnel({}, **WORDS),
    "sunburst": lambda: plotting.sunburst({}, title="t"),
}


def texts(figure):
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_has_its_title_and_its_label_and_the_same_bytes_in_every_run(name, tmp_path):
    figures = [CHARTS[name]() for _ in range(2)]
    assert figures[0].get_suptitle() == "A claim with $5"
    assert "tasks" in texts(figures[0]) or name == "sunburst"
    first, second = (plotting.show(f, f"f{n}", folder=tmp_path) for n, f in enumerate(figures))
    assert first.data == second.data and first.data["text/plain"] == "A claim with $5"
    assert first.data["image/png"].startswith(b"\x89PNG")
    svgs = [(tmp_path / "figures" / f"f{n}.svg").read_bytes() for n in range(2)]
    assert svgs[0] == svgs[1] and b"<dc:date>" not in svgs[0]


def font_of(letters, path):
    """Write a font whose letters are squares, named as one of the style."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 800), (800, 800), (800, 0)):
        pen.lineTo(corner)
    pen.closePath()
    names = [".notdef", *(f"uni{ord(letter):X}" for letter in letters)]
    font = FontBuilder(1000)
    font.setupGlyphOrder(names)
    font.setupCharacterMap(dict(zip(map(ord, letters), names[1:], strict=True)))
    font.setupGlyf(dict.fromkeys(names, pen.glyph()))
    font.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable(
        {"familyName": "NanumGothic", "styleName": "Regular", "psName": "NanumTest"}
    )
    font.setupOS2()
    font.setupPost()
    font.save(path)


def test_korean_labels_are_drawn_in_a_font_of_the_style(tmp_path, monkeypatch, caplog):
    from matplotlib.font_manager import fontManager

    monkeypatch.setattr(fontManager, "ttflist", list(fontManager.ttflist))
    font_of("심장과제", tmp_path / "nanum.ttf")
    fontManager.addfont(tmp_path / "nanum.ttf")
    columns = {"심": {"심장 heart": 2}, "장": {"과": 1}}
    figure = plotting.grouped_bars(columns, title="심장", label="과제")
    plotting.show(figure, "a", folder=tmp_path)
    drawn = (tmp_path / "figures" / "a.svg").read_text()
    assert "NanumTest-" in drawn and "DejaVuSans-" in drawn
    assert not caplog.records, "no note on a weight that the font lacks"


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_to_draw_is_a_figure_that_says_so(name):
    assert "Nothing to draw" in texts(EMPTY[name]())


def test_bars_of_one_column_have_their_numbers():
    assert "2,000" in texts(CHARTS["bars"]()) and "2,000" not in texts(CHARTS["grouped_bars"]())


def test_scores_that_mean_nothing_are_gray_and_keep_their_shapes():
    def looks(**options):
        dots = plotting.intervals(RATES, group="model", **options, **WORDS).axes[0].lines
        return {(to_hex(dot.get_color()).upper(), dot.get_marker()) for dot in dots}

    assert {color for color, _ in looks(gray=True)} == {plotting.COLORS["base"]}
    assert len({color for color, _ in looks()}) > 1
    assert {shape for _, shape in looks(gray=True)} == {shape for _, shape in looks()}


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


def test_words_in_a_sunburst_fit_or_are_hidden():
    pairs = {("write", f"noun{n}"): 1 for n in range(300)}
    words = {text.get_text(): text for text in plotting.sunburst(pairs, title="t").axes[0].texts}
    assert words["write"].get_visible() and not words["noun7"].get_visible()


def test_a_table_escapes_every_cell_and_keeps_numbers_at_the_right():
    frame = pd.DataFrame({NASTY: [NASTY, None], "n": [12345, np.nan]}, index=pd.Index(["a", "b"]))
    page = plotting.table(frame, caption=NASTY).data["text/html"]
    assert "<script>" not in page and page.count("&lt;script&gt;") == 3
    assert '<td style="text-align:right">12,345</td>' in page and ">–</td>" in page
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
    assert page.count(" open><summary>") == 1
    closed = plotting.reader(TASKS, text=["instruction"], closed=True).data["text/html"]
    assert " open><summary>" not in closed and " data-closed>" in closed


def test_a_reader_embeds_few_records_and_says_so_and_more_where_the_page_is_live(monkeypatch):
    rows = [{"text": f"<b>record</b> {n}", "kind": "a"} for n in range(5000)]
    monkeypatch.setattr("medinstruct.plotting.display.live", lambda: False)
    page = plotting.reader(rows, text=["text"], labels=["kind"]).data["text/html"]
    assert page.count('class="mi-card"') == 200 and "200 of 5,000 records, evenly spaced" in page
    assert "record&lt;/b&gt; 0<" in page and "record&lt;/b&gt; 4999<" in page
    assert plotting.reader(rows, text=["text"], labels=["kind"]).data["text/html"] == page
    monkeypatch.setattr("medinstruct.plotting.display.live", lambda: True)
    page = plotting.reader(rows, text=["text"], labels=["kind"]).data["text/html"]
    assert page.count('class="mi-card"') == 2000


@pytest.fixture(scope="module")
def browser_page():
    if not CHROMIUM:
        pytest.skip("no chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


def cards(page, place):
    return page.locator(".mi-reader").nth(place).locator(".mi-card:visible summary")


def test_a_browser_sorts_tables_and_searches_two_readers_apart(browser_page):
    count = [7, None, *range(20, 8, -1)]
    names = [f"n{n:02}" for n in range(13)] + ["<img src=x onerror=window.hacked=1>"]
    outputs = [
        plotting.table(pd.DataFrame({"name": names, "count": count}), fold=5),
        plotting.reader(TASKS, text=["instruction", "input"], labels=["type"], number=2),
        plotting.reader(TASKS[:5], text=["instruction"], labels=["type", "topic"], number=4),
    ]
    page = browser_page
    page.set_content("".join(output.data["text/html"] for output in outputs))
    numbers = page.locator(".mi-table tbody tr:visible td:nth-child(2)")
    assert numbers.count() == 5
    page.get_by_role("button", name="count").click()
    assert numbers.all_inner_texts() == ["7", "9", "10", "11", "12"]
    page.get_by_role("button", name="count").click()
    assert numbers.all_inner_texts() == ["20", "19", "18", "17", "16"]
    page.get_by_role("button", name="Show all 14 rows").click()
    assert numbers.all_inner_texts()[-2:] == ["7", "–"]

    first = page.locator(".mi-reader").first
    assert cards(page, 0).count() == 2 and cards(page, 1).count() == 4
    first.get_by_role("button", name="next").click()
    first.get_by_role("combobox").select_option("rewrite (4)")
    assert first.get_by_role("status").inner_text().strip() == "1 to 2 of 4 that match"
    first.get_by_role("searchbox").type("COUGH a")
    assert first.get_by_role("status").inner_text().strip() == "1 to 1 of 1 that match"
    first.get_by_role("searchbox").fill("nowhere")
    assert cards(page, 0).count() == 0 and "No record matches." in first.inner_text()
    first.get_by_role("searchbox").fill("")
    first.get_by_role("combobox").select_option("(all) type")
    assert first.get_by_role("status").inner_text().strip() == "1 to 2 of 9"
    assert cards(page, 1).count() == 4 and not page.evaluate("window.hacked")


def test_a_browser_opens_no_record_of_a_closed_reader_and_sorts_no_short_table(browser_page):
    short = plotting.table(pd.DataFrame({"name": list("abcd")}), fold=3)
    readers = [
        plotting.reader(TASKS, text=["instruction"], closed=closed) for closed in (True, False)
    ]
    page = browser_page
    page.set_content("".join(output.data["text/html"] for output in [short, *readers]))
    assert page.locator(".mi-reader").nth(0).locator(".mi-card[open]").count() == 0
    assert page.locator(".mi-reader").nth(1).locator(".mi-card[open]").count() == 1
    assert page.locator("th button").count() == 0
    assert page.get_by_role("button", name="Show all 4 rows").count() == 1


def test_without_a_script_the_first_records_and_rows_are_readable():
    bs4 = pytest.importorskip("bs4")
    shown = plotting.reader(TASKS, text=["instruction"], number=4).data["text/html"]
    soup = bs4.BeautifulSoup(shown, "html.parser")
    soup.script.decompose()
    assert [card.has_attr("open") for card in soup.select(".mi-out > .mi-card")] == [True] + [
        False
    ] * 3
    assert len(soup.select(".mi-rest .mi-card")) == 5 and not soup.select("[hidden]")


def test_numbers_are_drawn_beside_the_axes_and_few_items_show_their_n():
    rows = {"score": [0.5, 0.86, 0.0], "low": [0.4, np.nan, 0.0], "high": [0.6, np.nan, 0.1]}
    frame = pd.DataFrame(rows | {"n": [40, 7, 40]}, index=["a", "b", "c"])
    figure = plotting.intervals(frame, title="", label="score", reference=0.5)
    labels = {text.get_text(): text.xy[0] for text in figure.axes[0].texts if text.get_text()}
    assert labels == {"0.5": 1, "0.86 (n = 7)": 1, "0": 1}, "no number is on a line"
    assert not figure.axes[0].lines[0].get_clip_on(), "a marker at 0 is whole"


def test_the_states_of_an_audit_have_their_colors():
    states = ["missed", "not shown", "within threshold"]
    found = charts.colors(states)
    assert [found[name] for name in states] == [charts.RED, charts.GRAY, charts.GREEN]


def test_names_keep_their_color_in_every_order_and_chart():
    frame = pd.DataFrame({"other": [1, 2], "tuned": [2, 3], "these seeds": [1, 1], "base": [3, 3]})
    for columns in (list(frame), list(frame)[::-1]):
        bars = plotting.grouped_bars(frame[columns], **WORDS).axes[0].containers
        drawn = [bar.patches[0].get_facecolor() for bar in bars]
        lines = [line.get_color() for line in plotting.lines(frame[columns], **WORDS).axes[0].lines]
        for color, line, name in zip(drawn, lines, columns, strict=True):
            assert to_hex(color) == to_hex(line)
            known = plotting.COLORS.get(name.split()[-1])
            assert (to_hex(color).upper() == known) == (name != "other")
    data = {"dataset", "seeds", "published", "reference"}
    for names in (data, plotting.COLORS.keys() - data):  # they share figures
        assert len({plotting.COLORS[name] for name in names}) == len(names)


def test_models_differ_in_gray_print_and_for_color_blind_readers():
    names = ("base", "tuned", "aligned", "chat")
    rgb = np.array([to_rgb(plotting.COLORS[name]) for name in names])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lightness = np.sort(116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16)
    assert np.diff(lightness).min() > 8
    # Machado et al. (2009): deuteranopia and protanopia
    for form in (
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    ):
        seen = np.clip(linear @ np.transpose(form), 0, 1) ** (1 / 2.2)
        gaps = np.linalg.norm(seen[:, None] - seen, axis=2)[np.triu_indices(4, 1)]
        assert gaps.min() > 0.2


def test_a_title_says_what_its_chart_draws():
    counts = pd.Series({"a": 6, "b": 3, "c": 1, "d": 0})
    cut = plotting.grouped_bars(counts, label="x", title="{n} types: {largest_share:.0%} {c}")
    assert cut.get_suptitle() == "4 types: 60% 1"
    forest = "{above} of {n} above, {below} below, {largest} {largest_value:.1f} {else}"
    figure = plotting.intervals(RATES, group="model", reference=0.45, title=forest, label="x")
    assert figure.get_suptitle() == "1 of 3 above, 1 below, pubmedqa 0.8 {else}"
    figure = plotting.histogram(
        {"kept": [0.1, 0.9]}, reference={0.7: "x"}, title="{kept.over}", label="x"
    )
    assert figure.get_suptitle() == "1"


def test_row_labels_keep_the_end_that_tells_them_apart():
    rows = [
        f"agreement on the safety of the answers, judge {a} and judge {b}" for a, b in ("AB", "AC")
    ]
    frame = RATES.iloc[:2].set_axis(rows)
    labels = plotting.intervals(frame, **WORDS).axes[0].get_yticklabels()
    assert sorted(label.get_text()[-7:] for label in labels) == ["judge B", "judge C"]


def contrast(one, other):
    one, other = (np.array([int(c[n : n + 2], 16) / 255 for n in (1, 3, 5)]) for c in (one, other))
    one, other = (
        np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (one, other)
    )
    low, high = sorted(float(c @ (0.2126, 0.7152, 0.0722)) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#111111", "#212121"])
def test_all_words_of_a_figure_read_on_light_and_dark_pages(page):
    from matplotlib.text import Text

    for name in CHARTS.keys() - {"heatmap", "sunburst"}:  # words on cells of their own
        figure = CHARTS[name]()
        words = [text for text in figure.findobj(Text) if text.get_text()]
        assert min(contrast(to_hex(text.get_color()), page) for text in words) >= 3.95, name
    marks = plotting.table([{"safe": True}, {"safe": False}]).data["text/html"]
    assert all(contrast(color, page) >= 3.9 for color in re.findall(r";color:(#\w+)", marks))


def test_a_rare_color_survives_the_compression_and_the_ground_is_transparent(tmp_path):
    points = np.random.default_rng(0).random((5000, 2))
    figure = plotting.lines(pd.DataFrame({"seeds": [0.5]}, index=[0.5]), **WORDS)
    figure.axes[0].plot(*points.T, "o", ms=5, color="#0072B2", zorder=1)
    figure.axes[0].plot(0.5, 0.5, "o", ms=5, color="#D55E00", zorder=3)
    png = plotting.show(figure, "rare", folder=tmp_path).data["image/png"]
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).astype(int)
    for color in ((0xD5, 0x5E, 0x00, 255), (0x00, 0x72, 0xB2, 255)):
        assert np.abs(pixels - color).max(axis=-1).min() <= 6
    assert pixels[0, 0, 3] == 0 and pixels[-1, -1, 3] == 0


def test_a_table_reads_like_a_table():
    frame = pd.DataFrame(
        {
            "recall": [0.534, -0.001],
            "recall_low": [0.47, -0.002],
            "recall_high": [0.5906, np.nan],
            "score": [12.5, np.nan],
            "low": [9.0, np.nan],
            "high": [15.25, np.nan],
            "p": [0.0001, 0.25],
            "item_id": [12345, 2],
            "is_safe": [True, False],
            "reasons": [{"cut": 2, "empty": 1}, {}],
            "nothing": [None, np.nan],
            "answer": ["word " * 60, NASTY],
            "change": [plotting.diff("two <b>", "one <b>"), plotting.diff("a", "a")],
        }
    )
    page = plotting.table(frame).data["text/html"]
    for cell in ("0.53 [0.47, 0.59]", "12.5 [9.0, 15.2]", "&lt;0.001", ">12345<", "✓ yes", "✗ no"):
        assert cell in page
    assert "cut (2); empty (1)" in page and "<ins>one</ins> &lt;b&gt;" in page and "<b>" not in page
    assert "−0.00" not in page and "-0.00" not in page
    sides = re.findall(r"<th [^>]*text-align:(\w+)[^>]*>([^<]*)", page)
    assert [side for side, _ in sides] == ["right"] * 4 + ["left"] * 4
    assert '<td style="text-align:right">–' in page, "a missing number is where the numbers are"
    heads = [head for _, head in sides]
    assert heads == [
        "recall [95% interval]",
        "score [95% interval]",
        "p",
        "item id",
        "is safe",
        "reasons",
        "answer",
        "change",
    ]
    assert page.count("<details>") == 1 and "{ins: one}" in plotting.table(frame).data["text/plain"]


def test_an_exported_page_carries_alternative_text_escaped(tmp_path):
    bs4 = pytest.importorskip("bs4")
    alt = f'bars "> {NASTY}'
    shown = plotting.show(CHARTS["bars"](), "f", folder=tmp_path, alt=alt, data=pd.Series({"a": 2}))
    data, metadata = shown._repr_mimebundle_()
    data = data | {"image/png": base64.b64encode(data["image/png"]).decode()}
    output = nf.v4.new_output("display_data", data=data, metadata=metadata)
    book = nf.v4.new_notebook(cells=[nf.v4.new_code_cell("x", outputs=[output])])
    nf.write(book, tmp_path / "n.ipynb")
    page = plotting.display.to_html(tmp_path / "n.ipynb")
    assert "<script>alert(1)" not in page
    assert bs4.BeautifulSoup(page, "html.parser").img["alt"] == alt
    assert (tmp_path / "figures" / "f.csv").read_text() == ",0\na,2\n"


def test_a_diff_in_a_reader_keeps_its_marks_and_escapes_its_words():
    rows = [{"text": "new <b>", "change": plotting.diff("old <b>", "new <b>")}]
    page = plotting.reader(rows, text=["text", "change"]).data["text/html"]
    assert "<del>old</del> <ins>new</ins> &lt;b&gt;" in page
    assert page.count("<style>") == 1


def test_a_name_has_one_color_in_every_figure():
    names = ["other", "tuned against base", "tuned", "published seeds (167)"]
    chosen = plotting.charts.colors(names)
    assert chosen["tuned"] == plotting.COLORS["tuned"] != chosen["tuned against base"]
    assert chosen["published seeds (167)"] == plotting.COLORS["published"]
    assert chosen["other"] in plotting.COLORS.values()


def test_titles_count_and_name_the_rows_of_their_data():
    from medinstruct.plotting.titles import column_fields, fill, number, series_fields, short

    counts = series_fields(pd.Series({"chat": 6, "rewrite": 3, "choose": 1, "plan": 0}))
    share = "{largest} has {largest_share:.0%}, {smallest} {smallest_value} of {total}"
    assert fill(share, counts) == "Chat has 60%, plan 0 of 10"
    empty = "Of {n} types {empty} is empty, chat has {chat}"
    assert fill(empty, counts) == "Of 4 types 1 is empty, chat has 6"
    frame = pd.DataFrame({"base": [1, 2], "tuned": [4, 1]}, index=["cough", "fever"])
    widest = "{widest} by {widest_gap}, tuned fever {tuned.fever:.1f}"
    assert fill(widest, column_fields(frame)) == "Cough by 3, tuned fever 1.0"
    assert (short("hypertension", 8), short(("age", "75"))) == ("hyperte…", "age: 75")
    assert [number(n) for n in (12345, 0.12345, 1234.5)] == ["12,345", "0.123", "1,234"]


def test_a_table_joins_a_number_and_its_interval():
    rows = [
        {"score": 0.534, "low": 0.47, "high": 0.5906},
        {"score": 12.34, "low": 9.5, "high": 15.5},
    ]
    text = str(plotting.table(rows))
    assert "0.53 [0.47, 0.59]" in text and "12.3 [9.5, 15.5]" in text


def test_braces_that_are_no_field_of_a_title_stay():
    title = "{largest} leads, {n} in all, {so} it {is:x}"
    filled = plotting.titles.fill(title, {"largest": "surgery", "n": 1200})
    assert filled == "Surgery leads, 1,200 in all, {so} it {is:x}"


def test_an_estimate_has_its_interval_or_its_number_of_items():
    estimate = plotting.display.estimate
    assert estimate(0.8, 0.6, 0.91, 30) == "80% (95% interval 60% to 91%)"
    assert estimate(0.86, np.nan, np.nan, 7) == "86% (n = 7)"
