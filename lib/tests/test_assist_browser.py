"""The chat in a real JupyterLab and a real browser: asked, stopped, edited, compared, corrected, found again; hostile text is text."""

from pathlib import Path

import nbformat
import pytest
from support import tiny_model
from test_jupyterlab import CHROMIUM, browser, jupyterlab, run_all  # noqa: F401 (browser is a fixture)

from medinstruct import assist, review

SOURCE = """
import asyncio

from medinstruct import assist, llm, paths

HOSTILE = (
    "<script>window.hacked = 'script'</script><img src=x onerror=\\"window.hacked = 'img'\\">"
    "![x](javascript:window.hacked='md')\\x1b[31mred <b>bold</b> 850 mg"
)

class Rigged(llm.Client):
    async def stream(self, request):
        asked = request.messages[-1]["content"]
        words = ("A long answer. " * 6667).split(" ") if "long" in asked else HOSTILE.split(" ")
        words = ("Ask for Mr. Oskar Tr" + "ell.").split(" ") if "whom" in asked else words
        for n, word in enumerate(words):
            yield word if not n else " " + word
            if n % 500 == 0:
                await asyncio.sleep(0.01)
        yield llm.Reply(key="k", text=" ".join(words), finish_reason="stop", model="rigged")

out, base = paths.outputs("RUN"), paths.outputs("base")
is_here = "RUN" == "loop"  # the other page needs no weights, and no torch
views = llm.LocalModel(base / "student", adapter=base / "adapter").views if is_here else {}
stand_in = llm.Client(url="offline?pace=0.05&cut=0", model="offline-stand-in")
rigged = Rigged(url="offline", model="rigged")


1


2


assist.open_chat({**views, "stand-in": stand_in, "rigged": rigged}, folder=out, settings={"max_tokens": 30})
"""
CHAT = ".mi-chat"
LAST = f"{CHAT} .mi-turn:last-child"
NAMED = "Mrs. Anna Weber, MRN 00482913, asks what helps against asthma."


def written(folder, source, name):
    """A notebook with a cell for each part of the source, which two empty lines set apart."""
    cells = [nbformat.v4.new_code_cell(cell) for cell in source.strip().split("\n\n\n")]
    notebook = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )
    (folder / "notebooks").mkdir(exist_ok=True)
    nbformat.write(notebook, folder / "notebooks" / name)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of one JupyterLab for all tests, and its folder: a tiny model with an adapter, and a notebook for each run."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    if not CHROMIUM:
        pytest.skip("no chromium on this machine")
    folder = tmp_path_factory.mktemp("lab")
    tiny_model.build(folder / "base" / "student")
    lora = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder / "base" / "student"), lora
    ).save_pretrained(folder / "base" / "adapter")
    for run in ("loop", "hostile"):
        written(folder, SOURCE.replace("RUN", run), f"{run}.ipynb")
    with jupyterlab(folder / "notebooks", folder) as url:
        yield url, folder


def opened(chromium, url, name):
    page = chromium.new_page(viewport={"width": 1340, "height": 1250})
    page.add_init_script("window.hacked = undefined")
    assert run_all(page, url, name, seconds=120)["failed"] == []
    page.wait_for_selector(f"{CHAT} .mi-model", timeout=30_000)
    return page


def choose(page, *names):
    """Press the names of models until only these answer."""
    for name in names:
        if page.get_attribute(f"[data-key='model/{name}']", "aria-pressed") == "false":
            page.click(f"[data-key='model/{name}']")
    buttons = page.locator("[data-key^='model/'][aria-pressed=true]")
    for key in buttons.evaluate_all("all => all.map((button) => button.dataset.key)"):
        if key.removeprefix("model/") not in names:
            page.click(f"[data-key='{key}']")


def ask(page, text):
    page.fill(f"{CHAT} .mi-box", text)
    page.keyboard.press("Enter")


def done(page, turns):
    """Wait until so many turns are on the page and kept."""
    page.wait_for_function(
        f"n => document.querySelectorAll('{CHAT} .mi-kept-yes').length === n",
        arg=turns,
        timeout=30_000,
    )


def said(page, name):
    return page.inner_text(f"{LAST} .mi-text[data-name={name}]")


