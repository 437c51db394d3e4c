"""The parts of the report: one figure, one computed sentence and the numbers of each; what has not run says how to run it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from medinstruct import figures, stats
from medinstruct.run.report import drawing, flow, svg
from medinstruct.run.report.drawing import Dot
from medinstruct.run.report.gather import Run
from medinstruct.run.report.numbers import SPACE, Number, merged, numbers, printed, published, stand_ins

COLORS = {"base": figures.ORANGE, "tuned": figures.BLUE}


@dataclass(frozen=True)
class Part:
    """One part: `figure` for a notebook, the same in `svg` for the page, `alt` in words; `todo` where its notebook has not run."""

    name: str
    heading: str
    sentence: str
    figure: Any = None
    svg: str = ""
    svg_narrow: str = ""
    alt: str = ""
    numbers: list[Number] = field(default_factory=list)
    stand_ins: list[str] = field(default_factory=list)
    todo: str = ""

    @property
    def table(self) -> pd.DataFrame:
        """The numbers as text: this run, interval, n, the paper's."""
        rows = [
            (one.name, one.shown(), one.interval(), "" if one.n is None else f"{one.n:,}",
             f"{printed(one.paper, one.unit)} ({one.paper_is})" if one.paper is not None else "")
            for one in self.numbers
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["", "this run", "95 % interval", "n", "paper"]).set_index("")


def pipeline(run: Run, ledger: pd.DataFrame) -> Part:
    """From seeds to training examples, with the losses of the ledger."""
    found = flow.stages(run, list(ledger["reasons"]))
    left, asked = int(ledger["out"].iloc[-1]), int(ledger["in"].iloc[0])
    if not asked:
        return _missing(run, "yield", "From seeds to examples", "02")
    reasons = pd.Series([count for one in ledger["reasons"] for count in one.values()], [name for one in ledger["reasons"] for name in one])
    reasons = reasons[reasons > 0].groupby(level=0).sum().sort_values(ascending=False)
    most = f", most of them as {flow.WORDS.get(reasons.index[0], reasons.index[0])} ({reasons.iloc[0]:,})" if len(reasons) else ""
    now = "became examples" if len(ledger) > 2 else f"are left after {len(ledger)} of 3 steps"
    met = next((one for one in numbers(run) if one.name.startswith("test questions")), None)
    kept_out = f" {round(met.value * met.n) or 'None'} of {met.n:,} test questions was met in the tasks." if met else ""
    sentence = f"Of {asked:,} tasks asked for {left:,} ({printed(left / asked, 'share')}) {now}; {asked - left:,} were lost{most}.{kept_out}"
    return _part(run, "yield", "From seeds to examples", sentence, drawn=(flow.wide(found), flow.narrow(found)), alt=flow.told(found))


def diversity(run: Run) -> Part:
    """Task types beside the published ones."""
    if not (counts := run.of("diversity", "counts", "type")):
        return _missing(run, "diversity", "How varied it is", "05")
    theirs, total, all_theirs = merged("type"), sum(counts.values()), sum(merged("type").values())
    most = run.of("diversity", "entropy_ceiling", "type")
    sentence = (
        f"{total:,} examples lie on {len(counts)} task types with {stats.entropy(counts.values()):.2f} of at most {most:.2f} bits; "
        f"the {all_theirs:,} published ones, brought to the same labels, have {stats.entropy(theirs.values()):.2f}."
    )
    shares = [{name: count / whole for name, count in one.items()} for one, whole in ((counts, total), (theirs, all_theirs))]
    figure = drawing.dumbbells(*shares, label="share of the tasks (%)", names=("this run", "published"))
    alt = "Share of each task type, this run and published: " + ", ".join(
        f"{name} {share:.0%} and {shares[1].get(name, 0):.0%}" for name, share in shares[0].items()
    )
    return _part(run, "diversity", "How varied it is", sentence, figure=figure, alt=alt)


