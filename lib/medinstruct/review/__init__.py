"""Expert review: sample, cards, the desk, votes, agreement, estimates, the reviewed dataset."""

from medinstruct.review import annotators, review_cards
from medinstruct.review.annotators import apply_votes
from medinstruct.review.review_cards import cards, pairs, sample, text_hash, visible
from medinstruct.review.review_desk import Session, desk
from medinstruct.review.store import Store, Vote