def disk(folder):
    """Every byte of the run, of the notebooks and of what JupyterLab keeps of its own."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_ask_stream_stop_edit_compare_correct_reload_and_find_it_all_again(browser, lab):  # noqa: F811
    url, folder = lab
    page = opened(browser, url, "loop.ipynb")

    choose(page, "stand-in")  # the text grows, and stops when told to
    ask(page, "Type: open Q&A\nView: nurse\nInstruction: What is asthma and how is it treated?")
    lengths = []
    for n in (20, 60):
        page.wait_for_function(
            f"n => document.querySelector('{LAST} .mi-text')?.textContent.length > n", arg=n
        )
        lengths.append(len(said(page, "stand-in")))
    page.keyboard.press("Escape")
    page.wait_for_selector(f"{LAST} .mi-badge")
    stopped = said(page, "stand-in")
    assert lengths[0] < lengths[1] <= len(stopped) < 400 and "stopped" in page.inner_text(
        f"{LAST} .mi-badge"
    )
    done(page, 1)

    page.click(
        f"{LAST} [data-key$='/open']"
    )  # edit and send again, to base and tuned of one loaded copy
    choose(page, "base", "tuned")
    page.fill(f"{LAST} .mi-editing textarea", "Condition 7 causes what?")
    page.get_by_text("Send again").click()
    page.wait_for_selector(f"{LAST} .mi-answer:nth-child(2)")
    done(page, 1)
    assert page.locator(f"{CHAT} .mi-turn").count() == 1
    lines = page.locator(f"{LAST} .mi-answer .mi-emergency")
    assert lines.count() == 2 and lines.first.inner_text() == assist.EMERGENCY
    assert (
        said(page, "base") != said(page, "tuned")
        and page.locator(f"{LAST} .mi-answer").count() == 2
    )
    assert "with its adapter" in page.inner_text(f"{LAST} .mi-answer:nth-child(2) footer")

    page.click(
        f"{LAST} .mi-answer:nth-child(2) .mi-wrong"
    )  # a correction, by keyboard from here on
    page.fill(f"{LAST} .mi-form textarea[aria-label^='Correction']", "Call 112 now.")
    page.fill(f"{LAST} .mi-form input", "Dr. Maria Beispiel")
    page.screenshot(path=folder / "judge.png")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{LAST} .mi-said")
    assert page.locator(f"{LAST} .mi-form").count() == 0

    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.close()
    page = opened(browser, url, "loop.ipynb")  # a fresh tab and a new kernel
    assert "Condition 7" in page.inner_text(f"{LAST} .mi-ask")
    assert "Call 112 now." in page.inner_text(
        f"{LAST} .mi-said"
    ) and "reviewer-" in page.inner_text(f"{LAST} .mi-said")
    with page.expect_download() as caught:
        page.click("[data-key=md]")
    markdown = Path(caught.value.path()).read_text()
    assert "```text\nCondition 7" in markdown and assist.EMERGENCY in markdown
    with page.expect_download() as caught:
        page.click("[data-key=jsonl]")
    lines = Path(caught.value.path()).read_text().splitlines()
    saved = [assist.Turn.model_validate_json(line) for line in lines]
    assert [turn.answers[-1].name for turn in saved] == ["tuned"]  # an empty answer is not saved
    turns = assist.Transcripts(folder / "loop").turns()
    assert [one.answers[0].finish_reason for one in turns][0] == "stopped" and turns[
        1
    ].replaces == turns[0].id
    assert turns[0].answers[0].text == stopped
    vote = review.Store(folder / "loop" / "reviews.sqlite").votes("chat", names=True)[0]
    assert (vote.action, vote.edit["output"], vote.reviewer) == (
        "edit",
        "Call 112 now.",
        "Dr. Maria Beispiel",
    )
    assert "Call 112 now." not in (folder / "notebooks" / "loop.ipynb").read_text()


def test_hostile_text_is_text_a_long_one_leaves_the_page_usable_and_a_name_is_asked_about_first(
    browser,  # noqa: F811
    lab,
):
    url, folder = lab
    page = opened(browser, url, "hostile.ipynb")
    choose(page, "rigged")
    ask(page, "Be hostile.")
    done(page, 1)
    text = said(page, "rigged")
    assert (
        "<script>" in text
        and "onerror" in text
        and "![x](javascript:" in text
        and "␛[31m" in text
        and "<b>bold</b>" in text
    )
    assert page.locator(f"{LAST} .mi-text :is(script, img, b, a)").count() == 0
    assert page.inner_text(f"{LAST} mark") == "850 mg" and "850 mg" in page.get_attribute(
        f"{LAST} mark", "aria-label"
    )

    with page.expect_download() as caught:
        page.click("[data-key=md]")
    markdown = Path(caught.value.path()).read_text()
    assert f"```text\n{text}\n```" in markdown and text not in markdown.partition("```text")[0]

    ask(page, "Say something long.")
    done(page, 2)
    assert len(said(page, "rigged")) < 7_000
    page.select_option("[data-key=way]", "handover")
    page.select_option("[data-key=reader]", "nurse")
    assert "open question" in page.inner_text(f"{CHAT} .mi-duty")
    page.select_option("[data-key=way]", "")
    page.get_by_text("Show all 100,").click()
    page.wait_for_function(
        f"() => document.querySelector('{LAST} .mi-text').textContent.length > 100000"
    )
    page.screenshot(path=folder / "long.png")

    ask(page, NAMED)
    page.wait_for_selector(f"{CHAT} .mi-privacy")
    page.screenshot(path=folder / "privacy.png")
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_timeout(500)
    assert (
        page.locator(f"{CHAT} .mi-turn").count() == 2
        and b"Weber" not in disk(folder)
        and b"00482913" not in disk(folder)
    )
    page.click("[data-key=back]")  # nothing that was typed is lost
    page.wait_for_function(
        f"text => document.querySelector('{CHAT} .mi-box').value === text", arg=NAMED
    )
    page.wait_for_selector(f"{CHAT} .mi-privacy", state="detached")
    page.focus(f"{CHAT} .mi-box")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{CHAT} .mi-privacy")
    page.keyboard.press("Enter")  # the first button has the focus: mask and keep
    done(page, 3)
    assert "Mrs. [name], MRN [record]" in page.inner_text(f"{LAST} .mi-ask")

    ask(page, "By whom was it said?")  # a name in an answer
    page.wait_for_selector(f"{CHAT} .mi-privacy")
    assert b"Trell" not in disk(folder)
    page.click("[data-key=none]")
    page.wait_for_selector(f"{LAST} .mi-kept-never")
    assert page.evaluate("() => window.hacked") is None
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_timeout(500)
    assert b"Weber" not in disk(folder) and b"Trell" not in disk(folder)
    assert [one.privacy for one in assist.Transcripts(folder / "hostile").turns()] == [
        "",
        "",
        "masked",
    ]
    page.click("[data-key='new']")
    page.wait_for_function(f"() => !document.querySelector('{CHAT} .mi-turn')")
