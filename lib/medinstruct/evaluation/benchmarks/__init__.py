"""Benchmarks through lm-evaluation-harness: multiple choice by likelihood and by generation, short summaries, base and tuned alike."""

from medinstruct.evaluation.benchmarks.browsing import browse, page, telling
from medinstruct.evaluation.benchmarks.drawing import level_lines, place_bars, reliability, score_bars, subject_change
from medinstruct.evaluation.benchmarks.extraction import extract_choice, extract_word
from medinstruct.evaluation.benchmarks.loading import Benchmark, focus, load, names
from medinstruct.evaluation.benchmarks.models import Contestant, contestants
from medinstruct.evaluation.benchmarks.probing import calibration, order_sensitivity
from medinstruct.evaluation.benchmarks.reported import averages, beside, published
from medinstruct.evaluation.benchmarks.running import Result, Sample, run
from medinstruct.evaluation.benchmarks.scoring import by_group, paired, plain, scores, searched, without_seen

__all__ = [
    "Benchmark", "Contestant", "Result", "Sample", "averages", "beside", "browse", "by_group", "calibration", "contestants",
    "extract_choice", "extract_word", "focus", "level_lines", "load", "names", "order_sensitivity", "page", "paired", "place_bars", "plain",
    "published", "reliability", "run", "score_bars", "scores", "searched", "subject_change", "telling", "without_seen",
]  # fmt: skip
