"""A matplotlib figure as SVG inside a page: real text, no ground, and neutral colours that follow light and dark."""

import html
import io
import re
from typing import Any

from medinstruct import plotting

VARIABLES = {
    plotting.INK: "--ink",
    plotting.SOFT: "--soft",
    plotting.LINE: "--line",
    plotting.TINT: "--tint",
    plotting.GREY: "--soft",
    "#000000": "--ink",
    "#ffffff": "--paper",
    plotting.BLUE: "--blue",
    plotting.SKY: "--sky",
    plotting.RED: "--red",
    plotting.ORANGE: "--orange",
    plotting.GREEN: "--green",
}


def inline(figure: Any, name: str, *, alt: str) -> str:
    """The figure as an <svg> that scales with the page; `name` keeps its ids apart from those of other figures."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            bbox_inches="tight",
            metadata={"Date": None, "Creator": None},
        )
    text = buffer.getvalue()
    text = re.sub(
        r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL
    )
    text = _with_own_ids(text, name)
    for color, variable in VARIABLES.items():
        text = text.replace(f": {color.lower()}", f": var({variable})")
    text = text.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    box = re.search(r'viewBox="[^"]*"', text).group()
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {box}'
    )
    return f'{head} role="img" aria-label="{html.escape(alt)}">{text.partition(">")[2]}'


def _with_own_ids(text: str, name: str) -> str:
    """Only ids that something refers to, each with the name of the figure before it."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    text = re.sub(
        r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", text
    )
    return re.sub(r'(url\(#|href="#)', rf"\1{name}-", text)


def on_white(picture: str) -> str:
    """A picture of the page as a file of its own, on white, so that it can be read where a dark page shows it."""
    return re.sub(
        r"(<svg[^>]*>)",
        r'\1<rect width="100%" height="100%" rx="8" fill="#fff"/>',
        picture,
        count=1,
    )
