"""What could name a person in a chat: found before anything is kept, masked on request, and remembered where it was no such thing."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from medinstruct import audits, review
from medinstruct.audits.phi import Hit
from medinstruct.errors import UserError

DECISIONS = ("mask", "none", "kept", "back")
Found = Sequence[list[Hit]]
Then = Callable[[str, Found], None]


class Guard:
    """Stands before the disk. What looks like an identifier waits in `pending` until the reader has decided.

    `cleared` are words that are no identifiers; `secret` those of turns that are not to be kept, which no later turn may keep.
    """

    def __init__(self, cleared: Iterable[str] = (), *, engine: str = "rules") -> None:
        self.cleared, self.secret, self.engine = set(cleared), set[str](), engine
        self._waiting: tuple[str, Found, Then] | None = None

    @property
    def pending(self) -> dict[str, Any] | None:
        """What the page asks about: where it stands (question, answer or correction) and what was found."""
        if self._waiting is None:
            return None
        words = dict.fromkeys(
            (hit.kind, review.visible(hit.text)) for hits in self._waiting[1] for hit in hits
        )
        return {
            "what": self._waiting[0],
            "hits": [{"kind": kind, "text": text} for kind, text in words],
        }

    def check(self, what: str, texts: Sequence[str], then: Then) -> None:
        """Go on at once, with the decision "", where nothing looks like an identifier; else ask first."""
        hits = [self.found(text) for text in texts]
        if any(hits):
            self._waiting = what, hits, then
        else:
            then("", hits)

    def decide(self, decision: str) -> None:
        """Mask it, keep nothing ("none"), say that it is none ("kept"), or take it back."""
        if self._waiting is None:
            return
        if decision not in DECISIONS:
            raise UserError(
                "This is not known.", got=decision, do=f"One of {', '.join(DECISIONS)}."
            )
        (_, hits, then), self._waiting = self._waiting, None
        words = {hit.text for found in hits for hit in found}
        self.cleared |= words if decision == "kept" else set()
        self.secret |= words if decision == "none" else set()
        then(decision, hits)

    def found(self, text: str) -> list[Hit]:
        """What in a text could name a person and was not cleared; a secret of an earlier turn is found wherever it stands."""
        hits = [
            hit
            for hit in audits.find_identifiers(text, engine=self.engine)
            if hit.text not in self.cleared
        ]
        taken = [(hit.start, hit.start + len(hit.text)) for hit in hits]
        for word in self.secret - self.cleared:
            at = text.find(word)
            while at >= 0:
                if not any(start < at + len(word) and at < end for start, end in taken):
                    hits.append(Hit("not to be kept", at, word))
                    taken.append((at, at + len(word)))
                at = text.find(word, at + len(word))
        return sorted(hits, key=lambda hit: hit.start)


def masked(text: str, hits: Iterable[Hit]) -> str:
    """The text with the kind of each identifier in its place.

    >>> text = "Mr. Oskar Trell, seen on 14 March 2023"
    >>> masked(text, audits.find_identifiers(text))
    'Mr. [name], seen on [date]'
    """
    for hit in sorted(hits, key=lambda hit: -hit.start):
        text = f"{text[: hit.start]}[{hit.kind}]{text[hit.start + len(hit.text) :]}"
    return text
