"""The report as one HTML page that needs nothing else: figures inside, text escaped, light, dark and on paper."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from medinstruct import records
from medinstruct.run.report import provenance
from medinstruct.run.report.gather import Run
from medinstruct.run.report.numbers import Number, printed
from medinstruct.run.report.parts import Part

NOTE = "Nothing here is medical advice, and no content was reviewed by clinicians."
STAND_IN = "A stand-in is a program or a toy model of ours: its numbers show that the pipeline works, not that a model is good."


def write_page(run: Run, found: Sequence[Part], *, beside: pd.DataFrame | None = None) -> Path:
    """Write report.html into the run's folder; `beside` is the comparison with another run."""
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    named = "".join(f'<li><a href="#{key}">{escaped(text)}</a></li>' for key, text in _contents(found, beside).items())
    body = [
        '<a class="skip" href="#main">Skip to the report</a>', _header(run, found), f'<nav aria-label="Contents"><ol>{named}</ol></nav>',
        '<main id="main">', _what(run), _section(found[0]),
        *_cards(found[1:]), _paper(run, found), _beside(beside), _deviations(), _provenance(run), "</main>",
        f"<footer>{escaped(NOTE)} Made by notebook 11; the numbers of this page are in report.json.</footer>",
    ]  # fmt: skip
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
    wanted = ("examples answered", "entropy of type", "audits that keep", "held-out loss, tuned", "tuned against", "likelihood, tuned", "all, tuned")
    every = [one for part in found for one in part.numbers]
    picked = [next((one for one in every if word in one.name), None) for word in wanted]
    return [one for one in picked if one]


def table(frame: pd.DataFrame, *, caption: str, kind: str = "", head: str = "", raw: Sequence[str] = ()) -> str:
    """A DataFrame as a table with a caption and scopes; every cell is escaped but those of the columns `raw`."""
    right = {name for name in frame.columns if name in ("this run", "n", "95 % interval", "seconds", "USD") and not kind}
    heads = "".join(f'<th scope="col"{_num(name in right)}>{escaped(name)}</th>' for name in [head or frame.index.name or "", *frame.columns])
    rows = "".join(
        f'<tr><th scope="row">{escaped(name)}</th>'
        + "".join(f"<td{_num(key in right)}>{value if key in raw else escaped(value)}</td>" for key, value in row.items())
        + "</tr>"
        for name, row in frame.iterrows()
    )
    inside = f"<table class=\"{kind}\"><caption>{escaped(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escaped(caption)}">{inside}</div>'


def escaped(value: Any) -> str:
    """Any value as text that is safe in HTML; small and large floats stay readable."""
    text = f"{value:,.4g}" if isinstance(value, float) else str(value)
    return html.escape(text)


def badges(names: Sequence[str]) -> str:
    """The label of numbers that a stand-in had a part in."""
    return f' <span class="badge">stand-in: {escaped(", ".join(names))}</span>' if names else ""


def _num(yes: bool) -> str:
    return ' class="num"' if yes else ""


def _contents(found: Sequence[Part], beside: pd.DataFrame | None) -> dict[str, str]:
    named = {"what": "What was run", **{part.name: part.heading for part in found}}
    named |= {"paper": "Beside the paper"} if any(one.paper is not None for part in found for one in part.numbers) else {}
    named |= {"beside": "Beside another run"} if beside is not None else {}
    return named | {"published": "The published numbers", "provenance": "Provenance"}


def _header(run: Run, found: Sequence[Part]) -> str:
    todo = [part.heading.lower() for part in found if part.todo]
    missing = f'<p class="note">Not in this report yet: {escaped(", ".join(todo))}. Each says below how to run it.</p>' if todo else ""
    boxes = "".join(
        f"<div><dt>{escaped(_label(one))}</dt><dd><b>{escaped(_large(one))}</b>{escaped(_under(one))}</dd></div>" for one in tiles(found)
    )
    return (
        f'<header><h1>medinstruct: the run “{escaped(run.name)}”</h1><p class="lead">{escaped(_lead(found))}</p>'
        f'<p class="note">{escaped(note(run))}</p>{missing}' + (f'<dl class="tiles">{boxes}</dl>' if boxes else "") + "</header>"
    )


