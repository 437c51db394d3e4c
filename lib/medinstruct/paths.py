"""Where things are: the repository, a run's outputs, the shipped data, and what a user's path or URL means."""

import hashlib
import os
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from medinstruct.errors import UserError

PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """The folder that holds `notebooks/`: the repository of this package, else the nearest one above the working directory."""
    here = Path.cwd()
    for folder in (PACKAGE.parent.parent, here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "params").is_dir():
            return folder
    return here


def outputs(run: str) -> Path:
    """The folder of one run, made if missing; `MEDINSTRUCT_OUTPUTS` names another place for all runs."""
    if not run or Path(run).name != run:
        raise UserError(
            "`run` must be a plain folder name.", got=repr(run), do="For example run: demo."
        )
    folder = Path(os.environ.get("MEDINSTRUCT_OUTPUTS") or root() / "outputs") / run
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def data(name: str) -> Path:
    """A file or folder that ships with the package."""
    return PACKAGE / "data" / name


def resolve(text: str) -> Path:
    """The file a user means: relative to the working directory, else to the repository; a URL is fetched once.

    A URL may end in `#sha256=<64 hex digits>`; then a file that differs is refused.
    """
    if text.startswith(("http://", "https://")):
        return _fetched(text)
    for base in (Path.cwd(), root()):
        if (base / text).exists():
            return base / text
    do = "Check the path; relative paths start where the run was started, or at the repository."
    raise UserError("A file is not there.", got=text, do=do)


def fetched_before(link: str) -> bool:
    """Whether a URL's file is kept on this machine already."""
    return _kept(link.partition("#sha256=")[0]).exists()


def cache() -> Path:
    """Where fetched files are kept for all runs; `MEDINSTRUCT_CACHE` names another place."""
    return Path(os.environ.get("MEDINSTRUCT_CACHE") or Path.home() / ".cache" / "medinstruct")


def _kept(url: str) -> Path:
    return (
        cache() / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{Path(urlsplit(url).path).name}"
    )


def _fetched(link: str) -> Path:
    url, _, pin = link.partition("#sha256=")
    path = _kept(url)
    content = path.read_bytes() if path.exists() else _download(url)
    found = hashlib.sha256(content).hexdigest()
    if pin and found != pin:
        path.unlink(missing_ok=True)
        raise UserError(
            f"{url} is not the file that was pinned.",
            got=f"sha256 {found}",
            do=f"Expected {pin}: check the source.",
        )
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(content)
        temporary.replace(path)
    return path


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read()
    except OSError as error:
        do = "Check the address and the network, or download the file by hand and give its path."
        raise UserError("A file could not be fetched.", got=f"{url}: {error}", do=do) from None
