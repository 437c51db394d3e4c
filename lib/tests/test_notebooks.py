"""The notebook sources keep the house's form: no outputs, word ids, one skeleton, one set-up cell."""

import ast
import json
import re
import subprocess
import sys
import tomllib

import pytest

from medinstruct import params, paths

BOOKS = sorted((paths.root() / "notebooks").glob("[0-9]*.ipynb"))
CELLS = {book.stem: json.loads(book.read_text(encoding="utf-8"))["cells"] for book in BOOKS}


def code(name):
    return [cell for cell in CELLS[name] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_a_source_has_no_outputs_and_nobodys_kernel(book):
    content = json.loads(book.read_text(encoding="utf-8"))
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code(book.stem))
    assert (
        content["metadata"]["kernelspec"]["name"] == "python3"
        and content["nbformat"] == 4
        and content["nbformat_minor"] == 5
    )
    assert set(content["metadata"]["medinstruct"]) >= {"reads", "writes"}


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_is_named_by_a_word_once(name):
    ids = [cell["id"] for cell in CELLS[name]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z][a-z0-9-]*", one) for one in ids)
    skeleton = ["title", "setup", "parameters-text", "parameters", "imports"]
    assert ids[: len(skeleton)] == skeleton and ids[-2:] == ["exercises", "next"]
    assert "save" in ids and "checks" in ids


@pytest.mark.parametrize("name", CELLS)
def test_plumbing_is_folded_in_jupyterlab_and_on_pages(name):
    for cell in code(name)[:3]:
        about = cell["metadata"]
        assert about["jupyter"]["source_hidden"] and "hide-input" in about["tags"], cell["id"]


@pytest.mark.parametrize("name", CELLS)
def test_a_notebook_is_an_essay_of_at_most_60_cells_and_8_figures(name):
    texts = [cell for cell in CELLS[name] if cell["cell_type"] == "markdown"]
    cells = [c for c in code(name) if c["id"] not in ("setup", "parameters", "imports")]
    lines = sum(1 for cell in cells for line in cell["source"] if line.strip())
    words = sum(len("".join(cell["source"]).split()) for cell in texts)
    shown = sum("".join(cell["source"]).count("plotting.show(") for cell in cells)
    assert len(CELLS[name]) <= 60 and shown <= 8
    assert len(texts) >= len(cells) and words >= 8 * lines, (len(texts), len(cells), words / lines)


@pytest.mark.parametrize("name", CELLS)
def test_prose_stands_before_code_and_cells_are_short(name):
    assert CELLS[name][0]["source"][0].startswith(f"# {int(name[:2])}. ")
    long = {cell["id"]: len(cell["source"]) for cell in code(name) if len(cell["source"]) > 15}
    for plumbing in ("setup", "parameters", "imports"):
        long.pop(plumbing, None)
    assert not long
    runs = [
        (a["id"], b["id"], c["id"], d["id"])
        for a, b, c, d in zip(*(CELLS[name][n:] for n in range(4)), strict=False)
        if {a["cell_type"], b["cell_type"], c["cell_type"], d["cell_type"]} == {"code"}
    ]
    assert not runs, "four cells of code in a row without a sentence"


@pytest.mark.parametrize("name", CELLS)
def test_headings_nest_under_one_title(name):
    texts = ["".join(cell["source"]) for cell in CELLS[name] if cell["cell_type"] == "markdown"]
    levels = [
        len(found) for text in texts for found in re.findall(r"^(#+) ", text, flags=re.MULTILINE)
    ]
    assert levels[0] == 1 and 1 not in levels[1:]
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_no_notebook_takes_the_figure_of_another():
    kept = {}
    for name in CELLS:
        source = "\n".join("".join(cell["source"]) for cell in code(name)[1:])
        calls = [
            node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Call) and len(node.args) > 1
        ]
        shown = [
            one.args[1]
            for one in calls
            if getattr(one.func, "attr", getattr(one.func, "id", "")) == "show"
        ]
        for figure in {argument.value for argument in shown if isinstance(argument, ast.Constant)}:
            assert kept.setdefault(figure, name) == name, (
                f"{figure} is kept by {kept[figure]} and by {name}"
            )
    assert len(kept) > 30


def test_the_set_up_cell_is_the_same_everywhere_and_has_a_form():
    [text] = {"".join(code(name)[0]["source"]) for name in CELLS}
    lines = text.splitlines()
    assert lines[0].startswith("# @title ") and len(lines) <= 32
    names = [line.partition(" =")[0] for line in lines if "# @param" in line]
    assert set(names) == params.FORM


