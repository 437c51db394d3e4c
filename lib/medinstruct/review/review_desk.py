"""Review desk: the session of one reviewer, its widget, static cards where no widget can run."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from IPython.display import HTML

from medinstruct import paths, plotting
from medinstruct.errors import UserError
from medinstruct.review import annotators
from medinstruct.review.review_cards import EDITABLE, Card, pieces, visible
from medinstruct.review.store import SCALES, Store, Vote


class Session:
    """A reviewer at the desk: `view` is the state of the page, `act` handles its messages."""

    def __init__(self, store: Store, cards: Sequence[Card], *, role: str, seed=42, reviewer=""):
        self.store, self.deck, self.role, self.seed = store, list(cards), role, seed
        self.kind = self.deck[0].kind if self.deck else "dataset"
        self.cards: list[Card] = []  # as the reviewer sees them, once the name is known
        self.reviewer, self.place, self.serial, self.note, self.error = "", 0, 0, "", ""
        self._read()
        if reviewer:
            self._sign_in({"name": reviewer})

    def act(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Handle a message and return the view; an error keeps the card and the typed text."""
        actions = {"sign_in": self._sign_in, "vote": self._vote, "undo": self._undo}
        self.note = self.error = ""
        try:
            actions.get(str(message.get("act")), lambda _: None)(message)
        except UserError as error:
            self.error = str(error)
        return self.view()

    def view(self) -> dict[str, Any]:
        """Return the state as data without names; `place` is shown when `serial` changes."""
        summary = annotators.summary(self.votes, self.deck)
        names = {"action", "comment", "edit", *SCALES}
        votes = [vote and vote.model_dump(include=names) for vote in self.own]
        view = {"kind": self.kind, "role": self.role, "note": self.note, "error": self.error}
        view |= {"serial": self.serial, "place": self.place, "of": len(self.deck), "votes": votes}
        view |= {"counts": list(summary.counts.items()), "summary": summary.text}
        view["people"] = [summary.people.get(card.key, 0) for card in self.deck]
        return view | {"who": self.store.alias(self.reviewer) if self.reviewer else ""}

    def texts(self) -> list[dict[str, Any]]:
        """Return the cards as the signed-in reviewer sees them; in a comparison by side."""
        return [_page(card) for card in self.cards]

    def _sign_in(self, message: Mapping[str, Any]) -> None:
        name = str(message.get("name", "")).encode("utf-8", "replace").decode()
        self.reviewer = name.strip()
        if not self.reviewer:
            do = "Enter your name or initials; they do not leave the database."
            raise UserError("The reviewer's name is empty.", do=do)
        seed = f"{self.seed}/{self.reviewer}"
        self.cards = [card.blinded(f"{seed}/{card.hash}") for card in self.deck]
        self._show_next(0)

    def _vote(self, message: Mapping[str, Any]) -> None:
        place, action = message.get("place"), str(message.get("action"))
        if message.get("serial") != self.serial or place not in range(len(self.cards)):
            return  # a second key press for the card before
        card = self.cards[place]
        fields = {n: message[n] for n in ("scores", "comment", "seconds") if n in message}
        if action == "edit":
            fields["edit"] = _edit(card, message.get("edit") or {})
        fields |= {"sides": card.sides, "action": action, "role": self.role}
        self.store.cast(self.reviewer, kind=self.kind, item=card.id, hash=card.hash, **fields)
        self.note = f"Saved: {action}."
        self._show_next(place)

    def _undo(self, message: Mapping[str, Any]) -> None:
        last = self.store.undo(self.reviewer, self.kind, role=self.role)
        self.note = f"Undone: {last.action}." if last else "There is no vote to undo."
        self._read()
        keys = [card.key for card in self.cards]
        if last and last.key in keys:
            self.place, self.serial = keys.index(last.key), self.serial + 1

    def _show_next(self, place: int) -> None:
        """Show the next card without a vote, from this one on and then from the start."""
        self._read()
        left = [n for n in (*range(place, len(self.cards)), *range(place)) if not self.own[n]]
        self.place, self.serial = (left or [place])[0], self.serial + 1
        if not left:
            self.note += f" All {len(self.cards)} are done; votes may still be changed."

    def _read(self) -> None:
        """Read this reviewer's votes, including those from another window."""
        author = (self.reviewer, self.role)
        self.votes = self.store.votes(self.kind, names=True)
        own = {vote.key: vote for vote in self.votes if (vote.reviewer, vote.role) == author}
        self.own: list[Vote | None] = [own.get(card.key) for card in self.deck]


def desk(store: Store, cards: Sequence[Card], *, role="reviewer", seed=42, number=0) -> Any:
    """Return the review widget on a live page, elsewhere the first `number` cards (0: all) as HTML.

    The page asks for the reviewer's name, never saved in the notebook, unless the environment
    variable MEDINSTRUCT_REVIEWER is set.
    """
    if plotting.display.live():
        reviewer = os.environ.get("MEDINSTRUCT_REVIEWER", "")
        return _panel(Session(store, cards, role=role, seed=seed, reviewer=reviewer))
    deck = [_page(card.blinded(card.hash)) for card in cards[: number or None]]
    parts = {"cards": deck, "summary": annotators.summary(store.votes(), cards)}
    return HTML(plotting.display.render("review_cards.html", **parts))


def _page(card: Card) -> dict[str, Any]:
    """Return a card as plain data: texts in pieces, flagged or not, and the words behind a flag."""
    texts, causes = [], {}
    for name, text in card.texts.items():
        parts = pieces(text, [flag for flag in card.flags if flag.field == name])
        texts.append({"name": name, "pieces": parts, "raw": text if name in EDITABLE else None})
    for flag in card.flags:
        causes.setdefault(f"{flag.reason}: {flag.means}", {})[visible(flag.words)] = True
    page = {name: list(getattr(card, name)) for name in ("tags", "reasons", "earlier")}
    return page | {"texts": texts, "causes": [[why, [*words]] for why, words in causes.items()]}


def _panel(session: Session) -> Any:
    """Return the widget of a session: the browser sends votes and gets the next state."""
    import anywidget
    import traitlets

    class Panel(anywidget.AnyWidget):
        _esm, _css = paths.data("review_panel.js"), paths.data("review_panel.css")
        cards, view = traitlets.List().tag(sync=True), traitlets.Dict().tag(sync=True)
        scales = traitlets.List([list(scale) for scale in SCALES.items()]).tag(sync=True)

    panel = Panel(cards=session.texts(), view=session.view())

    def answer(_: Any, message: Mapping[str, Any], __: Any) -> None:
        view = session.act(message)
        panel.cards, panel.view = session.texts(), view
        panel.send({"done": True})  # also if the view has not changed

    panel.on_msg(answer)
    return panel


def _edit(card: Card, fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the changed fields; refuse an edit that changes nothing or empties a field."""
    texts = {name: card.texts[name].strip() for name in EDITABLE if name in card.texts}
    edit = {name: str(fields.get(name, text)).strip() for name, text in texts.items()}
    edit = {name: text for name, text in edit.items() if text != texts[name]}
    if not edit:
        raise UserError("Nothing was changed.", do="Change a text, or accept the item as it is.")
    for name in edit.keys() - {"input"}:
        if not edit[name]:
            raise UserError(f"The {name} must not be empty.", do="Write it, or reject the item.")
    return edit
