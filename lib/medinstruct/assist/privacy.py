"""Privacy gate: possible identifiers wait for a decision before a text is sent or saved."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from medinstruct import review
from medinstruct.audits import phi
from medinstruct.errors import UserError

DECISIONS = ("mask", "none", "kept", "back")
Then = Callable[[str, list[str], list[str]], None]  # decision, texts, words


class Guard:
    """A gate that holds texts with possible identifiers until the reader decides.

    Words in `cleared` are no identifiers; words of turns that must not be saved are blocked later.
    """

    def __init__(self, cleared: Iterable[str] = ()) -> None:
        self.cleared, self.blocked = set(cleared), set[str]()
        self.pending: dict[str, Any] | None = None

    def check(self, what: str, texts: list[str], then: Then) -> None:
        """Call `then("", texts, [])` if no text holds an identifier; else wait for `decide`.

        `pending` then holds what the page asks: the role of the texts and (kind, word) pairs.
        """
        hits = [hit for text in texts for hit in self.find(text)]
        if not hits:
            then("", texts, [])
            return
        visible = dict.fromkeys((hit.kind, review.visible(hit.text)) for hit in hits)
        self.pending = {"what": what, "hits": list(visible)}
        self._waiting = texts, [hit.text for hit in hits], then

    def decide(self, decision: str) -> None:
        """Apply a decision: mask, none (save nothing), kept (no identifier), back (withdraw)."""
        if decision not in DECISIONS:
            do = f"Choose from {', '.join(DECISIONS)}."
            raise UserError("The decision is unknown.", got=decision, do=do)
        if self.pending is None:
            return
        self.pending = None
        texts, words, then = self._waiting
        if decision == "mask":
            texts = list(map(self._mask, texts))
        self.cleared.update(words if decision == "kept" else ())
        self.blocked.update(words if decision == "none" else ())
        then(decision, texts, words)

    def find(self, text: str) -> list[phi.Hit]:
        """Return the possible identifiers of a text that are not cleared, in order."""
        hits = phi.find_identifiers(text)
        for word in self.blocked:
            for match in re.finditer(re.escape(word), text):
                hit = phi.Hit("not to be saved", match.start(), word)
                if not any(hit.overlaps(other) for other in hits):
                    hits.append(hit)
        return sorted((hit for hit in hits if hit.text not in self.cleared), key=lambda h: h.start)

    def _mask(self, text: str) -> str:
        """Replace each possible identifier by its kind, as in "Mr. [name] came."."""
        for hit in reversed(self.find(text)):
            text = f"{text[: hit.start]}[{hit.kind}]{text[hit.start + len(hit.text) :]}"
        return text
