"""Audits of a dataset: identifiers, demographics, readability, risk, drift, findings, card."""

from medinstruct.audits import cards, demographics, drift, phi, readability, risk
from medinstruct.audits.cards import (
    LIMITS,
    dataset_facts,
    dataset_findings,
    finding,
    push_to_hub,
    write_card,
)
from medinstruct.audits.phi import find_identifiers, scan_identifiers
