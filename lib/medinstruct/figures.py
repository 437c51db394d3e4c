"""How every figure looks: one colour-blind safe palette (Okabe and Ito), ranked bars, titles that state the finding."""

import io
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medinstruct import records

BLUE, ORANGE, GREEN, RED, SKY, PINK, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#7A8490"
PALETTE = (BLUE, ORANGE, GREEN, RED, SKY, PINK, GREY)
INK, SOFT, LINE, TINT = "#1b1f24", "#3a4047", "#9aa4af", "#eef1f4"
WIDTH = 7.5
PLOTLY = "application/vnd.plotly.v1+json"


def style() -> None:
    """Set matplotlib's defaults for all figures of a notebook; the same bytes at every run.

    The ground is white and opaque, so that a figure reads the same on a light and on a dark page; a "$" in a label is a "$".
    """
    import matplotlib as mpl

    mpl.rcParams.update({
        "figure.dpi": 110, "savefig.dpi": 110, "figure.facecolor": "white", "figure.constrained_layout.use": True,
        "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left", "axes.titlesize": 12,
        "axes.titleweight": "bold", "axes.labelcolor": SOFT, "axes.edgecolor": LINE, "font.size": 10, "text.color": INK,
        "xtick.color": SOFT, "ytick.color": INK, "ytick.major.size": 0, "axes.grid": False, "text.parse_math": False,
        "axes.prop_cycle": mpl.cycler(color=list(PALETTE)), "svg.hashsalt": "medinstruct", "legend.frameon": False,
        "font.family": ["DejaVu Sans"], "figure.max_open_warning": 0,
    })  # fmt: skip


def titled(figure: Any, title: str) -> Any:
    """Give a figure its title at the left edge, broken into lines that fit its width."""
    lines = textwrap.wrap(title, width=round(figure.get_figwidth() * 10.4)) or [""]
    figure.suptitle("\n".join(lines), x=0.008, ha="left", fontsize=12, fontweight="bold", color=INK)
    return figure


