"""Command line: `python -m medinstruct run params/demo.yaml`."""

import argparse
import sys
import time
from collections.abc import Iterator

import medinstruct
from medinstruct.errors import UserError

COMMANDS = {
    "run": "run a profile's notebooks in order, skip those up to date",
    "sweep": "fine-tune at every point of a grid and compare",
    "compare": "compare the parameters and numbers of two runs",
    "params": "print all parameters of a profile, or those of one notebook",
    "doctor": "check this machine: what runs on it, what is missing",
}


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
    from medinstruct import params, paths  # `pipeline` and `report` take seconds: where needed

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
    added = (commands.add_parser(name, help=text) for name, text in COMMANDS.items())
    run, sweep, compare, table, doctor = added
    for command in (run, sweep):
        command.add_argument("profile", help="a profile, such as demo or params/demo.yaml")
        pairs = {"nargs": "+", "action": "extend", "default": [], "metavar": "key=value"}
        command.add_argument("--set", **pairs, help="values for this run")
    run.add_argument("notebooks", nargs="*", help="numbers such as 03 04; default: all")
    force = "also run what is up to date, and overwrite files that other values wrote"
    run.add_argument("--force", action="store_true", help=force)
    side = "how many notebooks run side by side; default: 2, or 1 on one core or with a GPU"
    run.add_argument("--jobs", type=int, default=0, metavar="N", help=side)
    grid = {"nargs": "+", "required": True, "metavar": "key=value,value"}
    sweep.add_argument("--grid", **grid, help="axes, or a file of params/grids/")
    compare.add_argument("one", help="a run's folder or name, such as outputs/demo")
    compare.add_argument("other", help="the other run")
    compare.add_argument("--all", action="store_true", help="also show equal numbers")
    table.add_argument("profile", help="a profile's name or YAML file")
    table.add_argument("notebook", nargs="?", default="", help="a number such as 03")
    doctor.add_argument("profile", nargs="?", default="", help="default: all of params/")
    return parser


if __name__ == "__main__":
    sys.exit(main())
