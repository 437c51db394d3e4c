"""Novelty by exact ROUGE-L."""

from medinstruct.filtering.neighbours import nearest, nearest_other
from medinstruct.filtering.novelty import Pool, keep_novel, kept_by_limit
from medinstruct.filtering.tokens import tokens, unread

__all__ = ["Pool", "keep_novel", "kept_by_limit", "nearest", "nearest_other", "tokens", "unread"]
