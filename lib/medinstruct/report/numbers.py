"""Every number of a run with n, interval, stand-in and the paper's number beside it."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from medinstruct import records, stats
from medinstruct.report.gather import Run
from medinstruct.report.published import merged, published, published_benchmarks

ROLES = {
    "yield": ("teacher", "responder"),
    "diversity": ("teacher", "responder"),
    "review": ("teacher", "responder"),
    "training": ("responder", "student"),
    "freeform": ("student", "judge"),
    "benchmarks": ("student",),
    "safety": ("student",),
    "assist": ("student",),
}
SPACE = "\u00a0"


@dataclass(frozen=True)
class Number:
    """One number. `unit` is count, share, points, bits, nats, grade or ratio; `stand_in` the roles that a stand-in played in it."""

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

    def shown(self) -> str:
        """The value as a page prints it."""
        return printed(self.value, self.unit)

    def interval(self) -> str:
        """The 95 % interval as a page prints it; empty where there is none."""
        if self.low is None or self.high is None:
            return ""
        low = printed(self.low, self.unit).partition(SPACE)[0]
        return f"{low} to {printed(self.high, self.unit)}"


def printed(value: float | None, unit: str) -> str:
    """A number as its unit is read.

    >>> printed(0.4567, "share"), printed(64350, "count"), printed(3.1258, "nats")
    ('45.7\xa0%', '64,350', '3.13\xa0nats')
    """
    if value is None or value != value:
        return "–"
    text = {
        "share": f"{100 * value:.1f}{SPACE}%",
        "points": f"{100 * value:+.1f}{SPACE}points",
        "count": f"{value:,.0f}",
    }.get(unit)
    return text or f"{value:.2f}" + (f"{SPACE}{unit}" if unit in ("bits", "nats") else "")


def numbers(run: Run) -> list[Number]:
    """All numbers of a run, in the order of the report."""
    chapters = (_yield, _diversity, _review, _training, _freeform, _benchmarks, _safety, _assist)
    found = [one for chapter in chapters for one in chapter(run)]
    return [dataclasses.replace(one, stand_in=", ".join(stand_ins(run, one.part))) for one in found]


def stand_ins(run: Run, part: str) -> list[str]:
    """Who of those that the numbers of a part come from is a stand-in."""
    return [role for role in ROLES.get(part, ()) if role in run.stand_ins]


def number(
    part: str, name: str, row: dict[str, Any], *, value: str = "score", **more: Any
) -> Number:
    """A number from a row of a JSON file with n, low and high."""
    n = row.get("n")
    return Number(
        part,
        name,
        row[value],
        n=None if n is None else int(n),
        low=row.get("low"),
        high=row.get("high"),
        **more,
    )


def _yield(run: Run) -> list[Number]:
    facts = published()
    paper = {
        "seeds": (facts["seeds"]["n"], "clinician-written"),
        "tasks": (facts["generated"]["n"], "after their filter"),
        "dataset": (facts["dataset"]["verb_noun"]["n"], "released"),
        "raw_tasks": (None, ""),
    }
    names = {
        "seeds": "seeds",
        "raw_tasks": "tasks parsed",
        "tasks": "tasks kept",
        "dataset": "examples answered",
    }
    found = [
        Number(
            "yield",
            names[key],
            run.counts[key],
            "count",
            paper=paper[key][0],
            paper_is=paper[key][1],
        )
        for key in names
        if key in run.counts
    ]
    if "asked" in run.files.get("generation", {}):
        found.insert(1, Number("yield", "tasks requested", run.of("generation", "asked"), "count"))
    sets = run.of("contamination", "sets", default={})
    if sets:
        hit, items = (
            sum(len(one["hit"]) for one in sets.values()),
            sum(one["items"] for one in sets.values()),
        )
        found.append(
            Number("yield", "test questions met in tasks or seeds", hit / max(items, 1), n=items)
        )
    return found


def _diversity(run: Run) -> list[Number]:
    bits, n = run.of("diversity", "entropy", "dataset", default={}), run.of("diversity", "examples")
    paper = {
        axis: (stats.entropy(merged(axis).values()), "merged to the same labels")
        for axis in ("type", "view")
    }
    found = [
        Number(
            "diversity",
            f"entropy of {axis}",
            value,
            "bits",
            n=n,
            paper=paper.get(axis, (None, ""))[0],
            paper_is=paper.get(axis, (None, ""))[1],
        )
        for axis, value in bits.items()
    ]
    share = run.of("diversity", "verb_noun", "in_table")
    if share is not None:
        facts = published()["dataset"]["verb_noun"]
        name = "tasks with a top verb and noun"
        found.append(
            Number(
                "diversity",
                name,
                share,
                n=n,
                paper=facts["in_figure"] / facts["n"],
                paper_is="of 52,002",
            )
        )
    near = run.of("diversity", "nearest_median", "nearest other task")
    return found + (
        [Number("diversity", "ROUGE-L to the nearest task, median", near, "ratio", n=n)]
        if near is not None
        else []
    )


def _review(run: Run) -> list[Number]:
    audits = run.of("quality", "findings", default=[])
    if not audits:
        return []
    kept = sum(bool(row["keeps"]) for row in audits)
    read = run.of("quality", "review", "reviewed", default=0)
    found = [
        Number("review", "examples read by people", read, "count", n=run.counts.get("dataset"))
    ]
    found.append(Number("review", "audits that keep their threshold", kept, "count", n=len(audits)))
    units = {"patients' grade": "grade", "biased differences": "count", "version alarms": "count"}
    return found + [
        number("review", row["audit"], row, value="value", unit=units.get(row["audit"], "share"))
        for row in audits
    ]


def _training(run: Run) -> list[Number]:
    lora, gate = run.of("training", "lora", default={}), run.of("training", "gate", default={})
    if not lora:
        return []
    held, rows = lora["held_out"], published()["dataset"]["verb_noun"]["n"]
    found = [
        Number(
            "training",
            "examples trained on",
            lora["examples"],
            "count",
            paper=rows,
            paper_is="all of them",
        )
    ]
    found += [
        Number("training", f"held-out loss, {name}", lora[key], "nats", n=held)
        for name, key in (("base", "eval_before"), ("tuned", "eval_after"))
    ]
    share = lora["trainable"] / lora["parameters"]
    found.append(
        Number("training", "trained share of the parameters", share, paper=1.0, paper_is="full")
    )
    if gate.get("asked"):
        ends = 1 - published()["cut"]["models"]["AlpaCare-7b"] / 100
        row = gate | {"n": gate["asked"]}
        found.append(
            number(
                "training",
                "answers that end",
                row,
                value="share",
                paper=ends,
                paper_is="AlpaCare-7b",
            )
        )
    return found


def _freeform(run: Run) -> list[Number]:
    paper = published()["freeform"]["MedInstruct-test"]["AlpaCare"]
    found = []
    for row in run.of("freeform", "rates", default=[]):
        theirs = paper.get(row["reference"])
        more = (
            {"paper": theirs / 100, "paper_is": "AlpaCare-7b"}
            if theirs and row["model"] == "tuned"
            else {}
        )
        found.append(number("freeform", f"{row['model']} against {row['reference']}", row, **more))
    found += [
        Number(
            "freeform",
            f"gain of {row['other']} over {row['model']}, against {row['reference']}",
            -row["difference"],
            "points",
            n=row["n"],
            low=-row["high"],
            high=-row["low"],
        )
        for row in run.of("freeform", "compare", default=[])
    ]
    return found


def _benchmarks(run: Run) -> list[Number]:
    paper = published_benchmarks()
    found = []
    for row in run.of("benchmarks", "scores", default=[]):
        if row.get("score") is not None:
            theirs = paper.get(row["task"].rsplit("_", 1)[0]) if row["model"] == "tuned" else None
            more = {"paper": theirs, "paper_is": "AlpaCare, unverified"} if theirs else {}
            found.append(
                number(
                    "benchmarks",
                    f"{row['benchmark']} by {row['variant']}, {row['model']}",
                    row,
                    **more,
                )
            )
    return found


def _safety(run: Run) -> list[Number]:
    found = [
        number("safety", f"{row['category'].replace('_', ' ')}, {row['model']}", row)
        for row in run.of("safety", "rule", default=[])
    ]
    whole = next(
        (row for row in run.of("safety", "change", default=[]) if row["category"] == "all"), None
    )
    return found + (
        [number("safety", "change from base to tuned", whole, value="change", unit="points")]
        if whole
        else []
    )


def _assist(run: Run) -> list[Number]:
    """How many of the consultations that notebook 10 kept came to an end, by way of working and model."""
    if not run.counts.get("consultations"):
        return []
    ends: dict[tuple[str, str], list[bool]] = {}
    for _, row in records.rows(run.folder / "consultations.jsonl"):
        ends.setdefault((str(row["way"]), str(row["model"])), []).append(
            row.get("finish_reason", "stop") != "length"
        )
    found = [Number("assist", "consultations", run.counts["consultations"], "count")]
    for (way, model), ended in ends.items():
        share = stats.wilson(sum(ended), len(ended))  # a bootstrap of one answer has no width
        found.append(
            Number(
                "assist",
                f"{way}, {model}: answers that end",
                share.share,
                n=len(ended),
                low=share.low,
                high=share.high,
            )
        )
    return found
