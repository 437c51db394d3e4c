"""`python -m medinstruct.offline --port 8000`: the stand-in as an OpenAI-compatible server."""

import argparse
import asyncio
import sys

from medinstruct.errors import UserError
from medinstruct.offline import slips
from medinstruct.offline.server import MODEL, PACE, Service


def main() -> int:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m medinstruct.offline", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--latency", type=float, default=0.0, metavar="SECONDS", help="wait before each answer"
    )
    parser.add_argument(
        "--pace",
        type=float,
        default=PACE,
        metavar="SECONDS",
        help="between two words of a streamed answer",
    )
    parser.add_argument(
        "--errors", type=float, default=0.0, metavar="SHARE", help="answer with 500"
    )
    parser.add_argument(
        "--limited",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="answer with 429 and Retry-After",
    )
    parser.add_argument(
        "--drops", type=float, default=0.0, metavar="SHARE", help="drop the connection"
    )
    parser.add_argument(
        "--rpm", type=int, default=0, help="requests a minute that are answered; 0 for no limit"
    )
    parser.add_argument(
        "--refuse",
        default="",
        metavar="NAMES",
        help="parameters that are answered with 400, such as max_tokens,temperature",
    )
    parser.add_argument(
        "--rate",
        action="append",
        default=[],
        metavar="NAME=SHARE",
        help=f"how often it goes wrong: {', '.join(slips.RATES)}",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the injected troubles")
    given = parser.parse_args()
    try:
        return _serve(given)
    except UserError as problem:
        print(problem, file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"Port {given.port} cannot be used: {error.strerror}. Choose another one with --port.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return 0


def _serve(given: argparse.Namespace) -> int:
    from medinstruct.offline import serving

    changes = {
        name: _number(value) for name, _, value in (text.partition("=") for text in given.rate)
    }
    service = Service(
        rate=slips.rates(changes), refused=tuple(filter(None, given.refuse.split(",")))
    )
    names = ("latency", "errors", "limited", "drops", "rpm", "seed", "pace")
    troubles = serving.Troubles(**{name: getattr(given, name) for name in names})
    asyncio.run(
        serving.serve(given.port, host=given.host, ready=_hello, service=service, troubles=troubles)
    )
    return 0


def _hello(host: str, port: int) -> None:
    print(
        f"The offline stand-in listens at http://{host}:{port}/v1 as model {MODEL}. Ctrl-C ends it.",
        flush=True,
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


if __name__ == "__main__":
    sys.exit(main())
