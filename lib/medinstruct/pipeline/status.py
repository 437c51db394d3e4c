"""Status: what a command would run, why and how long; the report in a browser."""

import re
import webbrowser
from collections.abc import Iterator, Sequence
from pathlib import Path

from medinstruct import manifest, params, paths
from medinstruct.pipeline import runner


def lines(profile: str, *, only: Sequence = (), sets: Sequence[str] = ()) -> Iterator[str]:
    """Yield for each notebook of a profile or a run what `run` would do, why, and how long."""
    values, writers, seconds = _values(profile, sets), {}, []
    out, sources = paths.outputs(values["run"]), runner.selected(paths.notebooks(), only)
    for source in sources:
        stage = manifest.look(source.stem, {name: values[name] for name in params.declared(source)})
        about, reasons = paths.metadata(source), stage.changes()
        earlier = sorted({writers[n] for n in manifest.inputs(about) if n in writers})
        reasons = reasons or [f"its input changes when {n} has run" for n in earlier[:1]]
        measured = manifest.load(out).get(source.stem, {}).get("seconds")
        time = f"{measured} s measured" if measured is not None else f"{takes(source)} (stated)"
        if conflict := manifest.other_values(stage):
            yield f"would stop  {source.stem}: {conflict[0]}; --force overwrites"
        elif reasons:
            more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
            yield f"would run   {source.stem}: {', '.join(reasons[:3])}{more}; {time}"
            writers |= dict.fromkeys(about.get("writes", []), source.stem[:2])
            seconds.append(measured)
        else:
            yield f"up to date  {source.stem}"
    known = [time for time in seconds if time is not None]
    total = f"; {len(known)} of them took {sum(known):.0f} s last time" if known else ""
    yield f"{len(seconds)} of {len(sources)} notebooks would run in {out}{total}."


def takes(source: Path) -> str:
    """Return the time that a notebook's title cell states for the demo."""
    title = "".join(paths.cells(source)[0]["source"])
    row = re.search(r"\n\| --- \| --- \| --- \|\n.*\| (.*?)(?:; .*)? \|(?:\n|$)", title)
    return row[1] if row else "no time"


def open_report(run: str) -> Iterator[str]:
    """Open a run's report in the browser; yield its address."""
    page = paths.outputs(run) / "report.html"
    if not page.exists():
        raise paths.missing(page, run=run) if page.parent.is_dir() else paths.no_run(run)
    yield f"Opening {page.resolve().as_uri()}"
    webbrowser.open(page.resolve().as_uri())


def _values(name: str, sets: Sequence[str]) -> dict:
    """Return the values of a profile, or those of a run's last executions."""
    entries = manifest.load(paths.outputs(name)) if re.fullmatch(r"[^/\\]+", name) else {}
    if name in (file.stem for file in params.profiles()) or not entries:
        return params.merged(name, sets)
    used = [entry["values"] for entry in entries.values() if "values" in entry]
    kept = {key: value for own in used for key, value in own.items()}
    known = params.defaults()
    given = params.checked(params.set_values(sets))
    values = {key: default for key, (_, default) in known.items()} | kept | given
    return {key: values[key] for key in known} | {"run": name}
