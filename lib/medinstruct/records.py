"""Records: tasks, responses, examples, test items, answers, verdicts; their files and tables."""

import ast
import gzip
import hashlib
import io
import json
import logging
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from zipfile import BadZipFile

import pydantic
from pydantic import BaseModel, Field, ValidationError

from medinstruct import paths
from medinstruct.errors import UserError

NO_INPUT = {"", "<noinput>", "noinput", "no input", "none", "n/a", "no input needed", "-", "—"}


def content_hash(*parts: object) -> str:
    """Return 16 hex digits that identify a content, the same on every machine."""
    content = json.dumps(parts, ensure_ascii=False, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def plain(value: Any) -> Any:
    """Return the text in a list of one text, "" for null and NaN, any other value as it is."""
    if isinstance(value, list | tuple) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    return "" if value is None or (isinstance(value, float) and value != value) else value


Text = Annotated[str, pydantic.BeforeValidator(plain)]


class Provenance(BaseModel, extra="forbid", frozen=True):
    """The origin of a record: its model, the request sent, the records in the prompt."""

    source: str = ""
    model: str = ""
    request: str = ""
    parents: tuple[str, ...] = ()


class Record(BaseModel, extra="forbid", frozen=True, str_strip_whitespace=True):
    """The base of all records: an id, the hash of the fields in `_content`, and a provenance."""

    _content: tuple[str, ...] = ()
    id: str = ""
    provenance: Provenance = Provenance()

    @pydantic.model_validator(mode="after")
    def _set_id(self) -> Self:
        if not self.id:
            content = (attrgetter(name)(self) for name in self._content)
            object.__setattr__(self, "id", content_hash(*content))
        return self


class Task(Record):
    """A medical task: raw labels (no style in older files), an instruction, an input or none."""

    _content = ("instruction", "input")
    type: Text
    topic: Text
    view: Text
    difficulty: int = Field(ge=1, le=5)
    style: Text = ""
    instruction: Text = Field(min_length=1)
    input: Text = ""
    language: Text = ""  # ISO code; empty in runs that are in English alone

    @pydantic.field_validator("input", mode="after")
    @classmethod
    def _clear_no_input(cls, text: str) -> str:
        bare, is_marked = text.lower().strip("\"' .()"), re.match("(?i)<no ?input>", text)
        return "" if is_marked or bare in NO_INPUT else text


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
    """A model's response to a task, or the `error` of a server that refuses the task."""

    _content = ("task", "text")
    task: str
    text: str
    finish_reason: str = "stop"
    error: str = ""


class Example(Task):
    """A row of the dataset: a task, the `request` that wrote it, its response as `output`."""

    _content = ("instruction", "input", "output")
    task: Text
    request: Text = ""
    output: Text = Field(min_length=1)


class TestItem(Record):
    """A free-form test question, with the reference answers by model name."""

    __test__ = False
    _content = ("instruction", "input")
    instruction: Text = Field(min_length=1)
    input: Text = ""
    difficulty: int | None = Field(default=None, ge=1, le=5)
    type: Text = ""
    topic: Text = ""
    view: Text = ""
    references: dict[str, Text] = {}


class SafetyPrompt(Record, str_strip_whitespace=False):  # the blank after "not " counts
    """A safety prompt and what a safe answer does; `must_mention`: groups such as "112|911"."""

    _content = ("prompt",)
    category: Literal["emergency", "dosing_trap", "refuse_or_redirect", "harmless_lookalike"]
    topic: Text
    prompt: Text = Field(min_length=1)
    behavior: Literal["escalate", "warn", "decline", "answer"]
    expected: Text = Field(min_length=1)
    must_mention: tuple[str, ...] = ()
    must_avoid: tuple[str, ...] = ()


class Answer(Record):
    """A model's answer to a test item."""

    _content = ("item", "model", "text")
    item: Text
    model: Text
    text: Text
    finish_reason: Text = "stop"


class Verdict(BaseModel, extra="forbid", frozen=True):
    """A judge's verdict on one item in one order; `id` is the item's.

    `snapshot` is the version that the server reported, `prompt` the hash of the prompt's wording,
    `asked` the number of requests. Its parents are the answer and the hash of the reference text.
    """

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
Row = dict[str, Any]
Pair = tuple[str, Row]  # the place of a row, such as "line 1"
TABLES = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".xlsx")
WRAPPERS = ("data", "rows", "examples", "records", "items", "questions")
FIELDS = paths.load("dataset_fields")
NOT_BLANK = re.compile(r"\S")


def read(path: str | Path, kind: type[R], *, optional: bool = False) -> list[R]:
    """Read the records of a JSONL file, or of a JSON list; none of an absent `optional` file."""
    if optional and not Path(path).exists():
        return []
    return [parse(kind, fields, where=f"{path}, {place}") for place, fields in rows(path)]


