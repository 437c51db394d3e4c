"""The command line: `python -m medinstruct run params/demo.yaml`."""

import argparse
import sys

from medinstruct import paths
from medinstruct.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run a profile or look at the machine; a user's mistake ends in one message and status 2."""
    given = _parser().parse_args(arguments)
    try:
        commands = {
            "run": _run,
            "sweep": _sweep,
            "compare": _compare,
            "doctor": _doctor,
            "contents": _contents,
        }
        return commands[given.command](given)
    except UserError as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "\nStopped. Finished notebooks and paid answers are kept; the same command goes on from here.",
            file=sys.stderr,
        )
        return 130


def _run(given: argparse.Namespace) -> int:
    from medinstruct import params, pipeline

    done = pipeline.run_each(given.profile, only=given.notebooks, sets=given.set, force=given.force)
    print("\n".join(pipeline.time_table(done)))
    name = (params.profile(given.profile) | params.set_values(given.set)).get("run", "demo")
    report = paths.outputs(name) / "report.html"
    if report.exists():
        print(f"The report is {report}")
    return 0


def _sweep(given: argparse.Namespace) -> int:
    from medinstruct import pipeline

    for line in pipeline.sweep(given.profile, grid=given.grid, sets=given.set):
        print(line)
    return 0


def _compare(given: argparse.Namespace) -> int:
    from medinstruct import report

    print("\n".join(report.compare(given.one, given.other).lines(every=given.all)))
    return 0


def _doctor(given: argparse.Namespace) -> int:
    from medinstruct import pipeline

    lines, would_run = pipeline.doctor(given.profile)
    print("\n".join(lines))
    return 0 if would_run else 1


def _contents(given: argparse.Namespace) -> int:
    from medinstruct import pipeline

    print("\n".join(pipeline.contents()) or "All navigation, badges and tables are current.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="medinstruct", description="Medical instruction tuning in notebooks."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run", help="run a profile's notebooks in order; what is up to date is skipped"
    )
    run.add_argument("profile", help="a flat YAML file such as params/demo.yaml")
    run.add_argument("notebooks", nargs="*", help="numbers, such as 03 04; all where none is given")
    run.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="key=value",
        help="values for this run",
    )
    run.add_argument("--force", action="store_true", help="run again what is up to date")
    sweep = commands.add_parser(
        "sweep", help="fine-tune at every cell of a grid of values and draw the comparison"
    )
    sweep.add_argument("profile", help="a flat YAML file such as params/demo.yaml")
    sweep.add_argument(
        "--grid",
        nargs="+",
        required=True,
        metavar="key=value,value",
        help="axes, or a file of params/grids/",
    )
    sweep.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="key=value",
        help="values for all cells",
    )
    compare = commands.add_parser(
        "compare", help="two runs side by side: parameters that differ, numbers with intervals"
    )
    compare.add_argument("one", help="a run's folder or name, such as outputs/demo")
    compare.add_argument("other", help="the other run")
    compare.add_argument("--all", action="store_true", help="numbers that are the same as well")
    doctor = commands.add_parser(
        "doctor", help="say what this machine has, what would run on it, and what to do"
    )
    doctor.add_argument(
        "profile",
        nargs="?",
        default="",
        help="a profile to look at; all of params/ where none is given",
    )
    commands.add_parser(
        "contents", help="write navigation, badges, set-up cells and the README's tables anew"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
