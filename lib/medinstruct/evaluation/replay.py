"""Verdicts of a file are a judge too: anyone's stored verdicts are read again from the raw replies, without a key."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medinstruct import paths, records
from medinstruct.errors import UserError
from medinstruct.evaluation.verdicts import instrument, pair_key, parse_verdict, winner_of
from medinstruct.records import TestItem, Verdict

if TYPE_CHECKING:
    from medinstruct.evaluation.judging import Pair

RESULTS = {
    "win": "model",
    "lose": "reference",
    "loss": "reference",
    "tie": "tie",
    "draw": "tie",
    "model": "model",
    "reference": "reference",
}


@dataclass(frozen=True)
class Replay:
    """A judge that says again what it once said about the same answers."""

    model: str
    kept: dict[tuple[str, str, str, str], Verdict]

    @classmethod
    def of(cls, url: str, *, items: Sequence[TestItem] = (), model: str = "") -> "Replay":
        """The judge in the file of "replay:path"; the verdicts of several judges in one file are refused."""
        verdicts = load_verdicts(url.removeprefix("replay:"), items=items, model=model)
        names = {instrument(verdict) for verdict in verdicts}
        if len(names) != 1:
            do = "Give a file that holds the verdicts of one judge and prompt."
            raise UserError(
                "A replay is of one judge.", got=sorted(names) or "an empty file", do=do
            )
        kept = {pair_key(v): v for v in verdicts}
        if len(kept) < len(verdicts):
            raise UserError(
                f"{url} holds pairs twice.",
                got=len(verdicts) - len(kept),
                do="Keep one verdict a pair and order.",
            )
        return cls(verdicts[0].judge or "unknown judge", kept)

    def verdicts(self, pairs: Iterable["Pair"]) -> list[Verdict]:
        """The stored verdicts on these pairs; missing ones and ones about other answers are refused with their ids."""
        pairs = list(pairs)
        missing = [pair.key for pair in pairs if pair.key not in self.kept]
        if missing:
            do = "Replay verdicts with the answers, models and references that they were given on."
            got = f"{len(missing)} of {len(pairs)} pairs are not in the file, first {missing[:3]}"
            raise UserError("The stored verdicts do not fit.", got=got, do=do)
        other = [
            pair.key
            for pair in pairs
            if self.kept[pair.key].provenance.parents not in ((), pair.parents)
        ]
        if other:
            do = "The answers have changed since: judge them anew."
            raise UserError(
                "Stored verdicts are about other answers.",
                got=f"{len(other)} pairs, first {other[:3]}",
                do=do,
            )
        return [self.kept[pair.key] for pair in pairs]


def load_verdicts(path: str, *, items: Sequence[TestItem] = (), model: str = "") -> list[Verdict]:
    """The verdicts of a JSONL file, read anew from the raw replies.

    Ours, or rows with item (position in the test set, or id), reference, order, judge, judge_response (or reply) and verdict
    (WIN, LOSE or TIE, from the model's side). A stored verdict that its own reply contradicts is refused with the line.
    """
    file = paths.resolve(path)
    found, wrong = [], []
    for line, row in records.rows(file):
        verdict = records.parse(Verdict, _fields(row, items, model), where=f"{file}, line {line}")
        stored = RESULTS.get(str(row.get("winner") or row.get("verdict") or "").lower())
        wrong += (
            [line]
            if verdict.reply and stored and verdict.winner and stored != verdict.winner
            else []
        )
        found.append(verdict)
    if wrong:
        do = "Check the field `order`: the letters of the reply do not say what the stored verdict says."
        raise UserError(
            f"{file} contradicts itself.",
            got=f"{len(wrong)} of {len(found)} lines, first {wrong[:3]}",
            do=do,
        )
    return found


def _fields(row: dict[str, Any], items: Sequence[TestItem], model: str) -> dict[str, Any]:
    reply = row.get("reply") or row.get("judge_response") or row.get("raw") or ""
    item = row.get("item", row.get("id"))
    if isinstance(item, int) and items:
        if not 0 <= item < len(items):
            raise UserError(
                "A stored verdict points to no item.",
                got=item,
                do=f"The test set has {len(items)} items, from 0.",
            )
        item = items[item].id
    read = winner_of(parse_verdict(reply), row["order"]) if reply and row.get("order") else None
    stored = RESULTS.get(str(row.get("winner") or row.get("verdict") or "").lower())
    known = {key: row[key] for key in ("snapshot", "prompt", "asked", "provenance") if key in row}
    return known | {
        "id": str(item),
        "model": row.get("model") or model or "model",
        "reference": row.get("reference"),
        "order": row.get("order"),
        "winner": read or stored,
        "judge": row.get("judge", ""),
        "reply": reply,
    }
