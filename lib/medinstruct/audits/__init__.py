"""Audits of a dataset: identifiers, demographics, readability, risk, drift, findings, card."""

from medinstruct.audits import demographics, drift, findings, phi, readability, risk
from medinstruct.audits.cards import dataset_facts, push_to_hub, write_card
from medinstruct.audits.findings import LIMITS, finding
from medinstruct.audits.phi import find_identifiers, scan_identifiers

__all__ = ["LIMITS", "dataset_facts", "demographics", "drift", "find_identifiers", "finding"]
__all__ += ["findings", "phi", "push_to_hub", "readability", "risk", "scan_identifiers"]
__all__ += ["write_card"]
