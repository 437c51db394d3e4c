"""The file behind the votes: how it is laid out, that rows are only added, and how older files are brought up to date."""

import secrets
import sqlite3
from pathlib import Path

from medinstruct.errors import UserError
from medinstruct.llm.cache import share

VERSION = 2
OURS = 0x4D495256  # "MIRV" in the header of the file, so that a database of something else is not taken for ours
PATIENCE = 30.0  # seconds that one kernel waits for another
VOTES = """
CREATE TABLE votes (
  id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, at REAL NOT NULL, reviewer TEXT NOT NULL,
  role TEXT NOT NULL DEFAULT 'reviewer', kind TEXT NOT NULL, item TEXT NOT NULL, hash TEXT NOT NULL, action TEXT NOT NULL,
  correctness INTEGER, helpfulness INTEGER, harm INTEGER, comment TEXT NOT NULL DEFAULT '', edit TEXT NOT NULL DEFAULT '{}',
  sides TEXT NOT NULL DEFAULT '{}', seconds REAL, undoes TEXT UNIQUE)
"""
KEPT = (
    "CREATE TRIGGER votes_stay BEFORE DELETE ON votes BEGIN SELECT RAISE(ABORT, 'votes are never deleted'); END",
    "CREATE TRIGGER votes_keep BEFORE UPDATE ON votes BEGIN SELECT RAISE(ABORT, 'votes are never changed'); END",
    "CREATE INDEX votes_by_kind ON votes (kind, reviewer)",
)
ADDED = {
    "role": "TEXT NOT NULL DEFAULT 'reviewer'",
    "sides": "TEXT NOT NULL DEFAULT '{}'",
    "seconds": "REAL",
}  # in version 2


def opened(path: Path, *, salt: str = "") -> sqlite3.Connection:
    """A connection to a file of votes, made or brought up to date; waits for others, and has written when a statement returns.

    A new file gets `salt`, or a random one.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(
            path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )
        base.execute("PRAGMA busy_timeout = " + str(int(PATIENCE * 1000)))
        share(base, patience=PATIENCE)
        base.execute("PRAGMA synchronous = FULL")
        _settle(base, path, salt or secrets.token_hex(16))
    except (sqlite3.Error, OSError) as error:
        do = "Name another file, or move this one away; nothing in it was changed."
        raise UserError(f"The review database {path} cannot be used.", got=error, do=do) from None
    return base


def _settle(base: sqlite3.Connection, path: Path, salt: str) -> None:
    """Make what is missing, all or nothing; one kernel does it while the other waits."""
    base.execute("BEGIN IMMEDIATE")
    try:
        version, mark = (
            base.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("user_version", "application_id")
        )
        tables = {
            row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        if version > VERSION or (tables and mark != OURS):
            base.execute("ROLLBACK")
            base.close()
            raise _foreign(path, version, mark)
        if not tables:
            _make(base, salt)
        elif version < VERSION:
            _upgrade(base)
        base.execute(f"PRAGMA user_version = {VERSION}")
        base.execute(f"PRAGMA application_id = {OURS}")
        base.execute("COMMIT")
    except sqlite3.Error:
        base.execute("ROLLBACK")
        raise


def _make(base: sqlite3.Connection, salt: str) -> None:
    for statement in (
        VOTES,
        *KEPT,
        "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    ):
        base.execute(statement)
    base.execute("INSERT INTO about VALUES ('salt', ?)", [salt])


def _upgrade(base: sqlite3.Connection) -> None:
    """Version 1 knew neither adjudicators nor comparisons, and no time spent."""
    have = {row[1] for row in base.execute("PRAGMA table_info(votes)")}
    for name, kind in ADDED.items():
        if name not in have:
            base.execute(f"ALTER TABLE votes ADD COLUMN {name} {kind}")
    triggers = {row[0] for row in base.execute("SELECT name FROM sqlite_master")}
    for statement in KEPT:
        if statement.split()[2] not in triggers:
            base.execute(statement)


def _foreign(path: Path, version: int, mark: int) -> UserError:
    if mark != OURS:
        do = "Name another file; this one holds something else and was not touched."
        return UserError(f"{path} is not a review database.", got=f"application id {mark}", do=do)
    do = "Update this package; the file was not touched."
    return UserError(
        f"{path} was written by a newer version.",
        got=f"version {version}, known up to {VERSION}",
        do=do,
    )
