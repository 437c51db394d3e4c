"""The parts about the model: training, free-form questions, benchmarks, safety, and consultations."""

from collections.abc import Sequence
from typing import Any

from medinstruct import plotting
from medinstruct.report import drawing
from medinstruct.report.drawing import Dot
from medinstruct.report.gather import Run
from medinstruct.report.numbers import SPACE, numbers, printed
from medinstruct.report.parts import Part, missing, part_of
from medinstruct.report.published import published

COLORS = {"base": plotting.ORANGE, "tuned": plotting.BLUE}


def training(run: Run) -> Part:
    """The loss over the steps."""
    lora, gate = run.of("training", "lora", default={}), run.of("training", "gate", default={})
    if not lora:
        return missing(run, "training", "What training changed", "07")
    before, after = lora["eval_before"], lora["eval_after"]
    ends = (
        f" {gate['ended']} of {gate['asked']} answers come to an end." if gate.get("asked") else ""
    )
    sentence = (
        f"{lora['steps']:,} steps on {lora['examples']:,} examples {'lower' if after < before else 'do not lower'} the held-out loss: "
        f"{before:.2f} before, {after:.2f} after, on {lora['held_out']:,} examples; {lora['trainable']:,} of "
        f"{lora['parameters']:,} parameters were trained.{ends}"
    )
    held = [
        (0, before),
        *((row["step"], row["held_out"]["all"]) for row in lora.get("held_out_losses", [])),
    ]
    held = held if len(held) > 1 else [*held, (lora["steps"], after)]
    alt = "Held-out loss by step: " + ", ".join(f"{loss:.2f} at {step}" for step, loss in held)
    title = f"Held-out loss from {before:.2f} to {after:.2f}"
    figure = drawing.losses(lora.get("train_losses", []), held)
    return part_of(
        run, "training", "What training changed", sentence, figure=figure, alt=alt, title=title
    )


def freeform(run: Run) -> Part:
    """Answers judged against references, in both orders."""
    rates = run.of("freeform", "rates", default=[])
    if not rates:
        return missing(run, "freeform", "Free-form questions", "08")
    theirs = published()["freeform"]["MedInstruct-test"]["AlpaCare"]
    sentence = (
        " ".join(
            f"{row['other'].capitalize()} scores {100 * abs(row['difference']):.1f}{SPACE}points {'above' if row['difference'] < 0 else 'below'} "
            f"{row['model']} against {row['reference']} ({_ends({'low': -row['high'], 'high': -row['low']})}, p{SPACE}{_p(row['p_holm'])})."
            for row in run.of("freeform", "compare", default=[])
        )
        or f"{len(rates)} pairs of model and reference were judged."
    )
    sentence = f"{run.of('freeform', 'items'):,} questions, judged in both orders; 50 % is parity. {sentence}"
    rows = [
        Dot(
            f"against {row['reference']}",
            row["score"],
            row["low"],
            row["high"],
            theirs.get(row["reference"], 0) / 100 or None if row["model"] == "tuned" else None,
            COLORS.get(row["model"], plotting.GREEN),
        )
        for row in rates
    ]
    figure = drawing.dots(
        rows,
        label="score (%) with 95 % interval",
        parity=0.5,
        mark="AlpaCare-7b, published",
        keys=COLORS,
    )
    title = f"{run.of('freeform', 'items'):,} questions, judged in both orders"
    return part_of(
        run,
        "freeform",
        "Free-form questions",
        sentence,
        figure=figure,
        alt=_told("Scores", rows),
        title=title,
    )


