"""Quality, review and safety: people who look, audits that count, a safety evaluation, documents from measured files."""

# review by people
from medinstruct.review.agreement import agreement, agreement_table, disagreements, gwet, percent_agreement, weighted_kappa
from medinstruct.review.cards import Card, cards, pairs, printed, text_hash, to_adjudicate, visible
from medinstruct.review.comparing import current_votes, pairs_of_run, preferences, write_votes

# audits, safety, monitoring, papers
from medinstruct.review.counterfactual import as_samples, case_differences, cases, measure_cases, planted, worst_pairs
from medinstruct.review.croissant import croissant
from medinstruct.review.dataset_card import dataset_facts, datasheet, write_papers
from medinstruct.review.demographics import balance, demographic_shares, lopsided
from medinstruct.review.difficulty import estimate_difficulty
from medinstruct.review.hub import push_to_hub
from medinstruct.review.licences import conflicts
from medinstruct.review.monitoring import (
    compare_models,
    compare_rates,
    compare_scores,
    compare_versions,
    grow_log,
    version_line,
)
from medinstruct.review.planner import estimate, items_to_review, items_to_rule_out, pace, plan, precision_curve
from medinstruct.review.privacy import find_identifiers, notebook_texts, phi_accuracy, phi_snippets, scan_identifiers
from medinstruct.review.quality import LIMITS, as_json, finding, findings_table
from medinstruct.review.quality_figures import change_figure, difference_panels, difficulty_figure, dots, reading_figure
from medinstruct.review.reading import reading_gap, reading_levels
from medinstruct.review.rehearsal import rehearse
from medinstruct.review.risk import flag_rates, flagged, risks
from medinstruct.review.safety import (
    as_task,
    evaluate_safety,
    load_safety,
    safety_change,
    safety_json,
    safety_rates,
    worst_safety,
    write_safety,
)  # fmt: skip
from medinstruct.review.sampling import Drawn, reasons, sample
from medinstruct.review.session import Session
from medinstruct.review.standing import review_rates, standing
from medinstruct.review.store import Store, Vote
from medinstruct.review.versions import Change, Reviewed, decide, from_chat, load, reviewed, reviewed_share, write
from medinstruct.review.widget import desk, panel
from medinstruct.stats.proportions import mcnemar, wilson

__all__ = [
    "LIMITS", "as_json", "as_samples", "as_task", "balance", "case_differences", "cases", "change_figure", "compare_models", "compare_rates",
    "compare_scores", "compare_versions", "conflicts", "croissant", "dataset_facts", "datasheet", "demographic_shares",
    "difference_panels", "difficulty_figure", "dots", "estimate_difficulty", "evaluate_safety", "find_identifiers", "finding",
    "findings_table", "flag_rates", "flagged", "grow_log", "load_safety", "lopsided", "mcnemar", "measure_cases", "notebook_texts",
    "phi_accuracy", "phi_snippets", "planted", "push_to_hub", "reading_figure", "reading_gap", "reading_levels", "risks", "safety_change", "safety_json",
    "safety_rates", "scan_identifiers", "version_line", "wilson", "worst_pairs", "worst_safety", "write_papers", "write_safety",

    "Card", "Change", "Drawn", "Reviewed", "Session", "Store", "Vote", "agreement", "agreement_table", "cards", "current_votes", "decide", "desk",
    "disagreements", "estimate", "from_chat", "gwet", "items_to_review", "items_to_rule_out", "load", "pace", "pairs", "pairs_of_run", "panel", "percent_agreement",
    "plan", "precision_curve", "preferences", "printed", "reasons", "rehearse", "reviewed", "review_rates", "reviewed_share", "sample", "standing",
    "text_hash", "to_adjudicate", "visible", "weighted_kappa", "write", "write_votes",
]  # fmt: skip
