"""The votes of people: one SQLite file, one row a vote, nothing is ever changed or deleted; an undo is a row as well.

Names of reviewers stand in this file only. Whatever leaves it carries an alias, a salted hash; the salt stays in the file.
"""

import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from medinstruct.errors import UserError
from medinstruct.review.schema import PATIENCE, opened

UNDO = "undo"


class Vote(NamedTuple):
    """What one reviewer said about one item: `kind` dataset, seeds, answers or chat; `hash` names the text that was voted on.

    `action` is accept, edit or reject, or left, right or tie in a comparison; `edit` holds the changed fields (of a chat, which
    is no item of the dataset yet, all of them), `sides` which model stood where. `role` is reviewer or adjudicator; `reviewer` is an alias outside the store.
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


COLUMNS = ", ".join(Vote._fields)
SCALES = {"correctness": range(1, 6), "helpfulness": range(1, 6), "harm": range(0, 4)}
ITEM = ("accept", "edit", "reject")
ACTIONS = {"dataset": ITEM, "seeds": ITEM, "answers": ("left", "right", "tie"), "chat": ITEM}


class Store:
    """The votes in one file; several kernels may write to it at once."""

    def __init__(self, path: str | Path, *, salt: str = "") -> None:
        self.path = Path(path)
        self._base = opened(self.path, salt=salt)

    def cast(
        self,
        reviewer: str,
        *,
        kind: str,
        item: str,
        hash: str,
        action: str,
        role: str = "reviewer",
        scores: Mapping[str, int | None] | None = None,
        comment: str = "",
        edit: Mapping[str, str] | None = None,
        sides: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> str:
        """Keep one vote; it is on the disk when this returns. The vote's uid."""
        scores = {name: value for name, value in (scores or {}).items() if value is not None}
        _check(reviewer, kind, action, scores)
        uid = uuid.uuid4().hex
        said = [scores.get(name) for name in SCALES]
        told = [
            _text(comment),
            *(json.dumps(_clean(x or {}), ensure_ascii=False) for x in (edit, sides)),
        ]
        self._insert(
            [
                uid,
                time.time(),
                _text(reviewer).strip(),
                role,
                kind,
                item,
                hash,
                action,
                *said,
                *told,
                seconds,
                None,
            ]
        )
        return uid

    def undo(self, reviewer: str, kind: str, *, role: str = "reviewer") -> Vote | None:
        """Take back the last vote of a reviewer that stands; the row stays, a row that undoes it is added. None if there is none."""
        mine = [
            vote
            for vote in self._standing(kind)
            if (vote.reviewer, vote.role) == (_text(reviewer).strip(), role)
        ]
        if not mine:
            return None
        last = mine[-1]
        row = [uuid.uuid4().hex, time.time(), last.reviewer, role, kind, last.item, last.hash, UNDO]
        self._insert([*row, None, None, None, "", "{}", "{}", None, last.uid])
        return last

    def votes(self, kind: str = "", *, names: bool = False) -> list[Vote]:
        """The votes that stand, oldest first: what was not undone, and of a reviewer's votes on one text the last.

        Reviewers are aliases unless `names` asks for more.
        """
        last = {
            (vote.reviewer, vote.role, vote.kind, vote.item, vote.hash): vote
            for vote in self._standing(kind)
        }
        found = sorted(last.values(), key=lambda vote: vote.at)
        return (
            found
            if names
            else [vote._replace(reviewer=self.alias(vote.reviewer)) for vote in found]
        )

    def history(self) -> list[tuple[str, str, str]]:
        """Every row ever written, in order: uid, action, and the uid of the vote that it takes back."""
        return [
            tuple(row)
            for row in self._do("SELECT uid, action, COALESCE(undoes, '') FROM votes ORDER BY id")
        ]

    def alias(self, reviewer: str) -> str:
        """What stands for a name outside this file: the same for the same name here, another in another file."""
        salt = self._do("SELECT value FROM about WHERE name = 'salt'")[0][0]
        return "reviewer-" + hashlib.sha256(f"{salt}\0{reviewer.strip()}".encode()).hexdigest()[:8]

    def merge(self, path: str | Path) -> int:
        """Take over the votes of another file, of a colleague who worked elsewhere; a second time adds nothing. How many came."""
        if not Path(path).exists():
            raise UserError("There are no votes to merge.", got=path, do="Check the path.")
        names = f"{COLUMNS}, undoes"
        rows = Store(path)._do(f"SELECT {names} FROM votes ORDER BY id")
        before = len(self.history())
        self._do("BEGIN IMMEDIATE")
        try:
            for row in rows:
                self._do(f"INSERT OR IGNORE INTO votes ({names}) VALUES ({_marks(row)})", *row)
            self._do("COMMIT")
        except UserError:
            self._base.rollback()
            raise
        return len(self.history()) - before

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _insert(self, row: list[Any]) -> None:
        self._do(f"INSERT INTO votes ({COLUMNS}, undoes) VALUES ({_marks(row)})", *row)

    def _standing(self, kind: str) -> list[Vote]:
        """All votes of a kind (or all) that nothing undoes, in the order in which they were cast, with names."""
        sql = f"SELECT {COLUMNS} FROM votes WHERE action <> ? AND (kind = ? OR ? = '') AND uid NOT IN "
        rows = self._do(
            sql + "(SELECT undoes FROM votes WHERE undoes IS NOT NULL) ORDER BY id",
            UNDO,
            kind,
            kind,
        )
        return [Vote(*row[:12], json.loads(row[12]), json.loads(row[13]), row[14]) for row in rows]

    def _do(self, sql: str, *values: Any) -> list[Any]:
        try:
            return self._base.execute(sql, values).fetchall()
        except sqlite3.IntegrityError as error:
            raise UserError(
                "This vote has been taken back already, perhaps in another window.", got=error
            ) from None
        except sqlite3.Error as error:
            raise self._problem(error) from None

    def _problem(self, error: sqlite3.Error) -> UserError:
        busy = "locked" in str(error)
        do = (
            f"Another program has held the file for {PATIENCE:.0f} seconds; close it."
            if busy
            else "Free some space on the disk."
        )
        return UserError(
            f"This vote is NOT saved: {self.path} cannot be written.",
            got=error,
            do=f"{do} Then vote again; earlier votes are kept.",
        )


def _check(reviewer: str, kind: str, action: str, scores: Mapping[str, int]) -> None:
    if not reviewer.strip():
        raise UserError(
            "A vote needs a reviewer.",
            do="Write your name or initials; it does not leave the database.",
        )
    if action not in ACTIONS.get(kind, ()):
        known = "; ".join(f"{name}: {', '.join(actions)}" for name, actions in ACTIONS.items())
        raise UserError("This is not a vote.", got=f"{kind!r}, {action!r}", do=f"One of {known}.")
    for name, value in scores.items():
        if name not in SCALES or value not in SCALES[name]:
            scales = ", ".join(f"{one} {of[0]} to {of[-1]}" for one, of in SCALES.items())
            raise UserError(
                "This is not on the scale.",
                got=f"{name}: {value!r}",
                do=f"The scales are {scales}.",
            )


def _marks(row: Any) -> str:
    return ", ".join("?" * len(row))


def _text(text: str) -> str:
    """Text that SQLite takes: half of a surrogate pair, which a browser may send, becomes a question mark."""
    return str(text).encode("utf-8", "replace").decode()


def _clean(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: _text(value) for name, value in fields.items()}
