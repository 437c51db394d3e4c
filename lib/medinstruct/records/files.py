"""Records as JSONL and JSON files: a bad line is named, and a file is there only if it is whole."""

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from medinstruct.errors import Problem

R = TypeVar("R", bound=BaseModel)


def read(path: str | Path, kind: type[R]) -> list[R]:
    """The records of a JSONL file (or of a JSON file that holds one list); a bad line names file, line and field."""
    return [parse(kind, fields, where=f"{path}, line {line}") for line, fields in rows(path)]


def rows(path: str | Path) -> list[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file with the number of the line (or list entry) that each stands on, from 1."""
    text = _text(Path(path))
    if text.lstrip("\ufeff \n\r\t").startswith("["):
        found = list(enumerate(_json(text, path, line=0), 1))
    else:
        found = [(n, _json(line, path, line=n)) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    for n, fields in found:
        if not isinstance(fields, dict):
            raise Problem(f"{path}, line {n} is not a JSON object.", got=repr(fields)[:80], do="Write one {...} a line.")
    return found


def parse(kind: type[R], fields: dict[str, Any], *, where: str) -> R:
    """One record from its fields; the error names the place and the field."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "record"
        do = f"Add or repair `{field}`; a {kind.__name__} has {', '.join(kind.model_fields)}."
        raise Problem(f"{where}, field `{field}`: {first['msg']}.", got=repr(first["input"])[:120], do=do) from None


def write(path: str | Path, records: Iterable[BaseModel]) -> Path:
    """Write records as JSONL, all or nothing."""
    return write_text(path, "".join(record.model_dump_json(exclude_defaults=True) + "\n" for record in records))


def write_json(path: str | Path, value: Any) -> Path:
    """Write one JSON value with sorted keys, all or nothing."""
    return write_text(path, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def write_text(path: str | Path, text: str) -> Path:
    """Write to a temporary name in the same folder and rename: the file exists only if it is whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        do = "Free some space or choose another folder; what was there before is untouched."
        raise Problem(f"{path} could not be written.", got=error.strerror, do=do) from None
    return path


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        do = "Check the path; relative paths start where the run was started."
        raise Problem("A file is not there.", got=path, do=do) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{path} could not be read.", got=error, do="It must be a readable UTF-8 text file.") from None


def _json(text: str, path: str | Path, *, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = line or error.lineno
        do = "Repair that line; every line is one complete JSON object."
        raise Problem(
            f"{path}, line {place} is not valid JSON: {error.msg}.", got=text[:120] if line else _line(text, place), do=do
        ) from None


def _line(text: str, number: int) -> str:
    return text.split("\n")[number - 1][:120]
