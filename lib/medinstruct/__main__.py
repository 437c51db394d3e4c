"""Command line: `python -m medinstruct run params/demo.yaml`."""

import argparse
import sys
from collections.abc import Iterable

from medinstruct import params, paths, pipeline, report
from medinstruct.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a user's mistake ends in one message and status 2."""
    given = _parser().parse_args(arguments)
    try:
        for line in given.function(given):
            print(line)
    except UserError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        saved = "Finished notebooks and paid answers are saved; the same command resumes."
        print(f"\nStopped. {saved}", file=sys.stderr)
        return 130
    return 0


def _run(given: argparse.Namespace) -> Iterable[str]:
    done = pipeline.run(given.profile, only=given.notebooks, sets=given.set, force=given.force)
    yield from pipeline.time_table(done)
    values = params.profile(given.profile) | params.set_values(given.set)
    page = paths.outputs(values.get("run", "demo")) / "report.html"
    if page.exists():
        yield f"The report is {page}"


def _sweep(given: argparse.Namespace) -> Iterable[str]:
    return pipeline.sweep.run_grid(given.profile, grid=given.grid, sets=given.set)


def _compare(given: argparse.Namespace) -> Iterable[str]:
    return report.compare(given.one, given.other).lines(every=given.all)


def _doctor(given: argparse.Namespace) -> Iterable[str]:
    lines, would_run = pipeline.doctor.diagnose(given.profile)
    yield from lines
    if not would_run:
        sys.exit(1)


def _contents(given: argparse.Namespace) -> Iterable[str]:
    return pipeline.notebook_docs.write_docs() or ["All navigation and tables are current."]


def _parser() -> argparse.ArgumentParser:
    about = "Medical instruction tuning in notebooks."
    parser = argparse.ArgumentParser(prog="medinstruct", description=about)
    commands = parser.add_subparsers(dest="command", required=True)
    abouts = {
        _run: "run a profile's notebooks in order, skip those up to date",
        _sweep: "fine-tune at every point of a grid and compare",
        _compare: "compare the parameters and numbers of two runs",
        _doctor: "check this machine: what runs on it, what is missing",
        _contents: "rewrite navigation, badges, setup cells, README tables",
    }
    added = {f: commands.add_parser(f.__name__[1:], help=about) for f, about in abouts.items()}
    for function, command in added.items():
        command.set_defaults(function=function)
    for command in (added[_run], added[_sweep]):
        command.add_argument("profile", help="a YAML file such as params/demo.yaml")
        pairs = {"nargs": "+", "action": "extend", "default": [], "metavar": "key=value"}
        command.add_argument("--set", **pairs, help="values for this run")
    numbers = "numbers such as 03 04; default: all"
    added[_run].add_argument("notebooks", nargs="*", help=numbers)
    added[_run].add_argument("--force", action="store_true", help="also run what is up to date")
    grid = {"nargs": "+", "required": True, "metavar": "key=value,value"}
    added[_sweep].add_argument("--grid", **grid, help="axes, or a file of params/grids/")
    added[_compare].add_argument("one", help="a run's folder or name, such as outputs/demo")
    added[_compare].add_argument("other", help="the other run")
    added[_compare].add_argument("--all", action="store_true", help="also show equal numbers")
    added[_doctor].add_argument("profile", nargs="?", default="", help="default: all of params/")
    return parser


if __name__ == "__main__":
    sys.exit(main())
