"""Judging of free-form answers: test sets, answers, verdicts, win rates, checks of the judge."""

from medinstruct.evaluation import answers, judge, judge_checks, rubric, verdicts, win_rate
from medinstruct.evaluation.answers import answer_all, answerers, evenly, load_answers, load_items
from medinstruct.evaluation.verdicts import parse_verdict
from medinstruct.evaluation.win_rate import win_rates
