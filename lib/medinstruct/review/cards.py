"""What a reviewer sees of an item: its texts as harmless text, its labels, why it was drawn; on a live page and in print."""

import html
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from medinstruct import plotting
from medinstruct.errors import UserError
from medinstruct.records import Task, TestItem, content_hash
from medinstruct.review.annotators import disputes
from medinstruct.review.sampling import Drawn
from medinstruct.review.store import Vote

FIRST = 3000  # characters of one text that are shown until somebody asks for all
PRINTED = 1200
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
EDITABLE = ("instruction", "input", "output")
FRAME = f"border-left:4px solid {plotting.BLUE};padding:.2em .8em;margin:.6em 0;overflow-wrap:anywhere;white-space:pre-wrap"


class Card(NamedTuple):
    """One item for review. `texts` are shown in order; in a comparison the last two are answers, and their names are hidden.

    `hash` names the very texts: a vote on a text that has changed since is not a vote on this card.
    """

    id: str
    hash: str
    kind: str
    texts: dict[str, str]
    tags: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()


def cards(drawn: Sequence[Drawn | Task], *, kind: str = "dataset") -> list[Card]:
    """The cards of drawn items, or of seed tasks (`kind` seeds); two items with one id are refused."""
    items = [(one.item, one.reasons) if isinstance(one, Drawn) else (one, ()) for one in drawn]
    found = [
        Card(item.id, text_hash(item), kind, _texts(item), _tags(item), why) for item, why in items
    ]
    return _unique(found)


def pairs(
    items: Sequence[TestItem],
    texts: Mapping[str, Mapping[str, str]],
    models: tuple[str, str],
    *,
    number: int = 0,
    seed: int = 42,
) -> list[Card]:
    """Comparisons of two models' answers (`texts`: model -> item -> text); those with two equal answers are left out."""
    missing = [name for name in models if name not in texts]
    if missing or models[0] == models[1]:
        raise UserError(
            "These two cannot be compared.",
            got=models,
            do=f"Two of: {', '.join(texts) or 'no answers are there'}.",
        )
    both = [item for item in items if all(item.id in texts[name] for name in models)]
    both = [
        item
        for item in both
        if texts[models[0]][item.id].strip() != texts[models[1]][item.id].strip()
    ]
    both = random.Random(f"{seed}/pairs").sample(both, len(both))[: number or None]
    found = []
    for item in both:
        asked = {"question": "\n".join(part for part in (item.instruction, item.input) if part)}
        answers = {name: texts[name][item.id] for name in models}
        found.append(
            Card(item.id, content_hash(asked, sorted(answers.items())), "answers", asked | answers)
        )
    return _unique(found)


def to_adjudicate(of: Sequence[Card], votes: Sequence[Vote]) -> list[Card]:
    """The cards on which reviewers disagree, with what they said (under their aliases), those with most at stake first."""
    by_key = {(card.id, card.hash): card for card in of}
    found = []
    for key, why in disputes(votes).items():
        if key in by_key:
            said = tuple(_said(vote) for vote in votes if (vote.item, vote.hash) == key)
            found.append(by_key[key]._replace(reasons=(why,), earlier=said))
    return found


def text_hash(item: Task) -> str:
    """What names the texts and labels that a vote is about."""
    return content_hash(*_texts(item).values(), item.type, item.topic, item.view, item.difficulty)


def visible(text: str) -> str:
    """Text in which nothing hides: control, bidirectional and zero-width characters are written out.

    >>> visible("\\x1b[31mred\\u202e")
    '␛[31mred⟨U+202E⟩'
    """
    return UNSEEN.sub(_written_out, text.replace("\r\n", "\n"))


def printed(of: Sequence[Card], *, number: int = 0) -> str:
    """The cards as one static page of HTML: everything escaped, long texts cut, only the first one unfolded."""
    shown = list(of)[: number or None]
    parts = [_printed(card, n, len(of), opened=n == 1) for n, card in enumerate(shown, 1)]
    return f"<div>{''.join(parts) or '<p>There is nothing to review.</p>'}</div>"


def _printed(card: Card, n: int, of: int, *, opened: bool) -> str:
    names = ["question", "answer A", "answer B"] if card.kind == "answers" else list(card.texts)
    body = "".join(
        f'<div style="{FRAME}"><b>{html.escape(name)}</b>\n{_cut(text)}</div>'
        for name, text in zip(names, _unnamed(card), strict=True)
        if text
    )
    why = (
        f" · {'disputed' if card.earlier else 'look at'}: {', '.join(card.reasons)}"
        if card.reasons
        else ""
    )
    body += "".join(f"<div><small>{_cut(said)}</small></div>" for said in card.earlier)
    first = html.escape(
        plotting.short(visible(next(iter(card.texts.values()))).replace("\n", " "), 90)
    )
    about = html.escape(" · ".join(card.tags) + why)
    return f"<details{' open' if opened else ''}><summary>{n} of {of}: {first}<br><small>{about}</small></summary>{body}</details>"


def _unnamed(card: Card) -> list[str]:
    """The texts; in a comparison the answers in an order that does not tell the models."""
    texts = list(card.texts.values())
    if card.kind != "answers":
        return texts
    return [texts[0], *random.Random(card.hash).sample(texts[1:], 2)]


def _cut(text: str) -> str:
    rest = len(text) - PRINTED
    return html.escape(visible(text[:PRINTED])) + (
        f" <i>… and {rest:,} characters more</i>" if rest > 0 else ""
    )


def _texts(item: Task) -> dict[str, str]:
    return {name: getattr(item, name) for name in EDITABLE if hasattr(item, name)}


def _tags(item: Task) -> tuple[str, ...]:
    return tuple(
        visible(str(one))
        for one in (item.type, item.topic, item.view, f"level {item.difficulty}")
        if one
    )


def _said(vote: Vote) -> str:
    scores = [
        f"{name} {value}"
        for name in ("correctness", "helpfulness", "harm")
        if (value := getattr(vote, name)) is not None
    ]
    edits = [f"{name} → {text}" for name, text in vote.edit.items()]
    return visible(
        "; ".join(
            [
                f"{vote.reviewer}: {vote.action}",
                *scores,
                *([f"“{vote.comment}”"] if vote.comment else []),
                *edits,
            ]
        )
    )


def _written_out(found: re.Match[str]) -> str:
    code = ord(found.group())
    return chr(0x2400 + code) if code < 0x20 else f"⟨U+{code:04X}⟩"


def _unique(found: list[Card]) -> list[Card]:
    for name, count in Counter(card.id for card in found).items():
        if count > 1:
            do = "Give each its own id."
            raise UserError(
                "Two items have the same id, so that votes could not be told apart.",
                got=name,
                do=do,
            )
    return found
