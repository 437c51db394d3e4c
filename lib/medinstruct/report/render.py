"""Report as a page (report.html, one Jinja template) and as data (report.json)."""

import base64
import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd

from medinstruct import paths, records
from medinstruct.report import provenance
from medinstruct.report.collect import Run, executed
from medinstruct.report.numbers import Number, table
from medinstruct.report.parts import Part
from medinstruct.report.published import deviations

ADVICE = "Nothing here is medical advice, and no content was reviewed by clinicians."
STAND_IN = (
    "A stand-in is a program or a toy model of ours: its numbers show that the pipeline works, "
    "not that a model is good."
)


def notice(run: Run) -> str:
    """Return what a reader must know first: no advice, and which roles a stand-in played."""
    if not run.stand_ins:
        return ADVICE
    return f"{ADVICE} Stand-ins in this run: {', '.join(run.stand_ins)}. {STAND_IN}"


def write_page(run: Run, parts: dict[str, Part], *, beside: pd.DataFrame | None = None) -> Path:
    """Write report.html, one page without other files; `beside` compares it with another run."""
    import jinja2

    loader = jinja2.FileSystemLoader(paths.data(""))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    every = [number for part in parts.values() for number in part.numbers]
    page = environment.get_template("report.html.j2").render(
        run=run,
        parts=parts,
        notice=notice(run),
        advice=ADVICE,
        lead=_lead(every),
        headlines=[number for number in every if number.headline],
        roles=provenance.roles(run),
        setup=_setup(run),
        published=table([number for number in every if number.paper is not None]),
        settings=provenance.settings(run),
        beside=beside,
        deviations=deviations().set_index("claim"),
        notebooks=_notebooks(run),
        changed=provenance.changed(run),
        differences=provenance.differences(run),
        versions=pd.DataFrame({"version": provenance.versions(run)}).rename_axis("package"),
        hashes=_short_hashes(run),
        cost=provenance.cost(run),
    )
    return records.write_text(run.folder / "report.html", page)


def _lead(every: list[Number]) -> str:
    """Return the run in one sentence of what was measured."""
    by_name = {number.label: number for number in every}
    clauses = []
    if examples := by_name.get("examples"):
        asked = by_name.get("tasks requested")
        more = f" from {asked.text()} requested tasks" if asked else ""
        clauses.append(f"{examples.text()} training examples{more}")
    if after := by_name.get("held-out loss, tuned"):
        before = by_name["held-out loss, base"].text()
        clauses.append(f"a held-out loss of {before} before and {after.text()} after fine-tuning")
    scores = [n for n in every if n.part == "freeform" and n.headline]
    if scores:
        score, name = scores[0], scores[0].name.removeprefix("score ")
        clauses.append(f"a score of {score.text()} {name} answers, where 50 % is parity")
    return f"{'; '.join(clauses)}." if clauses else "Nothing has been measured yet."


def _setup(run: Run) -> str:
    """Return machine, versions and cost in one line."""
    versions = provenance.versions(run)
    keys = ("trained on", "machine", "medinstruct", "torch")
    clauses = [f"{key} {versions[key]}" for key in keys if key in versions]
    asked = provenance.cost(run)
    clauses += [f"{asked['USD'].sum():.2f} USD paid"] if len(asked) else []
    return f"{', '.join(clauses)}."


def _notebooks(run: Run) -> list[dict[str, Any]]:
    """Return executed notebooks with their page, if one was rendered, seconds and fingerprint."""
    names = sorted({path.stem for path in executed(run.folder)} | set(run.manifest))
    return [
        {
            "name": name,
            "has_page": (run.folder / "pages" / f"{name}.html").exists(),
            "seconds": run.manifest.get(name, {}).get("seconds"),
            "fingerprint": run.manifest.get(name, {}).get("fingerprint", "–")[:16],
        }
        for name in names
        if not name.endswith("_report")
    ]


def _short_hashes(run: Run) -> pd.DataFrame:
    values = {key: value[:16] for key, value in provenance.hashes(run).items() if value}
    return pd.DataFrame({"SHA-256, first 16 digits": values}).rename_axis("content")


def as_json(run: Run, parts: dict[str, Part]) -> dict[str, Any]:
    """Return the content of report.json; a reproducible run has no times and no machine."""
    every = [dataclasses.asdict(number) for part in parts.values() for number in part.numbers]
    result = {
        "run": run.name,
        "numbers": [{k: v for k, v in row.items() if v not in (None, "", False)} for row in every],
        "sentences": {part.name: part.sentence for part in parts.values()},
        "missing": {part.name: part.todo for part in parts.values() if part.todo},
        "roles": provenance.roles(run).to_dict(orient="index"),
        "stand_ins": run.stand_ins,
        "parameters": run.values,
        "differs_from_demo": provenance.differences(run).to_dict(orient="index"),
        "hashes": provenance.hashes(run),
        "versions": provenance.versions(run),
        "usd": float(provenance.cost(run)["USD"].sum()),
    }
    if not run.reproducible:
        result["seconds"] = {name: entry["seconds"] for name, entry in run.manifest.items()}
        result["cost"] = provenance.cost(run).to_dict(orient="index")
    return result
