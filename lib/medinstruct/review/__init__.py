"""Expert review: sample, cards, the desk, votes, agreement, estimates, the reviewed dataset."""

from medinstruct.review import annotators, blind_pairs, estimates, reviewed
from medinstruct.review.review_cards import cards, sample, text_hash, visible
from medinstruct.review.review_desk import Session, desk
from medinstruct.review.store import Store, Vote
