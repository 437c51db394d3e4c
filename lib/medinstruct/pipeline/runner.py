"""The notebooks in order, each with its own parameters; what is up to date is not run again."""

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


class Done(NamedTuple):
    """What became of one notebook: the seconds that it took, now or when it last ran, and whether it was up to date."""

    notebook: str
    seconds: float
    is_current: bool

    @property
    def line(self) -> str:
        """In words, for a terminal."""
        return f"{self.notebook}: " + (
            "up to date" if self.is_current else f"done in {self.seconds} s"
        )


def run(
    profile: str,
    *,
    only: list[str] | None = None,
    sets: list[str] | None = None,
    force: bool = False,
) -> list[str]:
    """Run a profile's notebooks into `outputs/<run>/`; returns one line a notebook: what was done."""
    return [done.line for done in run_each(profile, only=only, sets=sets, force=force)]


def run_each(
    profile: str,
    *,
    only: list[str] | None = None,
    sets: list[str] | None = None,
    force: bool = False,
) -> list[Done]:
    """The same with one record a notebook.

    Stops at the first failure with the notebook, the cell and the cause. A manifest, written after each good notebook,
    holds the hash of everything that its result depends on.
    """
    values = params.profile(profile) | params.set_values(sets or [])
    available = sorted((paths.root() / "notebooks").glob("[0-9]*.ipynb"))
    wanted = _chosen(available, only or [])
    own = _own_values(available, values)
    out = paths.outputs(own[available[0]].get("run", "demo"))
    found = []
    with tqdm(wanted, unit="notebook", dynamic_ncols=True) as bar:
        for notebook in bar:
            bar.set_description(notebook.stem)
            found.append(_one(notebook, values=own[notebook], out=out, force=force))
    return found


def time_table(found: list[Done]) -> list[str]:
    """Where the time went: a line a notebook with a bar, and the sum of what was run now.

    >>> time_table([Done("01_explore_seeds", 5.8, False), Done("02_generate_tasks", 11.6, True)])[-1]
    'together             5.8 s'
    """
    wide, most = (
        max(len(done.notebook) for done in found),
        max(done.seconds for done in found) or 1.0,
    )
    lines = []
    for done in found:
        bar = "up to date" if done.is_current else "█" * max(round(30 * done.seconds / most), 1)
        lines.append(f"{done.notebook:<{wide}} {done.seconds:>6.1f} s  {bar}")
    return [
        *lines,
        f"{'together':<{wide}} {sum(done.seconds for done in found if not done.is_current):>6.1f} s",
    ]


def _one(notebook: Path, *, values: dict[str, Any], out: Path, force: bool) -> Done:
    """Run one notebook unless it is up to date, and enter it in the manifest."""
    io = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["medinstruct"]
    _require(notebook, io["reads"], out)
    found = fingerprint.of_notebook(notebook, values=values, out=out)
    entry = _manifest(out).get(notebook.stem)
    if not force and _is_current(entry, found, out):
        _write_page(out / notebook.name, again=False)
        return Done(notebook.stem, entry["seconds"], True)
    start = time.perf_counter()
    _execute(notebook, values=values, out=out)
    _write_page(out / notebook.name)
    written = {name: fingerprint.of_path(out / name) for name in [*io["writes"], notebook.name]}
    seconds = round(time.perf_counter() - start, 1)
    entry = {"fingerprint": found, "written": written, "seconds": seconds}
    records.write_json(out / "manifest.json", _manifest(out) | {notebook.stem: entry})
    return Done(notebook.stem, seconds, False)


def _write_page(executed: Path, *, again: bool = True) -> None:
    """The executed notebook as an HTML page in pages/, to which the report links."""
    page = executed.parent / "pages" / f"{executed.stem}.html"
    if again or not page.exists():
        text = re.sub(
            r'href="(\d\d_\w+)\.ipynb"', r'href="\1.html"', plotting.to_html(executed)
        )  # from page to page
        records.write_text(page, text)


