"""Cache: answers by request key in append-only SQLite, and the batches under way."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from medinstruct.errors import UserError

TABLES = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, request TEXT NOT NULL,
  answer TEXT NOT NULL, at REAL, seconds REAL, usd REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (id TEXT PRIMARY KEY, address TEXT NOT NULL,
  keys TEXT NOT NULL, status TEXT NOT NULL);
"""


class Cache:
    """Answers by key, committed one by one and never changed; `path` "" keeps them in memory.

    Several runs may share one file: the first answer to a request stays.
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
        except (sqlite3.Error, OSError) as error:
            raise self._problem(error) from None

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the saved answer, or None."""
        row = self._do("SELECT answer FROM answers WHERE key = ?", key).fetchone()
        return json.loads(row[0]) if row else None

    def put(
        self, key: str, request: dict[str, Any], answer: dict[str, Any], **spent: float
    ) -> dict[str, Any]:
        """Save an answer with its `seconds` and `usd`; return the first one saved under the key."""
        texts = [json.dumps(part, ensure_ascii=False) for part in (request, answer)]
        row = (key, *texts, time.time(), spent.get("seconds", 0.0), spent.get("usd", 0.0))
        result = self._do("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)", *row)
        return answer if result.rowcount else self.get(key) or answer

    def row(self, key: str) -> dict[str, Any] | None:
        """Return request, answer, time (`at`, seconds since 1970), seconds and cost, or None."""
        columns = ("request", "answer", "at", "seconds", "usd")
        query = f"SELECT {', '.join(columns)} FROM answers WHERE key = ?"
        row = self._do(query, key).fetchone()
        if not row:
            return None
        fields = dict(zip(columns, row, strict=True))
        return fields | {name: json.loads(fields[name]) for name in ("request", "answer")}

    def keys(self) -> list[str]:
        """Return the keys of all answers."""
        return [row[0] for row in self._do("SELECT key FROM answers").fetchall()]

    def open_batches(self, address: str) -> dict[str, list[str]]:
        """Return the unfetched batches of an address: id -> keys of their requests."""
        query = "SELECT id, keys FROM batches WHERE address = ? AND status = 'open'"
        return {name: json.loads(keys) for name, keys in self._do(query, address).fetchall()}

    def note_batch(self, name: str, address: str, keys: list[str], *, status: str) -> None:
        """Save a batch as "open" once sent, or as "done"."""
        row = (name, address, json.dumps(keys), status)
        self._do("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?)", *row)

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _do(self, sql: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self._base.execute(sql, values)
        except sqlite3.Error as error:
            raise self._problem(error) from None

    def _problem(self, error: Exception) -> UserError:
        do = "Free some space or name another file; saved answers are still there."
        return UserError(f"The answer cache {self.path} cannot be used.", got=error, do=do)


def share(base: sqlite3.Connection, *, patience: float = 60.0) -> None:
    """Switch to a write-ahead log, so that readers and a writer work at once.

    SQLite does not wait by itself while another connection changes this mode.
    """
    end = time.monotonic() + patience
    while True:
        try:
            base.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.02)
