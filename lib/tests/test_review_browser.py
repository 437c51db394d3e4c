"""Review in a real JupyterLab and a real browser: by keyboard, with hostile items, over a closed tab and a new kernel."""

import json
import sqlite3
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from test_jupyterlab import browser, jupyterlab, run_all  # noqa: F401 (browser is a fixture)

from medinstruct import records, review
from medinstruct.records import Example

HOSTILE = (
    "<script>window.hacked = 'script'</script><img src=x onerror=\"window.hacked = 'img'\">"
    "<svg onload=\"window.hacked = 'svg'\"></svg>![x](javascript:window.hacked='md')\x1b[31mred"
)
SOURCE = """
from medinstruct import paths, records, review
from medinstruct.records import Example

out = paths.outputs("desk")
store = review.Store(out / "reviews.sqlite")
cards = review.cards(records.read(out / "dataset.jsonl", Example))
"""
CARD = ".review .review-head b"


def example(n, output):
    labels = {"type": "open Q&A", "topic": "Cardiology", "view": "patient", "difficulty": 2}
    return Example(
        **labels,
        instruction=f"Question {n}: what helps against a cold?",
        task=f"t{n}",
        output=output,
    )


class Desk(NamedTuple):
    """A run with its notebook in a JupyterLab that all tests share."""

    url: str
    run: Path
    notebook: Path


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    with jupyterlab(folder / "notebooks", folder) as url:
        yield url, folder


def written(desk, source):
    """A notebook with one cell for each paragraph of the source."""
    source = source.replace('outputs("desk")', f'outputs("{desk.run.name}")').strip()
    cells = [nbformat.v4.new_code_cell(cell) for cell in source.split("\n\n")]
    about = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=about), desk.notebook)


@pytest.fixture
def desk(lab, browser):  # noqa: F811
    """A run with twelve items, two of them hostile and one of 100,000 characters, and a notebook that reviews them."""
    url, folder = lab
    name = f"desk{len(list(folder.glob('desk*')))}"
    desk = Desk(url, folder / name, folder / "notebooks" / f"{name}.ipynb")
    outputs = [f"Answer {n}: rest and drink." for n in range(1, 13)]
    outputs[1], outputs[2] = HOSTILE, "A long answer. " * 6_667 + HOSTILE
    items = [example(n, text) for n, text in enumerate(outputs, 1)]
    records.write(desk.run / "dataset.jsonl", items)
    written(desk, f"{SOURCE}\n1\n\nreview.desk(store, cards)")
    yield desk
    for context in browser.contexts:
        context.close()


def opened(chromium, desk, width=1280, height=1100):
    page = chromium.new_page(viewport={"width": width, "height": height})
    assert run_all(page, desk.url, desk.notebook.name, seconds=120)["failed"] == []
    page.wait_for_selector(".review-name", timeout=30_000)
    page.fill(".review-name", "Dr. Maria Beispiel")
    page.keyboard.press("Enter")
    page.wait_for_selector(CARD)
    return page


def press(page, keys, note):
    """Keys one after the other, as fingers do; then what the page says happened."""
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_function(
        "text => document.querySelector('.review-note').textContent.includes(text)", arg=note
    )


def on_card(page, n):
    page.wait_for_function(
        f"() => document.querySelector('{CARD}')?.textContent === 'Item {n} of 12'"
    )
    page.wait_for_function("() => document.activeElement.classList.contains('review')")


def votes(desk):
    return review.Store(desk.run / "reviews.sqlite").votes(names=True)


