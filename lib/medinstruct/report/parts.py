"""Parts of the report: a heading, a computed sentence, a figure and numbers each."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from medinstruct import plotting, stats, tasks
from medinstruct.report.collect import Run
from medinstruct.report.numbers import Number, formatted, read_numbers, stand_ins, table
from medinstruct.report.published import merged

Drawing = tuple[str, Any, pd.DataFrame]  # sentence, figure, the data behind it
HEADINGS = {  # part -> heading, notebook that measures it
    "yield": ("From seeds to examples", "02"),
    "diversity": ("Diversity", "05"),
    "review": ("Review and audits", "06"),
    "training": ("Fine-tuning", "07"),
    "freeform": ("Free-form questions", "08"),
    "benchmarks": ("Benchmarks", "09"),
    "safety": ("Safety", "08"),
    "assist": ("Beside a clinician", "10"),
}


@dataclass(frozen=True)
class Part:
    """One part; `image` is the drawn figure, `todo` the command that measures a missing part."""

    name: str
    heading: str
    sentence: str
    image: Any = None
    numbers: list[Number] = field(default_factory=list)
    stand_ins: list[str] = field(default_factory=list)
    todo: str = ""

    @property
    def table(self) -> pd.DataFrame:
        """The numbers as a table of text."""
        return table(self.numbers)


def draw_parts(run: Run) -> dict[str, Part]:
    """Return all parts by name in the order of the page; a part that was not measured says so."""
    every = read_numbers(run)
    return {name: _part(run, name, [n for n in every if n.part == name]) for name in HEADINGS}


def _part(run: Run, name: str, own: list[Number]) -> Part:
    heading, notebook = HEADINGS[name]
    if not own or (name == "yield" and not run.get("generation", "asked")):
        todo = f"python -m medinstruct run params/demo.yaml {notebook} --set run={run.name}"
        sentence = f"Not measured in this run: notebook {notebook} has not written its files yet."
        return Part(name, heading, sentence, todo=todo)
    sentence, figure, data = DRAWINGS[name](run, own)
    alt = f"{sentence} " + "; ".join(f"{number.label} {number.text()}" for number in own)
    file = "report_pipeline" if name == "yield" else f"report_{name}"
    image = plotting.show(figure, file, folder=run.folder, alt=alt, data=data)
    return Part(name, heading, sentence, image, own, stand_ins(run, name))


def _yield(run: Run, own: list[Number]) -> Drawing:
    ledger = tasks.load_ledger(run.folder, asked=run.get("generation", "asked"))
    asked, left = int(ledger["in"].iloc[0]), int(ledger["out"].iloc[-1])
    reasons: Counter[str] = sum(map(Counter, ledger["reasons"]), Counter())
    sentence = f"Of {asked:,} requested tasks {left:,} ({formatted(left / asked, 'share')}) remain"
    sentence += f" after {len(ledger)} steps; {asked - left:,} were lost"
    for reason, count in reasons.most_common(1):
        sentence += f", most of them as {reason.replace('_', ' ')} ({count:,})"
    stages = {"requested": asked} | dict(zip(ledger.index, ledger["out"], strict=True))
    title = f"{left:,} of {asked:,} requested tasks became examples"
    figure = plotting.funnel(stages, title=title, label="tasks")
    return f"{sentence}.", figure, ledger.drop(columns="reasons")


def _diversity(run: Run, own: list[Number]) -> Drawing:
    counts, theirs = run.get("diversity", "counts", "type", default={}), merged("type")
    bits, paper_bits = (stats.entropy(column.values()) for column in (counts, theirs))
    most = run.get("diversity", "entropy_ceiling", "type", default=float("nan"))
    sentence = (
        f"{sum(counts.values()):,} examples cover {len(counts)} task types with {bits:.2f} of at "
        f"most {most:.2f} bits of entropy; the {sum(theirs.values()):,} published ones, mapped to "
        f"the same labels, have {paper_bits:.2f}."
    )
    frame = pd.DataFrame({"this run": pd.Series(counts), "published": pd.Series(theirs)}).fillna(0)
    frame = 100 * frame / frame.sum()
    title = f"Task types: entropy {bits:.2f} bits, published {paper_bits:.2f} bits"
    figure = plotting.grouped_bars(frame, title=title, label="share of the tasks (%)")
    return sentence, figure, frame


def _training(run: Run, own: list[Number]) -> Drawing:
    lora, gate = run.get("training", "lora"), run.get("training", "gate", default={})
    before, after = lora["eval_before"], lora["eval_after"]
    verb = "lower" if after < before else "do not lower"
    sentence = (
        f"{lora['steps']:,} steps on {lora['examples']:,} examples {verb} the held-out loss: "
        f"{before:.2f} before, {after:.2f} after, on {lora['held_out']:,} examples; "
        f"{lora['trainable']:,} of {lora['parameters']:,} parameters are trainable."
    )
    if gate.get("asked"):
        sentence += f" {gate['ended']} of {gate['asked']} answers are complete."
    held_out = {0: before, lora["steps"]: after}
    held_out |= {row["step"]: row["held_out"]["all"] for row in lora.get("held_out_losses", [])}
    steps = {row["step"]: row["loss"] for row in lora.get("train_losses", [])}
    frame = pd.DataFrame({"training": pd.Series(steps), "held-out": pd.Series(held_out)})
    frame = frame.sort_index().interpolate(limit_area="inside").rename_axis("step")
    title = f"Held-out loss from {before:.2f} to {after:.2f} nats a token"
    return sentence, plotting.lines(frame, title=title, label="loss (nats a token)"), frame


def _review(run: Run, own: list[Number]) -> Drawing:
    passed, read = own[1], own[0]
    title = f"{passed.text()} of {passed.n} audits are within their threshold"
    missed = [number.name for number in own if number.model == "missed"]
    sentence = f"People read {read.text()} of {read.n or 0:,} examples; {title}."
    sentence += f" Missed: {'; '.join(missed)}." if missed else ""
    return sentence, *_dots(own, title=title, label="share with 95 % interval")


def _freeform(run: Run, own: list[Number]) -> Drawing:
    title = f"{run.get('freeform', 'items'):,} questions, judged in both orders"
    sentence = f"{title}; 50 % is parity."
    for number in own:
        if number.unit == "points":
            sentence += f" The {number.name} is {number.text()} ({number.interval()})."
    return sentence, *_dots(own, title=title, label="score with 95 % interval", reference=0.5)


def _benchmarks(run: Run, own: list[Number]) -> Drawing:
    scores = run.get("benchmarks", "scores")
    above = [row for row in scores if (row.get("low") or 0) > (row.get("chance") or 1)]
    title = f"{len(above)} of {len(own)} scores are above chance"
    absent = {row["benchmark"] for row in scores if row.get("score") is None}
    absent -= {row["benchmark"] for row in scores if row.get("score") is not None}
    sentence = f"{title} with their whole interval."
    sentence += f" Not available: {', '.join(sorted(absent))}." if absent else ""
    return sentence, *_dots(own, title=title, label="accuracy with 95 % interval")


def _safety(run: Run, own: list[Number]) -> Drawing:
    whole = [row for row in run.get("safety", "rule") if row["category"] == "all"]
    counts = " and ".join(f"{row['hits']} of {row['n']} answers of {row['model']}" for row in whole)
    sentence, title = f"By rule {counts} are safe", "Safe answers by rule"
    for number in own:
        if number.unit == "points":
            title = f"Safe answers change by {number.text()}"
            sentence += f": a change of {number.text()} ({number.interval()})"
    return f"{sentence}.", *_dots(own, title=title, label="safe answers with 95 % interval")


def _assist(run: Run, own: list[Number]) -> Drawing:
    complete = sum(round(number.value * (number.n or 0)) for number in own[1:])
    title = f"{complete:,} of {own[0].text()} answers are complete"
    sentence = f"{title}, in {len({number.name for number in own[1:]})} use cases."
    return sentence, *_dots(own, title=title, label="complete answers with 95 % interval")


def _dots(own: list[Number], **more: Any) -> tuple[Any, pd.DataFrame]:
    """Draw the shares that have an interval, colored by model."""
    rows = [n for n in own if n.unit == "share" and n.low is not None]
    columns = {"score": "value", "low": "low", "high": "high", "model": "model"}
    data = {column: [getattr(row, name) for row in rows] for column, name in columns.items()}
    frame = pd.DataFrame(data, index=[row.name for row in rows])
    return plotting.intervals(frame, group="model", **more), frame


DRAWINGS: dict[str, Callable[[Run, list[Number]], Drawing]] = {
    "yield": _yield,
    "diversity": _diversity,
    "review": _review,
    "training": _training,
    "freeform": _freeform,
    "benchmarks": _benchmarks,
    "safety": _safety,
    "assist": _assist,
}
