"""The library keeps to its budgets: lines, modules, names, width, layers, no import circle."""

import ast
import importlib
import json
import re
from collections import Counter
from types import ModuleType

import pytest

from medinstruct import paths

LIBRARY = paths.PACKAGE
FILES = sorted(p for p in LIBRARY.rglob("*.py") if "data" not in p.relative_to(LIBRARY).parts)
MODULES = [path for path in FILES if path.name != "__init__.py"]
CHAPTERS = sorted(path.parent.name for path in LIBRARY.glob("*/__init__.py"))
TEXT = {path: path.read_text(encoding="utf-8") for path in FILES}
MOST_LINES = 13_790
MOST_MODULES, MOST_IN_CHAPTER, MOST_NAMES = 100, 8, 15
ODD_WORDS = re.compile(r"\b(found|told|said|somebody|whoever|nobody)\b")
# A chapter imports chapters of lower rank, or of its own rank without a circle.
RANKS = [
    {
        "errors",
        "cues",
        "parallel",
        "network",
        "database",
        "paths",
        "models",
        "failures",
        "manifest",
        "params",
        "labels",
        "languages",
        "records",
        "stats",
    },
    {"plotting", "llm"},
    {"filtering", "diversity", "audits", "training", "offline"},
    {"tasks", "review", "evaluation", "safety", "benchmarks"},
    {"assist", "report", "pipeline"},
    {"__main__"},
]
RANK = {name: n for n, names in enumerate(RANKS) for name in names}


def dotted(path):
    """The import name of a file."""
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


NAMES = {dotted(path): path for path in FILES}


def imports(path):
    """The modules of this library that a file imports, wherever the statement is."""
    modules = set()
    for node in ast.walk(ast.parse(TEXT[path])):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medinstruct"):
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            inner = full & NAMES.keys()
            modules |= inner | ({node.module} if full - inner or not inner else set())
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names} & NAMES.keys()
    return modules - {"medinstruct", dotted(path)}


def names_of(chapter):
    """The public names of a chapter: what its `__init__` imports."""
    tree = ast.parse(TEXT[LIBRARY / chapter / "__init__.py"])
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def chapter(name):
    return name.split(".")[1] if "." in name else name


def test_the_library_is_thin():
    assert sum(text.count("\n") for text in TEXT.values()) <= MOST_LINES
    assert len(MODULES) <= MOST_MODULES


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_has_few_modules_and_hands_on_few_names(name):
    modules = [path for path in MODULES if path.parent.name == name and path.name != "__main__.py"]
    face = importlib.import_module(f"medinstruct.{name}")
    assert len(modules) <= MOST_IN_CHAPTER
    assert len(names_of(name)) <= MOST_NAMES
    for path in modules:
        value = getattr(face, path.stem, None)
        assert value is None or isinstance(value, ModuleType), f"{path.stem} hides its module"


def test_a_file_name_occurs_once():
    counts = Counter(path.name for path in MODULES if path.name != "__main__.py")
    assert not [name for name, n in counts.items() if n > 1]


def test_lines_are_short_and_formatted():
    wide = [
        f"{dotted(path)}:{n}"
        for path, text in TEXT.items()
        for n, line in enumerate(text.splitlines(), 1)
        if len(line) > 100 or "fmt: skip" in line or "fmt: off" in line
    ]
    assert not wide


def test_no_module_imports_itself_through_others():
    graph = {name: imports(path) for name, path in NAMES.items()}
    state: dict[str, int] = {}

    def visit(name, trail):
        assert state.get(name) != 1, " -> ".join([*trail, name])
        if name not in state:
            state[name] = 1
            for other in graph[name]:
                is_face = NAMES[other].name == "__init__.py"
                if not (is_face and chapter(other) == chapter(name)):
                    visit(other, [*trail, name])
            state[name] = 2

    for name in graph:
        visit(name, [])


def test_imports_run_down():
    wrong = []
    for name, path in NAMES.items():
        own = chapter(name)
        for other in imports(path):
            if chapter(other) != own and own in RANK and RANK[chapter(other)] > RANK[own]:
                wrong.append(f"{name} imports {other}")
    assert not wrong


def test_no_production_code_imports_the_stand_in():
    users = [n for n, p in NAMES.items() if any(chapter(m) == "offline" for m in imports(p))]
    assert {chapter(name) for name in users} <= {"offline"}


def test_only_plotting_draws():
    drawing = re.compile(r"^\s*(?:from|import) (?:matplotlib|seaborn|plotly)\b", re.MULTILINE)
    assert {path.parent.name for path, text in TEXT.items() if drawing.search(text)} == {"plotting"}


def test_the_words_are_plain():
    count = Counter(word for text in TEXT.values() for word in ODD_WORDS.findall(text))
    assert count.total() <= 40, count


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_every_public_function_has_a_docstring_that_ends_its_first_line(path):
    for node in ast.walk(ast.parse(TEXT[path])):
        is_public = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if is_public and not node.name.startswith("_") and node.col_offset == 0:
            first = (ast.get_docstring(node) or "").partition("\n")[0]
            assert first.endswith((".", ":", ";", ",")) or "\n" not in first, node.name
            assert first, f"{node.name} has no docstring"


def notebook_code(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", text, flags=re.MULTILINE).replace("await ", "")


@pytest.mark.parametrize("path", sorted((paths.root() / "notebooks").glob("[0-9]*.ipynb")))
def test_every_name_that_a_notebook_uses_is_public(path):
    tree = ast.parse(notebook_code(path))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
            continue
        if node.value.id in CHAPTERS:
            assert node.attr in names_of(node.value.id), f"{node.value.id}.{node.attr}"