def review(run: Run) -> Part:
    """What people read and what the audits found."""
    audits = run.of("quality", "findings", default=[])
    if not audits:
        return _missing(run, "review", "Review and audits", "06")
    audits = [row | {"audit": row["audit"].replace("_", " ")} for row in audits]
    missed = [row["audit"] for row in audits if not row["keeps"]]
    read, made = run.of("quality", "review", "reviewed", default=0), run.counts.get("dataset", 0)
    sentence = f"{read:,} of {made:,} examples were read by people; {len(audits) - len(missed)} of {len(audits)} audits keep the threshold stated before"
    sentence += f". Missed: {'; '.join(missed)}." if missed else "."
    shares = [row for row in audits if row["low"] is not None]
    rows = [
        Dot(row["audit"], row["value"], row["low"], row["high"], _limit(row["limit"]), figures.GREEN if row["keeps"] else figures.RED)
        for row in sorted(shares, key=lambda row: bool(row["keeps"]))
    ]  # fmt: skip
    figure = drawing.dots(
        rows, label="share (%) with 95 % interval", mark="threshold", keys={"kept": figures.GREEN, "missed": figures.RED}
    )
    alt = "Audits with thresholds: " + ", ".join(f"{row['audit']} {row['value']:.1%}, {row['limit']}" for row in shares)
    return _part(run, "review", "Review and audits", sentence, figure=figure, alt=alt)


def training(run: Run) -> Part:
    """The loss over the steps."""
    lora, gate = run.of("training", "lora", default={}), run.of("training", "gate", default={})
    if not lora:
        return _missing(run, "training", "What training changed", "07")
    before, after = lora["eval_before"], lora["eval_after"]
    ends = f" {gate['ended']} of {gate['asked']} answers come to an end." if gate.get("asked") else ""
    sentence = (
        f"{lora['steps']:,} steps on {lora['examples']:,} examples {'lower' if after < before else 'do not lower'} the held-out loss: "
        f"{before:.2f} before, {after:.2f} after, on {lora['held_out']:,} examples; {lora['trainable']:,} of "
        f"{lora['parameters']:,} parameters were trained.{ends}"
    )
    held = [(0, before), *((row["step"], row["held_out"]["all"]) for row in lora.get("held_out_losses", []))]
    held = held if len(held) > 1 else [*held, (lora["steps"], after)]
    alt = "Held-out loss by step: " + ", ".join(f"{loss:.2f} at {step}" for step, loss in held)
    return _part(run, "training", "What training changed", sentence, figure=drawing.losses(lora.get("train_losses", []), held), alt=alt)


def freeform(run: Run) -> Part:
    """Answers judged against references, in both orders."""
    rates = run.of("freeform", "rates", default=[])
    if not rates:
        return _missing(run, "freeform", "Free-form questions", "08")
    theirs = published()["freeform"]["MedInstruct-test"]["AlpaCare"]
    sentence = " ".join(
        f"{row['other'].capitalize()} scores {100 * abs(row['difference']):.1f}{SPACE}points {'above' if row['difference'] < 0 else 'below'} "
        f"{row['model']} against {row['reference']} ({_ends({'low': -row['high'], 'high': -row['low']})}, p{SPACE}{_p(row['p_holm'])})."
        for row in run.of("freeform", "compare", default=[])
    ) or f"{len(rates)} pairs of model and reference were judged."
    sentence = f"{run.of('freeform', 'items'):,} questions, judged in both orders; 50 % is parity. {sentence}"
    rows = [
        Dot(f"against {row['reference']}", row["score"], row["low"], row["high"],
            theirs.get(row["reference"], 0) / 100 or None if row["model"] == "tuned" else None, COLORS.get(row["model"], figures.GREEN))
        for row in rates
    ]  # fmt: skip
    figure = drawing.dots(rows, label="score (%) with 95 % interval", parity=0.5, mark="AlpaCare-7b, published", keys=COLORS)
    return _part(run, "freeform", "Free-form questions", sentence, figure=figure, alt=_told("Scores", rows))


def benchmarks(run: Run) -> Part:
    """Scores beside chance."""
    scores = run.of("benchmarks", "scores", default=[])
    if not scores:
        return _missing(run, "benchmarks", "Benchmarks", "09")
    asked = [row for row in scores if row.get("score") is not None]
    above = [row for row in asked if row.get("chance") is not None and row["low"] > row["chance"]]
    out_of_reach = sorted({row["benchmark"] for row in scores} - {row["benchmark"] for row in asked})
    sentence = f"{len(above)} of {len(asked)} scores lie above chance with their whole interval."
    compared = sum(one.paper is not None for one in numbers(run) if one.part == "benchmarks")
    sentence += f" {compared} stand beside a published score." if compared else " None of the paper's sets was asked here."
    sentence += f" Not to be had: {', '.join(out_of_reach)}." if out_of_reach else ""
    rows = [
        Dot(f"{row['benchmark']}, {row['variant']}", row["score"], row["low"], row["high"], row.get("chance"),
            COLORS.get(row["model"], figures.GREEN))
        for row in asked
    ]  # fmt: skip
    figure = drawing.dots(rows, label="right answers (%) with 95 % interval", mark="chance", keys=COLORS)
    return _part(run, "benchmarks", "Benchmarks", sentence, figure=figure, alt=_told("Right answers", rows))


