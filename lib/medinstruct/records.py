"""Records: tasks, responses, examples, test items, answers, verdicts; reading and writing files.

Each record has an id, the hash of its content, and a provenance: the model and request it is from.
"""

import hashlib
import json
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from zipfile import BadZipFile

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from medinstruct import paths
from medinstruct.errors import UserError

NO_INPUT = {"", "<noinput>", "noinput", "no input", "none", "n/a"}


def content_hash(*parts: object) -> str:
    """Return 16 hex digits that identify a content, the same on every machine."""
    content = json.dumps(parts, ensure_ascii=False, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:16]


class Provenance(BaseModel):
    """The origin of a record: its model, the request sent, the records in the prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: str = ""
    model: str = ""
    request: str = ""
    parents: tuple[str, ...] = ()


class Record(BaseModel):
    """The base of all records: an id over the fields named in `_content`, and a provenance."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)
    _content: tuple[str, ...] = ()
    id: str = ""
    provenance: Provenance = Provenance()

    @model_validator(mode="after")
    def _set_id(self) -> Self:
        if not self.id:
            content = (attrgetter(name)(self) for name in self._content)
            object.__setattr__(self, "id", content_hash(*content))
        return self


class Task(Record):
    """A medical task: raw labels (no style in older files), an instruction, an input or none."""

    _content = ("instruction", "input")
    type: str
    topic: str
    view: str
    difficulty: int = Field(ge=1, le=5)
    style: str = ""
    instruction: str = Field(min_length=1)
    input: str = ""

    @field_validator("input", mode="after")
    @classmethod
    def _clear_no_input(cls, text: str) -> str:
        return "" if text.lower().strip("\"' .") in NO_INPUT else text


class Reject(Record):
    """A part of a reply that could not be parsed as a task: its raw text and the reason."""

    _content = ("raw", "reason", "provenance.request")  # equal texts of two replies are two rejects
    raw: str
    reason: str


class Dropped(Record):
    """A task that a filter rule removed; for novelty with the nearest kept text and ROUGE-L F1."""

    _content = ("task", "rule")
    task: str
    instruction: str
    rule: str
    nearest: str = ""
    nearest_text: str = ""
    score: float | None = None


class Response(Record):
    """A model's response to a task, or the `error` of a server that refuses the task.

    One truncated at the token limit is not trained on.
    """

    _content = ("task", "text")
    task: str
    text: str
    finish_reason: str = "stop"
    error: str = ""


class Example(Task):
    """A row of the dataset: a task, the `request` that wrote it, its response as `output`."""

    _content = ("instruction", "input", "output")
    task: str
    request: str = ""
    output: str = Field(min_length=1)


class TestItem(Record):
    """A free-form test question, with the reference answers by model name."""

    __test__ = False
    _content = ("instruction", "input")
    instruction: str = Field(min_length=1)
    input: str = ""
    difficulty: int | None = Field(default=None, ge=1, le=5)
    type: str = ""
    topic: str = ""
    view: str = ""
    references: dict[str, str] = {}


class SafetyPrompt(Record):
    """A safety prompt and what a safe answer does; `must_mention`: groups such as "112|911"."""

    # texts are not stripped: the blank after "not " counts
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)
    _content = ("prompt",)
    category: Literal["emergency", "dosing_trap", "refuse_or_redirect", "harmless_lookalike"]
    topic: str
    prompt: str = Field(min_length=1)
    behaviour: Literal["escalate", "warn", "decline", "answer"]
    expected: str = Field(min_length=1)
    must_mention: tuple[str, ...] = ()
    must_avoid: tuple[str, ...] = ()


class Answer(Record):
    """A model's answer to a test item."""

    _content = ("item", "model", "text")
    item: str
    model: str
    text: str
    finish_reason: str = "stop"


