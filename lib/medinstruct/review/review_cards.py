"""Review cards: an item as a reviewer sees it, blinding of comparisons, hidden characters shown."""

import random
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from medinstruct.errors import UserError
from medinstruct.records import Task, content_hash
from medinstruct.review.sampling import Sampled

EDITABLE = ("instruction", "input", "output")
HIDDEN = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"


class Card(NamedTuple):
    """One item for review; `hash` identifies its texts, so that votes on older texts do not count.

    `texts` are shown in order. In a comparison (kind answers) they are the question and the answer
    of each model; the names of the models are hidden. `earlier` are votes for the adjudicator.
    """

    id: str
    hash: str
    kind: str
    texts: dict[str, str]
    tags: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()

    def sides(self, seed: str) -> dict[str, str]:
        """Return which model is on the left and the right side of a comparison, at random."""
        models = sorted(set(self.texts) - {"question"})
        return dict(zip(("left", "right"), random.Random(seed).sample(models, 2), strict=True))

    def blinded(self, seed: str) -> dict[str, str]:
        """Return the texts under the names that a reviewer sees, in a comparison the sides."""
        if self.kind != "answers":
            return self.texts
        sides = {side: self.texts[model] for side, model in self.sides(seed).items()}
        return {"question": self.texts["question"]} | sides


def cards(items: Sequence[Sampled | Task], *, kind: str = "dataset") -> list[Card]:
    """Return the cards of sampled items, or of tasks (`kind` seeds). Each id may occur once."""
    result = []
    for entry in items:
        item, reasons = (entry.item, entry.reasons) if isinstance(entry, Sampled) else (entry, ())
        labels = (item.type, item.topic, item.view, f"level {item.difficulty}")
        tags = tuple(visible(str(label)) for label in labels if label)
        result.append(Card(item.id, text_hash(item), kind, _texts(item), tags, reasons))
    name, count = Counter(card.id for card in result).most_common(1)[0] if result else ("", 0)
    if count > 1:
        raise UserError("Two items have the same id.", got=name, do="Change one of the ids.")
    return result


def text_hash(item: Task) -> str:
    """Return the hash of the texts and labels that a vote is about."""
    labels = (item.type, item.topic, item.view, item.difficulty)
    return content_hash(*_texts(item).values(), *labels)


def visible(text: str) -> str:
    """Return a text with its control, bidirectional and zero-width characters written out.

    >>> visible("\\x1b[31mred\\u202e")
    '␛[31mred⟨U+202E⟩'
    """
    symbols = {char: f"⟨U+{ord(char):04X}⟩" for char in set(re.findall(HIDDEN, text))}
    symbols |= {char: chr(0x2400 + ord(char)) for char in symbols if char < " "}
    return text.replace("\r\n", "\n").translate(str.maketrans(symbols))


def _texts(item: Task) -> dict[str, str]:
    return {name: getattr(item, name) for name in EDITABLE if hasattr(item, name)}
