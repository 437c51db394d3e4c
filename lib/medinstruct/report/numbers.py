"""Numbers of a run: value, unit, n, 95 % interval, stand-ins, and the paper's number."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from medinstruct import records, stats
from medinstruct.report.collect import Run
from medinstruct.report.published import merged, published

ROLES = {  # roles whose models a part's numbers depend on
    "yield": ("teacher", "responder"),
    "diversity": ("teacher", "responder"),
    "review": ("teacher", "responder"),
    "training": ("responder", "student"),
    "freeform": ("student", "judge"),
    "benchmarks": ("student",),
    "safety": ("student",),
    "assist": ("student",),
}
AUDIT_UNITS = {"patients' grade": "grade", "biased differences": "count", "version alarms": "count"}
SPACE = "\u00a0"


@dataclass(frozen=True)
class Number:
    """One number; `unit` is share, points, count, bits, nats, grade or ratio.

    `stand_in` names the roles that a stand-in played in it, `model` the model it measures; a
    `headline` is shown first.
    """

    part: str
    name: str
    value: float
    unit: str = "share"
    n: int | None = None
    low: float | None = None
    high: float | None = None
    paper: float | None = None
    paper_is: str = ""
    stand_in: str = ""
    model: str = ""
    headline: bool = False

    @property
    def label(self) -> str:
        """The name with the model it belongs to."""
        return f"{self.name}, {self.model}" if self.model else self.name

    def text(self) -> str:
        """Return the value as a page prints it."""
        return formatted(self.value, self.unit)

    def interval(self) -> str:
        """Return the 95 % interval as a page prints it, or "" without one."""
        if self.low is None or self.high is None:
            return ""
        low = formatted(self.low, self.unit).partition(SPACE)[0]
        return f"{low} to {formatted(self.high, self.unit)}"

    def paper_text(self) -> str:
        """Return the published number with its source, or ""."""
        if self.paper is None:
            return ""
        return f"{formatted(self.paper, self.unit)} ({self.paper_is})"


def formatted(value: float | None, unit: str) -> str:
    """Format a number by its unit; a missing one is a dash.

    >>> formatted(0.4567, "share"), formatted(64350, "count"), formatted(3.1258, "nats")
    ('45.7\xa0%', '64,350', '3.13\xa0nats')
    """
    if value is None or value != value:
        return "–"
    if unit == "share":
        return f"{100 * value:.1f}{SPACE}%"
    if unit == "points":
        return f"{100 * value:+.1f}{SPACE}points"
    if unit == "count":
        return f"{value:,.0f}"
    return f"{value:.2f}" + (f"{SPACE}{unit}" if unit in ("bits", "nats") else "")


def read_numbers(run: Run) -> list[Number]:
    """Return all numbers of a run in the order of the report."""
    sections = (_yield, _diversity, _review, _training, _freeform, _benchmarks, _safety, _assist)
    rows = [number for section in sections for number in section(run)]
    return [dataclasses.replace(row, stand_in=", ".join(stand_ins(run, row.part))) for row in rows]


def stand_ins(run: Run, part: str) -> list[str]:
    """Return the stand-in roles that a part's numbers depend on."""
    return [role for role in ROLES.get(part, ()) if role in run.stand_ins]


def table(rows: list[Number]) -> pd.DataFrame:
    """Return numbers as text: value, interval, n, the paper's; empty columns are dropped."""
    frame = pd.DataFrame(
        {
            "number": [row.label for row in rows],
            "this run": [row.text() for row in rows],
            "95 % interval": [row.interval() for row in rows],
            "n": ["" if row.n is None else f"{row.n:,}" for row in rows],
            "paper": [row.paper_text() for row in rows],
        }
    ).set_index("number")
    return frame[[name for name in frame.columns if frame[name].any()]]


def _measured(part: str, name: str, row: dict[str, Any], key: str = "score", **more: Any) -> Number:
    """Return the number in a row of a JSON file with n, low, high and perhaps a model."""
    ends = {name: row.get(name) for name in ("n", "low", "high")}
    return Number(part, name, row[key], **ends | {"model": row.get("model", "")} | more)


def _yield(run: Run) -> Iterator[Number]:
    counts, paper = run.counts, published()
    dataset = paper["dataset"]["verb_noun"]["n"]
    rows = [
        ("seeds", counts.get("seeds"), paper["seeds"]["n"], "clinician-written"),
        ("tasks requested", run.get("generation", "asked"), None, ""),
        ("tasks parsed", counts.get("raw_tasks"), None, ""),
        ("tasks kept", counts.get("tasks"), paper["generated"]["n"], "after their filter"),
        ("examples", counts.get("dataset"), dataset, "released"),
    ]
    for name, value, theirs, source in rows:
        if value is not None:
            more = {"paper": theirs, "paper_is": source, "headline": name == "examples"}
            yield Number("yield", name, value, "count", **more)
    if sets := run.get("contamination", "sets"):
        hits = sum(len(row["hit"]) for row in sets.values())
        items = sum(row["items"] for row in sets.values())
        yield Number("yield", "test questions in tasks or seeds", hits / max(items, 1), n=items)


