"""Quality, review and safety: people who look, audits that count, a safety evaluation, documents from measured files."""

# review by people
from medinstruct.review.agreement import agreement, disagreements, gwet, percent_agreement, weighted_kappa
from medinstruct.review.cards import Card, cards, pairs, printed, to_adjudicate
from medinstruct.review.comparing import preferences, write_votes
from medinstruct.review.planner import design_effect, estimate, items_to_review, items_to_rule_out, pace, plan
from medinstruct.review.rehearsal import rehearse
from medinstruct.review.sampling import Drawn, reasons, sample
from medinstruct.review.session import Session
from medinstruct.review.store import Store, Vote
from medinstruct.review.versions import Change, Reviewed, decide, reviewed, reviewed_share
from medinstruct.review.widget import desk, panel

__all__ = [
    "Card", "Change", "Drawn", "Reviewed", "Session", "Store", "Vote", "agreement", "cards", "decide", "design_effect", "desk",
    "disagreements", "estimate", "gwet", "items_to_review", "items_to_rule_out", "pace", "pairs", "panel", "percent_agreement",
    "plan", "preferences", "printed", "reasons", "rehearse", "reviewed", "reviewed_share", "sample", "to_adjudicate",
    "weighted_kappa", "write_votes",
]  # fmt: skip