def test_ten_items_are_reviewed_by_keyboard_and_found_again_after_the_tab_was_closed(browser, desk):  # noqa: F811
    page = opened(browser, desk)
    page.click(".review-tags")
    for key in (
        "ddxbym"
    ):  # delete, cut, insert, cell type: JupyterLab's own, which must not reach it from here
        page.keyboard.press(key)
    press(page, "541a", "Saved: accept")  # the scales, then accept
    on_card(page, 2)
    body = page.inner_text(".review-text[data-name=output] .review-body")
    assert "<script>" in body and "onerror" in body and "␛[31mred" in body
    press(page, "r", "Saved: reject")
    on_card(page, 3)
    shown = page.inner_text(".review-text[data-name=output] .review-body")
    assert len(shown) < 4_000 and page.get_by_text("show all 100,").count() == 1
    page.keyboard.press("s")
    page.wait_for_function(
        "() => document.querySelector('[data-name=output] .review-body').textContent.length > 100000"
    )
    page.screenshot(path=desk.run / "long.png")
    press(page, "a", "Saved: accept")
    on_card(page, 4)
    page.keyboard.press("e")
    page.wait_for_selector("textarea[aria-label=output]")
    page.keyboard.press("Control+End")
    page.keyboard.type(" See a doctor if it lasts. (e, a, r, u)")
    page.screenshot(path=desk.run / "edit.png")
    press(page, ["Control+Enter"], "Saved: edit")
    on_card(page, 5)
    press(page, "a", "Saved: accept")
    on_card(page, 6)
    press(page, "u", "Undone: accept")
    on_card(page, 5)
    for n in range(5, 11):
        on_card(page, n)
        press(page, "a", "Saved: accept")
    on_card(page, 11)
    assert page.inner_text(".review-done") == "10 of 12 reviewed by you"
    assert page.evaluate("() => window.hacked") is None
    cells = page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")
    assert cells == 4
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.screenshot(path=desk.run / "ten.png")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.close()
    page = opened(browser, desk)  # a fresh tab and a new kernel find the place
    on_card(page, 11)
    assert page.inner_text(".review-done") == "10 of 12 reviewed by you"
    assert page.evaluate("() => window.hacked") is None
    page.screenshot(path=desk.run / "back.png")
    said = votes(desk)
    assert [vote.action for vote in said] == ["accept", "reject", "accept", "edit", *["accept"] * 6]
    assert (said[0].correctness, said[0].helpfulness, said[0].harm) == (5, 4, 1)
    assert said[3].edit == {
        "output": "Answer 4: rest and drink. See a doctor if it lasts. (e, a, r, u)"
    }
    assert {vote.reviewer for vote in said} == {"Dr. Maria Beispiel"}
    base = sqlite3.connect(desk.run / "reviews.sqlite")
    assert base.execute("SELECT count(*) FROM votes WHERE undoes IS NOT NULL").fetchone() == (1,)
    assert "Beispiel" not in json.dumps(
        json.loads(desk.notebook.read_text())
    )  # names stay in the store


PAIRS = """
from medinstruct import paths, review
from medinstruct.records import TestItem

store = review.Store(paths.outputs("desk") / "reviews.sqlite")
items = [TestItem(instruction=f"Question {n}: what helps against a cold?") for n in range(1, 13)]
texts = {name: {item.id: f"{word} and drink." for item in items} for name, word in [("alpha-7b", "Rest"), ("beta-13b", "Sleep")]}

1

review.desk(store, review.pairs(items, texts, ["alpha-7b", "beta-13b"]))
"""


def test_a_comparison_hides_the_models_and_keeps_the_sides(browser, desk):  # noqa: F811
    written(desk, PAIRS)
    page = opened(browser, desk)
    page.click(".review-text[data-name=question]")
    seen = []
    for key, said in [("1", "left"), ("ArrowRight", "right"), ("0", "tie")]:
        seen.append(
            page.inner_text(
                f".review-text[data-name={said if said != 'tie' else 'left'}] .review-body"
            )
        )
        assert "alpha" not in page.inner_text(".review") and "beta" not in page.inner_text(
            ".review"
        )
        page.screenshot(path=desk.run / "pair.png")
        press(page, [key], f"Saved: {said}")
        on_card(page, len(seen) + 1)
    state = page.evaluate("() => JSON.stringify(document.querySelector('.review').innerHTML)")
    assert "alpha" not in state and "beta" not in state
    cast = votes(desk)
    assert [vote.action for vote in cast] == ["left", "right", "tie"]
    model = {"Rest and drink.": "alpha-7b", "Sleep and drink.": "beta-13b"}
    assert [vote.sides[vote.action] for vote in cast[:2]] == [model[text] for text in seen[:2]]


SUSPICIOUS = (
    "Ibuprofen is completely safe; it always works.\n\nMr. Oskar Trell was seen on 14 March 2023."
)
IN_VIEW = """() => [...document.querySelectorAll('.review-bar button')].map(one => {
  const box = one.getBoundingClientRect();
  const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return one.contains(hit) && box.bottom <= innerHeight;
})"""
CONTRAST = """() => {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (color, under) => {
    context.fillStyle = under; context.fillRect(0, 0, 1, 1);
    context.fillStyle = color; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const ground = (one) => one
    ? `rgb(${rgba(getComputedStyle(one).backgroundColor, ground(one.parentElement))})` : 'white';
  const light = (rgb) => rgb.map(part => part / 255)
    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, n) => sum + part * [0.2126, 0.7152, 0.0722][n], 0);
  const rows = [];
  for (const one of document.querySelectorAll('.review *')) {
    const words = [...one.childNodes].filter(node => node.nodeType === 3 && node.data.trim());
    if (!words.length && one.tagName !== 'TEXTAREA') continue;
    const under = ground(one), pair = [rgba(getComputedStyle(one).color, under), rgba(under, 'white')];
    const [high, low] = pair.map(light).sort((a, b) => b - a);
    rows.push([(high + 0.05) / (low + 0.05), one.className || one.tagName, one.textContent.slice(0, 30)]);
  }
  return rows.sort((a, b) => a[0] - b[0]);
}"""


@pytest.fixture
def suspicious(desk):
    """The run with flagged words and an identifier in its first item, which Bob has accepted."""
    path = desk.run / "dataset.jsonl"
    items = [example(1, SUSPICIOUS), *records.read(path, Example)[1:]]
    records.write(path, items)
    card = review.cards(items)[0]
    store = review.Store(desk.run / "reviews.sqlite")
    store.cast("Bob", kind="dataset", item=card.id, hash=card.hash, action="accept")
    return desk