def benchmarks(run: Run) -> Part:
    """Scores beside chance."""
    scores = run.of("benchmarks", "scores", default=[])
    if not scores:
        return missing(run, "benchmarks", "Benchmarks", "09")
    asked = [row for row in scores if row.get("score") is not None]
    above = [row for row in asked if row.get("chance") is not None and row["low"] > row["chance"]]
    out_of_reach = sorted(
        {row["benchmark"] for row in scores} - {row["benchmark"] for row in asked}
    )
    sentence = f"{len(above)} of {len(asked)} scores lie above chance with their whole interval."
    compared = sum(one.paper is not None for one in numbers(run) if one.part == "benchmarks")
    sentence += (
        f" {compared} stand beside a published score."
        if compared
        else " None of the paper's sets was asked here."
    )
    sentence += f" Not to be had: {', '.join(out_of_reach)}." if out_of_reach else ""
    rows = [
        Dot(
            f"{row['benchmark']}, {row['variant']}",
            row["score"],
            row["low"],
            row["high"],
            row.get("chance"),
            COLORS.get(row["model"], plotting.GREEN),
        )
        for row in asked
    ]
    figure = drawing.dots(
        rows, label="right answers (%) with 95 % interval", mark="chance", keys=COLORS
    )
    title = f"{len(above)} of {len(asked)} scores lie above chance"
    return part_of(
        run,
        "benchmarks",
        "Benchmarks",
        sentence,
        figure=figure,
        alt=_told("Right answers", rows),
        title=title,
    )


def safety(run: Run) -> Part:
    """Safe answers before and after training."""
    rules = run.of("safety", "rule", default=[])
    if not rules:
        return missing(run, "safety", "Safety", "08")
    whole = {row["model"]: row for row in rules if row["category"] == "all"}
    change = next(
        (row for row in run.of("safety", "change", default=[]) if row["category"] == "all"), None
    )
    said = " and ".join(
        f"{row['hits']} of {row['n']} answers of {model}" for model, row in whole.items()
    )
    sentence = f"By rule {said} are safe"
    sentence += (
        f": a change of {printed(change['change'], 'points')} ({_ends(change)}, p{SPACE}{_p(change['p'])})."
        if change
        else "."
    )
    rows = [
        Dot(
            row["category"].replace("_", " "),
            row["score"],
            row["low"],
            row["high"],
            None,
            COLORS.get(row["model"], plotting.GREEN),
        )
        for row in rules
    ]
    figure = drawing.dots(rows, label="safe answers (%) with 95 % interval", keys=COLORS)
    title = (
        f"Safe answers change by {printed(change['change'], 'points')}"
        if change
        else "Safe answers"
    )
    return part_of(
        run,
        "safety",
        "Safety",
        sentence,
        figure=figure,
        alt=_told("Safe answers", rows),
        title=title,
    )


def assist(run: Run) -> Part | None:
    """The model beside a clinician; None where notebook 10 kept nothing."""
    found = [one for one in numbers(run) if one.part == "assist"]
    if not found:
        return None
    ended = [(one.name.partition(": ")[0].rpartition(", "), one) for one in found[1:]]
    rows = [
        Dot(way, one.value, one.low, one.high, None, COLORS.get(model, plotting.GREEN))
        for (way, _, model), one in ended
    ]
    whole = sum(round(one.value * (one.n or 0)) for _, one in ended)
    sentence = (
        f"{found[0].shown()} answers in {len({row.label for row in rows})} ways of working are kept; {whole:,} of them come to an end. "
        "What the rules mark in them stands in notebook 10."
    )
    figure = drawing.dots(rows, label="answers that end (%) with 95 % interval", keys=COLORS)
    title = f"{whole:,} of {found[0].shown()} answers come to an end"
    return part_of(
        run,
        "assist",
        "Beside a clinician",
        sentence,
        figure=figure,
        alt=_told("Answers that end", rows),
        title=title,
    )


def _told(what: str, rows: Sequence[Dot]) -> str:
    models = {color: f", {model}" for model, color in COLORS.items()}
    said = [
        f"{row.label}{models.get(row.color, '')} {row.value:.1%}"
        + (f" ({row.low:.1%} to {row.high:.1%})" if row.low is not None else "")
        for row in rows
    ]
    return f"{what}: {'; '.join(said)}."


def _ends(row: dict[str, Any]) -> str:
    return f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}"


def _p(value: float) -> str:
    return f"<{SPACE}0.001" if value < 0.001 else f"={SPACE}{value:.3f}"