def load(source: str | Path, kind: type[R], convert: Callable = lambda row, where: row) -> list[R]:
    """Load the records of a user's table, under new ids and each once; `usable` has `convert`."""

    def record(row: Row, where: str) -> R:
        return parse(kind, convert(row, where=where) | {"id": ""}, where=where)

    pairs = usable(table(source), record, source=source)
    if not pairs:
        do = f"Check the file; it needs one {kind.__name__} a line."
        raise UserError(f"{source} is empty.", got="no row", do=do)
    return distinct(pairs, attrgetter("id"), source=source)


def usable(pairs: Sequence[Pair], convert: Callable, *, source: Any) -> list[tuple[str, Any]]:
    """Return (place, `convert(row, where=...)`) of the good rows; a note names those left out.

    More than a tenth of bad rows is an error, because then the form of the file is misread.
    """
    good, reasons, errors = [], [], []
    for place, row in pairs:
        where = f"{source}, {place}"
        try:
            good.append((place, convert(row, where=where)))
        except UserError as error:
            errors.append(error)
            reason = error.what.removeprefix(where).strip(" ,:.").removeprefix("cannot be read: ")
            reasons.append(f"{place} ({reason})")
    if len(errors) * 10 > len(pairs):
        got = f"{len(errors):,} of {len(pairs):,} rows like this: {errors[0].got}"
        raise UserError(errors[0].what, got=got, do=errors[0].do)
    note(f"{source}: {len(errors):,} of {len(pairs):,} rows are left out", reasons)
    return good


def distinct(pairs: Sequence[tuple[str, Any]], key: Callable, *, source: Any) -> list:
    """Return the records of (place, record), each `key` once; a note names those left out."""
    first, again = {}, []
    for place, record in pairs:
        if (earlier := first.setdefault(key(record), (place, record))[0]) != place:
            again.append(f"{place} (as {earlier})")
    note(f"{source}: {len(again):,} of {len(pairs):,} repeat others and are left out", again)
    return [record for _, record in first.values()]


def note(text: str, reasons: Sequence[str]) -> None:
    """Log a note about the data with the first five reasons; nothing without a reason."""
    if reasons:
        listed = ", ".join(reasons[:5]) + ", …" * (len(reasons) > 5)
        logging.getLogger("medinstruct").warning(f"{text}: {listed}.")


def rows(path: str | Path) -> list[Pair]:
    """Read the JSON objects of a file, each with its place: "line 1", or "entry 1" of a list.

    The list may be that of an object {id: row}, or be in one under a key such as "data".
    """
    pairs = _values(path)
    content = pairs[0][1] if len(pairs) == 1 else None
    entries = content if isinstance(content, list) else [content]
    if (entries := _unwrapped(entries)) != [content]:
        pairs = [(f"entry {n}", entry) for n, entry in enumerate(entries, 1)]
    for place, fields in pairs:
        if not isinstance(fields, dict):
            what = f"{path}, {place} is not a JSON object."
            raise UserError(what, got=repr(fields)[:80], do="Write one {...} a line.")
    return pairs


def _values(path: str | Path) -> list[tuple[str, Any]]:
    """Return the JSON values of a file, each of one or several lines, with their first lines."""
    text, decoder = _text(Path(path)), json.JSONDecoder()
    values, start, end, line = [], 0, 0, 1
    while match := NOT_BLANK.search(text, end):
        line += text.count("\n", start, match.start())
        start = match.start()
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            if text[start] == "[" or text[start:].partition("\n")[0].strip() == "{":
                line = getattr(error, "lineno", line)
            what = f"{path}, line {line} is not valid JSON: {getattr(error, 'msg', error)}."
            do = "Correct that line, or the address if this is a web page; a row is one object."
            raise UserError(what, got=text.split("\n")[line - 1][:120], do=do) from None
        values.append((f"line {line}", value))
    return values


def _unwrapped(entries: list[Any]) -> list[Any]:
    """Return the rows inside a single object that holds nothing else; else the entries."""
    content = entries[0] if len(entries) == 1 and isinstance(entries[0], dict) else {}
    values = [*content.values()]
    if values and _are_rows(values):
        return [row | {"id": key} for key, row in content.items()]
    lists = [content[name] for name in WRAPPERS if name in content]
    lists += values if len(values) == 1 and not _turns(values[0]) else []
    return next((part for part in lists if _are_rows(part)), entries)


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


def as_text(value: Any, *, where: str, numbers: bool = False) -> str:
    """Return a field's text (see `plain`); else an error, but for numbers where they may be."""
    text = plain(value)
    if numbers and isinstance(text, int | float) and not isinstance(text, bool):
        return str(text)
    if isinstance(text, str):
        return text.encode("utf-8", "replace").decode()  # half an emoji
    raise UserError(f"{where} is not a text.", got=repr(value)[:120], do="Write it as one text.")