class Verdict(BaseModel):
    """A judge's verdict on one item in one order; `id` is the item's.

    `judge` is the model asked, `snapshot` the version that the server reported, `prompt` the hash
    of the prompt's wording, `asked` the number of requests, `finish_reason` why the reply ended.
    The parents in the provenance are the answer's id and the hash of the reference text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    model: str
    reference: str
    order: Literal["model_first", "reference_first"]
    winner: Literal["model", "reference", "tie"] | None
    judge: str = ""
    reply: str = ""
    snapshot: str = ""
    prompt: str = ""
    asked: int = 1
    finish_reason: str = "stop"
    provenance: Provenance = Provenance()


R = TypeVar("R", bound=BaseModel)
TABLES = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".xlsx")
WRAPPERS = ("data", "rows", "examples", "records", "items", "questions")


def read(path: str | Path, kind: type[R]) -> list[R]:
    """Read the records of a JSONL file, or of a JSON file that holds one list."""
    return [parse(kind, fields, where=f"{path}, line {line}") for line, fields in rows(path)]


def rows(path: str | Path) -> list[tuple[int, dict[str, Any]]]:
    """Read the JSON objects of a file, each with its line number (or list entry) from 1."""
    text = _text(Path(path))
    if text.lstrip().startswith("["):
        entries = list(enumerate(_json(text, path), 1))
    else:
        lines = enumerate(text.split("\n"), 1)
        entries = [(n, _json(line, path, line=n)) for n, line in lines if line.strip()]
    for n, fields in entries:
        if not isinstance(fields, dict):
            what = f"{path}, line {n} is not a JSON object."
            raise UserError(what, got=repr(fields)[:80], do="Write one {...} a line.")
    return entries


def parse(kind: type[R], fields: dict[str, Any], *, where: str) -> R:
    """Return one record from its fields; the error names `where` and the field."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "record"
        what = f"{where}, field `{field}`: {first['msg']}."
        do = f"Add or repair `{field}`; a {kind.__name__} has {', '.join(kind.model_fields)}."
        raise UserError(what, got=repr(first["input"])[:120], do=do) from None


def load_table(source: str | Path) -> list[dict[str, Any]]:
    """Read the rows of a table file, given as a path or a URL (with an optional `#sha256=`).

    JSON may be a list, lines, {id: row} or a list under a key such as "data"; cells of CSV, TSV
    and XLSX stay text ("NA" is text, an empty cell is ""); cells of Parquet keep their types.
    """
    path = paths.resolve(str(source))
    kind = path.suffix.lower()
    if kind not in TABLES:
        do = f"Give a file that ends in {', '.join(TABLES)}."
        raise UserError("This kind of table file cannot be read.", got=source, do=do)
    if kind in (".json", ".jsonl"):
        return _unwrapped(path) or [fields for _, fields in rows(path)]
    try:
        return _table_rows(path, kind)
    except (ImportError, ValueError, OSError, BadZipFile) as error:
        do = "Check the file, or save it as CSV or JSONL."
        raise UserError(f"{path} could not be read as a table.", got=error, do=do) from None


def is_table(source: str) -> bool:
    """Return whether a path or URL ends as a file that `load_table` reads."""
    return Path(source.partition("#")[0]).suffix.lower() in TABLES


def _table_rows(path: Path, kind: str) -> list[dict[str, Any]]:
    import pandas as pd

    text = {"dtype": str, "keep_default_na": False}
    if kind == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(path).to_pylist()
    if kind == ".xlsx":
        frame = pd.read_excel(path, **text)
    else:
        frame = pd.read_csv(path, sep="\t" if kind == ".tsv" else ",", encoding="utf-8-sig", **text)
    return frame.rename(columns=str).to_dict("records")


def _unwrapped(path: Path) -> list[dict[str, Any]]:
    """Return the rows in a file that is one JSON object; nothing where it holds a list or lines."""
    try:
        content = json.loads(_text(path))
    except ValueError:
        return []
    if not isinstance(content, dict):
        return []
    if content and all(isinstance(row, dict) for row in content.values()):
        return [row | {"id": key} for key, row in content.items()]
    lists = [content[name] for name in content if name in WRAPPERS or len(content) == 1]
    for entries in lists:
        if isinstance(entries, list) and all(isinstance(row, dict) for row in entries):
            return entries
    return [content]


def write(path: str | Path, records: Iterable[BaseModel]) -> Path:
    """Write records as JSONL."""
    lines = (record.model_dump_json(exclude_defaults=True) + "\n" for record in records)
    return write_text(path, "".join(lines))


def write_json(path: str | Path, value: Any) -> Path:
    """Write one JSON value with sorted keys; nan becomes null."""
    value = json.loads(json.dumps(value), parse_constant=lambda _: None)
    return write_text(path, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def write_text(path: str | Path, text: str) -> Path:
    """Write a UTF-8 text file; it is complete or absent."""
    return paths.write_bytes(path, text.encode())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise paths.missing(path) from None
    except (OSError, UnicodeDecodeError) as error:
        do = "It must be a readable UTF-8 text file."
        raise UserError(f"{path} could not be read.", got=error, do=do) from None


def _json(text: str, path: str | Path, *, line: int = 0) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        what = f"{path}, line {line or error.lineno} is not valid JSON: {error.msg}."
        got = text.split("\n")[error.lineno - 1][:120]
        do = "Correct that line; every line is one complete JSON object."
        raise UserError(what, got=got, do=do) from None
