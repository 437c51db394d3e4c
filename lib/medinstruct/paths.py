"""Paths: the repository, its notebooks, a run's outputs, shipped data, user files and URLs."""

import difflib
import hashlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

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
    """Return the folder of a run, with a name that every system allows; writing creates it."""
    rules, above = load("folders"), os.environ.get("MEDINSTRUCT_OUTPUTS") or str(root() / "outputs")
    if not re.fullmatch(rules["name"], run, re.IGNORECASE) or len(run.encode()) > rules["bytes"]:
        raise UserError("`run` must be a plain folder name.", got=repr(run), do=rules["other_name"])
    if "://" in above:
        what = "MEDINSTRUCT_OUTPUTS must be a folder, not an address."
        raise UserError(what, got=above, do=rules["no_address"])
    return Path(above).expanduser() / run


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


def read_yaml(path: Path, *, do: str) -> Any:
    """Return the value in a user's YAML file, UTF-8 or UTF-16; `do` is the remedy for bad YAML."""
    try:
        content = path.read_bytes()
        return yaml.safe_load(content)
    except yaml.reader.ReaderError as error:
        got = f"line {content[: error.position].count(10) + 1}: {error.reason}"
        raise UserError(f"{path} is not UTF-8 text.", got=got, do="Save it as UTF-8.") from None
    except yaml.MarkedYAMLError as error:
        got = f"line {error.problem_mark.line + 1}: {error.problem}"
        do = "Indent with blanks, not with tabs." if "\\t" in got else do
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as error:
        got = str(error)
    raise UserError(f"{path} is not valid YAML.", got=got, do=do)


def no_run(name: str | Path, what: str = "There is no such run.", *, do: str = "") -> UserError:
    """Return the error for the name of a run that does not exist, with those that do."""
    runs = sorted(file.parent.name for file in outputs("demo").parent.glob("*/manifest.json"))
    near = difflib.get_close_matches(str(name), runs, n=1)
    known = f"Did you mean {near[0]}?" if near else f"Runs here: {', '.join(runs) or 'none'}."
    return UserError(what, got=name, do=f"{known} {do}".strip())


def missing(path: str | Path, *, run: str = "", do: str = "") -> UserError:
    """Return the error for a file that is absent or empty; it names the notebook that writes it.

    With `run` it names the command too.
    """
    path = Path(path)
    for source in notebooks():
        if path.name in (text.strip("/") for text in metadata(source).get("writes", [])):
            if path.exists():
                do = "Its page lists what was set aside, and why: change what led to that."
                return UserError(f"Notebook {source.stem} left {path.name} empty.", got=path, do=do)
            what = f"Notebook {source.stem} writes {path.name}; run it first."
            call = f'Call `medinstruct run PROFILE {source.stem[:2]} --set "run={run}"`. '
            do = (call * bool(run) + do).strip() or "Or correct the path."
            return UserError(what, got=f"no file {path}", do=do)
    do = "Check the path; relative paths start at the working directory or the repository."
    if "\\" in str(path) or not str(path).isprintable():
        do += load("folders")["backslash"]
    return UserError("The file does not exist.", got=path if path.name else "an empty path", do=do)


def data(name: str) -> Path:
    """Return a file or folder that ships with the package."""
    return PACKAGE / "data" / name


@cache
def load(name: str) -> Any:
    """Return the content of a YAML file that ships with the package, shared by all callers."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times as fast
    return yaml.load(data(f"{name}.yaml").read_text(encoding="utf-8"), Loader=loader)


def resolve(source: str) -> Path:
    """Return a user's file by its path or URL, after which `#sha256=` may state its checksum."""
    if source.startswith(("http://", "https://")):
        return _download(source)
    if path := find(source):
        return path
    raise missing(source)


def find(name: str | Path) -> Path | None:
    """Return a user's file or folder, or None; it may be written as ~/x or a\\b."""
    text = os.path.expanduser(str(name))
    forms, bases = (text, text.replace("\\", "/")), (Path.cwd(), root())
    places = [base / form for base in bases for form in forms if text.strip()]
    return next(filter(os.path.exists, places), None)


def downloaded(url: str) -> Path | None:
    """Return the file of a URL in the download cache, or None."""
    return next(cache_folder().glob(f"{_digest(url)}-*"), None)


def cache_folder() -> Path:
    """Return the folder of downloads and converted models: MEDINSTRUCT_CACHE, home, temporary."""
    if named := os.environ.get("MEDINSTRUCT_CACHE"):
        return Path(named).expanduser()
    with suppress(OSError, RuntimeError):  # there is no home
        user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "medinstruct").expanduser()
        user.mkdir(parents=True, exist_ok=True)
        return user
    return Path(tempfile.gettempdir(), f"medinstruct-{getattr(os, 'getuid', int)()}")


def other_caches() -> dict[str, str]:
    """Return variables that move caches of other packages here if the home folder takes none."""
    if os.access(os.path.expanduser("~"), os.W_OK):
        return {}
    return {
        name: str(cache_folder() / name.lower())
        for name, place in load("folders")["caches"].items()
        if name not in os.environ and not os.path.exists(os.path.expanduser(place))
    }


def _digest(url: str) -> str:
    return hashlib.sha256(url.partition("#sha256=")[0].encode()).hexdigest()[:16]


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
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def _download(link: str) -> Path:
    url, _, pin = link.partition("#sha256=")
    if not (file := downloaded(url)):
        name, content = _fetch(url)
        file = write_bytes(cache_folder() / f"{_digest(url)}-{name}", content)
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    if pin and checksum != pin:
        file.unlink()
        do = f"Expected {pin}: check the source."
        raise UserError(f"{url} is not the pinned file.", got=f"sha256 {checksum}", do=do)
    return file


def _fetch(url: str) -> tuple[str, bytes]:
    """Return name and content of a file; its kind is that of the URL's path, else the server's."""
    from email.message import Message

    from medinstruct import network  # a tenth of a second

    response, header = network.fetch(url), Message()
    header["Content-Disposition"] = response.headers.get("content-disposition", "")
    content, places = response.content, [urlsplit(url).path, header.get_filename("")]
    name = next((Path(p).name for p in [*places, response.url.path] if Path(p).suffix), "file")
    got = f"{network.public(url)}: {response.status_code} {response.reason_phrase}"
    do = "Check the address and the network, or download the file and give its path."
    if not response.is_error and re.match(rb"\s*<(!doctype )?html", content[:500], re.IGNORECASE):
        got, do = f"{network.public(url)}: a web page", "Give the link that downloads the file: "
        do += "on GitHub with /raw/, on Hugging Face with /resolve/, instead of /blob/."
    elif not response.is_error:
        return re.sub(r"[^\w.-]", "_", name)[-80:], content
    raise UserError("The file could not be downloaded.", got=got, do=do)
