"""Judging of free-form answers: test sets, answers, verdicts, win rates, bias and checks."""

from medinstruct.evaluation import answers, bias, judge, judge_checks, rubric, test_sets, verdicts

from medinstruct.evaluation import win_rate  # isort: skip
from medinstruct.evaluation.answers import answer_all, answerers
from medinstruct.evaluation.test_sets import load_answers, load_items
from medinstruct.evaluation.verdicts import parse_verdict
from medinstruct.evaluation.win_rate import win_rates
