"""How varied a dataset is: verbs and nouns, coverage, lexical measures, growth, and one dataset beside another."""

from medinstruct.diversity.verb_noun import accuracy, hand_labelled, naive, verb_noun

__all__ = ["accuracy", "hand_labelled", "naive", "verb_noun"]
