"""The report as one HTML page that needs nothing else: figures inside, text escaped, light, dark and on paper."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from medinstruct import paths, records
from medinstruct.report import provenance
from medinstruct.report.appendix import beside_paper, beside_run, deviations, paid, where_from
from medinstruct.report.gather import Run
from medinstruct.report.numbers import Number, printed
from medinstruct.report.parts import Part
from medinstruct.report.tables import badges, escaped, numbers_table, table

NOTE = "Nothing here is medical advice, and no content was reviewed by clinicians."
STAND_IN = "A stand-in is a program or a toy model of ours: its numbers show that the pipeline works, not that a model is good."


def write_page(run: Run, found: Sequence[Part], *, beside: pd.DataFrame | None = None) -> Path:
    """Write report.html into the run's folder; `beside` is the comparison with another run."""
    style = paths.data("report.css").read_text(encoding="utf-8")
    named = "".join(
        f'<li><a href="#{key}">{escaped(text)}</a></li>'
        for key, text in _contents(found, beside).items()
    )
    body = [
        '<a class="skip" href="#main">Skip to the report</a>',
        _header(run, found),
        f'<nav aria-label="Contents"><ol>{named}</ol></nav>',
        '<main id="main">',
        _what(run),
        _section(found[0]),
        *_cards(found[1:]),
        beside_paper(run, found),
        beside_run(beside),
        deviations(),
        where_from(run),
        "</main>",
        f"<footer>{escaped(NOTE)} Made by notebook 11; the numbers of this page are in report.json.</footer>",
    ]
    title = f"medinstruct: the run {escaped(run.name)}"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>{title}</title>'
    page = f'<!doctype html>\n<html lang="en"><head>{head}<style>{style}</style></head>\n<body>{"".join(body)}</body></html>\n'
    return records.write_text(run.folder / "report.html", page)


def note(run: Run) -> str:
    """What must be said first: no advice, and who was a stand-in."""
    played = run.stand_ins
    return f"{NOTE} Stand-ins in this run: {', '.join(played)}. {STAND_IN}" if played else NOTE


def tiles(found: Sequence[Part]) -> list[Number]:
    """The few numbers that stand large at the top."""
    wanted = (
        "examples answered",
        "entropy of type",
        "audits that keep",
        "held-out loss, tuned",
        "tuned against",
        "likelihood, tuned",
        "all, tuned",
    )
    every = [one for part in found for one in part.numbers]
    picked = [next((one for one in every if word in one.name), None) for word in wanted]
    return [one for one in picked if one]


def _contents(found: Sequence[Part], beside: pd.DataFrame | None) -> dict[str, str]:
    named = {"what": "What was run", **{part.name: part.heading for part in found}}
    named |= (
        {"paper": "Beside the paper"}
        if any(one.paper is not None for part in found for one in part.numbers)
        else {}
    )
    named |= {"beside": "Beside another run"} if beside is not None else {}
    return named | {"published": "The published numbers", "provenance": "Provenance"}


def _header(run: Run, found: Sequence[Part]) -> str:
    todo = [part.heading.lower() for part in found if part.todo]
    missing = (
        f'<p class="note">Not in this report yet: {escaped(", ".join(todo))}. Each says below how to run it.</p>'
        if todo
        else ""
    )
    mixed = "; ".join(
        f"{key} is {', '.join(f'{value} in {name}' for name, value in own.items())}"
        for key, own in run.mixed.items()
    )
    missing += (
        f'<p class="note">Notebooks of this run had different values: {escaped(mixed)}.</p>'
        if mixed
        else ""
    )
    boxes = "".join(
        f"<div><dt>{escaped(_label(one))}</dt><dd><b>{escaped(_large(one))}</b>{escaped(_under(one))}</dd></div>"
        for one in tiles(found)
    )
    return (
        f'<header><h1>medinstruct: the run “{escaped(run.name)}”</h1><p class="lead">{escaped(_lead(found))}</p>'
        f'<p class="note">{escaped(note(run))}</p>{missing}'
        + (f'<dl class="tiles">{boxes}</dl>' if boxes else "")
        + "</header>"
    )


