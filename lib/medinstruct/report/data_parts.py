"""The parts about the data: the pipeline with its losses, how varied it is, what people and audits found."""

import pandas as pd

from medinstruct import plotting, stats
from medinstruct.report import drawing, flow
from medinstruct.report.drawing import Dot
from medinstruct.report.gather import Run
from medinstruct.report.numbers import numbers, printed
from medinstruct.report.parts import Part, missing, part_of
from medinstruct.report.published import merged


def pipeline(run: Run, ledger: pd.DataFrame) -> Part:
    """From seeds to training examples, with the losses of the ledger."""
    found = flow.stages(run, list(ledger["reasons"]))
    left, asked = int(ledger["out"].iloc[-1]), int(ledger["in"].iloc[0])
    if not asked:
        return missing(run, "yield", "From seeds to examples", "02")
    reasons = pd.Series(
        [count for one in ledger["reasons"] for count in one.values()],
        [name for one in ledger["reasons"] for name in one],
    )
    reasons = reasons[reasons > 0].groupby(level=0).sum().sort_values(ascending=False)
    most = (
        f", most of them as {flow.WORDS.get(reasons.index[0], reasons.index[0])} ({reasons.iloc[0]:,})"
        if len(reasons)
        else ""
    )
    now = "became examples" if len(ledger) > 2 else f"are left after {len(ledger)} of 3 steps"
    met = next((one for one in numbers(run) if one.name.startswith("test questions")), None)
    seen = round(met.value * met.n) if met else 0
    kept_out = (
        f" {seen or 'None'} of {met.n:,} test questions {'were' if seen > 1 else 'was'} met in tasks or seeds."
        if met
        else ""
    )
    sentence = f"Of {asked:,} tasks asked for {left:,} ({printed(left / asked, 'share')}) {now}; {asked - left:,} were lost{most}.{kept_out}"
    return part_of(
        run,
        "yield",
        "From seeds to examples",
        sentence,
        drawn=(flow.wide(found), flow.narrow(found)),
        alt=flow.told(found),
    )


def diversity(run: Run) -> Part:
    """Task types beside the published ones."""
    if not (counts := run.of("diversity", "counts", "type")):
        return missing(run, "diversity", "How varied it is", "05")
    theirs, total, all_theirs = merged("type"), sum(counts.values()), sum(merged("type").values())
    most = run.of("diversity", "entropy_ceiling", "type")
    sentence = (
        f"{total:,} examples lie on {len(counts)} task types with {stats.entropy(counts.values()):.2f} of at most {most:.2f} bits; "
        f"the {all_theirs:,} published ones, brought to the same labels, have {stats.entropy(theirs.values()):.2f}."
    )
    shares = [
        {name: count / whole for name, count in one.items()}
        for one, whole in ((counts, total), (theirs, all_theirs))
    ]
    figure = drawing.dumbbells(
        *shares, label="share of the tasks (%)", names=("this run", "published")
    )
    alt = "Share of each task type, this run and published: " + ", ".join(
        f"{name} {share:.0%} and {shares[1].get(name, 0):.0%}" for name, share in shares[0].items()
    )
    title = f"{len(counts)} task types: {stats.entropy(counts.values()):.2f} bits of {most:.2f}, published {stats.entropy(theirs.values()):.2f}"
    return part_of(
        run, "diversity", "How varied it is", sentence, figure=figure, alt=alt, title=title
    )


def review(run: Run) -> Part:
    """What people read and what the audits found."""
    audits = run.of("quality", "findings", default=[])
    if not audits:
        return missing(run, "review", "Review and audits", "06")
    audits = [row | {"audit": row["audit"].replace("_", " ")} for row in audits]
    missed = [row["audit"] for row in audits if not row["keeps"]]
    read, made = run.of("quality", "review", "reviewed", default=0), run.counts.get("dataset", 0)
    sentence = f"{read:,} of {made:,} examples were read by people; {len(audits) - len(missed)} of {len(audits)} audits keep the threshold stated before"
    sentence += f". Missed: {'; '.join(missed)}." if missed else "."
    shares = [row for row in audits if row["low"] is not None]
    rows = [
        Dot(
            row["audit"],
            row["value"],
            row["low"],
            row["high"],
            _limit(row["limit"]),
            plotting.GREEN if row["keeps"] else plotting.RED,
        )
        for row in sorted(shares, key=lambda row: bool(row["keeps"]))
    ]
    figure = drawing.dots(
        rows,
        label="share (%) with 95 % interval",
        mark="threshold",
        keys={"kept": plotting.GREEN, "missed": plotting.RED},
    )
    alt = "Audits with thresholds: " + ", ".join(
        f"{row['audit']} {row['value']:.1%}, {row['limit']}" for row in shares
    )
    title = f"{len(audits) - len(missed)} of {len(audits)} audits keep their threshold"
    return part_of(
        run, "review", "Review and audits", sentence, figure=figure, alt=alt, title=title
    )


def _limit(text: str) -> float | None:
    """The threshold that is drawn: a number after "at least" or "at most"."""
    last = text.split()[-1]
    return float(last) if text.startswith("at ") and last.replace(".", "", 1).isdigit() else None
