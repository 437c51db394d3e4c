"""Parameters: the typed cell of each notebook, YAML profiles, `--set` values."""

import ast
import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from medinstruct import paths
from medinstruct.errors import UserError

TYPES = {"str": str, "int": int, "float": float, "bool": bool}
ADVICE = {
    "float": "Write 2.0e-4, not 2e-4: YAML reads the latter as text.",
    "int": "Write a whole number without quotes.",
    "bool": "Write true or false without quotes, in the profile: papermill's -p passes text.",
    "str": "Put it in quotes.",
}


def check(scope: dict[str, Any]) -> None:
    """Compare a notebook's values with the annotations of its parameters cell.

    Call it with `globals()` right after that cell: papermill injects the text "2e-4" for a number
    and unknown names without an error. Names are checked once a kernel, since a notebook that is
    run again has its own variables among the globals.
    """
    kinds = scope.get("__annotations__", {})
    kinds = {name: kind.__name__ for name, kind in kinds.items() if kind in TYPES.values()}
    for name, kind in kinds.items():
        scope[name] = typed(name, scope[name], kind)
    if scope.get("_parameters_were_checked"):
        return
    scope["_parameters_were_checked"] = True
    notebooks = (paths.root() / "notebooks").glob("[0-9]*.ipynb")
    known = set(kinds).union(*map(declared, notebooks))
    for name, value in scope.items():
        if not name.startswith("_") and type(value) in TYPES.values() and name not in known:
            raise unknown(name, known)


def typed(name: str, value: Any, kind: str) -> Any:
    """Return the value as its declared kind; an int may stand for a float."""
    if kind == "float" and type(value) is int:
        return float(value)
    if type(value) is not TYPES[kind]:
        got = f"{value!r} ({type(value).__name__})"
        raise UserError(f"Parameter `{name}` must be {kind}.", got=got, do=ADVICE[kind])
    return value


def unknown(name: str, known: Iterable[str]) -> UserError:
    """Return the error for a parameter that no notebook has, with the nearest name."""
    near = difflib.get_close_matches(name, known, n=1)
    do = f"Did you mean `{near[0]}`?" if near else f"Known: {', '.join(sorted(known))}."
    return UserError(f"No notebook has a parameter `{name}`.", got=name, do=do)


def declared(notebook: Path) -> dict[str, tuple[str, Any]]:
    """Return name -> (kind, default) from the parameters cell of a notebook file."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    lines = ast.parse("".join(tagged[0]["source"])).body if tagged else []
    return {
        line.target.id: (line.annotation.id, ast.literal_eval(line.value))
        for line in lines
        if isinstance(line, ast.AnnAssign)
    }


def profile(path: str | Path) -> dict[str, Any]:
    """Return the keys and values of a flat YAML profile."""
    path = paths.resolve(str(path))
    do = "Write `key: value` lines, without nesting."
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        got = str(error).replace("\n", " ")
        raise UserError(f"{path} is not valid YAML.", got=got, do=do) from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a profile.", got=type(values).__name__, do=do)
    nested = [key for key, value in values.items() if isinstance(value, dict | list)]
    if nested:
        raise UserError(f"Keys of {path} have nested values.", got=", ".join(nested), do=do)
    return values


def set_values(texts: Iterable[str]) -> dict[str, Any]:
    """Return the `--set key=value` pairs of a command line, each value read as YAML."""
    values = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key:
            do = "For example --set novelty_limit=0.6."
            raise UserError("--set takes key=value.", got=text, do=do)
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            parsed = value
        values[key] = parsed if type(parsed) in TYPES.values() else value
    return values
