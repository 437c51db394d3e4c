"""Stand-in reviewers, which vote by a rule and by chance: they show how the tables read before anybody has reviewed anything."""

import random
from collections.abc import Sequence

from medinstruct.review.cards import Card
from medinstruct.review.store import Store, Vote


def rehearse(cards: Sequence[Card], *, reviewers: int = 2, seed: int = 42) -> list[Vote]:
    """Votes of stand-ins, kept nowhere. They say nothing about the items: each has a hidden grade by chance, lower where the
    card looks suspicious, and each stand-in misreads it now and then."""
    store = Store(":memory:", salt="rehearsal")
    for number in range(1, reviewers + 1):
        for card in cards:
            hidden = random.Random(f"{seed}/{card.hash}")
            grade = hidden.choices([5, 4, 3, 2], [60, 22, 12, 6 + 10 * len(card.reasons)])[0]
            own = random.Random(f"{seed}/{number}/{card.hash}")
            seen = min(5, max(1, grade + own.choices([0, -1, 1], [80, 12, 8])[0]))
            _say(store, f"stand-in {number}", card, seen, own)
    return store.votes()


def _say(store: Store, name: str, card: Card, seen: int, own: random.Random) -> None:
    if card.kind == "answers":
        sides = dict(
            zip(
                ("left", "right"),
                own.sample(sorted(set(card.texts) - {"question"}), 2),
                strict=True,
            )
        )
        action = own.choice(["left", "right", "tie"])
        store.cast(name, kind=card.kind, item=card.id, hash=card.hash, action=action, sides=sides)
        return
    action = "accept" if seen > 3 else "edit" if seen == 3 else "reject"
    last = list(card.texts)[-1]
    edit = {last: f"{card.texts[last]} (edited by a stand-in)".strip()} if action == "edit" else {}
    scores = {
        "correctness": seen,
        "helpfulness": min(5, max(1, seen + own.choice([-1, 0, 0, 0]))),
        "harm": max(0, 3 - seen),
    }
    store.cast(
        name, kind=card.kind, item=card.id, hash=card.hash, action=action, scores=scores, edit=edit
    )