def test_papermill_can_document_every_parameter():
    for book in BOOKS:
        cell = next(cell for cell in CELLS[book.stem] if cell["id"] == "parameters")
        for line in "".join(cell["source"]).splitlines():
            assert re.fullmatch(
                r"\w+: (str|int|float|bool|list|dict) = (\"[^\"=#]*\"|[^=#]+)  # [^=]+\.", line
            ), f"{book.stem}: {line}"


def test_navigation_badges_and_the_readmes_tables_are_current():
    from support.notebook_docs import current

    stale = [
        path.name for path, text in current().items() if path.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run: make contents"


def test_badges_appear_once_the_repository_is_published_and_lead_to_the_release():
    from support.notebook_docs import current

    about = tomllib.loads((paths.root() / "pyproject.toml").read_text(encoding="utf-8"))
    address, tag = about["project"]["urls"]["Repository"], f"v{about['project']['version']}"
    for is_published in (True, False):
        for path, text in current(is_published).items():
            if path.suffix == ".md" and "<!-- notebooks -->" not in text:
                continue
            places = re.findall(r"\]\((https://(?:colab|kaggle)[^)]*\.ipynb)\)", text)
            assert bool(places) == is_published != ("badges appear when" in text), path.name
            assert all(f"{address[8:].partition('/')[2]}/blob/{tag}/" in url for url in places)
    address = address.removeprefix("https://")
    named = [path.name for path in BOOKS if address in path.read_text(encoding="utf-8")]
    assert len(named) == len(BOOKS), "in the set-up cell, by `make contents`"


def test_every_link_of_a_notebook_leads_somewhere():
    texts = {
        book: "".join(
            "".join(cell["source"]) for cell in CELLS[book.stem] if cell["cell_type"] == "markdown"
        )
        for book in BOOKS
    }
    links = [
        (file, link) for file, text in texts.items() for link in re.findall(r"\]\(([^)#]+)\)", text)
    ]
    assert len(links) > 30
    missing = [
        (file.name, link)
        for file, link in links
        if "://" not in link and not (file.parent / link).exists()
    ]
    assert not missing


def test_the_korean_readme_keeps_step_with_the_english_one():
    """Its commands and notebooks are the same; its own command runs the Korean profile."""
    english, korean = (
        (paths.root() / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md")
    )

    def commands(text):
        blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
        lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
        return [line for line in lines if line]

    own = [line for line in commands(korean) if "korean" in line]
    shared = [line for line in commands(korean) if line not in own]
    assert own[0].startswith(".venv/bin/python -m medinstruct run korean ")
    assert shared and shared == commands(english)[: len(shared)]
    table = re.findall(r"\| \[(\w+)\]\(notebooks/(\w+)\.ipynb\)", korean)
    assert [one for one, _ in table] == [other for _, other in table] == [b.stem for b in BOOKS]
    assert f"노트북 {len(BOOKS)}개" in korean and "시드 과제 261개" in korean
    assert "params/korean.yaml" in korean and "README.ko.md" in english
    assert "의학적 조언이 아닙니다" in korean and "임상의의 검토를 받지 않았습니다" in korean


def test_the_data_notebooks_open_without_torch_and_without_the_sdk():
    """In one process, which imports what all of them import."""
    imports = []
    for name in (name for name in CELLS if name[:2] < "08"):
        source = "".join(next(cell for cell in code(name) if cell["id"] == "imports")["source"])
        nodes = ast.parse(source).body
        imports += [ast.unparse(n) for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
    assert sum("medinstruct" in line for line in imports) >= 7
    heavy = "print({'torch', 'transformers', 'datasets', 'openai'} & set(sys.modules))"
    program = "\n".join([*dict.fromkeys(imports), "import sys", heavy])
    form = {"capture_output": True, "text": True, "check": True}
    assert subprocess.run([sys.executable, "-c", program], **form).stdout.strip() == "set()"


def test_a_notebook_declares_every_file_of_the_run_that_its_code_names():
    """The runner starts a notebook as soon as what it declares is there."""
    about = {book: paths.metadata(book) for book in BOOKS}
    written = {name.strip("/") for one in about.values() for name in one["writes"]}
    for book, one in about.items():
        names = [*one["reads"], *one.get("reads_if_there", []), *one["writes"]]
        source = "\n".join("".join(cell["source"]) for cell in code(book.stem))
        named = {name for name in written if f'out / "{name}"' in source}
        assert named <= {name.strip("/") for name in names}, book.stem
