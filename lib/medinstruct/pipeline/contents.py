"""What is written by hand once and repeated everywhere else: set-up cells, navigation, badges, and the README's tables."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from medinstruct import paths, records
from medinstruct.errors import UserError

BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
SETUP = """import importlib.util
import os

if "COLAB_RELEASE_TAG" in os.environ and not importlib.util.find_spec("medinstruct"):
    os.environ.setdefault("MEDINSTRUCT_SOURCE", "{address}")
    !test -d medinstruct-notebooks || git clone --quiet --depth 1 "$MEDINSTRUCT_SOURCE" medinstruct-notebooks
    %run medinstruct-notebooks/lib/medinstruct/pipeline/colab.py"""


def contents() -> list[str]:
    """Write the repeated parts of notebooks and README anew; returns the files that changed."""
    stale = {
        path: text for path, text in current().items() if path.read_text(encoding="utf-8") != text
    }
    return [str(records.write_text(path, text)) for path, text in stale.items()]


def current() -> dict[Path, str]:
    """Each file with repeated parts and the text that it should have."""
    books = sorted((paths.root() / "notebooks").glob("[0-9]*.ipynb"))
    readme = paths.root() / "README.md"
    text = between(readme.read_text(encoding="utf-8"), "notebooks", notebook_table(books))
    return {readme: between(text, "profiles", profile_table())} | {
        book: _notebook(book, books) for book in books
    }


def between(text: str, name: str, content: str) -> str:
    """The text with what stands between the two comments of that name replaced.

    >>> between("<!-- a -->\\nold\\n<!-- /a -->", "a", "new")
    '<!-- a -->\\nnew\\n<!-- /a -->'
    """
    before, opening, rest = text.partition(f"<!-- {name} -->\n")
    _, closing, after = rest.partition(f"<!-- /{name} -->")
    if not closing:
        raise UserError(
            f"README.md has no place for the table of {name}.",
            do=f"Write <!-- {name} --> and <!-- /{name} --> there.",
        )
    return f"{before}{opening}{content}\n{closing}{after}"


def notebook_table(books: list[Path]) -> str:
    """One row a notebook: what it does, reads, writes and takes; where its source, its executed copy and Colab are."""
    lines = ["| | does | reads → writes | takes | open |", "| --- | --- | --- | --- | --- |"]
    for book in books:
        content = _read(book)
        about, title = content["metadata"]["medinstruct"], "".join(content["cells"][0]["source"])
        row = title.partition("| --- | --- | --- |\n")[2].partition("\n")[0]
        takes = row.rstrip(" |").rpartition(" | ")[2].partition("; ")[0]
        links = f"[source](notebooks/{book.name}) · [executed](outputs/demo/{book.name}) · [Colab]({_colab(book)})"
        flow = f"{_names(about['reads'])} → {_names(about['writes'])}"
        lines.append(f"| **{book.stem}** | {about['does']} | {flow} | {takes} | {links} |")
    return "\n".join(lines)


def profile_table() -> str:
    """One row a profile: the sentence on its first line."""
    files = sorted(
        (paths.root() / "params").glob("*.yaml"), key=lambda path: (path.stem != "demo", path.stem)
    )
    rows = [f"| [{path.stem}](params/{path.name}) | {_first_line(path)} |" for path in files]
    return "\n".join(["| profile | for, and what it needs |", "| --- | --- |", *rows])


def navigation(book: Path, books: list[Path]) -> str:
    """The line that ends a notebook's first cell: Colab, the notebook before and the one after."""
    number = books.index(book)
    around = [("before", number - 1), ("next", number + 1)]
    steps = [
        f"{word}: [{books[n].stem}]({books[n].name})" for word, n in around if 0 <= n < len(books)
    ]
    return " · ".join([f"[![Open in Colab]({BADGE})]({_colab(book)})", *steps])


def address() -> str:
    """Where the repository is, as pyproject.toml says."""
    found = tomllib.loads((paths.root() / "pyproject.toml").read_text(encoding="utf-8"))
    return found["project"]["urls"]["Repository"]


def _colab(book: Path) -> str:
    place = address().removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{place}/blob/main/notebooks/{book.name}"


def _notebook(book: Path, books: list[Path]) -> str:
    content = _read(book)
    title, setup = content["cells"][:2]
    body = re.sub(r"\n\n\[!\[Open in Colab\].*$", "", "".join(title["source"]))
    title["source"] = f"{body}\n\n{navigation(book, books)}".splitlines(keepends=True)
    setup["source"] = SETUP.format(address=address()).splitlines(keepends=True)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _names(files: list[str], most: int = 3) -> str:
    shown = " ".join(f"`{name}`" for name in files[:most])
    return f"{shown} + {len(files) - most}" if len(files) > most else shown or "–"


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def _read(book: Path) -> dict[str, Any]:
    return json.loads(book.read_text(encoding="utf-8"))
