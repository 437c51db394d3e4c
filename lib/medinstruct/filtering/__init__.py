"""Novelty by exact ROUGE-L."""

from medinstruct.filtering.novelty import keep_novel, nearest, nearest_other, tokens

__all__ = ["keep_novel", "nearest", "nearest_other", "tokens"]
