"""Novelty by exact ROUGE-L."""

from medinstruct.filtering.novelty import Pool, keep_novel, nearest, nearest_other, tokens

__all__ = ["Pool", "keep_novel", "nearest", "nearest_other", "tokens"]