def _execute(notebook: Path, *, values: dict[str, Any], out: Path) -> None:
    """Run with papermill into a temporary name; a failed copy is kept beside for reading."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    os.environ.setdefault(
        "GOMP_SPINCOUNT", "2000"
    )  # threads that spin for long cost a busy machine twice the time
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
        do = "Most often memory ran out: free some, or make batches smaller. Then give the same command again."
        raise UserError(f"{notebook.stem} stopped: its kernel died.", got=error, do=do) from None
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    records.write_text(
        out / notebook.name,
        nbformat.writes(cleaned(nbformat.read(draft, as_version=4), timings=out.name != "demo"))
        + "\n",
    )
    draft.unlink()
    failed.unlink(missing_ok=True)


def cleaned(notebook: nbformat.NotebookNode, *, timings: bool = True) -> nbformat.NotebookNode:
    """The executed copy without what changes from run to run: times, progress bars, widget state, addresses in memory.

    Without `timings` the outputs of cells tagged "timing" go as well: the demo that is kept in git is the same at every run.
    """
    for name in ("papermill", "widgets"):
        notebook.metadata.pop(name, None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for cell in notebook.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected"
        if "timing" in cell.metadata.get("tags", []) and not timings:
            cell.outputs = [
                nbformat.v4.new_output(
                    "stream", text="(Measured times differ at every run; run it to see yours.)\n"
                )
            ]
        elif cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_passing(output)]
        for output in cell.get("outputs", []):
            if "text/plain" in output.get(
                "data", {}
            ):  # where an object lay in memory is news to nobody
                output.data["text/plain"] = re.sub(
                    r" at 0x[0-9a-f]+", "", output.data["text/plain"]
                )
    return notebook


def _is_passing(output: nbformat.NotebookNode) -> bool:
    is_bar = (
        output.output_type == "stream"
        and output.name == "stderr"
        and ("\r" in output.text or "it/s" in output.text)
    )
    return is_bar or "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def _failure(notebook: Path, error: Any, failed: Path) -> UserError:
    cells = nbformat.read(failed, as_version=4).cells
    cell = next(
        (c for c in cells if any(o.output_type == "error" for o in c.get("outputs", []))), {}
    )
    again = f"Then give the same command again: finished notebooks are kept. The failed copy is {failed}."
    place = f"{notebook.stem} stopped at cell `{cell.get('id', '?')}`"
    if error.ename != "UserError":
        return UserError(
            f"{place}.", got=f"{error.ename}: {error.evalue}", do=f"Repair the cause. {again}"
        )
    what, _, rest = error.evalue.partition("\n  got: ")
    got, _, do = rest.partition("\n  do:  ")
    return UserError(f"{place}: {what}", got=got or None, do=f"{do} {again}".strip())


def _chosen(available: list[Path], only: list[str]) -> list[Path]:
    names = {notebook.stem[:2]: notebook for notebook in available}
    asked = {text: text.partition("_")[0].zfill(2) for text in only}
    for text, number in asked.items():
        if number not in names:
            raise UserError(
                "There is no such notebook.", got=text, do=f"Choose from {', '.join(names)}."
            )
    return [names[number] for number in sorted(set(asked.values()))] or available


def _own_values(available: list[Path], values: dict[str, Any]) -> dict[Path, dict[str, Any]]:
    """For each notebook the profile's values for its own keys; unknown keys and wrong types are refused before anything runs."""
    kinds = {notebook: params.declared(notebook) for notebook in available}
    known = {key: kind for cells in kinds.values() for key, (kind, _) in cells.items()}
    for key, value in values.items():
        if key not in known:
            raise params.unknown(key, known)
        values[key] = params.typed(key, value, known[key])
    return {
        notebook: {key: values[key] for key in cells if key in values}
        for notebook, cells in kinds.items()
    }


def _require(notebook: Path, reads: list[str], out: Path) -> None:
    missing = [name for name in reads if not (out / name).exists()]
    if missing:
        do = "Run the earlier notebooks first: give no numbers, and all run in order."
        raise UserError(
            f"{notebook.stem} reads files that are not there.", got=", ".join(missing), do=do
        )


def _manifest(out: Path) -> dict[str, Any]:
    path = out / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _is_current(entry: dict[str, Any] | None, found: str, out: Path) -> bool:
    if not entry or entry["fingerprint"] != found:
        return False
    return all(fingerprint.of_path(out / name) == value for name, value in entry["written"].items())