def _diversity(run: Run) -> Iterator[Number]:
    n, facts = run.get("diversity", "examples"), published()["dataset"]["verb_noun"]
    for axis, bits in run.get("diversity", "entropy", "dataset", default={}).items():
        more: dict[str, Any] = {"n": n, "headline": axis == "type"}
        if axis in ("type", "view"):
            entropy = stats.entropy(merged(axis).values())
            more |= {"paper": entropy, "paper_is": "merged to the same labels"}
        yield Number("diversity", f"entropy of {axis}", bits, "bits", **more)
    if (share := run.get("diversity", "verb_noun", "in_table")) is not None:
        more = {"paper": facts["in_figure"] / facts["n"], "paper_is": f"of {facts['n']:,}"}
        yield Number("diversity", "tasks with a top verb and noun", share, n=n, **more)
    if (near := run.get("diversity", "nearest_median", "nearest other task")) is not None:
        yield Number("diversity", "ROUGE-L to the nearest task, median", near, "ratio", n=n)


def _review(run: Run) -> Iterator[Number]:
    if not (audits := run.get("quality", "findings")):
        return
    read = run.get("quality", "review", "reviewed", default=0)
    yield Number("review", "examples read by people", read, "count", n=run.counts.get("dataset"))
    passed, more = sum(bool(row["keeps"]) for row in audits), {"n": len(audits), "headline": True}
    yield Number("review", "audits within their threshold", passed, "count", **more)
    for row in audits:
        name, unit = row["audit"].replace("_", " "), AUDIT_UNITS.get(row["audit"], "share")
        model = "within threshold" if row["keeps"] else "missed"
        yield _measured("review", f"{name} ({row['limit']})", row, "value", unit=unit, model=model)


def _training(run: Run) -> Iterator[Number]:
    if not (lora := run.get("training", "lora")):
        return
    rows, n = published()["dataset"]["verb_noun"]["n"], lora["held_out"]
    more = {"paper": rows, "paper_is": "all of them"}
    yield Number("training", "examples trained on", lora["examples"], "count", **more)
    name = "held-out loss"
    yield Number("training", name, lora["eval_before"], "nats", n=n, model="base")
    more = {"n": n, "model": "tuned", "headline": True}
    yield Number("training", name, lora["eval_after"], "nats", **more)
    share = lora["trainable"] / lora["parameters"]
    yield Number("training", "trainable parameters", share, paper=1.0, paper_is="full")
    gate = run.get("training", "gate", default={})
    if gate.get("asked"):
        complete = 1 - published()["cut"]["models"]["AlpaCare-7b"] / 100
        more = {"n": gate["asked"], "paper": complete, "paper_is": "AlpaCare-7b"}
        yield _measured("training", "complete answers", gate, "share", **more)


def _freeform(run: Run) -> Iterator[Number]:
    theirs = published()["freeform"]["MedInstruct-test"]["AlpaCare"]
    for row in run.get("freeform", "rates", default=[]):
        more: dict[str, Any] = {"headline": row["model"] == "tuned"}
        if row["model"] == "tuned" and row["reference"] in theirs:
            more |= {"paper": theirs[row["reference"]] / 100, "paper_is": "AlpaCare-7b"}
        yield _measured("freeform", f"score against {row['reference']}", row, **more)
    for row in run.get("freeform", "compare", default=[]):
        name = f"gain of {row['other']} over {row['model']}, against {row['reference']}"
        ends = {"low": -row["high"], "high": -row["low"], "n": row["n"]}
        yield Number("freeform", name, -row["difference"], "points", **ends)


def _benchmarks(run: Run) -> Iterator[Number]:
    for row in run.get("benchmarks", "scores", default=[]):
        if row.get("score") is not None:
            headline = row["model"] == "tuned" and row["variant"] == "likelihood"
            name = f"{row['benchmark']} by {row['variant']}"
            yield _measured("benchmarks", name, row, headline=headline)


def _safety(run: Run) -> Iterator[Number]:
    for row in run.get("safety", "rule", default=[]):
        name = f"safe answers, {row['category'].replace('_', ' ')}"
        headline = (row["category"], row["model"]) == ("all", "tuned")
        yield _measured("safety", name, row, headline=headline)
    for row in run.get("safety", "change", default=[]):
        if row["category"] == "all":
            yield _measured("safety", "change from base to tuned", row, "change", unit="points")


def _assist(run: Run) -> Iterator[Number]:
    """Yield the share of complete answers of each use case and model."""
    if not run.counts.get("consultations"):
        return
    complete: dict[tuple[str, str], list[bool]] = {}
    for _, row in records.rows(run.folder / "consultations.jsonl"):
        key = (str(row["way"]), str(row["model"]))
        complete.setdefault(key, []).append(row.get("finish_reason", "stop") != "length")
    yield Number("assist", "consultations", run.counts["consultations"], "count")
    for (use_case, model), flags in complete.items():
        share = stats.wilson(sum(flags), len(flags))
        ends = {"n": len(flags), "low": share.low, "high": share.high, "model": model}
        yield Number("assist", f"complete answers, {use_case}", share.share, **ends)
