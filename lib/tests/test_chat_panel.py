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


def opened(browser, tmp_path, *, dark=False):  # noqa: F811
    css, js = (paths.data(f"chat_panel.{kind}").read_text("utf-8") for kind in ("css", "js"))
    content = json.dumps(view(tmp_path)).replace("</", "<\\/")
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
    assert all(plotting.COLORS[name].lower() in static.data for name in ("base", "tuned"))
