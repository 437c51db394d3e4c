"""Command line: `python -m medinstruct run params/demo.yaml`."""

import argparse
import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import medinstruct
from medinstruct.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; what stops it ends in one message and status 2 (130 for Ctrl-C)."""
    for name in ("stdout", "stderr"):  # closed, None under pythonw, or in a code page without "…"
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: SIM115
        setattr(sys, name, stream)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    given, status = argparse.Namespace(debug=False, command="medinstruct"), 2
    try:
        given = _parser().parse_args(arguments, given)
        for line in _lines(given):
            _print(line)
        return 0
    except KeyboardInterrupt:
        saved = "Finished notebooks and paid answers are saved; the same command resumes."
        text, status = f"Stopped. {saved}", 130
    except Exception as error:  # the one net under all commands
        if given.debug:
            raise
        text = str(error if isinstance(error, UserError) else _unforeseen(error, given))
    with suppress(OSError):
        print(f"\n{text}", file=sys.stderr)
    return status


def _print(line: str) -> None:
    """Print a line; the rest is dropped where the reader has left, as `| head` does."""
    try:
        print(line, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if error.errno not in (errno.EPIPE, errno.EINVAL):  # the second on Windows
            raise


def _unforeseen(error: Exception, given: argparse.Namespace) -> UserError:
    """Return the one message about an error that nothing foresaw."""
    try:
        from medinstruct import failures, params, paths
    except Exception as worse:  # a package that every command needs
        do = "Install the packages again: .venv/bin/pip install -r requirements.lock."
        return UserError("A package cannot be imported.", got=worse, do=do)
    folder = None
    with suppress(Exception):  # whatever else is broken, the error is shown
        folder = paths.outputs(params.merged(given.profile, given.set)["run"])
    return failures.unforeseen(error, f"`{given.command}` stopped at an error.", folder=folder)


def _lines(given: argparse.Namespace) -> Iterator[str]:
    """Run the command and yield the lines to print."""
    from medinstruct import params, paths  # `pipeline` and `report` take seconds: where needed

    if given.command == "params":
        yield from params.table(given.profile, given.notebook)
    elif given.command == "compare":
        from medinstruct import report

        yield from report.compare(given.one, given.other).lines(every=given.all)
    elif given.command == "export":
        from medinstruct.pipeline import export

        yield from export.export(given.run, to=given.to, model=given.model)
    elif given.command == "push":
        from medinstruct.pipeline import export

        form = {"public": given.public, "dry_run": given.dry_run}
        yield from export.push(given.run, given.repo, **form)
    elif given.command == "parity":
        from medinstruct.pipeline import parity

        form = {"folder": given.folder, "servers": given.servers, "prompts": given.prompts}
        yield from parity.lines(given.run, **form)
    elif given.command == "doctor":
        from medinstruct.pipeline import doctor

        lines, would_run = doctor.diagnose(given.profile)
        yield from lines
        if not would_run:
            sys.exit(1)
    else:
        from medinstruct import pipeline

        if given.command == "sweep":
            yield from pipeline.sweep.run_grid(given.profile, grid=given.grid, sets=given.set)
            return
        chosen = {"only": given.notebooks, "force": given.force}
        start = time.perf_counter()
        yield from pipeline.run(given.profile, sets=given.set, **chosen)
        yield f"together: {time.perf_counter() - start:.1f} s"
        page = paths.outputs(params.merged(given.profile, given.set)["run"]) / "report.html"
        if page.exists():
            yield f"The report is {page.resolve().as_uri()}"


def _parser() -> argparse.ArgumentParser:
    from medinstruct import paths

    about = "Medical instruction tuning in notebooks."
    parser = argparse.ArgumentParser(prog="medinstruct", description=about)
    parser.add_argument("--version", action="version", version=medinstruct.__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in paths.load("commands").items():
        subparser = commands.add_parser(name, help=command["help"])
        subparser.register("type", "int", int)
        subparser.add_argument("--debug", action="store_true", help="show tracebacks")
        for argument, form in command["arguments"].items():
            subparser.add_argument(argument, **form)
    return parser


if __name__ == "__main__":
    sys.exit(main())
