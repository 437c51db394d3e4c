"""Command line: `python -m medinstruct run params/demo.yaml`."""

import argparse
import sys

from medinstruct import params, paths
from medinstruct.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a user's mistake ends in one message and status 2."""
    given = _parser().parse_args(arguments)
    try:
        return given.function(given)
    except UserError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        saved = "Finished notebooks and paid answers are saved; the same command resumes."
        print(f"\nStopped. {saved}", file=sys.stderr)
        return 130


def _run(given: argparse.Namespace) -> int:
    from medinstruct import pipeline

    done = pipeline.run(given.profile, only=given.notebooks, sets=given.set, force=given.force)
    print("\n".join(pipeline.time_table(done)))
    values = params.profile(given.profile) | params.set_values(given.set)
    report = paths.outputs(values.get("run", "demo")) / "report.html"
    if report.exists():
        print(f"The report is {report}")
    return 0


def _sweep(given: argparse.Namespace) -> int:
    from medinstruct import pipeline

    for line in pipeline.sweep.run_grid(given.profile, grid=given.grid, sets=given.set):
        print(line)
    return 0


def _compare(given: argparse.Namespace) -> int:
    from medinstruct import report

    print("\n".join(report.compare(given.one, given.other).lines(every=given.all)))
    return 0


def _doctor(given: argparse.Namespace) -> int:
    from medinstruct import pipeline

    lines, would_run = pipeline.doctor.diagnose(given.profile)
    print("\n".join(lines))
    return 0 if would_run else 1


def _contents(given: argparse.Namespace) -> int:
    from medinstruct import pipeline

    print(
        "\n".join(pipeline.notebook_docs.write_docs())
        or "All navigation, badges and tables are current."
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    about = "Medical instruction tuning in notebooks."
    parser = argparse.ArgumentParser(prog="medinstruct", description=about)
    commands = parser.add_subparsers(dest="command", required=True)
    pairs = {"nargs": "+", "action": "extend", "default": [], "metavar": "key=value"}

    def command(name: str, function: object, about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about)
        added.set_defaults(function=function)
        return added

    run = command("run", _run, "run a profile's notebooks in order, skip those up to date")
    run.add_argument("profile", help="a YAML file such as params/demo.yaml")
    run.add_argument("notebooks", nargs="*", help="numbers such as 03 04; default: all")
    run.add_argument("--set", **pairs, help="values for this run")
    run.add_argument("--force", action="store_true", help="also run what is up to date")
    sweep = command("sweep", _sweep, "fine-tune at every point of a grid and compare")
    sweep.add_argument("profile", help="a YAML file such as params/demo.yaml")
    grid = {"nargs": "+", "required": True, "metavar": "key=value,value"}
    sweep.add_argument("--grid", **grid, help="axes, or a file of params/grids/")
    sweep.add_argument("--set", **pairs, help="values for all points")
    compare = command("compare", _compare, "compare the parameters and numbers of two runs")
    compare.add_argument("one", help="a run's folder or name, such as outputs/demo")
    compare.add_argument("other", help="the other run")
    compare.add_argument("--all", action="store_true", help="also show equal numbers")
    doctor = command("doctor", _doctor, "check this machine: what runs on it, what is missing")
    doctor.add_argument("profile", nargs="?", default="", help="a profile; default: all of params/")
    command("contents", _contents, "rewrite navigation, badges, setup cells, README tables")
    return parser


if __name__ == "__main__":
    sys.exit(main())
