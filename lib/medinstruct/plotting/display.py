"""Display: save and show a figure, page of an executed notebook, whether the page is live."""

import io
import json
import os
from pathlib import Path
from typing import Any

from medinstruct import paths, records

PLOTLY = "application/vnd.plotly.v1+json"
LIVE = ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD", "COLAB_RELEASE_TAG")


class Output:
    """What a notebook displays: contents by MIME type, with their metadata."""

    def __init__(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        self.data, self.metadata = data, metadata or {}

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict, dict]:
        return self.data, self.metadata


def live() -> bool:
    """Return whether widgets answer (JupyterLab, VS Code, Colab); not so under papermill."""
    return any(os.environ.get(name) for name in LIVE)


def show(
    figure: Any, name: str, *, folder: str | Path, alt: str = "", data: Any = None, interactive=None
) -> Output:
    """Save a figure as figures/`name`.svg in the run's `folder` and return it to be displayed.

    `data` (DataFrame or Series) is saved beside it as CSV; `alt` describes the figure to readers
    who do not see it, by default with its title; `interactive` is its plotly form for a live page.
    """
    files = Path(folder) / "figures"
    records.write_text(files / f"{name}.svg", _bytes(figure, "svg").decode())
    if data is not None:
        records.write_text(files / f"{name}.csv", data.to_csv(lineterminator="\n"))
    text = {"text/plain": " ".join((alt or figure.get_suptitle() or name).split())}
    if interactive is not None and "COLAB_RELEASE_TAG" in os.environ:
        return Output(text | {"text/html": interactive.to_html("cdn", full_html=False)})
    if interactive is not None and live():  # JupyterLab prefers an image: give none
        return Output(text | {PLOTLY: json.loads(interactive.to_json())})
    image = {"alt": text["text/plain"], "width": round(figure.get_figwidth() * 100)}
    return Output(text | {"image/png": _png(figure)}, {"image/png": image})


def _bytes(figure: Any, kind: str, **options: Any) -> bytes:
    """Return a figure as a file, without dates and versions: the same bytes in every run."""
    buffer, metadata = io.BytesIO(), {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, metadata=metadata, bbox_inches="tight", **options)
    return buffer.getvalue()


def _png(figure: Any) -> bytes:
    """Return a figure as PNG of 256 colors, a third of the full size."""
    from PIL import Image

    image = Image.open(io.BytesIO(_bytes(figure, "png", dpi=150))).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def to_html(notebook: str | Path) -> str:
    """Return an executed notebook as HTML; unlike nbconvert's page, images have their alt text."""
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    template = paths.data("notebook.html.j2").read_text(encoding="utf-8")
    loaders = [DictLoader({"alt.html.j2": template})]
    exporter = HTMLExporter(extra_loaders=loaders, template_file="alt.html.j2")
    return exporter.from_filename(str(notebook))[0]
