"""Every answer that was paid for, kept: append-only SQLite, committed as each answer arrives."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from medinstruct.errors import UserError

TABLES = """
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT NOT NULL, at REAL, seconds REAL, usd REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (id TEXT PRIMARY KEY, address TEXT NOT NULL, keys TEXT NOT NULL, status TEXT NOT NULL);
"""


class Cache:
    """Answers by key; an answer once kept is never changed. `path` "" keeps them in memory only.

    Several runs may share one file: it is in write-ahead mode, and the first answer to a request is the one that stays.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path) or ":memory:"
        try:
            if path:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            share(self._base)
            self._base.execute("PRAGMA synchronous=NORMAL")
            self._base.executescript(TABLES)
            self._add_missing_columns()
        except (sqlite3.Error, OSError) as error:
            raise self._problem(error) from None

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer kept under a key, or None."""
        row = self._do("SELECT answer FROM answers WHERE key = ?", key).fetchone()
        return json.loads(row[0]) if row else None

    def put(
        self,
        key: str,
        request: dict[str, Any],
        answer: dict[str, Any],
        *,
        seconds: float = 0.0,
        usd: float = 0.0,
    ) -> dict[str, Any]:
        """Keep an answer and return the one that is kept, which is an earlier one if another run was faster."""
        row = (
            key,
            json.dumps(request, ensure_ascii=False),
            json.dumps(answer, ensure_ascii=False),
            time.time(),
            seconds,
            usd,
        )
        done = self._do("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)", *row)
        return answer if done.rowcount else self.get(key) or answer

    def row(self, key: str) -> dict[str, Any] | None:
        """All that is kept under a key: request, answer, when (seconds since 1970), how long it took, what it cost."""
        row = self._do(
            "SELECT request, answer, at, seconds, usd FROM answers WHERE key = ?", key
        ).fetchone()
        return (
            {
                "request": json.loads(row[0]),
                "answer": json.loads(row[1]),
                "at": row[2],
                "seconds": row[3],
                "usd": row[4],
            }
            if row
            else None
        )

    def keys(self) -> list[str]:
        """The keys of all answers."""
        return [row[0] for row in self._do("SELECT key FROM answers").fetchall()]

    def open_batches(self, address: str) -> dict[str, list[str]]:
        """The batches at an address that were sent and not yet fetched: id -> keys of the requests in it."""
        rows = self._do(
            "SELECT id, keys FROM batches WHERE address = ? AND status = 'open'", address
        ).fetchall()
        return {name: json.loads(keys) for name, keys in rows}

    def note_batch(self, name: str, address: str, keys: list[str], *, status: str) -> None:
        """Remember that a batch was sent ("open"), or that nothing more is to be had from it ("done")."""
        self._do(
            "INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?)",
            name,
            address,
            json.dumps(keys),
            status,
        )

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _do(self, sql: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self._base.execute(sql, values)
        except sqlite3.Error as error:
            raise self._problem(error) from None

    def _add_missing_columns(self) -> None:
        """A file of the first version has no times and costs."""
        have = {row[1] for row in self._base.execute("PRAGMA table_info(answers)")}
        for name in {"at", "seconds", "usd"} - have:
            self._base.execute(f"ALTER TABLE answers ADD COLUMN {name} REAL")

    def _problem(self, error: Exception) -> UserError:
        do = "Free some space or name another file; what was kept before is still there."
        return UserError(f"The answer cache {self.path} cannot be used.", got=error, do=do)


def share(base: sqlite3.Connection, *, patience: float = 60.0) -> None:
    """Let readers and a writer work at once; SQLite does not wait by itself while another connection changes this mode."""
    end = time.monotonic() + patience
    while True:
        try:
            base.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.02)
