"""The second half of the page: beside the paper, beside another run, the published problems, and where all comes from."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from medinstruct.report import provenance, published
from medinstruct.report.gather import Run
from medinstruct.report.parts import Part
from medinstruct.report.tables import badges, escaped, listed, numbers_table, table


def beside_paper(run: Run, found: Sequence[Part]) -> str:
    """The numbers that have one of the paper beside them, together, and the settings that the paper states."""
    both = [one for part in found for one in part.numbers if one.paper is not None]
    settings = provenance.settings(run)
    if not both:
        return ""
    with_paper = [part for part in found if any(one.paper is not None for one in part.numbers)]
    played = sorted({name for part in with_paper for name in part.stand_ins})
    said = f"{len(both)} numbers of this run have a published counterpart." + (
        " They show the scale, not a contest." if played else ""
    )
    boxed = numbers_table(both, caption="Numbers of this run and of the paper, with 95 % intervals")
    boxed += (
        table(settings, caption="Settings that the paper or its code states", kind="words")
        if len(settings)
        else ""
    )
    return f'<section id="paper"><h2>Beside the paper{badges(played)}</h2><p class="finding">{said}</p><div class="split">{boxed}</div></section>'


def beside_run(found: pd.DataFrame | None) -> str:
    """The numbers that differ from those of another run, with intervals."""
    if found is None:
        return ""
    one, other = found.columns[:2]
    shown = found[found[one] != found[other]].reset_index("part")
    known = found["intervals"][found["intervals"] != ""]
    said = (
        f"{len(shown)} of {len(found)} numbers differ between {one} and {other}; of {len(known)} with intervals in both "
        f"{(known == 'apart').sum()} lie apart. A * marks numbers in which a stand-in had a part."
    )
    boxed = (
        table(shown, caption="Numbers that differ, with 95 % intervals", kind="words")
        if len(shown)
        else ""
    )
    return f'<section id="beside"><h2>Beside another run</h2><p class="finding">{escaped(said)}</p>{boxed}</section>'


def deviations() -> str:
    """The published claims that the released files do not bear out."""
    found = published.deviations().rename(
        columns={"shows": "what the files show", "where": "where it is seen"}
    )
    boxed = table(
        found.set_index("claim"),
        caption="Published claims and what the released files show",
        kind="words long",
    )
    said = f"{len(found)} published claims about AlpaCare do not agree with the files that were released with it, or cannot be checked."
    return f'<section id="published"><h2>The published numbers and their problems</h2><p class="finding">{said}</p>{boxed}</section>'


def where_from(run: Run) -> str:
    """Notebooks, parameters that differ from the demo's, versions and hashes."""
    changed = provenance.differs(run)
    parts = ["<h2>Provenance</h2><h3>Notebooks</h3>", _notebooks(run)]
    if len(changed):
        parts += [
            "<h3>Parameters</h3>",
            table(changed, caption="Parameters that differ from the demo profile", kind="words"),
        ]
    sums = {key: value[:16] for key, value in provenance.hashes(run).items() if value}
    parts += [
        "<h3>Versions and hashes</h3>",
        '<div class="split">',
        listed(provenance.versions(run), "Versions"),
    ]
    return f'<section id="provenance">{"".join(parts)}{listed(sums, "SHA-256, first 16 digits")}</div></section>'


def paid(run: Run) -> str:
    """What the answers cost, in a sentence; by model where the run is timed, "" where nothing was asked."""
    asked = provenance.cost(run)
    if not run.is_timed:
        return f"Paid: {asked['USD'].sum():.2f} USD." if len(asked) else ""
    said = [
        f"{name} {row['USD']:.2f} USD for {row['answers']:,.0f} answers"
        for name, row in asked.iterrows()
    ]
    return f"Paid: {'; '.join(said)}." if said else ""


def _notebooks(run: Run) -> str:
    done = sorted(
        path.stem
        for path in run.folder.glob("[0-9][0-9]_*.ipynb")
        if not path.stem.endswith("_failed")
    )
    names = sorted({*done, *run.manifest} - {"11_report"})
    rows = {
        name: {"read": _links(run, name)} | _entry(run.manifest.get(name, {}), run.is_timed)
        for name in names
    }
    if not rows:
        return "<p>No notebook of this run was executed by papermill.</p>"
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("notebook")
    more = "" if run.is_timed else " (pages are made by a run; git keeps the notebooks alone)"
    boxed = table(frame, caption=f"Executed notebooks, as a page and as a file{more}", raw=["read"])
    other = provenance.changed(run)
    boxed += f"<p>Not as the runner left them: {escaped(', '.join(other))}.</p>" if other else ""
    total = sum(entry["seconds"] for entry in run.manifest.values())
    slow = max(run.manifest, key=lambda key: run.manifest[key]["seconds"]) if run.manifest else ""
    return boxed + (
        f"<p>Together {total:,.0f} s; the longest was {escaped(slow)}.</p>"
        if run.is_timed and slow
        else ""
    )


def _links(run: Run, name: str) -> str:
    """The executed notebook as a page, where the run has made one, and as a file."""
    has_page = (run.folder / "pages" / f"{name}.html").exists()
    page = (
        f'<a href="pages/{name}.html" aria-label="{name} as a page">page</a> · ' if has_page else ""
    )
    return f'{page}<a href="{name}.ipynb" aria-label="{name} as a notebook">notebook</a>'


def _entry(entry: Mapping[str, Any], timed: bool) -> dict[str, str]:
    seconds = {"seconds": f"{entry['seconds']:,.1f}" if entry else "–"} if timed else {}
    return seconds | {
        "fingerprint of source, values, inputs and code": entry.get("fingerprint", "–")[:16]
    }
