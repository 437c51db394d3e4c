"""Take the pictures of README.md: the report, the review desk and the chat, as the demo shows them.

`make pictures` calls it after the demo was refreshed. It needs Chromium and writes `docs/images/*.png`.
"""

import io
import shutil
import tempfile
from pathlib import Path

import nbformat
from PIL import Image
from playwright.sync_api import sync_playwright
from test_jupyterlab import CHROMIUM, jupyterlab, run_all

from medinstruct import paths

MOST_BYTES = 150_000
SIZE = {"width": 1300, "height": 1000}
DEMO = paths.root() / "outputs/demo"
DESK = """
from medinstruct import paths, records, review

out = paths.outputs("demo")


store = review.Store(out / "reviews.sqlite")
items = records.read(out / "dataset.jsonl", records.Example)


cards = review.sample(items, 50, kind="dataset", seed=42, share=1 / 3)
cards.sort(key=lambda card: (card.item.style != "plain prose", not card.item.input, len(card.item.input + card.item.output)))


review.desk(store, cards, seed=42)
"""
CHAT = """
from medinstruct import assist, llm, paths


out = paths.outputs("demo")


stand_in = llm.Client(url="offline", model="offline-stand-in")


assist.open_chat({"stand-in": stand_in}, folder=out)
"""


def write_notebook(path: Path, source: str) -> None:
    """Write a notebook with a cell for each part of the source, which two empty lines set apart; four at least."""
    cells = [nbformat.v4.new_code_cell(cell) for cell in source.strip().split("\n\n\n")]
    about = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=about), path)


def save(shot: bytes, name: str) -> Path:
    """Save a screenshot with as many colors as fit into `MOST_BYTES`."""
    path = paths.root() / f"docs/images/{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(io.BytesIO(shot)) as image:
        for colors in (256, 128, 64, 32, 16):
            reduced = image.convert("RGB").quantize(colors, method=Image.Quantize.FASTOCTREE)
            reduced.save(path, optimize=True)
            if path.stat().st_size <= MOST_BYTES:
                break
    return path


def crop(locator, height: int) -> bytes:
    """Return a picture of the upper part of an element, without JupyterLab's own messages."""
    locator.page.add_style_tag(content=".Toastify { display: none !important; }")
    locator.scroll_into_view_if_needed()
    box = locator.bounding_box()
    return locator.page.screenshot(clip=box | {"height": min(box["height"], height)})


def picture_of_report(page) -> Path:
    """Take the first screen of the report."""
    page.set_viewport_size({"width": 1100, "height": 780})
    page.goto((DEMO / "report.html").as_uri())
    page.wait_for_timeout(500)
    return save(page.screenshot(), "report")


def picture_of_desk(page, url: str) -> Path:
    """Take the review desk with one item open, in JupyterLab."""
    assert run_all(page, url, "desk.ipynb", seconds=120)["failed"] == []
    page.fill(".review-name", "Dr. Maria Beispiel")
    page.keyboard.press("Enter")
    page.wait_for_selector(".review .review-head b")
    page.wait_for_timeout(500)
    return save(crop(page.locator(".review").first, 670), "review_desk")


def picture_of_chat(page, url: str) -> Path:
    """Take the chat while it asks about a possible identifier."""
    assert run_all(page, url, "chat.ipynb", seconds=120)["failed"] == []
    page.wait_for_selector(".mi-chat .mi-model")
    page.fill(".mi-chat .mi-box", "Mrs. Anna Weber, MRN 00482913, asks what helps against asthma.")
    page.keyboard.press("Enter")
    page.wait_for_timeout(1500)
    return save(crop(page.locator(".mi-chat").first, 760), "chat")


def main() -> None:
    """Take all three pictures from a copy of the demo."""
    with tempfile.TemporaryDirectory() as place, sync_playwright() as play:
        folder = Path(place)
        shutil.copytree(DEMO, folder / "demo", ignore=shutil.ignore_patterns("*.sqlite*"))
        write_notebook(folder / "notebooks/desk.ipynb", DESK)
        write_notebook(folder / "notebooks/chat.ipynb", CHAT)
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = chromium.new_context(viewport=SIZE, device_scale_factor=2)
        context.set_default_timeout(180_000)
        print(picture_of_report(context.new_page()))
        with jupyterlab(folder / "notebooks", folder) as url:
            print(picture_of_desk(context.new_page(), url))
            print(picture_of_chat(context.new_page(), url))
        chromium.close()


if __name__ == "__main__":
    main()
