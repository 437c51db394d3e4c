"""The report for machines: all numbers with n, interval, stand-ins and the paper's, and where they come from."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from medinstruct.report import provenance
from medinstruct.report.gather import Run
from medinstruct.report.parts import Part


def as_json(run: Run, found: Sequence[Part]) -> dict[str, Any]:
    """The content of report.json; times and the machine are left out where the run is not timed."""
    every = [dataclasses.asdict(one) for part in found for one in part.numbers]
    kept = [{key: value for key, value in one.items() if value not in (None, "")} for one in every]
    profile, count = provenance.nearest_profile(run)
    result = {
        "run": run.name,
        "numbers": kept,
        "sentences": {part.name: part.sentence for part in found},
        "missing": {part.name: part.todo for part in found if part.todo},
        "roles": provenance.roles(run).to_dict(orient="index"),
        "stand_ins": run.stand_ins,
        "profile": {"nearest": profile, "values_that_differ": count},
        "parameters": run.values,
        "differs_from_demo": provenance.differs(run).to_dict(orient="index"),
        "hashes": provenance.hashes(run),
        "versions": provenance.versions(run),
        "usd": float(provenance.cost(run)["USD"].sum()),
    }
    seconds = {name: entry["seconds"] for name, entry in run.manifest.items()}
    return result | (
        {"seconds": seconds, "cost": provenance.cost(run).to_dict(orient="index")}
        if run.is_timed
        else {}
    )
