"""Privacy gate: possible identifiers wait for a decision before a text is sent or saved."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from medinstruct import audits, review
from medinstruct.errors import UserError

DECISIONS = ("mask", "none", "kept", "back")
Span = tuple[int, int, str]  # start, end, kind
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
        spans = list(map(self.find, texts))
        rows = zip(texts, spans, strict=True)
        hits = [(kind, text[start:end]) for text, row in rows for start, end, kind in row]
        if not hits:
            then("", texts, [])
            return
        visible = [(kind, review.visible(word)) for kind, word in hits]
        self.pending = {"what": what, "hits": list(dict.fromkeys(visible))}
        self._waiting = texts, list(map(mask, texts, spans)), [word for _, word in hits], then

    def decide(self, decision: str) -> None:
        """Apply a decision: mask, none (save nothing), kept (no identifier), back (withdraw)."""
        if decision not in DECISIONS:
            raise UserError(
                "The decision is unknown.", got=decision, do=f"Choose from {DECISIONS}."
            )
        if self.pending is None:
            return
        self.pending = None
        texts, masked, words, then = self._waiting
        self.cleared.update(words if decision == "kept" else ())
        self.blocked.update(words if decision == "none" else ())
        then(decision, masked if decision == "mask" else texts, words)

    def find(self, text: str) -> list[Span]:
        """Return the possible identifiers of a text that are not cleared, in order."""
        hits = audits.find_identifiers(text)
        spans = [(hit.start, hit.start + len(hit.text), hit.kind) for hit in hits]
        for word in self.blocked:
            for match in re.finditer(re.escape(word), text):
                if all(match.end() <= start or end <= match.start() for start, end, _ in spans):
                    spans.append((*match.span(), "not to be saved"))
        return sorted(span for span in spans if text[span[0] : span[1]] not in self.cleared)


def mask(text: str, spans: Iterable[Span]) -> str:
    """Replace each identifier by its kind.

    >>> mask("Mr. Oskar Trell came.", [(4, 15, "name")])
    'Mr. [name] came.'
    """
    for start, end, kind in sorted(spans, reverse=True):
        text = f"{text[:start]}[{kind}]{text[end:]}"
    return text
