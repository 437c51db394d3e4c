"""Site of the demo: README, guides and executed notebooks, built by `make site` into `site/`.

The source folder is the repository, so that a link which works there works here. Nothing is
executed. What a page links to and is no page is copied beside it, or linked in the repository.
"""

import json
import os
import re
import shutil
import tomllib
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

ROOT = Path(__file__).resolve().parents[1]
ABOUT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUN = "outputs/demo"
COPIED = {".html", ".json", ".jsonl", ".yaml", ".csv", ".png", ".svg", ".webp", ".cff", ""}
SET_UP = {"parameters", "injected-parameters", "imports"}
BADGE = re.compile(r"!\[([^\]]*)\]\(https?:[^)]*\)")  # pictures from elsewhere: their text
ABOUT_PAGES = {
    "한국어": "README.ko",
    "Data that ships with it": "lib/medinstruct/data/README",
    "Changelog": "CHANGELOG",
    "Log of experiments": "LOG",
    "Licenses of the packages": "LICENSES",
}
CONTENTS = "\n\n```{{toctree}}\n:hidden:\n:caption: {}\n:glob:\n\n{}\n```\n"

project, version, release = "medinstruct", ABOUT["version"], ABOUT["version"]
author = project_copyright = ""
root_doc = "README"
extensions = ["myst_nb"]
include_patterns = ["*.md", "docs/*.md", "lib/medinstruct/data/README.md", f"{RUN}/[0-9]*.ipynb"]
exclude_patterns = [
    ".*",
    "site",
    "build",
    "jupyter_execute",
    "lib/tests",
    "lib/benchmarks",
    "notebooks",
    "params",
]
exclude_patterns += ["outputs/[!d]*", f"{RUN}/*_failed.ipynb", f"{RUN}/*/"]
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure", "mystnb.unknown_mime_type"]

html_theme = "sphinx_book_theme"
html_title = "medinstruct"
html_static_path, templates_path = ["_static"], ["_templates"]
html_css_files, html_js_files = ["site.css"], [("site.js", {"defer": "defer"})]
html_copy_source = html_show_sourcelink = html_show_sphinx = html_show_copyright = False
html_use_index = False
html_sidebars = {
    "**": ["navbar-logo.html", "search-button-field.html", "report.html", "sbt-sidebar-nav.html"]
}
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],
}


def read_source(app, docname, source):
    """Prepare a page: the contents of the site, words for pictures, alternative texts."""
    if docname.startswith(RUN):
        source[0] = prepared(source[0])
        return
    source[0] = BADGE.sub(r"\1", source[0])
    if docname == root_doc:
        pages = app.env.found_docs
        about = [f"{name} <{page}>" for name, page in ABOUT_PAGES.items() if page in pages]
        parts = {"Guides": [page for page in sorted(pages) if page.startswith("docs/")]}
        parts |= {"Executed notebooks": [f"{RUN}/[0-9]*"], "About": about}
        for caption, entries in parts.items():
            source[0] += CONTENTS.format(caption, "\n".join(entries)) if entries else ""


def prepared(text):
    """Return a notebook with set-up folded, alternative texts of figures, no foreign picture."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        cell["source"] = BADGE.sub(r"\1", "".join(cell["source"]))
        tags = cell["metadata"].setdefault("tags", [])
        if cell["id"] == "setup":  # does nothing outside Colab
            tags.append("remove-cell")
        elif cell["id"] in SET_UP or cell["metadata"].get("jupyter", {}).get("source_hidden"):
            tags.append("hide-input")
        for output in cell.get("outputs", []):
            about = output.get("metadata", {}).get("image/png", {})
            image = {"alt": about.get("alt", ""), "classes": "dark-light"}
            if "image/png" in output.get("data", {}):
                cell["metadata"]["mystnb"] = {"image": image}
    return json.dumps(notebook)


def link_files(app, doctree):
    """Point links to files that are no pages to the copies of these, or to the repository."""
    for node in list(doctree.findall(addnodes.download_reference)):
        node.replace_self(link(app, node, node["reftarget"]))
    for node in list(doctree.findall(addnodes.pending_xref)):
        path = node["reftarget"].partition("#")[0]
        is_page = node["refdomain"] == "doc"
        if path.startswith("notebooks/") and is_page:  # the source: here its executed copy
            node["reftarget"] = path.replace("notebooks", RUN)
        elif is_page and path not in app.env.found_docs:
            suffix = next(s for s in (".md", ".ipynb") if (ROOT / (path + s)).exists())
            node.replace_self(link(app, node, f"/{path}{suffix}"))
        elif path and not is_page and (place(app, path).exists()):
            node.replace_self(link(app, node, path))
    for node in doctree.findall(nodes.raw):
        for path in re.findall(r'(?:src|href)="(?!\w+:|#|/)([^"#?]+)', node.astext()):
            if place(app, path).is_file():
                app.site_files.add(place(app, path).relative_to(ROOT))


def place(app, path):
    """Return the file that a relative link of the page means."""
    return Path(app.env.relfn2path(path, app.env.docname)[1])


def link(app, node, path):
    """Return a link to a file, whose copy lies in the site as it does in the repository."""
    path = place(app, path).relative_to(ROOT)
    address = f"{ABOUT['urls']['Repository']}/blob/main/{path.as_posix()}"
    if (ROOT / path).is_file() and path.suffix in COPIED:
        app.site_files.add(path)
        address = Path(os.path.relpath(path, Path(app.env.docname).parent)).as_posix()
    return nodes.reference("", "", *node.children, refuri=address, internal=False)


def copy_files(app, error):
    """Copy what the pages link to; the front page and the report get their usual names."""
    shutil.rmtree(app.outdir.parent / "jupyter_execute", ignore_errors=True)  # copies of MyST-NB
    for path in () if error else app.site_files:
        (app.outdir / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, app.outdir / path)
    shutil.copyfile(app.outdir / "README.html", app.outdir / "index.html")
    report = app.outdir / RUN / "report.html"
    page = re.sub(r'href="pages/([^"]+)"', r'href="\1"', report.read_text(encoding="utf-8"))
    report.write_text(page, encoding="utf-8")
    for name in re.findall(r'href="([^":#]+\.\w+)"', page):
        if (ROOT / RUN / name).exists():
            (report.parent / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(ROOT / RUN / name, report.parent / name)


def setup(app):
    """Connect what reads and what finishes the pages."""
    app.site_files = {Path(RUN) / "report.html"}
    app.connect("source-read", read_source)
    app.connect("doctree-read", link_files, priority=100)
    app.connect("build-finished", copy_files)
