"""Notebooks in a real JupyterLab and a real browser: opened, "Run All Cells" chosen, every cell finishes, no cell fails."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest

from medinstruct import paths

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
SETTLED = """() => {
  const notebook = window.jupyterapp.shell.currentWidget;
  const cells = [...notebook.content.widgets].filter(cell => cell.model.type === 'code');
  const failed = cells.filter(cell => cell.model.outputs && [...Array(cell.model.outputs.length).keys()]
    .some(n => cell.model.outputs.get(n).type === 'error')).map(cell => cell.model.id);
  const left = cells.filter(cell => !cell.model.executionCount).map(cell => cell.model.id);
  return {failed, left, idle: notebook.sessionContext.session?.kernel?.status === 'idle'};
}"""

DRAWN = """() => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const pictures = [...notebook.node.querySelectorAll('.jp-OutputArea img, .jp-OutputArea svg')];
  const wide = pictures.filter(one => one.getBoundingClientRect().width > one.closest('.jp-OutputArea').clientWidth + 2);
  return {wide: wide.map(one => one.alt || one.tagName)};
}"""


@contextmanager
def jupyterlab(folder, outputs):
    """The address of a JupyterLab over a folder, with its own settings and without a password, on this machine only."""
    settings = {
        "JUPYTER_CONFIG_DIR": outputs / "config",
        "JUPYTER_DATA_DIR": outputs / "data",
        "MEDINSTRUCT_OUTPUTS": outputs,
    }
    options = [
        "--no-browser",
        "--allow-root",
        "--port=0",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
    ]
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        *options,
        f"--ServerApp.root_dir={folder}",
        "--expose-app-in-browser",
    ]
    runtime = outputs / "runtime"
    environment = {
        **os.environ,
        **{name: str(path) for name, path in settings.items()},
        "JUPYTER_RUNTIME_DIR": str(runtime),
    }
    with open(outputs / "jupyterlab.log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield _address(process, runtime)
    finally:
        process.terminate()
        process.wait(30)


def _address(process, runtime):
    for _ in range(600):
        for file in runtime.glob("jpserver-*.json"):
            url = json.loads(file.read_text() or "{}").get("url", "")
            try:
                urllib.request.urlopen(f"{url}api", timeout=2)
                return url
            except (OSError, ValueError):
                pass
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError("JupyterLab did not start")


def start_all(page, url, name):
    """Open a notebook, wait for its kernel, and choose Run All Cells."""
    page.goto(f"{url}lab/tree/{name}?reset")
    page.wait_for_function(
        "() => window.jupyterapp?.shell?.currentWidget?.content?.widgets?.length > 3",
        timeout=90_000,
    )
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'",
        timeout=90_000,
    )
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")


def settled(page, *, seconds):
    """Wait until no cell is left or one has failed; returns what the last look found."""
    for _ in range(seconds):
        time.sleep(1)
        look = page.evaluate(SETTLED)
        if look["failed"] or (look["idle"] and not look["left"]):
            break
    return look


def run_all(page, url, name, *, seconds):
    """Run all cells of a notebook and wait until nothing is left; returns what the last look found."""
    start_all(page, url, name)
    return settled(page, seconds=seconds)


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab over copies of the notebooks (it saves by itself), with the shipped demo run as what earlier notebooks wrote."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(paths.root() / "notebooks", folder / "notebooks")
    shutil.copytree(
        paths.root() / "outputs" / "demo",
        folder / "demo",
        ignore=shutil.ignore_patterns("*.sqlite*", "figures"),
    )
    with jupyterlab(folder / "notebooks", folder) as url:
        yield url, folder


def test_run_all_in_jupyterlab_shows_a_figure_early_and_finishes_every_cell(browser, lab):
    url, folder = lab
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    told = []
    page.on(
        "console", lambda message: told.append(message.text) if message.type == "error" else None
    )
    page.on("pageerror", lambda error: told.append(str(error)))
    start_all(page, url, "05_measure_diversity.ipynb")
    page.wait_for_selector(".jp-OutputArea img", state="attached", timeout=120_000)
    assert len(page.evaluate(SETTLED)["left"]) > 10, "the first figure, long before the last cell"
    look = settled(page, seconds=300)
    about = page.evaluate(DRAWN)
    page.screenshot(path=folder / "05_measure_diversity.png")
    page.close()
    assert look == {"failed": [], "left": [], "idle": True}
    assert about["wide"] == [], "figures that are cut"
    assert not [text for text in told if "medinstruct" in text or "anywidget" in text.lower()], told
