"""Audits of a dataset: identifiers, demographics, readability, risk, drift, findings, card."""

from medinstruct.audits import demographics, drift, findings, phi, readability, risk
from medinstruct.audits.cards import dataset_facts, push_to_hub, write_card
from medinstruct.audits.findings import LIMITS, finding
from medinstruct.audits.phi import find_identifiers, scan_identifiers
