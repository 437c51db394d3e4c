"""The site, built once from the committed demo: no warning, no dead link, searchable, accessible."""

import os
import re
import subprocess
import sys
from urllib.parse import unquote

import pytest
from test_jupyterlab import browser  # noqa: F401 (a fixture)
from test_report import violations

from medinstruct import paths

pytest.importorskip("sphinx_book_theme", reason="the extra `site` is not installed")
DEMO = "outputs/demo"
SHOWN = ["index.html", f"{DEMO}/07_review_with_experts.html", f"{DEMO}/14_assist_clinicians.html"]
EVERY = os.environ.get("MEDINSTRUCT_SITE") == "all"  # `make site-check`
COMMENTS = re.compile("<!--.*?-->|<script.*?</script>|<style.*?</style>", re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site; a warning of the build is an error."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "-c", "docs"]
    build += ["-d", str(folder / "doctrees"), ".", str(folder / "pages")]
    result = subprocess.run(build, cwd=paths.root(), capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-3000:]
    return folder / "pages"


def pages_of(site):
    return sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)


def test_every_local_link_and_anchor_leads_somewhere(site):
    texts = {path.resolve(): COMMENTS.sub("", path.read_text("utf-8")) for path in pages_of(site)}
    ids = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in texts.items()}
    dead, links = [], 0
    for path, text in texts.items():
        for link in re.findall(r'\b(?:href|src)="(?!data:|https?:|mailto:)([^"]*)"', text):
            name, _, anchor = unquote(link.replace("&amp;", "&")).partition("#")
            target = (path.parent / name.partition("?")[0]).resolve() if name else path
            links += 1
            if not target.exists() or (anchor and target in ids and anchor not in ids[target]):
                dead.append(f"{path.name}: {link}")
    assert not dead and links > 1000


def test_the_site_has_all_notebooks_the_report_and_an_index_of_words(site):
    names = [path.stem for path in (paths.root() / DEMO).glob("[0-9]*.ipynb")]
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert len(names) == 15 and all(f'"{DEMO}/{name}"' in index for name in names)
    assert (site / "index.html").is_file() and (site / DEMO / "report.html").is_file()
    assert DEMO + "/report.html" in (site / "index.html").read_text(encoding="utf-8")
    assert '"krippendorff"' in index or "krippendorff" in index


def test_no_script_style_or_picture_comes_from_elsewhere(site):
    foreign = re.compile(r'<(?:script|img|link)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')
    assert not [hit for path in pages_of(site) for hit in foreign.findall(path.read_text("utf-8"))]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_cut(browser, site, scheme):  # noqa: F811
    pages = pages_of(site) if EVERY else [site / name for name in SHOWN]
    wrong = {}
    for n, path in enumerate(pages):
        width = (1280, 390)[(n + (scheme == "dark")) % 2]
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        page.goto(path.as_uri(), timeout=120_000)
        problems = violations(page)
        if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
            problems.append("wider than the window")
        page.close()
        if problems:
            wrong[path.name] = problems
    assert not wrong


def test_a_search_lists_the_notebooks_that_hold_a_word(browser, site):  # noqa: F811
    page = browser.new_page()
    page.goto(f"{(site / 'search.html').as_uri()}?q=krippendorff", timeout=120_000)
    page.wait_for_selector("#search-results li a", timeout=120_000)
    found = page.locator("#search-results li a").all_inner_texts()
    page.close()
    assert "7. Review with experts" in found
