"""Review store: an append-only SQLite file of votes, undo, aliases of reviewers, merge.

Only this file has names of reviewers. Other files hold an alias, a salted hash.
"""

import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from medinstruct import paths
from medinstruct.errors import UserError


class Vote(NamedTuple):
    """A reviewer's vote on one item: `hash` identifies the text that was voted on.

    `kind` is dataset, seeds, answers or chat; `role` is reviewer or adjudicator. `edit` holds the
    changed fields (of a chat all fields), `sides` which model was on which side of a comparison.
    """

    uid: str
    at: float
    reviewer: str
    role: str
    kind: str
    item: str
    hash: str
    action: str
    correctness: int | None = None
    helpfulness: int | None = None
    harm: int | None = None
    comment: str = ""
    edit: dict[str, str] = {}
    sides: dict[str, str] = {}
    seconds: float | None = None

    @property
    def decision(self) -> str:
        """The action; in a comparison the chosen model, on either side, or tie."""
        return self.sides.get(self.action, self.action)


SCALES = {"correctness": range(1, 6), "helpfulness": range(1, 6), "harm": range(0, 4)}
ACTIONS = dict.fromkeys(("dataset", "seeds", "chat"), ("accept", "edit", "reject"))
ACTIONS["answers"] = ("left", "right", "tie")
VERSION = (1296650838, 2)  # application id ("MIRV") and version in the header of the file
COLUMNS = ", ".join([*Vote._fields, "undoes"])
INSERT = f"INTO votes ({COLUMNS}) VALUES ({', '.join('?' * (len(Vote._fields) + 1))})"


class Store:
    """A file of votes; several kernels may write to it at once. Rows are added, never changed."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._base = _open(self.path)

    def cast(
        self, reviewer: str, *, kind: str, action: str, scores: Mapping | None = None, **fields: Any
    ) -> str:
        """Save a vote to disk and return its uid; `fields` are those of `Vote`, item and hash too.

        Raise UserError for an empty name, an unknown action, a score off its scale or a full disk.
        """
        scores = {name: score for name, score in (scores or {}).items() if score is not None}
        if not reviewer.strip():
            do = "Enter your name or initials; they do not leave the database."
            raise UserError("The reviewer's name is empty.", do=do)
        if action not in ACTIONS.get(kind, ()):
            raise UserError("Unknown action.", got=f"{kind}: {action}", do=f"Use {ACTIONS}.")
        if any(score not in SCALES.get(name, ()) for name, score in scores.items()):
            raise UserError("A score is off its scale.", got=scores, do=f"The scales are {SCALES}.")
        fields = {"role": "reviewer", "kind": kind, "action": action} | scores | fields
        return self._insert(Vote(uuid.uuid4().hex, time.time(), reviewer.strip(), **fields))

    def undo(self, reviewer: str, kind: str, *, role: str = "reviewer") -> Vote | None:
        """Undo a reviewer's last valid vote by adding a row, and return that vote, or None."""
        author = (_storable(reviewer).strip(), role)
        own = [vote for vote in self._valid(kind) if (vote.reviewer, vote.role) == author]
        if not own:
            return None
        last = own[-1]
        row = Vote(uuid.uuid4().hex, time.time(), *author, kind, last.item, last.hash, "undo")
        self._insert(row, undoes=last.uid)
        return last

    def votes(self, kind: str = "", *, names: bool = False) -> list[Vote]:
        """Return the valid votes, oldest first: not undone, and the last of a reviewer on a text.

        Reviewers are aliases unless `names` is true.
        """
        last = {(v.reviewer, v.role, v.kind, v.item, v.hash): v for v in self._valid(kind)}
        votes = sorted(last.values(), key=lambda vote: vote.at)
        return votes if names else [v._replace(reviewer=self.alias(v.reviewer)) for v in votes]

    def alias(self, reviewer: str) -> str:
        """Return the alias of a name, which differs from file to file."""
        salt = self._do("SELECT value FROM about WHERE name = 'salt'")[0][0]
        return "reviewer-" + hashlib.sha256(f"{salt}\0{reviewer.strip()}".encode()).hexdigest()[:8]

    def merge(self, path: str | Path) -> int:
        """Add the votes of a colleague's file, which is only read; return how many are new."""
        if not Path(path).is_file():
            raise UserError("There are no votes to merge.", got=path, do="Check the path.")
        with closing(_open(Path(path), read_only=True)) as other:
            rows = other.execute(f"SELECT {COLUMNS} FROM votes ORDER BY id").fetchall()
        before = self._base.total_changes
        with self._base:  # all rows or none
            self._do("BEGIN IMMEDIATE")
            for row in rows:
                self._do(f"INSERT OR IGNORE {INSERT}", *row)
        return self._base.total_changes - before

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _insert(self, vote: Vote, *, undoes: str | None = None) -> str:
        edit, sides = (json.dumps(dict(x), ensure_ascii=False) for x in (vote.edit, vote.sides))
        row = (*vote._replace(edit=edit, sides=sides), undoes)
        self._do(f"INSERT {INSERT}", *map(_storable, row))
        return vote.uid

    def _valid(self, kind: str) -> list[Vote]:
        """Return all votes of a kind ("" for all) that are not undone, in order, with names."""
        sql = f"""SELECT {COLUMNS} FROM votes WHERE action <> 'undo' AND (kind = ? OR ? = '')
            AND uid NOT IN (SELECT undoes FROM votes WHERE undoes IS NOT NULL) ORDER BY id"""
        votes = [Vote(*row[:-1]) for row in self._do(sql, kind, kind)]
        return [v._replace(edit=json.loads(v.edit), sides=json.loads(v.sides)) for v in votes]

    def _do(self, sql: str, *values: Any) -> list[Any]:
        try:
            return self._base.execute(sql, values).fetchall()
        except sqlite3.IntegrityError as error:
            raise UserError("This vote is already undone, in another window.", got=error) from None
        except sqlite3.Error as error:
            problem = f"This vote is NOT saved: {self.path} cannot be written."
            do = "Free some space, or close the program that locks the file; then vote again."
            raise UserError(problem, got=error, do=do) from None


def _open(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a file of votes, or create it; if `read_only`, nothing is written to it or beside it."""
    target = str(path)
    try:
        if read_only:  # without locks (immutable) unless a writer's journal exists
            journals = [path.with_name(path.name + end) for end in ("-wal", "-journal")]
            mode = "mode=ro" if any(journal.exists() for journal in journals) else "immutable=1"
            target = f"{path.resolve().as_uri()}?{mode}"
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
        options = {"timeout": 30, "check_same_thread": False, "uri": read_only}
        base = sqlite3.connect(target, isolation_level=None, **options)
        if not base.execute("SELECT name FROM sqlite_master").fetchall():
            base.executescript(paths.data("review_store.sql").read_text())
        names = ("application_id", "user_version")
        version = tuple(base.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
        if version != VERSION:
            base.close()
            raise sqlite3.DatabaseError(f"another program's or version's file {version}")
    except (sqlite3.Error, OSError) as error:
        do = "Set another path, or move this file away; it was not changed."
        raise UserError(f"{path} is no usable review database.", got=error, do=do) from None
    return base


def _storable(value: Any) -> Any:
    """Replace halves of surrogate pairs, which a browser may send and SQLite refuses."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
