"""Runner: execute notebooks with papermill and skip those up to date."""

import errno
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from medinstruct import failures, manifest, models, params, paths, records
from medinstruct.errors import UserError

SETTINGS = {"kernel_name": "python3", "progress_bar": False, "extra_arguments": ["--log-level=50"]}
SETTINGS |= {"start_timeout": 300, "iopub_timeout": 60}  # seconds, of a machine at full load
LAST_WORDS = "kernel.log"
# A kernel of a run has its values from the run, not from the set-up cell for Colab and Kaggle.
HIDDEN = {"COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE", "MEDINSTRUCT_PROFILE", "MEDINSTRUCT_RUN"}
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def lines(profile: str, **chosen: Any) -> Iterator[str]:
    """Run a profile as `run` does; yield its lines, the time, and where the report is."""
    start = time.perf_counter()
    yield from run(profile, **chosen)
    yield f"Total: {time.perf_counter() - start:.1f} s"
    page = paths.outputs(params.merged(profile, chosen["sets"])["run"]) / "report.html"
    if page.exists():
        yield f"The report is {page.resolve().as_uri()}"


def run(profile: str, *, only: Sequence = (), sets: Sequence = (), force=False) -> list[str]:
    """Run a profile's notebooks into `outputs/<run>/`; return a line on each.

    `only` selects notebooks by number, `sets` overrides parameters as key=value, `force` reruns
    current ones and overwrites files that other values wrote. The first failure ends the run and
    names notebook, cell and cause.
    """
    values = params.merged(profile, sets)
    chosen = selected(paths.notebooks(), only)
    out = paths.outputs(values["run"])
    for text in filter(None, map(models.ending, dict.fromkeys(n for _, n in models.asked(values)))):
        logging.getLogger("medinstruct").warning(text)
    if force:
        manifest.forget(out, [notebook.stem for notebook in chosen])
    lines = []
    with tqdm(chosen, unit="notebook", dynamic_ncols=True) as bar:
        for notebook in bar:
            bar.set_description(notebook.stem)
            own = {name: values[name] for name in params.declared(notebook)}
            lines.append(_run_one(notebook, own, out=out))
            page = out / "pages" / f"{notebook.stem}.html"
            if not page.exists():
                from medinstruct import plotting  # seconds

                text = plotting.display.to_html(out / notebook.name)
                text = re.sub(r'href="(\d\d_\w+)\.ipynb"', r'href="\1.html"', text)
                records.write_text(page, text)
    return lines


def _run_one(notebook: Path, values: dict, *, out: Path) -> str:
    """Run one notebook unless it is up to date, and enter it in the manifest."""
    stage = manifest.begin(notebook.stem, values)
    if not stage.changes():
        (out / f"{notebook.stem}_failed.ipynb").unlink(missing_ok=True)  # with values of before
        return f"{notebook.stem}: up to date"
    start = time.perf_counter()
    _execute(notebook, values, out)
    (out / "pages" / f"{notebook.stem}.html").unlink(missing_ok=True)
    seconds = round(time.perf_counter() - start, 1)
    stage.record(seconds=seconds, executed=manifest.of_path(out / notebook.name))
    return f"{notebook.stem}: done in {seconds} s"


def _execute(notebook: Path, values: dict, out: Path) -> None:
    """Run with papermill in a temporary folder; keep the failed copy for reading."""
    import nbformat  # a second
    import papermill

    declared, failed = params.declared(notebook), out / f"{notebook.stem}_failed.ipynb"
    given = {name: value for name, value in values.items() if value != declared[name][1]}
    place = tempfile.TemporaryDirectory(prefix="medinstruct-", ignore_cleanup_errors=True)
    with place as folder:
        draft, heard = Path(folder) / notebook.name, Path(folder) / LAST_WORDS
        settings = {"parameters": given, "kernel_manager_class": own_kernel(Path(folder))}
        try:
            draft.write_text(nbformat.writes(with_input(notebook, values)), encoding="utf-8")
            paths.write_bytes(failed, draft.read_bytes())  # if that is possible, so is the rest
            papermill.execute_notebook(str(draft), str(draft), **settings, **SETTINGS)
            copy = cleaned(nbformat.read(draft, as_version=4))
            records.write_text(out / notebook.name, nbformat.writes(copy) + "\n")
            failed.unlink(missing_ok=True)
        except UserError:
            raise
        except Exception as error:
            words = heard.read_text(errors="replace") if heard.exists() else ""
            raise _failure(notebook, error, draft, failed, words) from error


