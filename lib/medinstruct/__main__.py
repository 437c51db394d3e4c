"""Command line: `medinstruct run demo`, or `python -m medinstruct run demo`."""

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress

import medinstruct
from medinstruct.errors import UserError

OWN = ("command", "debug")  # arguments that no command's function takes


def main(arguments: list[str] | None = None) -> int:
    """Run one command; what stops it ends in one message and status 2 (130 for Ctrl-C)."""
    for name in ("stdout", "stderr"):  # closed, None under pythonw, or in a code page without "…"
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: SIM115
        setattr(sys, name, stream)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    given, status = argparse.Namespace(debug=False, command=""), 2
    try:
        parser = _parser()
        given = parser.parse_args(arguments, given)
        for line in _lines(given) if given.command else [parser.format_help()]:
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
    """Return the one message about an unexpected error."""
    try:
        from medinstruct import failures, params, paths
    except Exception as worse:  # a package that every command needs
        do = "Install the packages again: .venv/bin/pip install -r requirements.lock."
        return UserError("A package cannot be imported.", got=worse, do=do)
    folder = None
    with suppress(Exception):  # whatever else is broken, the error is shown
        folder = paths.outputs(params.merged(given.profile, given.sets)["run"])
    return failures.unforeseen(error, f"`{given.command}` stopped at an error.", folder=folder)


def _lines(given: argparse.Namespace) -> Iterator[str]:
    """Run the command's function of data/commands.yaml and yield the lines to print."""
    from medinstruct import paths

    module, function = paths.load("commands")[given.command]["calls"].split(":")
    options = {name: value for name, value in vars(given).items() if name not in OWN}
    call = getattr(importlib.import_module(f"medinstruct.{module}"), function)  # seconds, for some
    yield from call(**options)


def _parser() -> argparse.ArgumentParser:
    from medinstruct import paths

    about = "Medical instruction tuning in notebooks."
    parser = argparse.ArgumentParser(prog="medinstruct", description=about)
    parser.add_argument("--version", action="version", version=medinstruct.__version__)
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, command in paths.load("commands").items():
        subparser = commands.add_parser(name, help=command["help"])
        subparser.register("type", "int", int)
        subparser.add_argument("--debug", action="store_true", help="show tracebacks")
        for argument, form in command["arguments"].items():
            subparser.add_argument(argument, **form)
    return parser


if __name__ == "__main__":
    sys.exit(main())