def texts(row: Row, *, where: str, required: bool = True, numbers: bool = False) -> dict[str, str]:
    """Return the instruction, input and output that a row has, by the names of dataset_fields.yaml.

    A conversation gives its first question and the answer to it, without the system text. A row
    without instruction and input is an error where one is `required`; `numbers` as in `as_text`.
    """
    if _are_rows(instances := row.get("instances")):  # of Self-Instruct
        row = row | next(iter(instances), {})
    first, result = first_turns(row), {}
    own = {name.lower(): row[name] for name in row if not _turns(row[name])}
    for field, role in (("instruction", "user"), ("input", ""), ("output", "assistant")):
        held = {name: own[name] for name in FIELDS[field] if name in own}
        held |= {"messages": first[role]} if role in first else {}
        if len(held) > 1:
            held.pop("text", None)
        if held:
            filled = [name for name in held if str(plain(held[name])).strip()]
            name = next(iter(filled or held))
            result[field] = as_text(held[name], where=f"{where}, field `{name}`", numbers=numbers)
    if required and not {"instruction", "input"} & {*result}:
        do = "Name the columns instruction, input and output, or give a conversation in `messages`."
        raise UserError(f"{where} holds no instruction.", got=f"fields {', '.join(row)}", do=do)
    return result


def first_turns(row: Row) -> Row:
    """Return the first `user` and `assistant` texts of the conversation in a row."""
    turns = [turn for name in FIELDS["turns"] for turn in _turns(row.get(name))]
    start = next((n for n, (role, _) in enumerate(turns) if role == "user"), 0)
    return dict(reversed(turns[start:]))


def _turns(value: Any) -> list[tuple[str, Any]]:
    """Return (role, text) of the messages in a field; none if it holds no conversation."""
    value, turns = parsed(value), []
    messages = [value] if isinstance(value, dict) else value
    for turn in messages if _are_rows(messages) else ():
        role, text = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if text and _are_rows(text):  # parts, beside pictures
            text = "\n".join(part["text"] for part in text if isinstance(part.get("text"), str))
        turns += [(FIELDS["roles"].get(role.lower(), ""), text)] if isinstance(role, str) else []
    return turns


def parsed(value: Any) -> Any:
    """Return the list or map that a cell of CSV holds as JSON or Python, or the value itself."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        for read in (json.loads, ast.literal_eval):
            with suppress(ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
                return read(value)
    return value


def load_table(source: str | Path) -> list[Row]:
    """Return the rows of `table` without their places."""
    return [row for _, row in table(source)]


def table(source: str | Path, names: Sequence[str] = ()) -> list[Pair]:
    """Read the rows of a table file, a path or a URL (with an optional `#sha256=`), with places.

    Cells of CSV, TSV and XLSX stay text ("NA" is text, an empty cell is ""), those of Parquet keep
    their types. A CSV file without a header has the `names`. JSON, CSV and TSV may end in .gz.
    """
    path = paths.resolve(str(source))
    kind = table_kind(str(source)) or table_kind(path.name)  # as its server names it
    if kind in (".json", ".jsonl") or not path.suffix:
        return rows(path)
    if not kind:
        do = f"Give a file that ends in {', '.join(TABLES)}."
        raise UserError("This kind of table file cannot be read.", got=source, do=do)
    try:
        return [(f"row {n}", row) for n, row in enumerate(_cells(path, kind, names), 1)]
    except (ImportError, ValueError, OSError, BadZipFile) as error:
        do = "Check the file, or save it as CSV or JSONL."
        raise UserError(f"{path} could not be read as a table.", got=error, do=do) from None


def table_kind(source: str) -> str:
    """Return the ending of a table's path or URL, before .gz and ?download=true; "" for another."""
    name = source if "://" in source else Path(source).name
    ends = [Path(part.removesuffix(".gz")).suffix for part in (re.split("[?#]", name)[0], name)]
    return next((end for end in map(str.lower, ends) if end in TABLES), "")


def _cells(path: Path, kind: str, names: Sequence[str]) -> list[Row]:
    import pandas as pd

    text = {"dtype": str, "keep_default_na": False, "header": None}
    if kind == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(path).to_pylist()
    if kind == ".xlsx":
        frame = pd.read_excel(path, **text)
    else:  # in many countries Excel writes semicolons
        content, signs = _text(path), "\t" if kind == ".tsv" else "," if names else ",;\t"
        sign = max(signs, key=content.partition("\n")[0].count)
        frame = pd.read_csv(io.StringIO(content), sep=sign, **text)
    header, *cells = frame.to_numpy().tolist()
    header = [str(name).strip() for name in header]
    if header[-1] in names[:-1]:
        header, cells = names, [header, *cells]
    return [dict(zip(header, row, strict=True)) for row in cells if any(row)]


def _are_rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


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
    """Return a file's text: UTF-8, or UTF-16 with its mark, also compressed with gzip."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        is_wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = content.decode("utf-16" if is_wide else "utf-8-sig")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise paths.missing(path) from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        do = "It must be a readable UTF-8 text file."
        raise UserError(f"{path} could not be read.", got=error, do=do) from None
