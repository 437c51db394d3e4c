"""What votes make of a dataset: decisions, the next version with its provenance, and a log that says why."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import BaseModel

from medinstruct import records
from medinstruct.errors import UserError
from medinstruct.records import Example, Provenance, Task
from medinstruct.review.annotators import disputes
from medinstruct.review.cards import text_hash
from medinstruct.review.store import Vote

T = TypeVar("T", bound=Task)


class Change(BaseModel):
    """What became of one reviewed item, by which votes; `new` is the id of the edited item, `reviewers` are aliases."""

    id: str
    action: str
    new: str = ""
    how: str = ""
    reviewers: tuple[str, ...] = ()
    votes: tuple[str, ...] = ()


class Reviewed(NamedTuple):
    """The next version; what changed; how many votes were on texts that are there no more; how many items came from the chat."""

    items: list[Task]
    changes: list[Change]
    stale: int

    joined: int = 0

    def count(self, action: str) -> int:
        """How many items came to this end: accept, edit, reject or open; answers of the chat count as well."""
        return sum(change.action == action for change in self.changes)


def decide(
    votes: Sequence[Vote], *, least: int = 1
) -> dict[tuple[str, str], tuple[str, str, Vote]]:
    """(item, hash) -> action, how it came about, and the vote that carries it.

    An adjudicator decides; else those who agree, if they are at least so many; what is disputed, or seen by too few, is open.
    """
    disputed = disputes(votes)
    groups: dict[tuple[str, str], list[Vote]] = {}
    for vote in votes:
        groups.setdefault((vote.item, vote.hash), []).append(vote)
    found = {}
    for key, group in groups.items():
        judges = [vote for vote in group if vote.role == "adjudicator"]
        last = (judges or group)[-1]
        if judges:
            found[key] = (last.action, "adjudicated", last)
        elif key in disputed:
            found[key] = ("open", disputed[key], last)
        elif len(group) < least:
            found[key] = ("open", f"{len(group)} of {least} reviewers", last)
        else:
            found[key] = (last.action, f"{len(group)} reviewer{'s' * (len(group) > 1)}", last)
    return found


def reviewed(
    items: Sequence[T], votes: Sequence[Vote], *, least: int = 1, chat: Sequence[Vote] = ()
) -> Reviewed:
    """The next version of a dataset or of seeds: accepted and unread items stay, edited ones are replaced, rejected ones go.

    What is open is held back until it is settled. A vote counts only for the very text it was given on. `chat` are votes on
    answers of a chat (kind "chat"): those accepted or corrected join the dataset as new items.
    """
    decided = decide(votes, least=least)
    by_key: dict[tuple[str, str], list[Vote]] = {}
    for vote in votes:
        by_key.setdefault((vote.item, vote.hash), []).append(vote)
    kept: dict[str, Task] = {}
    changes: list[Change] = []
    for item in items:
        key = (item.id, text_hash(item))
        action, how, vote = decided.get(key, ("unread", "", None))
        after = _after(item, action, vote)
        if after is not None:
            kept.setdefault(after.id, after)
        if vote:
            group = by_key[key]
            told = {
                "reviewers": tuple(dict.fromkeys(v.reviewer for v in group)),
                "votes": tuple(v.uid for v in group),
            }
            changes.append(
                Change(
                    id=item.id,
                    action=action,
                    new=after.id if after and action == "edit" else "",
                    how=how,
                    **told,
                )
            )
    joined, said = from_chat(chat, least=least)
    new = {item.id: item for item in joined if item.id not in kept}
    kept |= new
    changes += said
    here = {(item.id, text_hash(item)) for item in items}
    return Reviewed(
        list(kept.values()),
        changes,
        sum((vote.item, vote.hash) not in here for vote in votes),
        len(new),
    )


def from_chat(votes: Sequence[Vote], *, least: int = 1) -> tuple[list[Example], list[Change]]:
    """The new items that votes on answers of a chat make, and what became of every answer that was voted on.

    Each carries the provenance "chat", the model that answered, and as its parent the answer as it was given.
    """
    found, changes = [], []
    for (item, mark), (action, how, vote) in decide(votes, least=least).items():
        told = tuple(one for one in votes if (one.item, one.hash) == (item, mark))
        new = _of_chat(vote, action) if action in ("accept", "edit") else None
        found += [new] if new else []
        people = {
            "reviewers": tuple(dict.fromkeys(one.reviewer for one in told)),
            "votes": tuple(one.uid for one in told),
        }
        changes.append(
            Change(id=item, action=action, new=new.id if new else "", how=f"chat, {how}", **people)
        )
    return found, changes


def load(mode: str, folder: str | Path) -> list[Task]:
    """What is to be reviewed in a run: `dataset` (tasks with responses) or `seeds`."""
    kinds: dict[str, type[Task]] = {"dataset": Example, "seeds": Task}
    if mode not in kinds:
        raise UserError(
            "This cannot be reviewed.", got=mode, do="`review_mode` is dataset or seeds."
        )
    return records.read(Path(folder) / f"{mode}.jsonl", kinds[mode])


def write(folder: str | Path, mode: str, after: Reviewed) -> list[Path]:
    """Keep the next version as `dataset.reviewed.jsonl` (or `seeds.reviewed.jsonl`) and beside it why, as `….changes.jsonl`."""
    files = {f"{mode}.reviewed.jsonl": after.items, f"{mode}.changes.jsonl": after.changes}
    return [records.write(Path(folder) / name, rows) for name, rows in files.items()]


def reviewed_share(items: Sequence[Task], votes: Sequence[Vote]) -> str:
    """One sentence on how far people have read, for tables and cards.

    >>> reviewed_share([], [])
    'Not reviewed by clinicians: 0 of 0 items have been read.'
    """
    keys = {(item.id, text_hash(item)) for item in items}
    read = {(vote.item, vote.hash) for vote in votes} & keys
    people = {vote.reviewer for vote in votes if (vote.item, vote.hash) in keys}
    if not read:
        return f"Not reviewed by clinicians: 0 of {len(items)} items have been read."
    rest = (
        ""
        if len(read) == len(keys)
        else f"; the other {len(keys) - len(read):,} are not reviewed by clinicians"
    )
    return f"{len(read):,} of {len(keys):,} items reviewed by {len(people)} reviewer{'s' * (len(people) > 1)}{rest}."


def _of_chat(vote: Vote, action: str) -> Example:
    origin = Provenance(
        source=f"chat; {action}ed in review",
        model=vote.sides.get("model", ""),
        request=vote.sides.get("request", ""),
        parents=(vote.item,),
    )
    return records.parse(
        Example, {**vote.edit, "provenance": origin}, where=f"The answer {vote.item} of the chat"
    )


def _after(item: T, action: str, vote: Vote | None) -> T | None:
    """An item after the decision; its provenance says that it was read, and of an edited one what it was."""
    if action in ("reject", "open"):
        return None
    if vote is None:
        return item
    was = item.provenance
    marked = {
        "source": f"{was.source or 'own'}; {action}ed in review",
        "model": was.model,
        "request": was.request,
    }
    if action != "edit":
        return item.model_copy(update={"provenance": Provenance(**marked, parents=was.parents)})
    fields = item.model_dump(exclude={"id", "provenance"}) | vote.edit
    provenance = Provenance(**marked, parents=(item.id,))
    return records.parse(
        type(item), fields | {"provenance": provenance}, where=f"The edit of {item.id}"
    )
