"""Audits of a dataset: identifiers, demographics, reading level, risk, drift between versions, and its documents."""

from medinstruct.audits.croissant import croissant
from medinstruct.audits.dataset_card import dataset_facts, datasheet, write_papers
from medinstruct.audits.demographics import balance, demographic_shares, lopsided
from medinstruct.audits.difficulty import estimate_difficulty
from medinstruct.audits.drift_monitor import (
    compare_models,
    compare_rates,
    compare_scores,
    compare_versions,
    grow_log,
    version_line,
)
from medinstruct.audits.findings import LIMITS, as_json, finding, findings_table
from medinstruct.audits.hub import push_to_hub
from medinstruct.audits.input_licenses import conflicts
from medinstruct.audits.phi import (
    find_identifiers,
    notebook_texts,
    phi_accuracy,
    phi_snippets,
    scan_identifiers,
)
from medinstruct.audits.quality_figures import (
    change_figure,
    difference_panels,
    difficulty_figure,
    dots,
    reading_figure,
)
from medinstruct.audits.readability import reading_gap, reading_levels
from medinstruct.audits.risk import flag_rates, flagged, risks

__all__ = [
    "LIMITS",
    "as_json",
    "balance",
    "change_figure",
    "compare_models",
    "compare_rates",
    "compare_scores",
    "compare_versions",
    "conflicts",
    "croissant",
    "dataset_facts",
    "datasheet",
    "demographic_shares",
    "difference_panels",
    "difficulty_figure",
    "dots",
    "estimate_difficulty",
    "find_identifiers",
    "finding",
    "findings_table",
    "flag_rates",
    "flagged",
    "grow_log",
    "lopsided",
    "notebook_texts",
    "phi_accuracy",
    "phi_snippets",
    "push_to_hub",
    "reading_figure",
    "reading_gap",
    "reading_levels",
    "risks",
    "scan_identifiers",
    "version_line",
    "write_papers",
]
