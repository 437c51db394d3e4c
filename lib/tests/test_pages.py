"""Pages of executed notebooks in a real browser: accessible, folded, readable, without network."""

import nbformat
import nbformat.v4 as nf
import pytest
from test_jupyterlab import browser  # noqa: F401 (a fixture)
from test_report import violations

from medinstruct import paths, plotting

DEMO = paths.root() / "outputs" / "demo"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
LONG = "total = " + " + ".join(f"number_{n}" for n in range(60))
BADGE = "[![Open in Colab](https://example.org/badge.svg)](https://example.org/n.ipynb)"
EXERCISE = "## Exercises\n\n<details><summary>Answer</summary>\n\nForty-two.\n\n</details>"


def code(name, source, *outputs, **metadata):
    return nf.new_code_cell(source, id=name, metadata=metadata, outputs=list(outputs))


def result(**data):
    names = {"png": "image/png", "html": "text/html", "plain": "text/plain"}
    data = {names[name]: value for name, value in data.items()}
    return nf.new_output("execute_result", data, metadata={"image/png": {"alt": "one dot"}})


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A page of a notebook with every kind of cell, where a run has its pages."""
    table = (
        "<table><thead><tr><th></th><th>n</th></tr></thead><tr><th>a</th><td>1</td></tr></table>"
    )
    wide = f"<table><tr>{'<td>a_very_long_word</td>' * 30}</tr></table>"
    marks = plotting.table([{"audit": n, "keeps": n % 2 == 0, "value": n} for n in range(14)])
    cells = [
        nf.new_markdown_cell(f"# 3. A notebook\n\nProse of it.\n\n{BADGE}", id="title"),
        code("setup", "import os"),
        nf.new_markdown_cell("The parameters.", id="parameters-text"),
        code("parameters", "limit: float = 0.7", tags=["parameters"]),
        code("injected", "limit = 0.5", tags=["injected-parameters"]),
        code("imports", "import pandas as pd", jupyter={"source_hidden": True}),
        nf.new_markdown_cell("## First part", id="first-text"),
        code("first", LONG, result(html=table, plain="n"), result(html=wide, plain="w")),
        code("marks", "table", result(html=marks.data["text/html"], plain="t")),
        nf.new_markdown_cell("### A detail\n\nText.", id="detail-text"),
        code("hidden", "draw()", result(png=PIXEL, plain="one dot"), tags=["hide-input"]),
        nf.new_markdown_cell(EXERCISE, id="exercises"),
        code("noise", "1 / 0", nf.new_output("stream", name="stderr", text="\x1b[31mno\x1b[0m")),
    ]
    run = tmp_path_factory.mktemp("runs") / "mine"
    (run / "pages").mkdir(parents=True)
    nbformat.write(nf.new_notebook(cells=cells), run / "03_small.ipynb")
    page = run / "pages" / "03_small.html"
    page.write_text(plotting.display.to_html(run / "03_small.ipynb"), encoding="utf-8")
    return page


def opened(browser, path, *, width=1280, **options):  # noqa: F811
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.problems, page.requests = [], []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.requests.append(request.url))
    page.goto(path.as_uri())
    return page


def opened_wide(page):
    """Open all folds; return whether nothing is wider than the window, on a phone and a desktop."""
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    fits = True
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        fits &= page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return fits


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_accepts_every_kind_of_cell_and_nothing_is_fetched(browser, small, scheme):  # noqa: F811
    page = opened(browser, small, color_scheme=scheme)
    assert opened_wide(page) and violations(page) == [] and page.problems == []
    assert [url for url in page.requests if not url.startswith("data:")] == [small.as_uri()]
    page.close()


def test_axe_accepts_a_page_of_the_demo(browser, tmp_path):  # noqa: F811
    (notebook,) = DEMO.glob("[0-9][0-9]_write_responses.ipynb")
    (tmp_path / "page.html").write_text(plotting.display.to_html(notebook), encoding="utf-8")
    page = opened(browser, tmp_path / "page.html", width=800, color_scheme="dark")
    assert opened_wide(page) and violations(page) == []
    assert page.problems == [] and len(page.requests) > 0
    page.emulate_media(color_scheme="light")  # of the rest only the colors can differ
    assert violations(page) == []
    page.close()


def test_set_up_is_one_closed_fold_and_its_outputs_elsewhere_stay(browser, small):  # noqa: F811
    page = opened(browser, small)
    folds = page.locator("details.fold")
    assert folds.locator("summary").all_inner_texts() == ["Set-up", "Code"]
    hidden = "import os", "limit: float", "limit = 0.5", "import pandas", "draw()"
    main = page.inner_text("main")
    assert not [text for text in hidden if text in main] and "number_59" in main
    assert (
        page.locator("img").get_attribute("alt") == "one dot" and page.locator("img").is_visible()
    )
    folds.first.locator("summary").click()
    assert all(text in page.inner_text("main") for text in hidden[:4])
    page.close()


def test_the_switch_hides_all_code_and_the_next_page_remembers(browser, small):  # noqa: F811
    context = browser.new_context()
    page = context.new_page()
    page.goto(small.as_uri())
    page.get_by_label("Hide code").check()
    assert "number_59" not in page.inner_text("main") and page.locator("img").is_visible()
    page.reload()
    assert page.get_by_label("Hide code").is_checked()
    page.locator("details.code summary").first.click()  # one cell alone
    assert "number_59" in page.inner_text("main")
    page.get_by_label("Hide code").uncheck()
    page.reload()
    assert "number_59" in page.inner_text("main")
    context.close()


def test_the_switch_works_where_storage_is_refused(browser, small):  # noqa: F811
    page = browser.new_page()
    refuse = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no'); }})"
    page.add_init_script(refuse)
    page.goto(small.as_uri())
    page.get_by_label("Hide code").check()
    assert "number_59" not in page.inner_text("main")
    page.close()


def test_contents_stay_beside_the_text_or_fold_above_it(browser, small):  # noqa: F811
    page = opened(browser, small)
    links = page.locator(".contents a")
    assert links.all_inner_texts() == ["First part", "A detail", "Exercises"]
    left = "document.querySelector('.contents').getBoundingClientRect().right"
    assert page.evaluate(f"{left} <= document.querySelector('main').getBoundingClientRect().left")
    assert all(
        page.locator(f"[id='{link.get_attribute('href')[1:]}']").count() for link in links.all()
    )
    page.close()
    page = opened(browser, small, width=390)
    links = page.locator(".contents a")
    assert not links.first.is_visible()
    page.locator(".contents summary").click()
    assert links.first.is_visible()
    page.close()


def test_long_code_wraps_wide_tables_scroll_and_prose_is_narrow(browser, small):  # noqa: F811
    page = opened(browser, small)
    assert page.evaluate(
        "[...document.querySelectorAll('pre')].every(p => p.scrollWidth <= p.clientWidth)"
    )
    scrolls = page.locator(".out[tabindex='0']")
    assert scrolls.count() == 1 and "a_very_long_word" in scrolls.inner_text()
    assert page.evaluate("document.querySelector('.prose p').getBoundingClientRect().width") < 680
    page.close()


def test_the_first_line_leads_to_notebook_and_report(small):
    text = small.read_text(encoding="utf-8")
    assert "run <b>mine</b>" in text and 'href="../03_small.ipynb"' in text
    assert 'href="../report.html"' in text and PIXEL in text
    assert "<th></th>" not in text and ">Open in Colab</a>" in text and len(text) < 40_000


def test_on_paper_the_page_is_light_and_nothing_is_cut(browser, small):  # noqa: F811
    page = opened(browser, small, width=696, color_scheme="dark")
    page.emulate_media(media="print")
    assert (
        page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--paper')")
        == "#fff"
    )
    assert not page.locator(".bar").is_visible() and not page.locator(".fold").first.is_visible()
    assert "Forty-two" in page.inner_text("main")
    page.close()
