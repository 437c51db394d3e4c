"""Runner: execute a profile's notebooks with papermill, skip those that are up to date."""

import json
import os
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from tqdm import tqdm

from medinstruct import params, paths, plotting, records
from medinstruct.errors import UserError
from medinstruct.pipeline import fingerprint

TIMES_VARY = "(Measured times differ at every run; run it to see yours.)\n"


class Done(NamedTuple):
    """The outcome for one notebook; `seconds` is its last run time if it is current."""

    notebook: str
    seconds: float
    is_current: bool

    @property
    def line(self) -> str:
        """The outcome in words."""
        outcome = "up to date" if self.is_current else f"done in {self.seconds} s"
        return f"{self.notebook}: {outcome}"


def run(
    profile: str,
    *,
    only: list[str] | None = None,
    sets: list[str] | None = None,
    force: bool = False,
) -> list[Done]:
    """Run a profile's notebooks into `outputs/<run>/`; return one outcome a notebook.

    `only` selects notebooks by number, `sets` overrides parameters as key=value, `force` reruns
    current ones. The first failure stops the run with notebook, cell and cause. A manifest, written
    after each notebook, holds the hash of everything its result depends on.
    """
    values = params.profile(profile) | params.set_values(sets or [])
    available = sorted((paths.root() / "notebooks").glob("[0-9]*.ipynb"))
    selected = _selected(available, only or [])
    own = _values_by_notebook(available, values)
    out = paths.outputs(str(values.get("run", "demo")))
    outcomes = []
    timings = not values.get("reproducible", False)
    with tqdm(selected, unit="notebook", dynamic_ncols=True) as bar:
        for notebook in bar:
            bar.set_description(notebook.stem)
            outcomes.append(_run_one(notebook, own[notebook], out, force=force, timings=timings))
    return outcomes


def time_table(outcomes: list[Done]) -> list[str]:
    """Return one line a notebook with a bar of its time, and the sum of this run.

    >>> done = [Done("01_explore_seeds", 5.8, False), Done("02_generate_tasks", 11.6, True)]
    >>> time_table(done)[-1]
    'together             5.8 s'
    """
    width = max(len(outcome.notebook) for outcome in outcomes)
    longest = max(outcome.seconds for outcome in outcomes) or 1.0
    lines = []
    for name, seconds, is_current in outcomes:
        bar = "up to date" if is_current else "█" * max(round(30 * seconds / longest), 1)
        lines.append(f"{name:<{width}} {seconds:>6.1f} s  {bar}")
    total = sum(outcome.seconds for outcome in outcomes if not outcome.is_current)
    return [*lines, f"{'together':<{width}} {total:>6.1f} s"]


def _run_one(
    notebook: Path, values: dict[str, Any], out: Path, *, force: bool, timings: bool
) -> Done:
    """Run one notebook unless it is up to date, and enter it in the manifest."""
    io = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["medinstruct"]
    _require(notebook, io["reads"], out)
    current = fingerprint.of_notebook(notebook, values=values, out=out)
    path = out / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    entry = manifest.get(notebook.stem)
    if not force and _is_current(entry, current, out):
        _write_page(out / notebook.name, overwrite=False)
        return Done(notebook.stem, entry["seconds"], True)
    start = time.perf_counter()
    _execute(notebook, values, out, timings=timings)
    _write_page(out / notebook.name)
    written = {name: fingerprint.of_path(out / name) for name in [*io["writes"], notebook.name]}
    seconds = round(time.perf_counter() - start, 1)
    entry = {"fingerprint": current, "written": written, "seconds": seconds}
    records.write_json(path, manifest | {notebook.stem: entry})
    return Done(notebook.stem, seconds, False)


def _write_page(executed: Path, *, overwrite: bool = True) -> None:
    """Render an executed notebook to pages/, where the report links to it."""
    page = executed.parent / "pages" / f"{executed.stem}.html"
    if overwrite or not page.exists():
        text = plotting.to_html(executed)
        records.write_text(page, re.sub(r'href="(\d\d_\w+)\.ipynb"', r'href="\1.html"', text))


