"""Benchmarks through lm-evaluation-harness: question sets, harness, reply extraction, scores."""

from medinstruct.benchmarks import extraction, harness, question_sets, scores
from medinstruct.benchmarks.harness import Contestant, Result, Sample, contestants, run
from medinstruct.benchmarks.question_sets import Benchmark, load
