"""Review in a real JupyterLab and a real browser: by keyboard, with hostile items, over a closed tab and a new kernel."""

import json
import sqlite3

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


def written(folder, source):
    """A notebook with one cell for each paragraph of the source."""
    cells = [nbformat.v4.new_code_cell(cell) for cell in source.strip().split("\n\n")]
    notebook = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )
    (folder / "notebooks").mkdir(exist_ok=True)
    nbformat.write(notebook, folder / "notebooks" / "review.ipynb")


@pytest.fixture
def desk(tmp_path):
    """A run with twelve items, two of them hostile and one of 100,000 characters, and a notebook that reviews them."""
    outputs = [f"Answer {n}: rest and drink." for n in range(1, 13)]
    outputs[1], outputs[2] = HOSTILE, "A long answer. " * 6_667 + HOSTILE
    records.write(
        tmp_path / "desk" / "dataset.jsonl", [example(n, text) for n, text in enumerate(outputs, 1)]
    )
    written(tmp_path, f"{SOURCE}\n1\n\nreview.desk(store, cards)")
    return tmp_path


def opened(chromium, url):
    page = chromium.new_page(viewport={"width": 1280, "height": 1100})
    assert run_all(page, url, "review.ipynb", seconds=120)["failed"] == []
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
        f"() => document.querySelector('{CARD}')?.textContent.startsWith('{n} of 12')"
    )
    page.wait_for_function("() => document.activeElement.classList.contains('review')")


def votes(folder):
    return review.Store(folder / "desk" / "reviews.sqlite").votes(names=True)


def test_ten_items_are_reviewed_by_keyboard_and_found_again_after_the_tab_was_closed(browser, desk):  # noqa: F811
    with jupyterlab(desk / "notebooks", desk) as url:
        page = opened(browser, url)
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
        page.screenshot(path=desk / "long.png")
        press(page, "a", "Saved: accept")
        on_card(page, 4)
        page.keyboard.press("e")
        page.wait_for_selector("textarea[aria-label=output]")
        page.keyboard.press("Control+End")
        page.keyboard.type(" See a doctor if it lasts. (e, a, r, u)")
        page.screenshot(path=desk / "edit.png")
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
        assert page.inner_text(".review-done") == "10 done"
        assert page.evaluate("() => window.hacked") is None
        cells = page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")
        assert cells == 4
        page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        page.screenshot(path=desk / "ten.png")
        page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        page.close()
        page = opened(browser, url)  # a fresh tab and a new kernel find the place
        on_card(page, 11)
        assert page.inner_text(".review-done") == "10 done"
        assert page.evaluate("() => window.hacked") is None
        page.screenshot(path=desk / "back.png")
    said = votes(desk)
    assert [vote.action for vote in said] == ["accept", "reject", "accept", "edit", *["accept"] * 6]
    assert (said[0].correctness, said[0].helpfulness, said[0].harm) == (5, 4, 1)
    assert said[3].edit == {
        "output": "Answer 4: rest and drink. See a doctor if it lasts. (e, a, r, u)"
    }
    assert {vote.reviewer for vote in said} == {"Dr. Maria Beispiel"}
    base = sqlite3.connect(desk / "desk" / "reviews.sqlite")
    assert base.execute("SELECT count(*) FROM votes WHERE undoes IS NOT NULL").fetchone() == (1,)
    assert "Beispiel" not in json.dumps(
        json.loads((desk / "notebooks" / "review.ipynb").read_text())
    )  # names stay in the store


PAIRS = """
from medinstruct import paths, review
from medinstruct.records import TestItem

store = review.Store(paths.outputs("desk") / "reviews.sqlite")
items = [TestItem(instruction=f"Question {n}: what helps against a cold?") for n in range(1, 13)]
texts = {name: {item.id: f"{word} and drink." for item in items} for name, word in [("alpha-7b", "Rest"), ("beta-13b", "Sleep")]}

1

review.desk(store, review.pairs(items, texts, "alpha-7b, beta-13b"))
"""


def test_a_comparison_hides_the_models_and_keeps_the_sides(browser, desk):  # noqa: F811
    written(desk, PAIRS)
    with jupyterlab(desk / "notebooks", desk) as url:
        page = opened(browser, url)
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
            page.screenshot(path=desk / "pair.png")
            press(page, [key], f"Saved: {said}")
            on_card(page, len(seen) + 1)
        state = page.evaluate("() => JSON.stringify(document.querySelector('.review').innerHTML)")
        assert "alpha" not in state and "beta" not in state
    cast = votes(desk)
    assert [vote.action for vote in cast] == ["left", "right", "tie"]
    model = {"Rest and drink.": "alpha-7b", "Sleep and drink.": "beta-13b"}
    assert [vote.sides[vote.action] for vote in cast[:2]] == [model[text] for text in seen[:2]]