def _lead(found: Sequence[Part]) -> str:
    """The run in a line, of what is there."""
    every = {one.name: one for part in found for one in part.numbers}
    said = []
    if made := every.get("examples answered"):
        asked = every.get("tasks requested")
        said.append(f"{made.shown()} training examples" + (f" from {asked.shown()} tasks asked for" if asked else ""))
    if after := every.get("held-out loss, tuned"):
        said.append(f"fine-tuning that moves the held-out loss from {every['held-out loss, base'].value:.2f} to {after.shown()} a token")
    if score := next((one for one in every.values() if one.part == "freeform" and one.name.startswith("tuned")), None):
        said.append(f"a score of {score.shown()} {score.name.removeprefix('tuned ')} answers, where 50 % is parity")
    return f"{'; '.join(said)}." if said else "Nothing has been measured yet."


def _label(one: Number) -> str:
    return {"freeform": f"Score, {one.name}", "benchmarks": one.name.replace(" by likelihood", ""), "safety": "Safe answers, tuned"}.get(
        one.part, one.name[0].upper() + one.name[1:]
    )


def _large(one: Number) -> str:
    return f"{one.shown()} of {one.n:,}" if one.unit == "count" and one.n else one.shown()


def _under(one: Number) -> str:
    n = f"n\u00a0{one.n:,}" if one.n is not None and one.unit != "count" else ""
    paper = f"paper {printed(one.paper, one.unit)}" if one.paper is not None else ""
    return "; ".join(filter(None, [one.interval(), n, paper]))


def _what(run: Run) -> str:
    roles = provenance.roles(run)
    shown = roles.assign(**{"this run": [
        f"{escaped(row['this run'])}{' <span class=badge>stand-in</span>' if row['stand_in'] else ''}" for _, row in roles.iterrows()
    ]}).drop(columns="stand_in")  # fmt: skip
    said = f'<p class="finding">{escaped(_on(run))}</p>'
    boxed = table(shown, caption="Who did what, here and in the paper", raw=["this run"], kind="words")
    return f'<section id="what"><h2>What was run</h2>{said}{boxed}</section>'


def _on(run: Run) -> str:
    """Profile, machine, versions and cost in a line or two."""
    name, count = provenance.nearest_profile(run)
    known = provenance.versions(run)
    said = [f"The {name} profile" + (f" with {count} other values" if count else "")] if name else []
    said += [f"trained on {known['trained on']}"] if "trained on" in known else []
    said += [f"{known['machine']}, Python {known['Python']}"] if "machine" in known else []
    said.append(", ".join(f"{key} {known[key]}" for key in ("medinstruct", "torch", "transformers") if key in known))
    return "; ".join(said) + f". {_paid(run)}"


def _cards(found: Sequence[Part]) -> list[str]:
    """Two columns: the data and the model; a consultation stands beside safety in a row of its own."""
    most = 6 if len(found) < 7 else 5
    rows = [(found[:2], found[2:most]), (found[most : most + 1], found[most + 1 :])]
    sides = [["".join(map(_section, side)) for side in row] for row in rows if row[0]]
    return [f'<div class="cards"><div>{left}</div><div>{right}</div></div>' for left, right in sides]


def _section(part: Part) -> str:
    head = f"<h2>{escaped(part.heading)}{badges(part.stand_ins if part.numbers else ())}</h2>"
    if part.todo:
        body = f'<p class="todo">{escaped(part.sentence)} To run it: <code>{escaped(part.todo)}</code></p>'
        return f'<section id="{part.name}" class="card">{head}{body}</section>'
    drawn = f"<figure>{part.svg}</figure>"
    if part.svg_narrow:
        drawn = f'<figure class="full"><div class="desk">{part.svg}</div><div class="phone">{part.svg_narrow}</div></figure>'
    boxed = _numbers(part.numbers, caption=f"{part.heading}: every number")
    every = f"<details><summary>All {len(part.numbers)} numbers</summary>{boxed}</details>"
    return f'<section id="{part.name}" class="card">{head}<p class="finding">{escaped(part.sentence)}</p>{drawn}{every}</section>'


def _numbers(found: Sequence[Number], *, caption: str) -> str:
    """Numbers with their interval beneath, n, and the paper's where one of them has it."""
    rows = {
        one.name: {
            "this run": f"<b>{escaped(one.shown())}</b>" + (f'<br><span class="ends">{escaped(one.interval())}</span>' if one.interval() else ""),
            "n": "" if one.n is None else f"{one.n:,}", "paper": _papers(one),
        }
        for one in found
    }  # fmt: skip
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("number")
    empty = [name for name in frame.columns if not frame[name].any()]
    return table(frame.drop(columns=empty), caption=caption, raw=["this run", "paper"])


