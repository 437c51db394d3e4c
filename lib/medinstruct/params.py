"""Parameters: typed cells in the notebooks, one flat YAML a run, and nothing accepted that is not known."""

import ast
import difflib
import json
from pathlib import Path
from typing import Any

import yaml

from medinstruct import paths
from medinstruct.errors import UserError

TYPES = {"str": str, "int": int, "float": float, "bool": bool}


def check(scope: dict[str, Any]) -> None:
    """Compare a notebook's values with the annotations of its parameters cell; call it with `globals()` right after.

    Papermill injects whatever it is given: the text "2e-4" for a number, "false" for a switch, a name with a typo. Names are
    looked at only once a kernel: run again in JupyterLab, the notebook's own variables stand among the globals.
    """
    declared = {
        name: kind.__name__
        for name, kind in scope.get("__annotations__", {}).items()
        if kind in TYPES.values()
    }
    for name, kind in declared.items():
        scope[name] = typed(name, scope[name], kind)
    if scope.get("_parameters_were_checked"):
        return
    scope["_parameters_were_checked"] = True
    known = set(declared) | set(_everywhere())
    for name, value in scope.items():
        if not name.startswith("_") and type(value) in TYPES.values() and name not in known:
            raise unknown(name, known)


def typed(name: str, value: Any, kind: str) -> Any:
    """The value as its declared kind; an int passes for a float, nothing else is converted."""
    if kind == "float" and type(value) is int:
        return float(value)
    if type(value) is not TYPES[kind]:
        raise UserError(
            f"Parameter `{name}` must be {kind}.",
            got=f"{value!r} ({type(value).__name__})",
            do=_advice(kind),
        )
    return value


def unknown(name: str, known: Any) -> UserError:
    """The error for a key that no notebook has, with the nearest that one has."""
    near = difflib.get_close_matches(name, list(known), n=1)
    do = f"Did you mean `{near[0]}`?" if near else f"Known: {', '.join(sorted(known))}."
    return UserError(f"No notebook has a parameter `{name}`.", got=name, do=do)


def declared(notebook: Path) -> dict[str, tuple[str, Any]]:
    """The parameters cell of a notebook file: name -> (kind, default)."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    lines = ast.parse("".join(tagged[0]["source"])).body if tagged else []
    return {
        line.target.id: (line.annotation.id, ast.literal_eval(line.value))
        for line in lines
        if isinstance(line, ast.AnnAssign)
    }


def profile(path: str | Path) -> dict[str, Any]:
    """The keys and values of one flat YAML profile."""
    path = paths.resolve(str(path))
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(
            f"{path} is not valid YAML.",
            got=str(error).replace("\n", " "),
            do="Write `key: value` lines.",
        ) from None
    if not isinstance(values, dict) or any(
        isinstance(value, dict | list) for value in values.values()
    ):
        raise UserError(
            f"{path} is not a flat profile.",
            got=type(values).__name__,
            do="Write `key: value` lines, nothing nested.",
        )
    return values


def set_values(texts: list[str]) -> dict[str, Any]:
    """The `--set key=value` pairs of a command line, each value read as YAML."""
    pairs = [text.partition("=") for text in texts]
    for key, sign, value in pairs:
        if not sign or not key:
            raise UserError(
                "--set takes key=value.",
                got=f"{key}{sign}{value}",
                do="For example --set novelty_limit=0.6.",
            )
    return {key: _scalar(value) for key, _, value in pairs}


def _scalar(text: str) -> Any:
    try:
        value = yaml.safe_load(text) if text else ""
    except yaml.YAMLError:
        return text
    return value if type(value) in TYPES.values() else text


def _advice(kind: str) -> str:
    return {
        "float": "Write 2.0e-4, not 2e-4: YAML reads the latter as text.",
        "int": "Write a whole number without quotes.",
        "bool": "Write true or false without quotes, in the profile: papermill's -p passes text.",
        "str": "Put it in quotes.",
    }[kind]


def _everywhere() -> list[str]:
    found = sorted((paths.root() / "notebooks").glob("[0-9]*.ipynb"))
    return [name for notebook in found for name in declared(notebook)]