def safety(run: Run) -> Part:
    """Safe answers before and after training."""
    rules = run.of("safety", "rule", default=[])
    if not rules:
        return _missing(run, "safety", "Safety", "08")
    whole = {row["model"]: row for row in rules if row["category"] == "all"}
    change = next((row for row in run.of("safety", "change", default=[]) if row["category"] == "all"), None)
    said = " and ".join(f"{row['hits']} of {row['n']} answers of {model}" for model, row in whole.items())
    sentence = f"By rule {said} are safe"
    sentence += f": a change of {printed(change['change'], 'points')} ({_ends(change)}, p{SPACE}{_p(change['p'])})." if change else "."
    rows = [
        Dot(row["category"].replace("_", " "), row["score"], row["low"], row["high"], None, COLORS.get(row["model"], figures.GREEN))
        for row in rules
    ]  # fmt: skip
    figure = drawing.dots(rows, label="safe answers (%) with 95 % interval", keys=COLORS)
    return _part(run, "safety", "Safety", sentence, figure=figure, alt=_told("Safe answers", rows))


def assist(run: Run) -> Part | None:
    """The model beside a clinician; None where notebook 10 kept nothing."""
    from medinstruct import records

    kept = [name for name in ("consultations", "transcripts") if run.counts.get(name)]
    if not kept:
        return None
    rows = [row for name in kept for _, row in records.rows(run.folder / f"{name}.jsonl")]
    ways = pd.Series([str(row.get("way") or row.get("mode") or "other") for row in rows]).value_counts()
    sentence = f"{len(rows):,} consultations are kept, in {len(ways)} ways of working."
    figure = figures.bars(ways.to_dict(), title="", label="consultations")
    alt = "Consultations by way of working: " + ", ".join(f"{name} {count}" for name, count in ways.items())
    found = _part(run, "assist", "Beside a clinician", sentence, figure=figure, alt=alt)
    found.numbers.append(Number("assist", "consultations", len(rows), "count", stand_in=", ".join(found.stand_ins)))
    return found


def parts(run: Run, ledger: pd.DataFrame) -> list[Part]:
    """All parts in the order of the page."""
    chapters: Sequence[Callable[[Run], Part | None]] = (diversity, review, training, freeform, benchmarks, safety, assist)
    return [pipeline(run, ledger), *(one for one in (chapter(run) for chapter in chapters) if one)]


def _part(run: Run, name: str, heading: str, sentence: str, *, figure: Any = None, drawn: tuple[str, str] = ("", ""), alt: str) -> Part:
    wide, narrow = drawn
    if figure is not None:
        wide = svg.inline(figure, name, alt=alt)
        figures.titled(figure, heading)
    own = [one for one in numbers(run) if one.part == name]
    return Part(name, heading, sentence, figure, wide, narrow, alt, own, stand_ins(run, name))


def _missing(run: Run, name: str, heading: str, notebook: str) -> Part:
    sentence = f"Not measured in this run: notebook {notebook} has not written its files yet."
    do = f"python -m medinstruct run PROFILE {notebook} --set run={run.name}"
    return Part(name, heading, sentence, figures.note(f"{sentence} {do}"), alt=sentence, todo=do)


def _limit(text: str) -> float | None:
    """The threshold that is drawn: a number after "at least" or "at most"."""
    last = text.split()[-1]
    return float(last) if text.startswith("at ") and last.replace(".", "", 1).isdigit() else None


def _told(what: str, rows: Sequence[Dot]) -> str:
    models = {color: f", {model}" for model, color in COLORS.items()}
    said = [
        f"{row.label}{models.get(row.color, '')} {row.value:.1%}" + (f" ({row.low:.1%} to {row.high:.1%})" if row.low is not None else "")
        for row in rows
    ]  # fmt: skip
    return f"{what}: {'; '.join(said)}."


def _ends(row: dict[str, Any]) -> str:
    return f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}"


def _p(value: float) -> str:
    return f"<{SPACE}0.001" if value < 0.001 else f"={SPACE}{value:.3f}"
