"""Judging free-form answers: test sets, pairwise prompts in both orders, verdicts, win rates, and what may have moved them."""

from medinstruct.evaluation.aligning import load_answers
from medinstruct.evaluation.answering import answer_all, answerers, examined, texts_said
from medinstruct.evaluation.attacks import attack_pairs, attack_results, try_attacks
from medinstruct.evaluation.bias import bias_panel, family, self_preference
from medinstruct.evaluation.drift import anchors, drift
from medinstruct.evaluation.items import load_items, question, reference_texts
from medinstruct.evaluation.judging import (
    Pair,
    cost,
    judge,
    judge_all,
    judge_pairs,
    judge_source,
    jury,
)
from medinstruct.evaluation.length_control import length_controlled
from medinstruct.evaluation.looks import ALPACA_STOPS, cut_of, is_cut, looks, texts_of
from medinstruct.evaluation.plots import (
    agreement_figure,
    forest,
    label_figure,
    length_figure,
    rubric_figure,
    score_heat,
)
from medinstruct.evaluation.prompts import judge_prompt, prompt_hash
from medinstruct.evaluation.published import published_example
from medinstruct.evaluation.reader import comparison_html, reader
from medinstruct.evaluation.replay import Replay, load_verdicts
from medinstruct.evaluation.rubric import (
    Rubric,
    by_axis,
    grade,
    load_rubrics,
    parse_grade,
    rubric_scores,
)
from medinstruct.evaluation.several import (
    Vote,
    agreement,
    calibrated,
    load_votes,
    majority,
    on_shared,
    vote_results,
)
from medinstruct.evaluation.slices import weak_cells, write_focus
from medinstruct.evaluation.verdicts import by_judge, instrument, judge_health, parse_verdict
from medinstruct.evaluation.winrates import by_label, compare, item_scores, win_rates, write_results

__all__ = [
    "ALPACA_STOPS",
    "Pair",
    "Replay",
    "Rubric",
    "Vote",
    "agreement",
    "agreement_figure",
    "anchors",
    "answer_all",
    "answerers",
    "attack_pairs",
    "attack_results",
    "bias_panel",
    "by_axis",
    "by_judge",
    "by_label",
    "calibrated",
    "compare",
    "comparison_html",
    "cost",
    "cut_of",
    "drift",
    "examined",
    "family",
    "forest",
    "grade",
    "instrument",
    "is_cut",
    "item_scores",
    "judge",
    "judge_all",
    "judge_health",
    "judge_pairs",
    "judge_prompt",
    "judge_source",
    "jury",
    "label_figure",
    "length_controlled",
    "length_figure",
    "load_answers",
    "load_items",
    "load_rubrics",
    "load_verdicts",
    "load_votes",
    "looks",
    "majority",
    "on_shared",
    "parse_grade",
    "parse_verdict",
    "prompt_hash",
    "published_example",
    "question",
    "reader",
    "reference_texts",
    "rubric_figure",
    "rubric_scores",
    "score_heat",
    "self_preference",
    "texts_of",
    "texts_said",
    "try_attacks",
    "vote_results",
    "weak_cells",
    "win_rates",
    "write_focus",
    "write_results",
]