def _execute(notebook: Path, values: dict[str, Any], out: Path, *, timings: bool) -> None:
    """Run with papermill into a temporary file; keep the failed copy for reading."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # long spins double the time on a busy machine
    out.mkdir(parents=True, exist_ok=True)
    draft, failed = out / f".{notebook.name}", out / f"{notebook.stem}_failed.ipynb"
    quiet = {"kernel_name": "python3", "progress_bar": False, "extra_arguments": ["--log-level=50"]}
    try:
        papermill.execute_notebook(notebook, draft, parameters=values, **quiet)
    except papermill.PapermillExecutionError as error:
        draft.replace(failed)
        raise _failure(notebook, error, failed) from None
    except DeadKernelError as error:
        draft.unlink(missing_ok=True)
        do = "Free memory or make batches smaller, then repeat the command."
        what = f"{notebook.stem} stopped: its kernel died, most often from lack of memory."
        raise UserError(what, got=error, do=do) from None
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    copy = cleaned(nbformat.read(draft, as_version=4), timings=timings)
    records.write_text(out / notebook.name, nbformat.writes(copy) + "\n")
    draft.unlink()
    failed.unlink(missing_ok=True)


def cleaned(notebook: nbformat.NotebookNode, *, timings: bool = True) -> nbformat.NotebookNode:
    """Remove what changes at every run: times, progress bars, widget state, memory addresses.

    Without `timings` the outputs of cells tagged "timing" are replaced by a remark.
    """
    for name in ("papermill", "widgets"):
        notebook.metadata.pop(name, None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for cell in notebook.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags:
            cell.id = "injected"
        if "timing" in tags and not timings:
            cell.outputs = [nbformat.v4.new_output("stream", text=TIMES_VARY)]
        elif cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_transient(output)]
        for output in cell.get("outputs", []):
            if text := output.get("data", {}).get("text/plain"):
                output.data["text/plain"] = re.sub(r" at 0x[0-9a-f]+", "", text)
    return notebook


def _is_transient(output: nbformat.NotebookNode) -> bool:
    """Return whether an output is a progress bar or a widget."""
    if output.output_type == "stream" and output.name == "stderr":
        return "\r" in output.text or "it/s" in output.text
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def _failure(notebook: Path, error: Any, failed: Path) -> UserError:
    """Return one message with the notebook, the cell and the cause."""
    cells = nbformat.read(failed, as_version=4).cells
    cell = next(c.id for c in cells if c.metadata.get("papermill", {}).get("status") == "failed")
    again = f"Then repeat the command; finished notebooks are skipped. See {failed}."
    place = f"{notebook.stem} stopped at cell `{cell}`"
    if error.ename == "UserError":
        return UserError(f"{place}: {error.evalue}\n       {again}")
    got = f"{error.ename}: {error.evalue}"
    return UserError(f"{place}.", got=got, do=f"Repair the cause. {again}")


def _selected(available: list[Path], only: list[str]) -> list[Path]:
    names = {notebook.stem[:2]: notebook for notebook in available}
    numbers = {text.partition("_")[0].zfill(2): text for text in only}
    for number, text in numbers.items():
        if number not in names:
            do = f"Choose from {', '.join(names)}."
            raise UserError("There is no such notebook.", got=text, do=do)
    return [names[number] for number in sorted(numbers)] or available


def _values_by_notebook(available: list[Path], values: dict[str, Any]) -> dict[Path, dict]:
    """Return each notebook's own values; refuse unknown keys and wrong types before running."""
    declared = {notebook: params.declared(notebook) for notebook in available}
    kinds = {key: kind for cells in declared.values() for key, (kind, _) in cells.items()}
    for key, value in values.items():
        if key not in kinds:
            raise params.unknown(key, kinds)
        values[key] = params.typed(key, value, kinds[key])
    return {
        notebook: {key: values[key] for key in cells if key in values}
        for notebook, cells in declared.items()
    }


def _require(notebook: Path, reads: list[str], out: Path) -> None:
    missing = [name for name in reads if not (out / name).exists()]
    if missing:
        do = "Run the earlier notebooks first: without numbers all run in order."
        what = f"{notebook.stem} reads files that do not exist."
        raise UserError(what, got=", ".join(missing), do=do)


def _is_current(entry: dict[str, Any] | None, current: str, out: Path) -> bool:
    if not entry or entry["fingerprint"] != current:
        return False
    return all(fingerprint.of_path(out / name) == value for name, value in entry["written"].items())
