"""Audits of a dataset: identifiers, demographics, readability, risk, drift, findings, card."""

from medinstruct.audits import cards, drift, phi, texts
from medinstruct.audits.cards import (
    LIMITS,
    dataset_facts,
    dataset_findings,
    finding,
    push_to_hub,
    write_card,
)
from medinstruct.audits.phi import find_identifiers, scan_identifiers
