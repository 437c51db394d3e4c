"""Expert review: sample, cards, the desk, votes, agreement, estimates, the reviewed dataset."""

from medinstruct.review import annotators, review_cards, reviewed
from medinstruct.review.review_cards import cards, pairs, sample, text_hash, visible
from medinstruct.review.review_desk import Session, desk
from medinstruct.review.reviewed import apply_votes
from medinstruct.review.store import Store, Vote
