"""Review by people: cards, votes in a database, a desk in the notebook, and the next version of the dataset."""

from medinstruct.review import annotators
from medinstruct.review.cards import Card, cards, pairs, printed, text_hash, to_adjudicate, visible
from medinstruct.review.comparing import current_votes, pairs_of_run, preferences, write_votes
from medinstruct.review.planner import (
    estimate,
    items_to_review,
    items_to_rule_out,
    pace,
    plan,
    precision_curve,
)
from medinstruct.review.rehearsal import rehearse
from medinstruct.review.sampling import Drawn, reasons, sample
from medinstruct.review.session import Session
from medinstruct.review.standing import review_rates, standing
from medinstruct.review.store import Store, Vote
from medinstruct.review.versions import (
    Change,
    Reviewed,
    decide,
    from_chat,
    load,
    reviewed,
    reviewed_share,
    write,
)
from medinstruct.review.widget import desk, panel

__all__ = [
    "Card",
    "Change",
    "Drawn",
    "Reviewed",
    "Session",
    "Store",
    "Vote",
    "annotators",
    "cards",
    "current_votes",
    "decide",
    "desk",
    "estimate",
    "from_chat",
    "items_to_review",
    "items_to_rule_out",
    "load",
    "pace",
    "pairs",
    "pairs_of_run",
    "panel",
    "plan",
    "precision_curve",
    "preferences",
    "printed",
    "reasons",
    "rehearse",
    "reviewed",
    "review_rates",
    "reviewed_share",
    "sample",
    "standing",
    "text_hash",
    "to_adjudicate",
    "visible",
    "write",
    "write_votes",
]
