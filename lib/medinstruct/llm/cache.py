"""Every answer that was paid for, kept: append-only SQLite, committed as each answer arrives."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from medinstruct.errors import Problem

TABLE = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT NOT NULL) WITHOUT ROWID"


class Cache:
    """Answers by key; an answer once kept is never changed. `path` "" keeps them in memory only."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path) or ":memory:"
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._base = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute(TABLE)
        except sqlite3.Error as error:
            raise self._problem(error) from None

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer kept under a key, or None."""
        row = self._base.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, key: str, request: dict[str, Any], answer: dict[str, Any]) -> None:
        """Keep an answer; the request stands beside it, without any key or header."""
        row = (key, json.dumps(request, ensure_ascii=False), json.dumps(answer, ensure_ascii=False))
        try:
            self._base.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", row)
        except sqlite3.Error as error:
            raise self._problem(error) from None

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _problem(self, error: sqlite3.Error) -> Problem:
        do = "Free some space or name another file; what was kept before is still there."
        return Problem(f"The answer cache {self.path} cannot be used.", got=error, do=do)
