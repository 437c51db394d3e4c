"""Database: open SQLite files on any disk, beside other kernels, or only to read them."""

import logging
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from medinstruct import paths
from medinstruct.errors import UserError

FORM = {"isolation_level": None, "check_same_thread": False}
TIMEOUT = 60  # seconds to wait for another kernel that writes
READ = "SELECT name FROM sqlite_master"
# An exclusive lock needs no memory that kernels share: it can read a log, and end it.
END_LOG = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=DELETE; PRAGMA locking_mode=NORMAL"


def connect(path: str | Path, *, log: bool = False) -> sqlite3.Connection:
    """Open a database, else to read it, or create it: with a log if `log` and the disk can."""
    if str(path) == ":memory:":
        return sqlite3.connect(path, **FORM)
    path = Path(os.path.realpath(path))  # a journal is beside the file, not beside a link to it
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _open(path, "mode=rwc", log=log)
    except sqlite3.OperationalError as error:
        kinds = paths.load("database")
        ways = [END_LOG, ""] if kind(error) in kinds["without_log"] else []
        for script in ways * (1 if kind(error) in kinds["only_read"] else 5):
            with suppress(sqlite3.OperationalError):  # another kernel may be ending the log
                base = _open(path, "mode=rw", script, wait=1)
                if base.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    _note_no_log(path)
                return base
            time.sleep(0.1 * random.random())
        if kind(error) in kinds["only_read"] and path.exists():
            return read(path)
        raise


def read(path: str | Path) -> sqlite3.Connection:
    """Open a database to read it; nothing is written to it or beside it.

    It is read without locks (immutable) if it has a log that no kernel has open, or cannot be
    locked and no kernel writes to it.
    """
    path = Path(os.path.realpath(path))
    with clear_errors(f"{path} cannot be read."):
        with path.open("rb") as file:
            has_log = file.read(20)[18:] == b"\2\2"
        if os.path.exists(f"{path}-wal") or os.path.exists(f"{path}-journal"):
            return _open(path, "mode=ro")
        with suppress(sqlite3.OperationalError):
            return _open(path, "mode=ro" + "&immutable=1" * has_log)
        return _open(path, "mode=ro&immutable=1")


def kind(error: Exception) -> str:
    """Return the kind of an error of SQLite, such as "FULL", or "" for another error."""
    return getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_").partition("_")[0]


@contextmanager
def clear_errors(what: str) -> Iterator[None]:
    """Turn an error of SQLite or of the disk into one message, with what to do about its kind."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        remedies = paths.load("database")["remedies"]
        usual = remedies["NOTADB" if type(error) is sqlite3.DatabaseError else "FULL"]
        raise UserError(what, got=error, do=remedies.get(kind(error), usual)) from None


def _open(path: Path, mode: str, script: str = "", *, log=False, wait=0) -> sqlite3.Connection:
    """Return a connection that has read and locked the file once: errors appear only then.

    `wait` is the number of seconds that this may take, if not TIMEOUT.
    """
    name = path.as_posix()
    name = quote(os.fsencode(name if name[0] == "/" else f"/{name}"), "/:")  # Windows: C:/
    base = sqlite3.connect(f"file://{name}?{mode}", timeout=wait or TIMEOUT, uri=True, **FORM)
    try:
        base.executescript(script)
        if not base.execute(READ).fetchall() and log:
            if _takes_log(path.parent):
                with suppress(sqlite3.OperationalError):  # another kernel is switching it
                    base.execute("PRAGMA journal_mode=WAL")
            else:
                _note_no_log(path)
        if "mode=rw" in mode:
            base.executescript(f"BEGIN IMMEDIATE; ROLLBACK; PRAGMA busy_timeout={TIMEOUT * 1000}")
    except BaseException:
        base.close()
        raise
    return base


def _takes_log(folder: Path) -> bool:
    """Return whether kernels share memory on a disk, tried on a file that no other one opens."""
    try:
        with TemporaryDirectory(prefix=".log-", dir=folder) as trial:
            base = sqlite3.connect(Path(trial) / "trial.sqlite", **FORM)
            with closing(base):
                base.executescript("PRAGMA journal_mode=WAL; BEGIN IMMEDIATE; ROLLBACK")
    except (sqlite3.OperationalError, OSError) as error:  # the file itself shows any other fault
        return kind(error) not in paths.load("database")["without_log"]
    return True


def _note_no_log(path: Path) -> None:
    note = f"The disk of {path.name} takes no write-ahead log; it is kept without one."
    logging.getLogger("medinstruct").warning(note)
