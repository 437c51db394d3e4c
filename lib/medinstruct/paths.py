"""Paths: the repository, its notebooks, a run's outputs, shipped data, user files and URLs."""

import hashlib
import json
import os
import re
import secrets
import tempfile
import time
import unicodedata
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from medinstruct import network
from medinstruct.errors import UserError

PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """Return the folder of `notebooks/` and `params/`: MEDINSTRUCT_HOME, repository, or above."""
    here = Path.cwd()
    home = Path(os.environ.get("MEDINSTRUCT_HOME") or PACKAGE.parent.parent).expanduser()
    for folder in (home, here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "params").is_dir():
            return folder
    return here


def outputs(run: str) -> Path:
    """Return the folder of a run, here or in `MEDINSTRUCT_OUTPUTS`; writing makes it.

    So that a run can move to any system, names that one of them cannot keep are refused on all, as
    are two that differ in case alone; composed and decomposed letters are the same.
    """
    rules, above = load("folders"), os.environ.get("MEDINSTRUCT_OUTPUTS") or str(root() / "outputs")
    if not re.fullmatch(rules["name"], run, re.IGNORECASE) or len(run.encode()) > rules["bytes"]:
        raise UserError("`run` must be a plain folder name.", got=repr(run), do=rules["other_name"])
    if "://" in above:
        what = "MEDINSTRUCT_OUTPUTS must be a folder, not an address."
        raise UserError(what, got=above, do=rules["no_address"])
    above, name, names = Path(above).expanduser(), unicodedata.normalize("NFC", run), {}
    with suppress(OSError):  # there is no run yet
        names = {unicodedata.normalize("NFC", known): known for known in os.listdir(above)}
    twin = next((twin for twin in names if twin.casefold() == name.casefold()), name)
    if name not in {twin, *names}:
        what = "There is a run of this name in other letters."
        raise UserError(what, got=run, do=rules["twin"].format(twin))
    return above / (run if run in names.values() else names.get(name, run))


def notebooks() -> list[Path]:
    """Return the source notebooks in order."""
    return sorted((root() / "notebooks").glob("[0-9]*.ipynb"))


def notebook(stem: str) -> Path:
    """Return the source of a notebook by its name, such as "03_filter_tasks"."""
    return root() / "notebooks" / f"{stem}.ipynb"


def cells(source: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook file; none if it does not exist."""
    return read_json(source).get("cells", [])


def metadata(source: Path) -> dict[str, Any]:
    """Return what a notebook says about itself: `does`, `reads`, `reads_if_there`, `writes`."""
    return read_json(source).get("metadata", {}).get("medinstruct", {})


def read_json(path: Path) -> Any:
    """Return the value in a JSON file; {} if the file does not exist."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig")) if path.exists() else {}
    except (OSError, ValueError) as error:
        do = "Restore it, or delete it and run its notebook again."
        raise UserError(f"{path} cannot be read as JSON.", got=error, do=do) from None


class _Profile(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a map; an error where a key is in it twice."""
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            name, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if first := lines.get(name):
                what = f"`{key.value}` is stated twice, first in line {first}: keep one of them"
                raise yaml.MarkedYAMLError(problem=what, problem_mark=key.start_mark)
            lines[name] = line
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, *, do: str) -> Any:
    """Return the value in a user's YAML file, UTF-8 or UTF-16; `do` is the remedy for bad YAML."""
    try:
        content = path.read_bytes()
        return yaml.load(content, _Profile)
    except yaml.reader.ReaderError as error:
        got = f"line {content[: error.position].count(10) + 1}: {error.reason}"
        raise UserError(f"{path} is not UTF-8 text.", got=got, do="Save it as UTF-8.") from None
    except yaml.MarkedYAMLError as error:
        got = f"line {error.problem_mark.line + 1}: {error.problem}"
        do = "Indent with blanks, not with tabs." if "\\t" in got else do
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as error:
        got = str(error)
    raise UserError(f"{path} is not valid YAML.", got=got, do=do)


def missing(path: str | Path) -> UserError:
    """Return the error for a file that is absent or empty; it names the notebook that writes it."""
    name = Path(path).name
    for source in notebooks():
        if name in (text.strip("/") for text in metadata(source).get("writes", [])):
            if Path(path).exists():
                do = "Its page lists what was set aside, and why: change what led to that."
                return UserError(f"Notebook {source.stem} left {name} empty.", got=path, do=do)
            what = f"Notebook {source.stem} writes {name}; run it first."
            do = "Or name in `read_from` a run that has the file."
            return UserError(what, got=f"no file {path}", do=do)
    do = "Check the path; relative paths start at the working directory or the repository."
    if "\\" in str(path) or not str(path).isprintable():
        do += load("folders")["backslash"]
    return UserError("The file does not exist.", got=path or "an empty path", do=do)


def data(name: str) -> Path:
    """Return a file or folder that ships with the package."""
    return PACKAGE / "data" / name


@cache
def load(name: str) -> Any:
    """Return the content of a YAML file that ships with the package, shared by all callers."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times as fast
    return yaml.load(data(f"{name}.yaml").read_text(encoding="utf-8"), Loader=loader)


def resolve(source: str) -> Path:
    """Return a user's file: relative to the working directory, else to the repository.

    A URL is downloaded once; it may end in `#sha256=` and 64 hex digits, then a file with another
    checksum is an error.
    """
    if source.startswith(("http://", "https://")):
        return _download(source)
    if path := find(source):
        return path
    raise missing(source)


def find(name: str | Path) -> Path | None:
    """Return a user's file or folder, or None; it may be written as ~/x, file:///x, or a\\b."""
    text = str(name)
    if text.startswith("file://"):
        text = urllib.request.url2pathname(urlsplit(text).path)
    text = os.path.expanduser(text)
    for base in (Path.cwd(), root()):
        for path in (base / text, base / text.replace("\\", "/")):
            if text.strip() and os.path.exists(path):
                return path
    return None


def is_downloaded(link: str) -> bool:
    """Return whether the file of a URL is in the download cache."""
    return bool(_cached(link.partition("#sha256=")[0])[1])


def cache_folder() -> Path:
    """Return the folder of downloads and converted models; `MEDINSTRUCT_CACHE` names another.

    It is a temporary one where the home folder cannot be written.
    """
    if named := os.environ.get("MEDINSTRUCT_CACHE"):
        return Path(named).expanduser()
    user = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "medinstruct")
    with suppress(OSError):
        if user.is_absolute():  # else there is no home
            user.mkdir(parents=True, exist_ok=True)
            return user
    return Path(tempfile.gettempdir(), f"medinstruct-{getattr(os, 'getuid', int)()}")


