"""Review store: an append-only SQLite file of votes, undo, aliases of reviewers, merge.

Only this file has names of reviewers. Other files hold an alias, a salted hash.
"""

import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from medinstruct import database, paths, records
from medinstruct.errors import UserError

ACTIONS: dict[str, list[str]] = paths.load("review")["actions"]
SCALES: dict[str, list[int]] = paths.load("review")["scales"]
VERSION = (1296650838, 3)  # application id ("MIRV") and version in the header of the file


class Vote(BaseModel):
    """A reviewer's vote on one item: `hash` identifies the text that was voted on.

    `kind` is dataset, seeds, answers or chat; `role` is reviewer or adjudicator. `edit` holds the
    changed fields (of a chat all fields), `sides` which model was on which side of a comparison,
    `undoes` the uid of the vote that an undo takes back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)
    uid: str = Field(default_factory=lambda: uuid.uuid4().hex)
    at: float = Field(default_factory=time.time)
    reviewer: str
    role: str = "reviewer"
    kind: str
    item: str
    hash: str
    action: str
    correctness: int | None = Field(None, ge=SCALES["correctness"][0], le=SCALES["correctness"][-1])
    helpfulness: int | None = Field(None, ge=SCALES["helpfulness"][0], le=SCALES["helpfulness"][-1])
    harm: int | None = Field(None, ge=SCALES["harm"][0], le=SCALES["harm"][-1])
    comment: str = ""
    edit: dict[str, str] = {}
    sides: dict[str, str] = {}
    seconds: float | None = None
    undoes: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """The item and the hash of its text."""
        return self.item, self.hash

    @property
    def decision(self) -> str:
        """The action; in a comparison the chosen model, on either side, or tie."""
        return self.sides.get(self.action, self.action)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.reviewer:
            do = "Enter your name or initials; they do not leave the database."
            raise UserError("The reviewer's name is empty.", do=do)
        if self.action not in (("undo",) if self.undoes else ACTIONS.get(self.kind, ())):
            got = f"{self.kind}: {self.action}"
            raise UserError("Unknown action.", got=got, do=f"Use {ACTIONS}.")
        return self


class Store:
    """A file of votes; several kernels may write to it at once. Rows are added, never changed."""

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        """Open a file, or create it; if `read_only`, nothing is written to it or beside it."""
        self.path = Path(path)
        with database.clear_errors(f"{path} is not a usable review database."):
            self._base = database.read(path) if read_only else database.connect(path)
            if not self._base.execute(database.READ).fetchall():
                self._base.executescript(paths.data("review_store.sql").read_text("utf-8"))
            header = "SELECT * FROM pragma_application_id, pragma_user_version"
            if (version := self._base.execute(header).fetchone()) != VERSION:
                self.close()
                raise sqlite3.DatabaseError(f"another program's or version's file {version}")

    def cast(self, reviewer: str, *, scores: Mapping | None = None, **fields: Any) -> str:
        """Save a vote with the `fields` of `Vote`, return its uid; UserError if it is not saved."""
        fields |= {"reviewer": reviewer} | dict(scores or {})
        text = json.dumps(fields, ensure_ascii=False)
        text = text.encode("utf-8", "replace")  # a browser may send halves of surrogate pairs
        vote = records.parse(Vote, json.loads(text), where="The vote")
        self._insert(vote)
        return vote.uid

    def undo(self, reviewer: str, kind: str, *, role: str = "reviewer") -> Vote | None:
        """Undo a reviewer's last valid vote by adding a row, and return that vote, or None."""
        author = (reviewer.strip(), role)
        own = [vote for vote in self._valid(kind) if (vote.reviewer, vote.role) == author]
        if own:
            fields = own[-1].model_dump(include={"role", "kind", "item", "hash"})
            self.cast(reviewer, action="undo", undoes=own[-1].uid, **fields)
        return own[-1] if own else None

    def votes(self, kind: str = "", *, names: bool = False) -> list[Vote]:
        """Return valid votes, a reviewer's last on a text, under aliases unless `names`."""
        last = {(v.reviewer, v.role, v.kind, v.key): v for v in self._valid(kind)}
        votes = sorted(last.values(), key=lambda vote: vote.at)
        if names:
            return votes
        return [v.model_copy(update={"reviewer": self.alias(v.reviewer)}) for v in votes]

    def alias(self, reviewer: str) -> str:
        """Return the alias of a name, which differs from file to file."""
        salt = self._do("SELECT value FROM about WHERE name = 'salt'")[0][0]
        return "reviewer-" + hashlib.sha256(f"{salt}\0{reviewer.strip()}".encode()).hexdigest()[:8]

    def merge(self, files: Iterable[str | Path]) -> int:
        """Add the votes of colleagues' files, which are only read; return how many are new."""
        votes: list[Vote] = []
        for path in map(paths.resolve, map(str, files)):
            with closing(Store(path, read_only=True)) as other:
                rows = other._do("SELECT vote FROM votes ORDER BY id")
            votes += [records.parse(Vote, json.loads(text), where=str(path)) for (text,) in rows]
        before = self._base.total_changes
        with self._base:  # all rows or none
            self._do("BEGIN IMMEDIATE")
            for vote in votes:
                self._insert(vote, "OR IGNORE")
        return self._base.total_changes - before

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _insert(self, vote: Vote, conflict: str = "") -> None:
        sql = f"INSERT {conflict} INTO votes (uid, kind, undoes, vote) VALUES (?, ?, ?, ?)"
        self._do(sql, vote.uid, vote.kind, vote.undoes, vote.model_dump_json())

    def _valid(self, kind: str) -> list[Vote]:
        """Return all votes of a kind ("" for all) that are not undone, in order, with names."""
        rows = self._do("SELECT vote FROM valid WHERE ? IN ('', kind) ORDER BY id", kind)
        return [Vote.model_validate_json(text) for (text,) in rows]

    def _do(self, sql: str, *values: Any) -> list[Any]:
        with database.clear_errors(f"This vote is NOT saved: {self.path} cannot be used."):
            try:
                return self._base.execute(sql, values).fetchall()
            except sqlite3.IntegrityError as error:
                what = "This vote is already undone, in another window."
                raise UserError(what, got=error) from None