def _papers(one: Number) -> str:
    if one.paper is None:
        return ""
    return f'<b>{escaped(printed(one.paper, one.unit))}</b><br><span class="ends">{escaped(one.paper_is)}</span>'


def _paper(run: Run, found: Sequence[Part]) -> str:
    """The numbers that have one of the paper beside them, together."""
    both = [one for part in found for one in part.numbers if one.paper is not None]
    settings = provenance.settings(run)
    if not both:
        return ""
    played = sorted({name for part in found for name in part.stand_ins if any(one.paper is not None for one in part.numbers)})
    said = f"{len(both)} numbers of this run have a published counterpart." + (" They show the scale, not a contest." if played else "")
    boxed = _numbers(both, caption="Numbers of this run and of the paper, with 95 % intervals")
    boxed += table(settings, caption="Settings that the paper or its code states", kind="words") if len(settings) else ""
    return f'<section id="paper"><h2>Beside the paper{badges(played)}</h2><p class="finding">{said}</p><div class="split">{boxed}</div></section>'


def _beside(found: pd.DataFrame | None) -> str:
    if found is None:
        return ""
    boxed = table(found, caption="The numbers of both runs, with 95 % intervals", kind="words")
    return f'<section id="beside"><h2>Beside another run</h2>{boxed}</section>'


def _deviations() -> str:
    found = provenance.deviations().rename(columns={"shows": "what the files show", "where": "where it is seen", "here": "here"})
    boxed = table(found.set_index("claim"), caption="Published claims and what the released files show", kind="words long")
    said = f"{len(found)} published claims about AlpaCare do not agree with the files that were released with it, or cannot be checked."
    return f'<section id="published"><h2>The published numbers and their problems</h2><p class="finding">{said}</p>{boxed}</section>'


def _provenance(run: Run) -> str:
    changed = provenance.differs(run)
    parts = ['<h2>Provenance</h2><h3>Notebooks</h3>', _notebooks(run)]
    if len(changed):
        parts += ["<h3>Parameters</h3>", table(changed, caption="Parameters that differ from the demo profile", kind="words")]
    sums = {key: value[:16] for key, value in provenance.hashes(run).items() if value}
    parts += ["<h3>Versions and hashes</h3>", '<div class="split">', _listed(provenance.versions(run), "Versions")]
    return f'<section id="provenance">{"".join(parts)}{_listed(sums, "SHA-256, first 16 digits")}</div></section>'


def _paid(run: Run) -> str:
    asked = provenance.cost(run)
    if not run.is_timed:
        return f"Paid: {asked['USD'].sum():.2f} USD." if len(asked) else ""
    said = [f"{name} {row['USD']:.2f} USD for {row['answers']:,.0f} answers" for name, row in asked.iterrows()]
    return f"Paid: {'; '.join(said)}." if said else ""


def _notebooks(run: Run) -> str:
    done = sorted(path.stem for path in run.folder.glob("[0-9][0-9]_*.ipynb") if not path.stem.endswith("_failed"))
    names = sorted({*done, *run.manifest} - {"11_report"})
    rows = {name: {"read": _links(name)} | _entry(run.manifest.get(name, {}), run.is_timed) for name in names}
    if not rows:
        return "<p>No notebook of this run was executed by papermill.</p>"
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("notebook")
    more = "" if run.is_timed else " (pages are made by a run; git keeps the notebooks alone)"
    boxed = table(frame, caption=f"Executed notebooks, as a page and as a file{more}", raw=["read"])
    total = sum(entry["seconds"] for entry in run.manifest.values())
    slow = max(run.manifest, key=lambda key: run.manifest[key]["seconds"]) if run.manifest else ""
    return boxed + (f"<p>Together {total:,.0f} s; the longest was {escaped(slow)}.</p>" if run.is_timed and slow else "")


def _links(name: str) -> str:
    return f'<a href="pages/{name}.html">page<span hidden> of {name}</span></a> · <a href="{name}.ipynb">notebook</a>'


def _entry(entry: Mapping[str, Any], timed: bool) -> dict[str, str]:
    seconds = {"seconds": f"{entry['seconds']:,.1f}" if entry else "–"} if timed else {}
    return seconds | {"fingerprint of source, values, inputs and code": entry.get("fingerprint", "–")[:16]}


def _listed(values: Mapping[str, str], caption: str) -> str:
    frame = pd.DataFrame({"value": values}).rename_axis("name")
    return table(frame, caption=caption)