def other_caches() -> dict[str, str]:
    """Return variables that move caches of other packages here if the home folder takes none."""
    if os.access(os.path.expanduser("~"), os.W_OK):
        return {}
    places = {name: os.path.expanduser(place) for name, place in load("folders")["caches"].items()}
    new = [name for name in places if name not in os.environ and not os.path.exists(places[name])]
    return {name: str(cache_folder() / name.lower()) for name in new}


def _cached(url: str) -> tuple[str, list[Path]]:
    """Return how the name of a URL's file begins in the download cache, and the file if there."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    return digest, list(cache_folder().glob(f"{digest}-*"))


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn an error of the disk into one message, with the variable that names another folder."""
    try:
        yield
    except OSError as error:
        is_cache = Path(path).is_relative_to(cache_folder())
        name = "MEDINSTRUCT_CACHE" if is_cache else "MEDINSTRUCT_OUTPUTS"
        do = load("folders")["writing"].format(name)
        raise UserError(f"{path} could not be written.", got=error, do=do) from None


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write to a temporary file and rename it, so that the file is complete or absent."""
    path = Path(path)
    temporary = path.with_name(f".{path.name[:60]}.{secrets.token_hex(4)}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            _replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def _replace(source: Path, target: Path) -> None:
    """Rename a file over another; wait a second for a program of Windows that has it open."""
    for pause in (0.1, 0.3, 0.6):
        with suppress(PermissionError):
            return os.replace(source, target)
        time.sleep(pause)
    os.replace(source, target)


def _download(link: str) -> Path:
    url, _, pin = link.partition("#sha256=")
    digest, files = _cached(url)
    if not files:
        name, content = _fetch(url)
        files = [write_bytes(cache_folder() / f"{digest}-{name}", content)]
    checksum = hashlib.sha256(files[0].read_bytes()).hexdigest()
    if pin and checksum != pin:
        files[0].unlink()
        do = f"Expected {pin}: check the source."
        raise UserError(f"{url} is not the pinned file.", got=f"sha256 {checksum}", do=do)
    return files[0]


def _fetch(url: str) -> tuple[str, bytes]:
    """Return name and content of a file; its kind is that of the URL's path, else the server's."""
    response, header = network.fetch(url), Message()
    header["Content-Disposition"] = response.headers.get("content-disposition", "")
    content, places = response.content, [urlsplit(url).path, header.get_filename("")]
    name = next((Path(p).name for p in [*places, response.url.path] if Path(p).suffix), "file")
    got = f"{network.public(url)}: {response.status_code} {response.reason_phrase}"
    do = "Check the address and the network, or download the file and give its path."
    if not response.is_error and re.match(rb"\s*<(!doctype )?html", content[:500], re.IGNORECASE):
        got, do = f"{network.public(url)}: a web page", "Give the link that downloads the file: "
        do += "on GitHub with /raw/, on the Hugging Face hub with /resolve/ in place of /blob/."
    elif not response.is_error:
        return re.sub(r"[^\w.-]", "_", name)[-80:], content
    raise UserError("The file could not be downloaded.", got=got, do=do)