def own_kernel(folder: Path) -> Any:
    """Return a class of kernels of this very Python, which write to `folder` and need no home.

    Sockets of files, where there are any, are never taken by another program, as ports may be.
    """
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class OwnKernel(AsyncKernelManager):
        kernel_spec = KernelSpec(**get_kernel_dict())

        def __init__(self, **settings: Any) -> None:
            has_files = os.name == "posix" and len(str(folder)) < 80  # of 104 on a Mac
            place = {"connection_file": str(folder / "connection.json")}
            super().__init__(transport="ipc" if has_files else "tcp", **place, **settings)

        async def start_kernel(self, **settings: Any) -> None:
            with (folder / LAST_WORDS).open("wb") as file:
                where = {"stdout": file, "stderr": file}
                known = {name: os.environ[name] for name in os.environ.keys() - HIDDEN}
                where["env"] = known | {"IPYTHONDIR": str(folder)} | paths.other_caches()
                await super().start_kernel(**settings | where)

    return OwnKernel


def with_input(notebook: Path, values: dict[str, Any]) -> Any:
    """Return a notebook without the cells tagged `needs-NAME` whose parameter NAME is empty."""
    import nbformat

    content = nbformat.read(notebook, as_version=4)
    empty = {f"needs-{name}" for name, value in values.items() if not value}
    content.cells = [c for c in content.cells if not empty & set(c.metadata.get("tags", []))]
    return content


def cleaned(notebook: Any) -> Any:
    """Remove what changes at every run: progress bars, addresses."""
    notebook.metadata.get("language_info", {}).pop("version", None)
    for holder in (notebook, *notebook.cells):
        for name in ("papermill", "widgets", "execution"):
            holder.metadata.pop(name, None)
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected"
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_transient(output)]
        for output in cell.get("outputs", []):
            if text := output.get("data", {}).get("text/plain"):
                output.data["text/plain"] = re.sub(r" at 0x[0-9a-f]+", "", text)
    return notebook


def _is_transient(output: Any) -> bool:
    """Return whether an output is a progress bar, what is left of one, or a widget."""
    if output.output_type == "stream" and output.name == "stderr":
        return not output.text.strip() or any(sign in output.text for sign in ("\r", "it/s"))
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def _failure(notebook: Path, error: Exception, draft: Path, failed: Path, words: str) -> UserError:
    """Keep the failed copy, and return one message with the notebook, the cell and the cause."""
    if getattr(error, "errno", 0) in FULL_DISK:  # the copy is torn
        with paths.writing(failed):
            raise error
    cells = [c for c in paths.cells(draft) if c["metadata"].get("papermill", {}).get("start_time")]
    cell = cells[-1]["id"] if cells else ""
    place = f"{notebook.stem} stopped" + (f" at cell `{cell}`" if cell else "")
    if cells:
        records.write_text(failed, failures.redacted(draft.read_text(encoding="utf-8")))
    if not (kind := getattr(error, "ename", "")):  # no error of a cell
        died = "its kernel died, usually for lack of memory" if cell else "no cell has run"
        kind = "" if cell or "ernel" not in str(error) else "KernelError"
        what = f"{place}: {died}."
        return failures.unforeseen(error, what, folder=failed.parent, words=words, kind=kind)
    got = failures.redacted(f"{kind}: {error.evalue}")
    again = f"Then repeat the command; finished notebooks are skipped. See {failed}."
    if kind == "UserError":
        return UserError(f"{place}: {got.removeprefix('UserError: ')}\n       {again}")
    do = f"{failures.remedy(kind)} {again}"
    return UserError(f"{place}.", got=got[: failures.LONGEST], do=do)


def selected(available: list[Path], only: Sequence[str]) -> list[Path]:
    """Return the notebooks of the numbers or names in `only`, in order; all without any."""
    names = {notebook.stem[:2]: notebook for notebook in available}
    numbers = {text.partition("_")[0].zfill(2): text for text in only}
    if unknown := numbers.keys() - names:
        do = f"Choose from {', '.join(names)}."
        raise UserError("There is no such notebook.", got=numbers[min(unknown)], do=do)
    return [names[number] for number in sorted(numbers)] or available
