"""Filtering: novelty by exact ROUGE-L, content rules, contamination."""

from medinstruct.filtering import contamination, content_rules
from medinstruct.filtering.novelty import (
    Pool,
    compared_texts,
    count_words,
    drop,
    keep_novel,
    nearest,
    tokenize,
    tokenizer_of,
)
