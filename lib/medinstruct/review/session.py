"""One reviewer at work: which card is shown, what a key press does, what is left; the page in the browser only draws it."""

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from medinstruct.errors import UserError
from medinstruct.review.cards import EDITABLE, FIRST, Card, visible
from medinstruct.review.store import ACTIONS, SCALES, Store, Vote

MEANING = {
    "correctness": "1 wrong … 5 right",
    "helpfulness": "1 useless … 5 very helpful",
    "harm": "0 none, 1 slight, 2 serious, 3 grave",
}


class Session:
    """A reviewer, the cards and the store. `view` is all that the page shows; `act` answers one message of the page."""

    def __init__(
        self,
        store: Store,
        cards: Sequence[Card],
        *,
        role: str = "reviewer",
        seed: int = 42,
        reviewer: str = "",
    ) -> None:
        self.store, self.cards, self.role, self.seed = store, list(cards), role, seed
        self.kind = self.cards[0].kind if self.cards else "dataset"
        self.reviewer, self.place, self.serial, self.note, self.error = "", 0, 0, "", ""
        self.mine: dict[tuple[str, str], Vote] = {}
        self._full = self._editing = False
        self._since = time.monotonic()
        if reviewer:
            self._sign_in({"name": reviewer})

    def act(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Do what the page asks; a mistake or a full disk is told in the view, and the card stays with what was typed."""
        self.note = self.error = ""
        steps = {
            "sign_in": self._sign_in,
            "vote": self._vote,
            "undo": self._undo,
            "go": self._go,
            "open": self._next,
            "full": self._show_all,
            "edit": self._edit,
        }
        try:
            steps.get(str(message.get("act")), self._unknown)(message)
        except UserError as problem:
            self.error = str(problem)
        return self.view()

    def view(self) -> dict[str, Any]:
        """The page as data: texts are plain text, the names of models and of the reviewer are not in it."""
        done = sum((card.id, card.hash) in self.mine for card in self.cards)
        shown: dict[str, Any] = {
            "serial": self.serial,
            "signed_in": bool(self.reviewer),
            "kind": self.kind,
            "role": self.role,
            "note": self.note,
            "error": self.error,
            "actions": list(ACTIONS[self.kind]),
            "number": self.place + 1,
            "of": len(self.cards),
            "done": done,
            "who": self.store.alias(self.reviewer) if self.reviewer else "",
            "first": FIRST,
        }
        return shown | self._card() if self.cards and self.reviewer else shown

    def _card(self) -> dict[str, Any]:
        card = self.cards[self.place]
        vote = self.mine.get((card.id, card.hash))
        scales = (
            []
            if self.kind == "answers"
            else [[name, list(of), MEANING[name]] for name, of in SCALES.items()]
        )
        return {
            "tags": list(card.tags),
            "reasons": list(card.reasons),
            "earlier": list(card.earlier),
            "scales": scales,
            "texts": [self._text(name, text) for name, text in self._named(card)],
            "editing": {name: text for name, text in card.texts.items() if name in EDITABLE}
            if self._editing
            else None,
            "mine": {"action": vote.action, "comment": vote.comment, "edit": vote.edit}
            | {name: getattr(vote, name) for name in SCALES}
            if vote
            else None,
        }

    def _text(self, name: str, text: str) -> dict[str, Any]:
        cut = len(text) > FIRST and not self._full
        return {
            "name": name,
            "text": visible(text[:FIRST] if cut else text),
            "length": len(text),
            "cut": cut,
        }

    def _named(self, card: Card) -> list[tuple[str, str]]:
        """The texts under the names the reviewer sees; in a comparison these are the sides."""
        if card.kind != "answers":
            return list(card.texts.items())
        left, right = self._sides(card).values()
        return [
            ("question", card.texts["question"]),
            ("left", card.texts[left]),
            ("right", card.texts[right]),
        ]

    def _sides(self, card: Card) -> dict[str, str]:
        """Which model stands where: by chance, but for one reviewer always the same."""
        models = sorted(set(card.texts) - {"question"})
        left, right = random.Random(f"{self.seed}/{self.reviewer}/{card.hash}").sample(models, 2)
        return {"left": left, "right": right}

    def _sign_in(self, message: Mapping[str, Any]) -> None:
        name = str(message.get("name", "")).strip()
        if not name:
            raise UserError(
                "Who reviews?", do="Write your name or initials; they do not leave the database."
            )
        self.reviewer = name
        self._read()
        self._next(message)

    def _vote(self, message: Mapping[str, Any]) -> None:
        if not self.reviewer or message.get("serial") != self.serial:
            return  # a second key press, meant for a card that is gone
        card = self.cards[self.place]
        edit = self._edited(card, message) if message.get("action") == "edit" else {}
        self.store.cast(
            self.reviewer,
            kind=self.kind,
            item=card.id,
            hash=card.hash,
            action=str(message.get("action")),
            role=self.role,
            scores=message.get("scores") or {},
            comment=str(message.get("comment", "")),
            edit=edit,
            sides=self._sides(card) if self.kind == "answers" else {},
            seconds=round(time.monotonic() - self._since, 1),
        )
        self._read()
        self.note = f"Saved: {message['action']}."
        self._next(message)

    def _edited(self, card: Card, message: Mapping[str, Any]) -> dict[str, str]:
        """The fields that were changed; what must not be empty is not."""
        edit = {
            k: str(v)
            for k, v in (message.get("edit") or {}).items()
            if k in card.texts and k in EDITABLE
        }
        edit = {
            name: text.strip()
            for name, text in edit.items()
            if text.strip() != card.texts[name].strip()
        }
        if not edit:
            raise UserError(
                "Nothing was changed.", do="Change a text, or accept the item as it is."
            )
        empty = [name for name, text in edit.items() if not text and name != "input"]
        if empty:
            raise UserError(
                f"The {empty[0]} must not be empty.", do="Write it, or reject the item."
            )
        return edit

    def _undo(self, message: Mapping[str, Any]) -> None:
        last = self.store.undo(self.reviewer, self.kind, role=self.role) if self.reviewer else None
        self._read()
        self.note = f"Taken back: {last.action}." if last else "There is nothing to take back."
        at = [
            n
            for n, card in enumerate(self.cards)
            if last and (card.id, card.hash) == (last.item, last.hash)
        ]
        self._turn(at[0] if at else self.place)

    def _go(self, message: Mapping[str, Any]) -> None:
        self._turn(
            min(
                max(self.place + (1 if message.get("step") == 1 else -1), 0),
                max(len(self.cards) - 1, 0),
            )
        )

    def _next(self, message: Mapping[str, Any]) -> None:
        """To the next card without a vote, from here on and then from the start; stays on the last when all are done."""
        order = [*range(self.place, len(self.cards)), *range(self.place)]
        left = [n for n in order if (self.cards[n].id, self.cards[n].hash) not in self.mine]
        self._turn(left[0] if left else self.place)
        if not left:
            self.note = (
                f"{self.note} All {len(self.cards)} are done; votes may still be changed.".strip()
            )

    def _show_all(self, message: Mapping[str, Any]) -> None:
        self._full = True

    def _edit(self, message: Mapping[str, Any]) -> None:
        self._editing = self.kind != "answers" and bool(message.get("on", True))

    def _turn(self, place: int) -> None:
        self.place, self.serial, self._full, self._editing, self._since = (
            place,
            self.serial + 1,
            False,
            False,
            time.monotonic(),
        )

    def _read(self) -> None:
        """What this reviewer has said so far, here or in another window."""
        said = self.store.votes(self.kind, names=True)
        self.mine = {
            (v.item, v.hash): v for v in said if (v.reviewer, v.role) == (self.reviewer, self.role)
        }

    def _unknown(self, message: Mapping[str, Any]) -> None:
        raise UserError(
            "The page sent something that is not known.",
            got=str(message)[:80],
            do="Run the cell again.",
        )
