"""How a figure is kept (SVG and CSV), shown (an image with its text, or live by plotly) and exported."""

import io
import os
from pathlib import Path
from typing import Any

from medinstruct import records

PLOTLY = "application/vnd.plotly.v1+json"
TEMPLATE = """{%- extends 'lab/index.html.j2' -%}
{% block data_png %}<div class="jp-RenderedImage jp-OutputArea-output {{ extra_class }}">
{%- set alt = output | get_metadata('alt', 'image/png') -%}{%- set width = output | get_metadata('width', 'image/png') -%}
<img src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}" alt="{{ (alt or '') | escape_html }}"
{%- if width %} width="{{ width | escape_html }}"{% endif %}></div>{% endblock %}"""


def live() -> bool:
    """Whether a reader sits before the page (JupyterLab, VS Code, Colab), so that widgets answer; not so under papermill."""
    return any(
        os.environ.get(name)
        for name in ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD", "COLAB_RELEASE_TAG")
    )


class Shown:
    """A drawn figure as a notebook shows it: a crisp image that carries its alternative text, and a live one where that helps.

    A live page (JupyterLab, VS Code, Colab) draws the plotly form; what papermill executes holds the image, for GitHub and print.
    """

    def __init__(self, png: bytes, *, alt: str, width: int, interactive: Any = None) -> None:
        self.png, self.alt, self.width, self.interactive = png, alt, width, interactive

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        if self.interactive is not None and "COLAB_RELEASE_TAG" in os.environ:
            return {
                "text/html": self.interactive.to_html(include_plotlyjs="cdn", full_html=False),
                "text/plain": self.alt,
            }, {}
        if (
            self.interactive is not None and live()
        ):  # JupyterLab would prefer an image that stands beside
            return {PLOTLY: self.interactive.to_plotly_json(), "text/plain": self.alt}, {}
        return {"image/png": self.png, "text/plain": self.alt}, {
            "image/png": {"alt": self.alt, "width": self.width}
        }


def show(
    figure: Any,
    name: str,
    *,
    folder: str | Path,
    alt: str,
    data: Any = None,
    interactive: Any = None,
) -> Shown:
    """Keep a figure as `folder`/figures/`name`.svg, with the numbers behind it as .csv, and hand it on to be shown.

    `folder` is the run's; `alt` says what is to be seen for those who cannot see it; `data` is a DataFrame or Series;
    `interactive` is the same figure by plotly, for a live page.
    """
    import matplotlib.pyplot as plt

    records.write_text(Path(folder) / "figures" / f"{name}.svg", _saved(figure, "svg").decode())
    if data is not None:
        records.write_text(
            Path(folder) / "figures" / f"{name}.csv", data.to_csv(lineterminator="\n")
        )
    width = round(figure.get_figwidth() * 100)
    shown = Shown(
        _small(_saved(figure, "png", dpi=150)),
        alt=" ".join(alt.split()),
        width=width,
        interactive=interactive,
    )
    plt.close(figure)
    return shown


def _saved(figure: Any, kind: str, **more: Any) -> bytes:
    """The bytes of a figure, the same at every run."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, metadata=metadata, bbox_inches="tight", **more)
    return buffer.getvalue()


def _small(png: bytes) -> bytes:
    """The same image in a palette of 256 colours: flat figures look alike and are a third of the size."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        buffer, "png", optimize=True
    )
    return buffer.getvalue()


def to_html(notebook: str | Path) -> str:
    """An executed notebook as an HTML page whose images carry their alternative text, which nbconvert's own page leaves out."""
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        extra_loaders=[DictLoader({"alt.html.j2": TEMPLATE})], template_file="alt.html.j2"
    )
    return exporter.from_filename(str(notebook))[0]
