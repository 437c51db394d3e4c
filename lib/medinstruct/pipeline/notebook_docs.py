"""Repeated text: set-up cells, navigation and badges of notebooks, tables of the README."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from medinstruct import paths, records
from medinstruct.errors import UserError

COLAB = "https://colab.research.google.com"
SETUP = """import importlib.util
import os

if "COLAB_RELEASE_TAG" in os.environ and not importlib.util.find_spec("medinstruct"):
    os.environ["MEDINSTRUCT_HOME"] = os.path.abspath("medinstruct")
    !git clone --quiet --depth 1 {address} "$MEDINSTRUCT_HOME"
    !pip list --format=freeze | grep -E "^(torch|numpy|pandas|matplotlib|ipython)=" > pins.txt
    !pip install --quiet --constraint pins.txt "$MEDINSTRUCT_HOME[train]\""""


def write_docs() -> list[str]:
    """Rewrite the repeated text of notebooks and README; return the files that changed."""
    stale = {p: text for p, text in current().items() if p.read_text(encoding="utf-8") != text}
    return [str(records.write_text(path, text)) for path, text in stale.items()]


def current() -> dict[Path, str]:
    """Return each file with repeated text and the content it should have."""
    notebooks = sorted((paths.root() / "notebooks").glob("[0-9]*.ipynb"))
    readme = paths.root() / "README.md"
    text = between(readme.read_text(encoding="utf-8"), "notebooks", notebook_table(notebooks))
    files = {notebook: _notebook(notebook, notebooks) for notebook in notebooks}
    return {readme: between(text, "profiles", profile_table())} | files


def between(text: str, name: str, content: str) -> str:
    """Replace what is between the two comments of a name.

    >>> between("<!-- a -->\\nold\\n<!-- /a -->", "a", "new")
    '<!-- a -->\\nnew\\n<!-- /a -->'
    """
    before, opening, rest = text.partition(f"<!-- {name} -->\n")
    _, closing, after = rest.partition(f"<!-- /{name} -->")
    if not closing:
        do = f"Write <!-- {name} --> and <!-- /{name} --> there."
        raise UserError(f"README.md has no place for the table of {name}.", do=do)
    return f"{before}{opening}{content}\n{closing}{after}"


def notebook_table(notebooks: list[Path]) -> str:
    """Return one row a notebook: purpose, files, time, links."""
    lines = ["| | does | reads → writes | takes | open |", "| --- | --- | --- | --- | --- |"]
    for path in notebooks:
        content = _read(path)
        about, title = content["metadata"]["medinstruct"], "".join(content["cells"][0]["source"])
        row = title.partition("| --- | --- | --- |\n")[2].partition("\n")[0]
        takes = row.rstrip(" |").rpartition(" | ")[2].partition("; ")[0]
        executed = f"[executed](outputs/demo/{path.name})"
        links = f"[source](notebooks/{path.name}) · {executed} · [Colab]({_colab(path)})"
        files = f"{_names(about['reads'])} → {_names(about['writes'])}"
        lines.append(f"| **{path.stem}** | {about['does']} | {files} | {takes} | {links} |")
    return "\n".join(lines)


def profile_table() -> str:
    """Return one row a profile: the sentence on its first line."""
    files = (paths.root() / "params").glob("*.yaml")
    lines = ["| profile | for, and what it needs |", "| --- | --- |"]
    for path in sorted(files, key=lambda path: (path.stem != "demo", path.stem)):
        sentence = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        lines.append(f"| [{path.stem}](params/{path.name}) | {sentence} |")
    return "\n".join(lines)


def navigation(notebook: Path, notebooks: list[Path]) -> str:
    """Return the last line of a notebook's first cell: Colab badge, previous and next."""
    number = notebooks.index(notebook)
    steps = [f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({_colab(notebook)})"]
    for word, n in (("before", number - 1), ("next", number + 1)):
        if 0 <= n < len(notebooks):
            steps.append(f"{word}: [{notebooks[n].stem}]({notebooks[n].name})")
    return " · ".join(steps)


def address() -> str:
    """Return the repository's address from pyproject.toml."""
    project = tomllib.loads((paths.root() / "pyproject.toml").read_text(encoding="utf-8"))
    return project["project"]["urls"]["Repository"]


def _colab(notebook: Path) -> str:
    repository = address().removeprefix("https://github.com/")
    return f"{COLAB}/github/{repository}/blob/main/notebooks/{notebook.name}"


def _notebook(notebook: Path, notebooks: list[Path]) -> str:
    content = _read(notebook)
    title, setup = content["cells"][:2]
    body = re.sub(r"\n\n\[!\[Open in Colab\].*$", "", "".join(title["source"]))
    text = f"{body}\n\n{navigation(notebook, notebooks)}"
    title["source"] = text.splitlines(keepends=True)
    setup["source"] = SETUP.format(address=address()).splitlines(keepends=True)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _names(files: list[str]) -> str:
    names = " ".join(f"`{name}`" for name in files[:3])
    return f"{names} + {len(files) - 3}" if len(files) > 3 else names or "–"


def _read(notebook: Path) -> dict[str, Any]:
    return json.loads(notebook.read_text(encoding="utf-8"))
