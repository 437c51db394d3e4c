"""Page of the report: parts with figures and sentences, report.html, report.json."""

import base64
import dataclasses
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from medinstruct import paths, plotting, records, tasks
from medinstruct.report import definitions, provenance
from medinstruct.report.collect import Run, executed
from medinstruct.report.numbers import Number, read_numbers, scope_of, table


@dataclasses.dataclass(frozen=True)
class Part:
    """One part; `image` is the drawn figure, `todo` the command that measures a missing part."""

    name: str
    heading: str
    sentence: str
    image: Any = None
    numbers: list[Number] = dataclasses.field(default_factory=list)
    todo: str = ""


def draw_parts(run: Run) -> dict[str, Part]:
    """Return all parts by name in the order of the page; a part that was not measured says so."""
    every, parts = read_numbers(run), definitions.load("report")["parts"]
    own = {name: [number for number in every if number.part == name] for name in parts}
    return {name: _part(run, name, about, own[name]) for name, about in parts.items()}


def _part(run: Run, name: str, about: dict[str, Any], own: list[Number]) -> Part:
    heading, notebook = about["heading"], about["notebook"]
    if not own or (name == "yield" and not run.get("generation", "asked")):
        todo = f"python -m medinstruct run params/demo.yaml {notebook} --set run={run.name}"
        sentence = f"Not measured in this run: notebook {notebook} has not written its files yet."
        return Part(name, heading, sentence, todo=todo)
    content, facts = CONTENTS.get(name, _intervals)(run, own)
    scope = scope_of(run) | {"numbers": own} | facts
    scope["title"] = definitions.fill(about["title"], scope)
    sentence = definitions.fill(about["sentence"], scope)
    chart = getattr(plotting, about.get("chart", "intervals"))
    figure = chart(facts.get("stages", content), title=scope["title"], **about["options"])
    alt = f"{sentence} " + "; ".join(f"{number.label} {number.text()}" for number in own)
    file = "report_pipeline" if name == "yield" else f"report_{name}"
    image = plotting.show(figure, file, folder=run.folder, alt=alt, data=content)
    return Part(name, heading, sentence, image, own)


Content = tuple[pd.DataFrame, dict[str, Any]]  # data of the figure, facts for title and sentence


def _yield(run: Run, own: list[Number]) -> Content:
    ledger = tasks.load_ledger(run.folder, asked=run.get("generation", "asked"))
    reasons = pd.DataFrame(list(ledger["reasons"])).sum().nlargest(1)
    requested, left = int(ledger["in"].iloc[0]), int(ledger["out"].iloc[-1])
    stages = {"requested": requested} | dict(zip(ledger.index, ledger["out"], strict=True))
    facts = {"requested": requested, "left": left, "steps": len(ledger), "stages": stages}
    return ledger.drop(columns="reasons"), facts | {"reasons": list(reasons.items())}


def _diversity(run: Run, own: list[Number]) -> Content:
    counts = run.get("diversity", "counts", "type", default={})
    theirs = definitions.load("published")["merged"]["type"]
    frame = pd.DataFrame({"this run": pd.Series(counts), "published": pd.Series(theirs)}).fillna(0)
    return 100 * frame / frame.sum(), {}


def _training(run: Run, own: list[Number]) -> Content:
    lora = run.get("training", "lora")
    held_out = {0: lora["eval_before"], lora["steps"]: lora["eval_after"]}
    held_out |= {row["step"]: row["held_out"]["all"] for row in lora.get("held_out_losses", [])}
    steps = {row["step"]: row["loss"] for row in lora.get("train_losses", [])}
    frame = pd.DataFrame({"training": pd.Series(steps), "held-out": pd.Series(held_out)})
    return frame.sort_index().interpolate(limit_area="inside").rename_axis("step"), {}


def _intervals(run: Run, own: list[Number]) -> Content:
    """Return the shares that have an interval."""
    rows = [number for number in own if number.unit == "share" and number.low is not None]
    columns = {"score": "value", "low": "low", "high": "high", "model": "model"}
    data = {column: [getattr(row, name) for row in rows] for column, name in columns.items()}
    return pd.DataFrame(data, index=[row.name for row in rows]), {}


CONTENTS = {"yield": _yield, "diversity": _diversity, "training": _training}


def notice(run: Run) -> str:
    """Return what a reader must know first: no advice, and which roles a stand-in played."""
    return definitions.fill(definitions.load("report")["notice"], {"stand_ins": run.stand_ins})


def write_page(run: Run, parts: dict[str, Part], *, beside: pd.DataFrame | None = None) -> Path:
    """Write report.html, one page without other files; `beside` compares it with another run."""
    loader = jinja2.FileSystemLoader(paths.data(""))
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    every = [number for part in parts.values() for number in part.numbers]
    page = environment.get_template("report.html.j2").render(
        run=run,
        parts=parts,
        notice=notice(run),
        numbers={number.label: number for number in every},
        as_table=table,
        beside=beside,
        deviations=definitions.deviations().set_index("claim"),
        notebooks=[path.stem for path in executed(run.folder)],
        pages={path.stem for path in run.folder.glob("pages/*.html")},
        provenance=provenance,
    )
    return records.write_text(run.folder / "report.html", page)


def as_json(run: Run, parts: dict[str, Part]) -> dict[str, Any]:
    """Return the content of report.json; a reproducible run has no times and no machine."""
    every = [dataclasses.asdict(number) for part in parts.values() for number in part.numbers]
    cost = provenance.cost(run)
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
        "usd": float(cost["USD"].sum()),
    }
    if not run.reproducible:
        result["seconds"] = {name: entry["seconds"] for name, entry in run.manifest.items()}
        result["cost"] = cost.to_dict(orient="index")
    return result
