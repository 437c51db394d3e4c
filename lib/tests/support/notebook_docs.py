"""Rewrite what notebooks and README repeat: set-up cells, navigation, badges, tables.

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

TEXTS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
TABLES = {"notebooks": "README.md", "profiles": "docs/profiles.md"}
COLAB = "https://colab.research.google.com/github/{}/blob/main/notebooks/{}"


def write_docs() -> list[str]:
    """Rewrite the repeated text of notebooks and README; return the files that changed."""
    stale = {p: text for p, text in current().items() if p.read_text(encoding="utf-8") != text}
    return [str(records.write_text(path, text)) for path, text in stale.items()]


def current() -> dict[Path, str]:
    """Return each file with repeated text and the content it should have."""
    root = paths.root()
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    contents = {p: json.loads(p.read_text(encoding="utf-8")) for p in paths.notebooks()}
    profiles = params.profiles()
    address = project["urls"]["Repository"]
    books = [_facts(path, content, address) for path, content in contents.items()]
    scope = {"address": address, "books": books, "profiles": profiles}
    files = {}
    for n, (path, content) in enumerate(contents.items()):
        title, setup = content["cells"][:2]
        body = re.sub(r"\n\n\[!\[Open in Colab\].*$", "", "".join(title["source"]))
        text = f"{body}\n\n{_fill('navigation', scope | {'n': n})}"
        title["source"] = text.splitlines(keepends=True)
        setup["source"] = _fill("setup", scope).splitlines(keepends=True)
        files[path] = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    for name, file in TABLES.items():
        text = (root / file).read_text(encoding="utf-8")
        table = f"<!-- {name} -->\n{_fill(name, scope)}\n<!-- /{name} -->"
        text, n = re.subn(
            f"<!-- {name} -->.*<!-- /{name} -->", lambda _, table=table: table, text, flags=re.S
        )
        if not n:
            do = f"Write <!-- {name} --> and <!-- /{name} --> there."
            raise UserError(f"{file} has no place for the table of {name}.", do=do)
        files[root / file] = text
    return files


def _fill(name: str, scope: dict[str, Any]) -> str:
    return Template(TEXTS[name]).render(scope)


def _facts(notebook: Path, content: dict[str, Any], address: str) -> dict[str, Any]:
    """Return what the templates need of a notebook: names, purpose, files, time, link."""
    title = "".join(content["cells"][0]["source"])
    takes = re.search(r"\n\| --- \| --- \| --- \|\n.*\| (.*?)(?:; .*)? \|(?:\n|$)", title)[1]
    repository = address.removeprefix("https://github.com/")
    names = {"stem": notebook.stem, "name": notebook.name}
    links = {"takes": takes, "colab": COLAB.format(repository, notebook.name)}
    return content["metadata"]["medinstruct"] | names | links


if __name__ == "__main__":
    print("\n".join(write_docs()) or "All navigation and tables are current.")
