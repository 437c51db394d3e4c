"""Benchmarks through lm-evaluation-harness: multiple choice by likelihood and by generation, short summaries, base and tuned alike."""

from medinstruct.evaluation.benchmarks.extraction import extract_choice, extract_word
from medinstruct.evaluation.benchmarks.loading import Benchmark, load, names
from medinstruct.evaluation.benchmarks.models import Contestant, contestants
from medinstruct.evaluation.benchmarks.running import Result, Sample, run

__all__ = ["Benchmark", "Contestant", "Result", "Sample", "contestants", "extract_choice", "extract_word", "load", "names", "run"]
