"""Diversity: verbs and nouns, label coverage, divergence of datasets, lexical diversity."""

from medinstruct.diversity import coverage, metrics
from medinstruct.diversity.coverage import load, load_many
from medinstruct.diversity.verbs import unparsed, verb_noun
