"""Command line: `python -m medinstruct run params/demo.yaml`."""

import argparse
import sys
import time
from collections.abc import Iterator

import medinstruct
from medinstruct import paths
from medinstruct.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a user's mistake ends in one message and status 2."""
    given = _parser().parse_args(arguments)
    try:
        for line in _lines(given):
            print(line)
    except UserError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        saved = "Finished notebooks and paid answers are saved; the same command resumes."
        print(f"\nStopped. {saved}", file=sys.stderr)
        return 130
    return 0


def _lines(given: argparse.Namespace) -> Iterator[str]:
    """Run the command and yield the lines to print."""
    from medinstruct import params  # `pipeline` and `report` take seconds: where needed

    if given.command == "params":
        yield from params.table(given.profile, given.notebook)
    elif given.command == "compare":
        from medinstruct import report

        yield from report.compare(given.one, given.other).lines(every=given.all)
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
        chosen = {"only": given.notebooks, "force": given.force, "jobs": given.jobs}
        start = time.perf_counter()
        done = pipeline.run(given.profile, sets=given.set, **chosen)
        yield from (outcome.line for outcome in done)
        yield f"together: {time.perf_counter() - start:.1f} s"
        page = paths.outputs(params.merged(given.profile, given.set)["run"]) / "report.html"
        if page.exists():
            yield f"The report is {page.resolve().as_uri()}"


def _parser() -> argparse.ArgumentParser:
    about = "Medical instruction tuning in notebooks."
    parser = argparse.ArgumentParser(prog="medinstruct", description=about)
    parser.add_argument("--version", action="version", version=medinstruct.__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in paths.load("commands").items():
        subparser = commands.add_parser(name, help=command["help"])
        subparser.register("type", "int", int)
        for argument, form in command["arguments"].items():
            subparser.add_argument(argument, **form)
    return parser


if __name__ == "__main__":
    sys.exit(main())
