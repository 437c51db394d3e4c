"""Notebook 05 on hostile data: it runs, keeps its figures, and its exported page is harmless and fits in a real browser."""

import json
import shutil
from pathlib import Path

import pytest

from medinstruct import labels, paths, plotting, stats
from medinstruct.pipeline import runner

SCRIPT = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
LABELS = {"type": "chat", "topic": "Cardiology", "view": "nurse", "difficulty": 3}
ROWS = [
    {
        "instruction": f"Explain {SCRIPT} number {n}.",
        "input": SCRIPT,
        "output": SCRIPT,
        "type": SCRIPT,
        "topic": f"{SCRIPT}{n}",
        "view": SCRIPT,
    }
    for n in range(6)
]
ROWS += [LABELS | {"instruction": f"Write note {n} on $x_{{.", "output": "So."} for n in range(6)]
ROWS += [
    {"instruction": ""},
    {"instruction": "W" * 3000, "difficulty": "<b>9</b>"},
    {"instruction": None, "topic": ["a"]},
]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The run's folder after notebook 05, with a second dataset beside the first."""
    folder = tmp_path_factory.mktemp("outputs")
    (folder / "t").mkdir()
    (folder / "t" / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "t" / "seeds.jsonl").write_bytes(paths.data("seeds.jsonl").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDINSTRUCT_OUTPUTS", str(folder))
        for name in ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD", "COLAB_RELEASE_TAG"):
            patch.delenv(name, raising=False)
        sets = ["run=t", f"compare=[{paths.data('test_freeform.jsonl')}]"]
        runner.run(str(paths.root() / "params" / "demo.yaml"), only=["05"], sets=sets)
    return folder / "t"


def test_all_figures_are_kept_with_their_numbers(out):
    drawn = {path.stem for path in (out / "figures").glob("*.svg")}
    assert len(drawn) == 6 and drawn == {path.stem for path in (out / "figures").glob("*.csv")}
    assert not [path for path in (out / "figures").glob("*.svg") if "<script" in path.read_text()]


def test_the_numbers_are_valid_json_with_what_the_report_reads(out):
    saved = json.loads(
        (out / "diversity.json").read_text(), parse_constant=lambda name: pytest.fail(name)
    )
    tasks = [row for row in ROWS if row["instruction"]]
    assert saved["examples"] == len(tasks) == 13, "a row without a text is no task"
    assert set(saved["entropy"]) == {"dataset", "seeds"}
    assert set(saved["counts"]) == set(labels.VALUES)
    assert any(name.endswith("test_freeform.jsonl") for name in saved["divergence_bits"])
    for axis, bits in saved["entropy"]["dataset"].items():
        counts = saved["counts"][axis]
        known = [n for name, n in counts.items() if name not in (labels.NO_LABEL, labels.NO_MATCH)]
        assert bits == pytest.approx(stats.entropy(known)), "a missing label is no label"


def test_every_image_of_the_executed_notebook_has_a_text(out):
    book = json.loads((out / "05_measure_diversity.ipynb").read_text())
    outputs = [
        output
        for cell in book["cells"]
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(outputs) == 6
    assert all(len(output["metadata"]["image/png"]["alt"]) > 20 for output in outputs)
    assert (out / "05_measure_diversity.ipynb").stat().st_size < 2_000_000


@pytest.mark.parametrize("width", [1280, 800])
def test_the_exported_page_fits_and_runs_nothing_of_the_data(out, width):
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pytest.importorskip("nbconvert")
    browser_path = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if not browser_path:
        pytest.skip("no Chromium on this machine")
    page_path = Path(out) / "page.html"
    page_path.write_text(
        plotting.display.to_html(out / "05_measure_diversity.ipynb"), encoding="utf-8"
    )
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(page_path.as_uri())
        page.wait_for_function("[...document.images].every(image => image.complete)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.title() != "taken" and page.locator("img[src=x]").count() == 0
        assert page.locator("img").count() == 6 and page.locator("img:not([alt])").count() == 0
        drawn = "[...document.querySelectorAll('img[src^=\"data:\"]')]"  # not the badge, which comes from the network
        assert page.evaluate(
            f"{drawn}.every(image => image.alt.length > 20 && image.naturalWidth > 0)"
        )
        browser.close()