def short(name: object, most: int = 34) -> str:
    """A label that fits: line breaks taken out, and cut with an ellipsis.

    >>> short("hypertension", 8)
    'hyperte…'
    """
    text = " ".join(str(name).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def note(text: str) -> Any:
    """A figure in one line, for what cannot be drawn."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(WIDTH, 0.7))
    axes.axis("off")
    axes.text(0, 0.5, text, va="center", color=SOFT, wrap=True)
    return figure


def bars(counts: Mapping[Any, float], *, title: str, label: str, top: int = 20, color: str = BLUE, ranked: bool = True) -> Any:
    """Horizontal bars with their values; ranked, or in the order given; what comes after the `top` is told below."""
    import matplotlib.pyplot as plt

    pairs = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0]))) if ranked else list(counts.items())
    if not pairs:
        return note(f"Nothing to draw: there are no {label}.")
    rest = sum(value for _, value in pairs[top:])
    shown = [(short(name), value, color) for name, value in pairs[:top]]
    figure, axes = plt.subplots(figsize=(WIDTH, 0.9 + 0.27 * max(len(shown), 2)))
    places = range(len(shown) - 1, -1, -1)
    drawn = axes.barh(places, [value for _, value, _ in shown], color=[color for *_, color in shown], height=0.74)
    axes.set_yticks(places, [name for name, *_ in shown])
    axes.bar_label(drawn, padding=3, fontsize=9, color=SOFT, labels=[f"{value:,g}" for _, value, _ in shown])
    axes.set(xlabel=label + (f" ({len(pairs) - top:,} others, together {rest:,g}, are not drawn)" if rest else ""))
    axes.margins(x=0.08)
    return titled(figure, title)


def paired_bars(
    columns: Mapping[str, Mapping[Any, float]], *, title: str, label: str, names: Sequence[Any], first: int = 0
) -> Any:
    """Horizontal bars of several distributions side by side, one group a name; `first` is the first colour of the palette."""
    import matplotlib.pyplot as plt
    import numpy as np

    if not names or not columns:
        return note(f"Nothing to draw: there is no {label}.")
    figure, axes = plt.subplots(figsize=(WIDTH, 1.3 + max(0.17, 0.3 / len(columns)) * len(names) * (len(columns) + 0.5)))
    height = 0.82 / len(columns)
    middle = np.arange(len(names))[::-1]
    for n, (column, values) in enumerate(columns.items()):
        places = middle + 0.41 - height * (n + 0.5)
        axes.barh(
            places,
            [values.get(name, 0) for name in names],
            height=height * 0.94,
            label=short(column, 40),
            color=PALETTE[(n + first) % 7],
        )
    axes.set_yticks(middle, [short(name) for name in names])
    axes.set(xlabel=label, ylim=(-0.6, len(names) - 0.4))
    axes.grid(axis="x", color=TINT)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower left", ncols=min(len(columns), 3), fontsize=9)
    return titled(figure, title)


def heat(table: Any, *, title: str, label: str) -> Any:
    """A heat map of counts; empty cells are marked with a dot."""
    import matplotlib.pyplot as plt
    import seaborn

    if not table.size:
        return note(f"Nothing to draw: there are no {label}.")
    figure, axes = plt.subplots(figsize=(max(5.0, 2.6 + 0.58 * table.shape[1]), 1.9 + 0.29 * table.shape[0]))
    marks = table.map(lambda value: f"{value:g}" if value else "●")
    seaborn.heatmap(
        table,
        annot=marks,
        fmt="",
        cmap="Blues",
        vmin=0,
        linewidths=0.6,
        cbar_kws={"label": label},
        ax=axes,
        annot_kws={"size": 9},
    )
    for text in axes.texts:
        if text.get_text() == "●":
            text.set(color=RED, fontsize=6)
    axes.set(xlabel="", ylabel="")
    axes.set_yticklabels([short(name) for name in table.index], rotation=0)
    axes.set_xticks([n + 0.5 for n in range(table.shape[1])], [short(name) for name in table.columns])
    axes.tick_params(axis="both", length=0)
    if any(len(str(name)) > 3 for name in table.columns):
        plt.setp(axes.get_xticklabels(), rotation=35, ha="right", rotation_mode="anchor")
    return titled(figure, title)


def intervals(table: Any, *, title: str, label: str, parity: float | None = None) -> Any:
    """A forest plot: one row a line of `table` with score, low and high; a dashed line marks parity."""
    import matplotlib.pyplot as plt

    names = [" against ".join(name) if isinstance(name, tuple) else str(name) for name in table.index][::-1]
    rows = table.iloc[::-1]
    figure, axes = plt.subplots(figsize=(WIDTH, 1.3 + 0.42 * len(rows)))
    axes.hlines(names, rows["low"], rows["high"], color=SKY, lw=3)
    axes.plot(rows["score"], names, "o", color=BLUE)
    if parity is not None:
        axes.axvline(parity, color=GREY, ls="--", lw=1)
    axes.set(xlabel=label, xlim=(-0.02, 1.02))
    axes.margins(y=0.15)
    return titled(figure, title)


def live() -> bool:
    """Whether a reader sits before the page (JupyterLab, VS Code, Colab), so that widgets answer; not so under papermill."""
    return any(os.environ.get(name) for name in ("JPY_SESSION_NAME", "VSCODE_PID", "VSCODE_CWD", "COLAB_RELEASE_TAG"))


def histogram(values: Any, *, title: str, label: str, unit: str = "tasks", color: str = SKY) -> Any:
    """How many values lie in each thirtieth of the range from 0 to 1."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 2.8))
    axes.hist(values, bins=30, range=(0, 1), color=color)
    axes.set(title=title, xlabel=label, ylabel=unit)
    return figure


def lines(frame: Any, *, title: str, label: str) -> Any:
    """One line a column over the index of a DataFrame, from zero up."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 2.8))
    for (name, column), color in zip(frame.items(), (GREY, BLUE, ORANGE, GREEN, RED), strict=False):
        axes.plot(column.index, column, "o-", color=color, label=name)
    axes.set(title=title, xlabel=frame.index.name or "", ylabel=label, ylim=(0, None))
    axes.legend(frameon=False)
    return figure


class Shown:
    """A drawn figure as a notebook shows it: a crisp image that carries its alternative text, and a live one where that helps.

    A live page (JupyterLab, VS Code) draws the plotly form; GitHub, print and HTML exports take the image beside it.
    """

    def __init__(self, png: bytes, *, alt: str, width: int, interactive: Any = None) -> None:
        self.png, self.alt, self.width, self.interactive = png, alt, width, interactive

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        bundle: dict[str, Any] = {"image/png": self.png, "text/plain": self.alt}
        if self.interactive is not None and "COLAB_RELEASE_TAG" in os.environ:
            bundle["text/html"] = self.interactive.to_html(include_plotlyjs="cdn", full_html=False)
        elif self.interactive is not None:
            bundle[PLOTLY] = self.interactive.to_plotly_json()
        return bundle, {"image/png": {"alt": self.alt, "width": self.width}}


def show(figure: Any, name: str, *, folder: str | Path, alt: str, data: Any = None, interactive: Any = None) -> Shown:
    """Keep a figure as `folder`/figures/`name`.svg, with the numbers behind it as .csv, and hand it on to be shown.

    `folder` is the run's; `alt` says what is to be seen for those who cannot see it; `data` is a DataFrame or Series;
    `interactive` is the same figure by plotly, for a live page.
    """
    import matplotlib.pyplot as plt

    records.write_text(Path(folder) / "figures" / f"{name}.svg", _saved(figure, "svg").decode())
    if data is not None:
        records.write_text(Path(folder) / "figures" / f"{name}.csv", data.to_csv(lineterminator="\n"))
    width = round(figure.get_figwidth() * 100)
    shown = Shown(_small(_saved(figure, "png", dpi=150)), alt=" ".join(alt.split()), width=width, interactive=interactive)
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
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return buffer.getvalue()


TEMPLATE = """{%- extends 'lab/index.html.j2' -%}
{% block data_png %}<div class="jp-RenderedImage jp-OutputArea-output {{ extra_class }}">
{%- set alt = output | get_metadata('alt', 'image/png') -%}{%- set width = output | get_metadata('width', 'image/png') -%}
<img src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}" alt="{{ (alt or '') | escape_html }}"
{%- if width %} width="{{ width | escape_html }}"{% endif %}></div>{% endblock %}"""


def to_html(notebook: str | Path) -> str:
    """An executed notebook as an HTML page whose images carry their alternative text, which nbconvert's own page leaves out."""
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(extra_loaders=[DictLoader({"alt.html.j2": TEMPLATE})], template_file="alt.html.j2")
    return exporter.from_filename(str(notebook))[0]
