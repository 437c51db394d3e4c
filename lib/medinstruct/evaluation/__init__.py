"""Judging free-form answers: test sets, pairwise prompts in both orders, verdicts, win rates."""

from medinstruct.evaluation import benchmarks
from medinstruct.evaluation.items import load_items
from medinstruct.evaluation.judging import judge_prompt, judge_requests, verdicts_from
from medinstruct.evaluation.verdicts import parse_verdict, win_rates

__all__ = ["benchmarks", "judge_prompt", "judge_requests", "load_items", "parse_verdict", "verdicts_from", "win_rates"]
