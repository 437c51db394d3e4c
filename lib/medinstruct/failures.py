"""Failures: an unexpected error becomes one message, and a log without secrets."""

import os
import platform
import re
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

import medinstruct
from medinstruct import models, paths
from medinstruct.errors import UserError

SECRET = re.compile("KEY|TOKEN|SECRET|PASS|PROXY", re.IGNORECASE)  # in a variable's name
LONGEST = 1000  # characters of an error on the screen


def unforeseen(
    error: Exception, what: str, *, folder: Path | None = None, words: str = "", kind: str = ""
) -> UserError:
    """Return one message about an error; its traceback and `words` are in a log in `folder`."""
    system = f"medinstruct {medinstruct.__version__}, Python {sys.version}, {platform.platform()}"
    parts = [system, " ".join(sys.argv), words, "".join(traceback.format_exception(error))]
    got = redacted("\n".join([f"{type(error).__name__}: {error}", *words.split("\n")[-2:-1]]))
    got = got if len(got) <= LONGEST else f"{got[:LONGEST]} …"
    log = _logged(redacted("\n\n".join(parts)), folder)
    do = f"{remedy(kind or type(error).__name__)} Then repeat the command. The log is {log}."
    return UserError(what, got=got, do=do)


def remedy(kind: str) -> str:
    """Return what to do about an unexpected error, by the name of its class."""
    table = paths.load("remedies")
    return table.get(kind, table["other"])


def redacted(text: str) -> str:
    """Replace the values of environment variables that hold secrets by the variables' names."""
    names = {"HF_TOKEN"}
    with suppress(Exception):  # of a table of models that cannot be read
        names |= {entry.key for entry in models.known().values()}
    for name, value in os.environ.items():
        if len(value.strip()) > 7 and (name in names or SECRET.search(name)):
            text = text.replace(value.strip(), f"<{name}>")
    return text


def _logged(text: str, folder: Path | None) -> Path | str:
    """Write the log and return its path, or a note where no folder can be written."""
    content = text.encode(errors="replace")
    with suppress(OSError):
        if folder and folder.is_dir():
            (folder / "error.log").write_bytes(content)
            return folder / "error.log"
    form = {"prefix": "medinstruct-", "suffix": ".log", "delete": False}
    with suppress(OSError), tempfile.NamedTemporaryFile(**form) as file:
        file.write(content)
        return file.name
    return "missing, since no folder can be written: add --debug to see it here"
