"""Parameters: the typed cell of each notebook, YAML profiles, `--set` values."""

import ast
import difflib
import logging
import math
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from medinstruct import manifest, network, paths
from medinstruct.errors import UserError

TYPES = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}
IPYTHON_NAMES = {"In", "Out"}  # its list of inputs and map of outputs are in every notebook
FORM = {"profile", "run_name", "keep_on_drive"}  # of the set-up cell


def check(scope: dict[str, Any], notebook: str = "") -> manifest.Stage | None:
    """Compare a notebook's values with its parameters cell and with its run; return its stage.

    Call it with `globals()` and the notebook's name right after that cell, since papermill injects
    the text "2e-4" for a number, and unknown names. Names are checked once a kernel, as later there
    are the notebook's own variables. Without a name there is no stage. The profile that
    MEDINSTRUCT_PROFILE names replaces values that neither papermill nor the reader has set.
    """
    network.tidy_proxies()
    injected = _injected(scope)
    kinds = scope.get("__annotations__", {})
    kinds = {name: kind.__name__ for name, kind in kinds.items() if kind in TYPES.values()}
    for name, kind in kinds.items():
        scope[name] = typed(name, scope[name], kind)
    if not scope.get("_parameters_were_checked"):
        scope["_parameters_were_checked"] = True
        if "get_ipython" in scope:  # notes stay on the page; what is on stderr goes with the bars
            logging.getLogger("medinstruct").addHandler(logging.StreamHandler(sys.stdout))
        known = set(kinds).union(*map(declared, paths.notebooks()))
        for name, value in scope.items():
            is_value = not name.startswith("_") and type(value) in TYPES.values()
            if is_value and name not in known | IPYTHON_NAMES | (FORM - injected):
                raise unknown(name, known)
    if not notebook:
        return None
    values = {name: scope[name] for name in kinds}
    scope |= (new := _from_environment(notebook, values, injected))
    return manifest.begin(notebook, values | new)


def _injected(scope: dict[str, Any]) -> set[str]:
    """Return the names that papermill has set, in the cell that it adds."""
    cells = [cell for cell in scope.get("In", ()) if cell.startswith("# Parameters\n")]
    return {name for cell in cells for name in re.findall(r"^(\w+) =", cell, re.MULTILINE)}


def _from_environment(notebook: str, values: dict, injected: set[str]) -> dict[str, Any]:
    """Return what the profile and run of the environment set in place of the notebook's defaults.

    A notebook that is run alone, as in Colab, reads what its run lacks from the shipped demo.
    """
    if not (name := os.environ.get("MEDINSTRUCT_PROFILE")):
        return {}
    given, source = merged(name), paths.notebook(notebook)
    given["run"] = os.environ.get("MEDINSTRUCT_RUN") or given["run"]
    defaults = {key: default for key, (_, default) in declared(source).items()}
    free = {key for key in defaults.keys() - injected if values[key] == defaults[key]}
    new = {key: given[key] for key in free if given[key] != values[key]}
    out, reads = paths.outputs(new.get("run") or values["run"]), paths.metadata(source)["reads"]
    if "read_from" in free and out.name != "demo" and not all((out / n).exists() for n in reads):
        new["read_from"] = "demo"
    if new:
        shown = ", ".join(f"{key} = {value!r}" for key, value in sorted(new.items()))
        logging.getLogger("medinstruct").warning(f"The profile {name} sets {shown}.")
    return new


def typed(name: str, value: Any, kind: str) -> Any:
    """Return the value as its declared kind, within its range; an int may stand for a float."""
    if kind == "float" and type(value) is int:
        value = float(value)
    if type(value) is not TYPES[kind]:
        got, do = f"{value!r} ({type(value).__name__})", paths.load("parameter_kinds")[kind]
        raise UserError(f"Parameter `{name}` must be {kind}.", got=got, do=do)
    low, high = paths.load("parameter_ranges").get(name, (-math.inf, math.inf))
    if kind in ("int", "float") and not low <= value <= high:
        valid = f"at least {low}" if high == math.inf else f"from {low} to {high}"
        do = "Correct it in the profile, in `--set`, or in the parameters cell."
        raise UserError(f"Parameter `{name}` must be {valid}.", got=value, do=do)
    return value


def unknown(name: str, known: Iterable[str]) -> UserError:
    """Return the error for a parameter that no notebook has, with the nearest name."""
    near = difflib.get_close_matches(name, known, n=1)
    do = f"Did you mean `{near[0]}`?" if near else f"Known: {', '.join(sorted(known))}."
    return UserError(f"No notebook has a parameter `{name}`.", got=name, do=do)


