"""Page of the report: parts with figures and sentences, report.html, report.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from medinstruct import plotting, records, stats, tasks
from medinstruct.diversity import coverage
from medinstruct.report import results
from medinstruct.report.results import Run


@dataclass(frozen=True)
class Part:
    """One part; `image` is the drawn figure, `todo` the command that measures a missing part.

    A part that the profile switches off has neither.
    """

    heading: str
    sentence: str
    numbers: pd.DataFrame
    image: Any = None
    todo: str = ""

    @property
    def outputs(self) -> list[Any]:
        """Return what a notebook displays: the figure, if there is one, and the sentence."""
        from IPython.display import Markdown

        command = f" Run `{self.todo}`." if self.todo else ""
        return [image for image in [self.image] if image] + [Markdown(self.sentence + command)]


def draw_parts(run: Run) -> dict[str, Part]:
    """Return all parts by name in the order of the page; a part that was not measured says so."""
    every, scope = results.read_numbers(run), results.scope_of(run)
    return {
        name: _part(run, name, about, every[every["part"] == name], scope)
        for name, about in results.REPORT["parts"].items()
    }


def _part(run: Run, name: str, about: dict, own: pd.DataFrame, scope: dict[str, Any]) -> Part:
    heading, notebook = about["heading"], about["notebook"]
    if off := results.evaluate(about.get("switched_off", "none"), scope):
        return Part(heading, off, own.head(0))
    if own.empty or (name == "yield" and not run.get("generation", "asked")):
        todo = f"python -m medinstruct run params/demo.yaml {notebook} --set run={run.folder.name}"
        sentence = f"Not measured in this run: notebook {notebook} has not written its files yet."
        return Part(heading, sentence, own.head(0), todo=todo)
    data = CONTENTS.get(name, _intervals)(run, own)
    rows = list(own.itertuples(index=False))
    scope = scope | data.attrs | {"numbers": rows}
    scope["title"] = results.fill(about["title"], scope)
    sentence = results.fill(about["sentence"], scope)
    chart = getattr(plotting, about.get("chart", "intervals"))
    computed = about.get("computed", {}).items()
    options = about["options"] | {name: results.evaluate(text, scope) for name, text in computed}
    figure = chart(data.attrs.get("stages", data), title=scope["title"], **options)
    alt = f"{sentence} " + "; ".join(f"{number.label} {number.text}" for number in rows)
    file = about.get("file", f"report_{name}")
    image = plotting.show(figure, file, folder=run.folder, alt=alt, data=data)
    return Part(heading, sentence, own, image)


def _yield(run: Run, own: pd.DataFrame) -> pd.DataFrame:
    ledger = tasks.load_ledger(run.folder, asked=run.get("generation", "asked"))
    stages = {"requested": int(ledger["in"].iloc[0])} | ledger["out"].to_dict()
    reasons = pd.DataFrame(list(ledger["reasons"])).sum().nlargest(1)
    ledger.attrs = {"stages": stages, "reasons": reasons.to_dict()}  # for title and sentence
    return ledger.drop(columns="reasons")


def _diversity(run: Run, own: pd.DataFrame) -> pd.DataFrame:
    ours = run.get("diversity", "counts", "type")
    frame = pd.DataFrame({"dataset": ours, "published": coverage.published("type")}).fillna(0)
    return 100 * frame / frame.sum()


def _training(run: Run, own: pd.DataFrame) -> pd.DataFrame:
    lora = run.get("training", "lora")
    held_out = {0: lora["eval_before"], lora["steps"]: lora["eval_after"]}
    held_out |= {row["step"]: row["held_out"]["all"] for row in lora.get("held_out_losses", [])}
    steps = {row["step"]: row["loss"] for row in lora.get("train_losses", [])}
    frame = pd.DataFrame({"training": steps, "held-out": held_out})
    return frame.sort_index().rename_axis("step")


def _intervals(run: Run, own: pd.DataFrame) -> pd.DataFrame:
    """Return the shares that have an interval, or too few items for one."""
    is_drawn = own["low"].notna() | (own["n"].astype(float) < stats.LEAST)
    shares = own[(own["unit"] == "share") & is_drawn].set_index("name").rename_axis(None)
    shares = shares.rename(columns={"value": "score"})[["score", "low", "high", "n", "model"]]
    shares.attrs = {"drawn": shares.rename_axis("name").reset_index().to_dict("records")}
    return shares.astype(dict.fromkeys(["score", "low", "high", "n"], float))


CONTENTS = {"yield": _yield, "diversity": _diversity, "training": _training}


def notice(run: Run) -> str:
    """Return what a reader must know first: not medical advice, stand-ins, a small model."""
    parameters = run.get("training", "lora", "parameters", default=0)
    own = parameters - run.get("training", "lora", "trainable", default=0)  # without the adapter
    scope = {"stand_ins": run.stand_ins, "millions": round((own or parameters) / 1_000_000)}
    return results.fill(results.REPORT["notice"], scope)


def write_page(run: Run, parts: dict[str, Part], *, beside: pd.DataFrame | None = None) -> Path:
    """Write report.html, one page without other files; `beside` compares it with another run."""
    every = pd.concat([part.numbers for part in parts.values()])
    rows = {number.label: number for number in every.itertuples(index=False)}
    scope = {"run": run, "parts": parts, "beside": beside, "notice": notice(run), "every": every}
    scope["models"] = results.by_model(run)
    template = results.environment().get_template("report.html.j2")
    page = template.render(scope, numbers=rows, results=results)
    return records.write_text(run.folder / "report.html", page)


def as_json(run: Run, parts: dict[str, Part]) -> dict[str, Any]:
    """Return the content of report.json; a reproducible run has no times and no machine."""
    every = pd.concat([part.numbers for part in parts.values()])
    cost, models = results.cost(run), results.by_model(run)
    names = [n for n in ("part", "measure", "stand_in", *results.REPORT["cells"]) if n != "roles"]
    tables = {"numbers": every, "models": models}
    for key, table in tables.items():
        rows = [row.items() for row in table[table.columns.intersection(names)].to_dict("records")]
        tables[key] = [{k: v for k, v in row if v not in (None, "")} for row in rows]
    result = tables | {
        "run": run.folder.name,
        "sentences": {n: p.sentence for n, p in parts.items()}
        | {"models": models.attrs["sentence"]},
        "missing": {name: part.todo for name, part in parts.items() if part.todo},
        "roles": results.roles(run).to_dict(orient="index"),
        "stand_ins": run.stand_ins,
        "parameters": run.values,
        "differs_from_demo": results.differences(run).to_dict(orient="index"),
        "hashes": results.hashes(run),
        "versions": results.versions(run),
        "usd": float(cost["USD"].sum()),
    }
    if not run.reproducible:
        manifest = run.files.get("manifest", {})
        result["seconds"] = {name: entry.get("seconds") for name, entry in manifest.items()}
        result["cost"] = cost.to_dict(orient="index")
    return result
