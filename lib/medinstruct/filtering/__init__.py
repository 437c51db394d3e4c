"""Filtering: novelty by exact ROUGE-L, content rules, contamination."""

from medinstruct.filtering import contamination, content_rules
from medinstruct.filtering.novelty import Pool, drop, keep_novel, nearest, nearest_other
from medinstruct.filtering.rouge import compared_texts, tokenize