def declared(notebook: Path) -> dict[str, tuple[str, Any]]:
    """Return name -> (kind, default) from the parameters cell of a notebook file."""
    lines = ast.parse(_parameters_cell(notebook)).body
    return {
        line.target.id: (line.annotation.id, ast.literal_eval(line.value))
        for line in lines
        if isinstance(line, ast.AnnAssign)
    }


def _parameters_cell(notebook: Path) -> str:
    tagged = [c for c in paths.cells(notebook) if "parameters" in c["metadata"].get("tags", [])]
    return "".join(tagged[0]["source"]) if tagged else ""


def defaults() -> dict[str, tuple[str, Any]]:
    """Return name -> (kind, default) of all notebooks."""
    cells = [declared(notebook) for notebook in paths.notebooks()]
    return {name: value for cell in cells for name, value in cell.items()}


def profiles() -> list[Path]:
    """Return the shipped profiles, the demo first."""
    files = [f for f in (paths.root() / "params").glob("*.yaml") if f.stem != "models"]
    return sorted(files, key=lambda f: (f.stem != "demo", f.stem))


def profile(path: str | Path, *, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return what a profile, a file or a shipped name, states, over its `base`; `above` use it."""
    path = _located(path, above)
    do = "Write `key: value` lines."
    values = paths.read_yaml(path, do=do)
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a profile.", got=type(values).__name__, do=do)
    base = values.pop("base", "")
    chain = (*above, path)
    if base and _located(base, chain) in chain:
        raise UserError(f"{path} is its own base.", got=base, do="Name another profile.")
    return (profile(base, above=chain) if base else {}) | values


def _located(path: str | Path, above: tuple[Path, ...] = ()) -> Path:
    """Return the file of a profile, given by its path or by the name of a shipped one."""
    shipped = {file.stem: file for file in profiles()}
    beside = [parent.parent / path for parent in above[-1:]]
    if place := next(filter(Path.is_file, [shipped.get(str(path), Path()), *beside]), None):
        return place.resolve()
    near = difflib.get_close_matches(str(path), shipped, n=1)
    if not paths.find(path) and (near or not Path(path).suffix):
        do = f"Did you mean {near[0]}?" if near else f"Give a file, or {', '.join(shipped)}."
        raise UserError("The profile does not exist.", got=path, do=do)
    return paths.resolve(str(path)).resolve()


def merged(path: str | Path, sets: Iterable[str] = ()) -> dict[str, Any]:
    """Return the parameters of a run, checked: defaults, profile, then `key=value` texts."""
    values = {name: default for name, (_, default) in defaults().items()}
    return values | checked(profile(path) | set_values(sets))


def checked(given: dict[str, Any]) -> dict[str, Any]:
    """Return the values under the names of parameters, each of its kind and in its range."""
    known = defaults()
    for name in given:
        if name not in known:
            raise unknown(name, known)
    return {name: typed(name, value, known[name][0]) for name, value in given.items()}


def table(profile: str | Path, notebook: str = "") -> list[str]:
    """Return parameters of a profile or one notebook as `papermill -f` reads them, described."""
    values, lines, books = merged(profile), {}, paths.notebooks()
    chosen = [book for book in books if not notebook or book.stem.startswith(notebook.zfill(2))]
    if not chosen:
        known = ", ".join(book.stem[:2] for book in books)
        raise UserError("There is no such notebook.", got=notebook, do=f"Choose from {known}.")
    for book in chosen:
        rows = [row for row in _parameters_cell(book).splitlines() if ": " in row]
        for name, words in ((row.partition(":")[0], row.partition("  # ")[2]) for row in rows):
            text = yaml.safe_dump(values[name], default_flow_style=True, width=10_000)
            text = text.removesuffix("...\n").strip()
            lines.setdefault(name, f"{name}: {text}  # {words}")
    return list(lines.values())


def set_values(texts: Iterable[str]) -> dict[str, Any]:
    """Return the `--set key=value` pairs of a command line, each value read as YAML."""
    values = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key:
            do = "For example --set novelty_limit=0.6."
            raise UserError("--set takes key=value.", got=text, do=do)
        parsed = value
        with suppress(yaml.YAMLError):
            parsed = yaml.safe_load(value)
        is_plain = isinstance(parsed, str) and value.strip()[:1] not in ("'", '"')
        is_plain = is_plain or type(parsed) not in TYPES.values()
        values[key] = value.strip() if is_plain else parsed  # a path with # is no comment
    return values
