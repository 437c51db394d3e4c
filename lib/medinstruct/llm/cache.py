"""Cache: answers by request key in append-only SQLite."""

import asyncio
import contextlib
import json
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from medinstruct import database, paths, records
from medinstruct.llm.messages import TEXTS, Reply, Request

PUT = """INSERT INTO answers (key, request, answer, at, usd) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET answer = excluded.answer, usd = usd + excluded.usd
    WHERE CAST(answer AS BLOB) = ?"""


class Cache:
    """Answers by key, each committed at once; the first one stays. `path` "" is in memory."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path) or ":memory:"
        with database.clear_errors(f"The answer cache {self.path} cannot be used."):
            self._base = database.connect(self.path, log=True)
            self._base.executescript(paths.data("answer_cache.sql").read_text("utf-8"))

    def get(self, key: str) -> Reply | None:
        """Return the saved reply; None for a missing row, or one that is no reply."""
        with contextlib.suppress(TypeError, ValueError):
            return Reply(**json.loads(self._row(key)), key=key, cached=True)

    def put(self, key: str, request: Request, answer: dict[str, Any], *, usd: float = 0) -> Reply:
        """Save an answer and its cost; return the reply that was saved first under the key."""
        texts = [json.dumps(part, ensure_ascii=False) for part in (request.model_dump(), answer)]
        row = (key, *texts, time.time(), usd)
        if self._do(PUT, *row, None).rowcount != 1:
            saved = self._row(key)  # before `get`: another kernel may replace it meanwhile
            self._do(PUT, *row, None if self.get(key) else saved)
        return self.get(key).model_copy(update={"cached": False})

    def _row(self, key: str) -> bytes | None:
        query = "SELECT CAST(answer AS BLOB) FROM answers WHERE key = ?"
        return next((row[0] for row in self._do(query, key)), None)

    @contextlib.asynccontextmanager
    async def turn(self, keys: Iterable[str]) -> AsyncIterator[None]:
        """Wait while another kernel requests the same answers, so that none is paid for twice."""
        name = f"medinstruct-{records.content_hash(str(Path(self.path).resolve()), *keys)}.lock"
        lock = FileLock(Path(tempfile.gettempdir()) / name, timeout=0)
        form = {"bar_format": "{desc} {elapsed}", "delay": 0.1, "leave": False}
        with tqdm(desc=TEXTS["turn"], **form) as bar, contextlib.suppress(OSError):
            while self.path != ":memory:" and not lock.is_locked:
                with contextlib.suppress(Timeout):
                    lock.acquire()
                    break
                await asyncio.sleep(0.2)
                bar.update()
        try:
            yield
        finally:
            lock.release()

    def keys(self) -> list[str]:
        """Return the keys of all answers."""
        return [row[0] for row in self._do("SELECT key FROM answers")]

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _do(self, sql: str, *values: Any) -> sqlite3.Cursor:
        with database.clear_errors(f"The answer cache {self.path} cannot be used."):
            return self._base.execute(sql, values)
