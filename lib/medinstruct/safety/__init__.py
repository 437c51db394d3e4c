"""Safety of a model: harmful requests, emergencies, and answers that change with a patient's traits."""

from medinstruct.safety.counterfactual import (
    as_samples,
    case_differences,
    cases,
    measure_cases,
    planted,
    worst_pairs,
)
from medinstruct.safety.responses import (
    as_task,
    evaluate_safety,
    load_safety,
    safety_change,
    safety_json,
    safety_rates,
    worst_safety,
    write_safety,
)

__all__ = [
    "as_samples",
    "as_task",
    "case_differences",
    "cases",
    "evaluate_safety",
    "load_safety",
    "measure_cases",
    "planted",
    "safety_change",
    "safety_json",
    "safety_rates",
    "worst_pairs",
    "worst_safety",
    "write_safety",
]