def words(page, selector):
    return [one.inner_text().strip() for one in page.query_selector_all(selector)]


def change_output(page, before, after):
    """Edit the output as a person with a mouse who pastes would."""
    page.click(".review-bar .review-edit")
    page.wait_for_selector("textarea[aria-label=output]")
    text = page.input_value("textarea[aria-label=output]")
    page.fill("textarea[aria-label=output]", text.replace(before, after))


def test_flags_edits_and_progress_are_shown_on_a_laptop_by_mouse(browser, suspicious):  # noqa: F811
    page = opened(browser, suspicious, height=720)
    page.click(".review-tags")
    output = ".review-text[data-name=output]"
    assert words(page, f"{output} mark") == ["completely safe", "Oskar Trell", "14 March 2023"]
    title = page.get_attribute(f"{output} mark", "title")
    assert title == "absolute claim: words that promise too much"
    assert words(page, ".review-causes li") == [
        f"completely safe – {title}",
        "Oskar Trell, 14 March 2023 – identifier: words that may identify a person",
    ]
    assert "1 person has reviewed this item" in page.inner_text(".review-head")
    assert "your alias: reviewer-" in page.inner_text(".review-head")
    assert "next unreviewed" in page.inner_text(".review-bar")
    assert "One reviewer so far" in page.inner_text(".review-summary")
    change_output(page, "completely safe", "safe for most adults")
    assert words(page, f"{output} .review-diff del") == ["completely"]
    assert words(page, f"{output} .review-diff ins") == ["for most adults"]
    page.click("text=cancel")
    assert not page.query_selector_all("textarea[aria-label=output], .review del")
    change_output(page, "completely safe", "<b>safe</b>\u202e")
    assert "<b>safe</b>⟨U+202E⟩" in page.inner_text(f"{output} .review-diff")
    page.click("text=cancel")
    change_output(page, "completely safe", "safe for most adults")
    page.click("text=save edit")
    on_card(page, 2)
    summary = page.inner_text(".review-summary")  # without running a cell again
    assert "12 items: 0 accepted, 0 edited, 0 rejected, 1 disputed, 11 unreviewed." in summary
    assert "2 reviewers agree on 0 of 1 items" in summary
    page.click(".review-bar .review-reject")
    on_card(page, 3)
    assert "1 rejected, 1 disputed, 10 unreviewed" in page.inner_text(".review-summary")
    page.click("text=previous")
    page.click("text=previous")
    on_card(page, 1)
    assert words(page, f"{output} del") == ["completely"]
    assert "✓ edit" in page.inner_text(".review-bar [aria-pressed=true]")
    page.click(".review-bar .review-edit")  # goes on from the edit, against the original
    assert "most adults" in page.input_value("textarea[aria-label=output]")
    assert words(page, f"{output} .review-diff ins") == ["for most adults"]
    page.keyboard.press("Escape")
    colors = "one => getComputedStyle(one).backgroundColor"
    buttons = page.query_selector_all(".review-bar > .review-row > button")
    assert len({one.evaluate(colors) for one in buttons}) == 3
    for _ in range(40):  # focus leaves the desk by Tab
        page.keyboard.press("Tab")
        if not page.evaluate("() => document.activeElement.closest('.review')"):
            break
    else:
        raise AssertionError("the focus is trapped")
    assert page.evaluate("() => document.querySelector('.review b b, .review script')") is None
    assert votes(suspicious)[1].edit["output"] == SUSPICIOUS.replace(
        "completely safe", "safe for most adults"
    )


def test_the_buttons_stay_in_view_and_every_text_has_contrast(browser, suspicious):  # noqa: F811
    page = opened(browser, suspicious)
    page.evaluate("() => document.querySelector('.Toastify')?.remove()")
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})",
            theme,
        )
        light = str(theme.endswith("Light")).lower()
        page.wait_for_selector(f"body[data-jp-theme-light={light}]", state="attached")
        page.wait_for_timeout(1000)
        for width, height in ((1280, 720), (853, 480)):  # a laptop, the same at 150%
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(300)
            page.click(".review-tags")
            page.keyboard.press("5")
            assert page.evaluate(IN_VIEW) == [True] * 7
            change_output(page, "completely", "quite")
            assert page.evaluate(IN_VIEW) == [True] * 2
            assert words(page, ".review del") == ["completely"]
            page.keyboard.press("Escape")
        assert page.evaluate(CONTRAST)[0][0] >= 4.5, page.evaluate(CONTRAST)[:5]
        change_output(page, "completely", "quite")
        assert page.evaluate(CONTRAST)[0][0] >= 4.5, page.evaluate(CONTRAST)[:5]
        page.keyboard.press("Escape")
    press(page, "a", "Saved: accept")
    assert page.evaluate(CONTRAST)[0][0] >= 4.5, page.evaluate(CONTRAST)[:5]