def _lead(found: Sequence[Part]) -> str:
    """The run in a line, of what is there."""
    every = {one.name: one for part in found for one in part.numbers}
    said = []
    if made := every.get("examples answered"):
        asked = every.get("tasks requested")
        said.append(
            f"{made.shown()} training examples"
            + (f" from {asked.shown()} tasks asked for" if asked else "")
        )
    if after := every.get("held-out loss, tuned"):
        said.append(
            f"fine-tuning that moves the held-out loss from {every['held-out loss, base'].value:.2f} to {after.shown()} a token"
        )
    if score := next(
        (one for one in every.values() if one.part == "freeform" and one.name.startswith("tuned")),
        None,
    ):
        said.append(
            f"a score of {score.shown()} {score.name.removeprefix('tuned ')} answers, where 50 % is parity"
        )
    return f"{'; '.join(said)}." if said else "Nothing has been measured yet."


def _label(one: Number) -> str:
    own = {
        "freeform": f"Score, {one.name}",
        "benchmarks": one.name.replace(" by likelihood", ""),
        "safety": "Safe answers, tuned",
    }
    return own.get(one.part, one.name[0].upper() + one.name[1:])


def _large(one: Number) -> str:
    return f"{one.shown()} of {one.n:,}" if one.unit == "count" and one.n else one.shown()


def _under(one: Number) -> str:
    n = f"n\u00a0{one.n:,}" if one.n is not None and one.unit != "count" else ""
    paper = f"paper {printed(one.paper, one.unit)}" if one.paper is not None else ""
    return "; ".join(filter(None, [one.interval(), n, paper]))


def _what(run: Run) -> str:
    roles = provenance.roles(run)
    shown = roles.assign(
        **{
            "this run": [
                f"{escaped(row['this run'])}{' <span class=badge>stand-in</span>' if row['stand_in'] else ''}"
                for _, row in roles.iterrows()
            ]
        }
    ).drop(columns="stand_in")
    said = f'<p class="finding">{escaped(_on(run))}</p>'
    boxed = table(
        shown, caption="Who did what, here and in the paper", raw=["this run"], kind="words"
    )
    return f'<section id="what"><h2>What was run</h2>{said}{boxed}</section>'


def _on(run: Run) -> str:
    """Profile, machine, versions and cost in a line or two."""
    name, count = provenance.nearest_profile(run)
    known = provenance.versions(run)
    said = (
        [f"The {name} profile" + (f" with {count} other values" if count else "")] if name else []
    )
    said += [f"trained on {known['trained on']}"] if "trained on" in known else []
    said += [f"{known['machine']}, Python {known['Python']}"] if "machine" in known else []
    said.append(
        ", ".join(
            f"{key} {known[key]}"
            for key in ("medinstruct", "torch", "transformers")
            if key in known
        )
    )
    return "; ".join(said) + f". {paid(run)}"


def _cards(found: Sequence[Part]) -> list[str]:
    """Two columns: the data and the model; a consultation stands beside safety in a row of its own."""
    most = 6 if len(found) < 7 else 5
    rows = [(found[:2], found[2:most]), (found[most : most + 1], found[most + 1 :])]
    sides = [["".join(map(_section, side)) for side in row] for row in rows if row[0]]
    return [
        f'<div class="cards"><div>{left}</div><div>{right}</div></div>' for left, right in sides
    ]


def _section(part: Part) -> str:
    head = f"<h2>{escaped(part.heading)}{badges(part.stand_ins if part.numbers else ())}</h2>"
    if part.todo:
        command = escaped(part.todo).replace(" --set ", " <span>--set ") + "</span>"
        body = f'<p class="todo">{escaped(part.sentence)} To run it: <code>{command}</code></p>'
        return f'<section id="{part.name}" class="card">{head}{body}</section>'
    drawn = f"<figure>{part.svg}</figure>"
    if part.svg_narrow:
        drawn = f'<figure class="full"><div class="desk">{part.svg}</div><div class="phone">{part.svg_narrow}</div></figure>'
    boxed = numbers_table(part.numbers, caption=f"{part.heading}: every number")
    every = f"<details><summary>All {len(part.numbers)} numbers</summary>{boxed}</details>"
    return f'<section id="{part.name}" class="card">{head}<p class="finding">{escaped(part.sentence)}</p>{drawn}{every}</section>'
