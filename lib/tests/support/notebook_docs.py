"""Rewrite what notebooks, README and docs repeat: set-up cells, navigation, badges, tables.

`make contents` calls it; a test says when it must be called.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Template

from medinstruct import params, paths, records
from medinstruct.errors import UserError
from medinstruct.pipeline import status

TEXTS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
COLAB = "https://colab.research.google.com/github/{}/blob/{}/notebooks/{}"
KAGGLE = "https://kaggle.com/kernels/welcome?src={}/blob/{}/notebooks/{}"
LAST = re.compile(rf"\n\n(\[!\[Open in Colab\]|{re.escape(TEXTS['unpublished'])}).*$")


def write_docs() -> list[str]:
    """Rewrite the repeated text of notebooks and pages; return the files that changed."""
    stale = {p: text for p, text in current().items() if p.read_text(encoding="utf-8") != text}
    return [str(records.write_text(path, text)) for path, text in stale.items()]


def current(published: bool | None = None) -> dict[Path, str]:
    """Return each file with repeated text and the content it should have."""
    about = tomllib.loads((paths.root() / "pyproject.toml").read_text(encoding="utf-8"))
    address, tag = about["project"]["urls"]["Repository"], f"v{about['project']['version']}"
    if published is None:
        published = about["tool"]["medinstruct"]["published"]
    contents = {p: json.loads(p.read_text(encoding="utf-8")) for p in paths.notebooks()}
    scope = {"address": address, "tag": tag, "published": published}
    scope |= {"unpublished": TEXTS["unpublished"], "profiles": params.profiles()}
    scope["books"] = [_facts(path, content, address, tag) for path, content in contents.items()]
    scope["clone_failed"] = _fill("clone_failed", scope)
    files = {}
    for n, (path, content) in enumerate(contents.items()):
        title, setup = content["cells"][:2]
        body = LAST.sub("", "".join(title["source"]))
        text = f"{body}\n\n{_fill('navigation', scope | {'n': n})}"
        title["source"] = text.splitlines(keepends=True)
        setup["source"] = _fill("setup", scope).splitlines(keepends=True)
        files[path] = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    return files | _pages(scope)


def _pages(scope: dict[str, Any]) -> dict[Path, str]:
    """Return README and docs pages with the tables that their markers name."""
    root = paths.root()
    pages = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    for name in ("notebooks", "profiles"):
        place = re.compile(f"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
        if not any(map(place.search, texts.values())):
            do = f"Write <!-- {name} --> and <!-- /{name} --> in README.md or a page of docs/."
            raise UserError(f"No page has a place for the table of {name}.", do=do)
        for page, text in texts.items():
            rows = _fill(name, scope | {"up": "" if page.parent == root else "../"})
            table = f"<!-- {name} -->\n{rows}\n<!-- /{name} -->"
            texts[page] = place.sub(lambda _, table=table: table, text)
    return texts


def _fill(name: str, scope: dict[str, Any]) -> str:
    return Template(TEXTS[name]).render(scope)


def _facts(notebook: Path, content: dict[str, Any], address: str, tag: str) -> dict[str, Any]:
    """Return what the templates need of a notebook: names, purpose, files, time, links."""
    names = {"stem": notebook.stem, "name": notebook.name, "takes": status.takes(notebook)}
    repository = address.removeprefix("https://github.com/")
    links = {"colab": COLAB.format(repository, tag, notebook.name)}
    links["kaggle"] = KAGGLE.format(address, tag, notebook.name)
    return content["metadata"]["medinstruct"] | names | links


if __name__ == "__main__":
    print("\n".join(write_docs()) or "All navigation and tables are current.")
