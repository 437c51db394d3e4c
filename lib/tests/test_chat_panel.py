"""The chat's panel without JupyterLab: its form in view, contrast in both themes, colors of models."""

import json

import pytest
from test_jupyterlab import browser  # noqa: F401 (a fixture)
from test_report import violations

from medinstruct import assist, paths, plotting

PAGE = """<!doctype html><html lang="en" {theme}><head><meta charset="utf-8"><title>Chat</title>
<style>body {{ background: {paper}; color: {ink}; }}</style><style>{css}</style></head><body><main><h1>Chat</h1><div id="el"></div></main>
<script type="module">{js}
const heard = [];
window.tell = (message) => heard.forEach((hear) => hear(message));
const send = () => setTimeout(() => heard.forEach((hear) => hear({{ event: "view", view: {view} }})));
render({{ model: {{ on: (_, hear) => heard.push(hear), off() {{}}, send }}, el: document.querySelector("#el") }});
</script></body></html>"""


def view(folder):
    """A conversation with two long answers, as the session sends it."""
    session = assist.chat.Session({}, folder, lambda message: None)
    text = "Take 5 mg of it once a day. " * 60
    answers = [assist.Answer(name=name, text=text, model="m") for name in ("base", "tuned")]
    turn = assist.Turn(question="What helps?", answers=answers, saved="yes")
    session.turns = [turn]
    return session.view() | {"models": [answer.model_dump() for answer in answers]}


def opened(browser, tmp_path, *, dark=False, change=lambda content: content):  # noqa: F811
    css, js = (paths.data(f"chat_panel.{kind}").read_text("utf-8") for kind in ("css", "js"))
    content = json.dumps(change(view(tmp_path))).replace("</", "<\\/")
    theme, paper, ink = ('theme="dark"', "#1f2124", "#eee") if dark else ("", "#fff", "#222")
    page_path = tmp_path / "chat.html"
    page_path.write_text(
        PAGE.format(css=css, js=js, view=content, theme=theme, paper=paper, ink=ink)
    )
    page = browser.new_page(viewport={"width": 1100, "height": 760})
    page.goto(page_path.as_uri())
    page.wait_for_selector(".mi-answer:nth-child(2)")
    return page


def test_the_correction_form_opens_inside_the_part_that_scrolls(browser, tmp_path):  # noqa: F811
    page = opened(browser, tmp_path)
    page.focus(".mi-answer:nth-child(2) .mi-wrong")
    page.evaluate("document.querySelector('.mi-log').scrollTop = 0")
    page.keyboard.press("Enter")
    form, log = (page.locator(name).bounding_box() for name in (".mi-form", ".mi-log"))
    assert form["y"] >= log["y"] and form["y"] + form["height"] <= log["y"] + log["height"]
    page.close()


@pytest.mark.parametrize("dark", [False, True])
def test_axe_accepts_the_panel_with_its_form_open(browser, tmp_path, dark):  # noqa: F811
    page = opened(browser, tmp_path, dark=dark)
    page.click(".mi-answer:nth-child(2) .mi-wrong")
    assert violations(page) == []
    page.close()


def test_models_have_the_colors_of_the_figures(browser, tmp_path):  # noqa: F811
    page = opened(browser, tmp_path)
    for name in ("base", "tuned"):
        dot = f"document.querySelector('.mi-answer[data-name={name}] header b')"
        color = page.evaluate(f"getComputedStyle({dot}, '::before').backgroundColor")
        rgb = [int(plotting.COLORS[name][n : n + 2], 16) for n in (1, 3, 5)]
        assert color == f"rgb({rgb[0]}, {rgb[1]}, {rgb[2]})"
    page.close()
    static = assist.show_turns([assist.Turn(question="q", answers=[assist.Answer(name="base")])])
    assert all(
        plotting.COLORS[name].lower() in static.data for name in ("base", "tuned", "aligned")
    )


BAD = "<img src=x onerror=\"document.title='hacked'\"> 5 mg"


def with_readings(content, state="done"):
    """A conversation whose first answer has a second reading, whose second one has none."""
    lists = [
        {"title": "What the answer leaves out", "items": [BAD], "note": "It misses 9 of 9."},
        {"title": "Emergencies", "items": [], "note": "The second reader listed nothing here."},
    ]
    reading = {"reader": "judge-1", "state": state, "about": "A rule-based program.", "error": ""}
    reading["lists"] = [] if state != "done" else lists
    if state == "unreadable":
        reading["error"] = "the second reader gave no readable reply"
    content["turns"][0]["answers"][0]["reading"] = reading
    return content


@pytest.mark.parametrize("dark", [False, True])
def test_the_lists_are_text_with_what_they_miss_and_can_be_folded_by_keyboard(
    browser,  # noqa: F811
    tmp_path,
    dark,
):
    page = opened(browser, tmp_path, dark=dark, change=with_readings)
    box = page.locator(".mi-answer:nth-child(1) .mi-reading")
    assert box.locator("li").all_inner_texts() == [BAD] and page.title() == "Chat"
    text = box.inner_text()
    assert "Second reader: judge-1" in text and "It misses 9 of 9." in text
    assert "listed nothing here" in text and "safe" not in text.lower()
    second = page.locator(".mi-answer:nth-child(2)").inner_text()
    assert "Not read by a second reader." in second and "112" in second
    assert violations(page) == []
    page.focus(".mi-answer:nth-child(1) .mi-reading summary")
    page.keyboard.press("Enter")
    assert not box.locator("li").is_visible()
    page.wait_for_timeout(50)
    page.click(".mi-answer:nth-child(2) .mi-wrong")  # draws the page again
    assert not page.locator(".mi-answer:nth-child(1) .mi-reading li").is_visible()
    page.close()


@pytest.mark.parametrize(
    ("state", "words"), [("reading", "reading…"), ("unreadable", "gave no readable reply")]
)
def test_a_reading_under_way_or_unreadable_says_so_and_never_nothing_listed(
    browser,  # noqa: F811
    tmp_path,
    state,
    words,
):
    page = opened(browser, tmp_path, change=lambda content: with_readings(content, state))
    card = page.locator(".mi-answer:nth-child(1)")
    assert words in card.inner_text() and "listed nothing" not in card.inner_text()
    busy = card.locator(".mi-reading").get_attribute("aria-busy")
    assert busy == str(state == "reading").lower()
    assert "112" in card.locator(".mi-emergency").inner_text()
    assert violations(page) == []
    page.close()


def test_an_answer_gets_its_lists_while_the_page_stays_as_it_is(browser, tmp_path):  # noqa: F811
    page = opened(browser, tmp_path)
    page.click(".mi-answer:nth-child(2) .mi-wrong")
    page.fill(".mi-answer:nth-child(2) .mi-form textarea", "half a corr")
    turn = with_readings(view(tmp_path))["turns"][0]
    for state in ("reading", "done"):
        turn["id"] = page.get_attribute(".mi-turn", "data-turn")
        turn["answers"][0]["reading"]["state"] = state
        page.evaluate("turn => window.tell({ event: 'turn', turn })", turn)
    assert page.locator(".mi-answer:nth-child(1) .mi-reading li").count() == 1
    typed = page.input_value(".mi-answer:nth-child(2) .mi-form textarea")
    assert typed == "half a corr" and "lists are under" in page.inner_text("[role=status]")
    page.close()
