"""Benchmarks through lm-evaluation-harness: multiple choice by likelihood and by generation, short summaries, base and tuned alike."""

from medinstruct.benchmarks.browsing import browse, page, telling
from medinstruct.benchmarks.drawing import (
    level_lines,
    place_bars,
    reliability,
    score_bars,
    subject_change,
)
from medinstruct.benchmarks.extraction import extract_choice, extract_word
from medinstruct.benchmarks.loading import Benchmark, focus, load, names
from medinstruct.benchmarks.models import Contestant, contestants
from medinstruct.benchmarks.probing import calibration, order_sensitivity
from medinstruct.benchmarks.reported import averages, beside, published
from medinstruct.benchmarks.running import Result, Sample, run
from medinstruct.benchmarks.scoring import by_group, paired, plain, scores, searched, without_seen

__all__ = [
    "Benchmark",
    "Contestant",
    "Result",
    "Sample",
    "averages",
    "beside",
    "browse",
    "by_group",
    "calibration",
    "contestants",
    "extract_choice",
    "extract_word",
    "focus",
    "level_lines",
    "load",
    "names",
    "order_sensitivity",
    "page",
    "paired",
    "place_bars",
    "plain",
    "published",
    "reliability",
    "run",
    "score_bars",
    "scores",
    "searched",
    "subject_change",
    "telling",
    "without_seen",
]
