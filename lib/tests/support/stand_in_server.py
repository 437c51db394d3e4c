"""Stand-in server: the offline transport over a socket, with injected faults.

python lib/tests/support/stand_in_server.py --port 8000 --latency 0.2 --rate cut=0 --errors 0.1
"""

import argparse
import asyncio
import contextlib
import json
import random
import threading
import time
from typing import Any

from tornado import httpserver, iostream, netutil, web

from medinstruct import offline


class Faults:
    """Latency and pace in seconds, shares of errors, requests a minute; and what was seen."""

    def __init__(
        self, *, latency=0.0, errors=0.0, drops=0.0, limited=0.0, rpm=0, seed=0, pace=0.02
    ):
        self.latency, self.rpm, self.pace = latency, rpm, pace
        self.shares = ((errors, 500), (drops, -1), (limited, 429))
        self.chance = random.Random(seed)
        self.recent: list[float] = []
        self.seen = {"requests": 0, "answered": 0, "at_once": 0, "most_at_once": 0, "events": 0}

    def status(self) -> int:
        """Return the status of an injected fault, 0 for none, -1 to drop the connection."""
        if self.rpm:
            now = time.monotonic()
            self.recent = [at for at in self.recent if now - at < 60]
            if len(self.recent) >= self.rpm:
                return 429
            self.recent.append(now)
        roll = self.chance.random()
        for share, status in self.shares:
            if roll < share:
                return status
            roll -= share
        return 0


class Service:
    """Chat completions and the list of models."""

    def __init__(self, *, rate=None, refused=()):
        self.rate, self.refused = offline.writer.rates(rate or {}), refused

    def handle(self, method, place, headers, content) -> tuple[int, Any]:
        """Return status and body."""
        parts = place.strip("/").split("/")
        if parts == ["chat", "completions"]:
            return self.complete(content)
        if parts == ["models"]:
            model = {"id": offline.MODEL, "object": "model", "created": 0, "owned_by": "us"}
            return 200, {"object": "list", "data": [model]}
        return 404, offline.error_body(f"There is no {place} here.")

    def complete(self, content: bytes) -> tuple[int, Any]:
        """Return status and chat completion, as events where it is streamed; 400 where refused."""
        status, body = offline.complete(content, rate=self.rate)
        asked = json.loads(content) if status == 200 else {}
        for name in set(self.refused) & set(asked):
            text = f"Unsupported parameter: '{name}' is not supported with this model."
            body = offline.error_body(text)
            body["error"] |= {"param": name, "code": "unsupported_parameter"}
            return 400, body
        return status, body


class Behaving(Service):
    """A server that answers as `behave(sent, number)` says, and remembers what was sent."""

    def __init__(self, behave):
        super().__init__()
        self.behave, self.sent = behave, []

    def complete(self, content):
        self.sent.append(json.loads(content))
        return self.behave(self.sent[-1], len(self.sent))


class Handler(web.RequestHandler):
    """Every address of the API."""

    def initialize(self, service: Service, faults: Faults) -> None:
        """Set the shared objects; tornado calls it for each request."""
        self.service, self.faults = service, faults

    async def handle(self) -> None:
        """Answer a request and count the requests under way."""
        seen = self.faults.seen
        seen["requests"] += 1
        seen["at_once"] += 1
        seen["most_at_once"] = max(seen["most_at_once"], seen["at_once"])
        try:
            await self._answer()
        finally:
            seen["at_once"] -= 1

    async def _answer(self) -> None:
        await asyncio.sleep(self.faults.latency)
        place = self.request.path.partition("/v1/")[2]
        status = self.faults.status() if place.startswith("chat") else 0
        if status == -1:
            self.request.connection.stream.close()
            return
        if status:
            self.set_status(status)
            self.set_header("Retry-After", "60" if self.faults.rpm and status == 429 else "0")
            self.finish(offline.error_body(f"injected {status}"))
            return
        form = (self.request.method, place, self.request.headers, self.request.body)
        status, body = self.service.handle(*form)
        self.faults.seen["answered"] += status == 200
        if hasattr(body, "send"):  # see troubled_server.py
            await body.send(self)
            return
        self.set_status(status)
        if self.faults.rpm:
            self.set_header("x-ratelimit-limit-requests", str(self.faults.rpm))
        if isinstance(body, list):
            await self._stream(body)
        else:
            self.set_header("Content-Type", "application/json")
            self.finish(body)

    async def _stream(self, events: list[bytes]) -> None:
        """Send event by event, until the reader hangs up."""
        self.set_header("Content-Type", "text/event-stream")
        try:
            for event in events:
                self.write(event)
                await self.flush()
                self.faults.seen["events"] += 1
                await asyncio.sleep(self.faults.pace)
        except iostream.StreamClosedError:
            return
        self.finish()

    get = post = handle


def listen(port: int = 0, *, service: Service | None = None, faults: Faults | None = None) -> str:
    """Listen inside a running event loop and return the address; port 0 chooses a free one."""
    parts = {"service": service or Service(), "faults": faults or Faults()}
    application = web.Application([(r"/.*", Handler, parts)], log_function=lambda handler: None)
    sockets = netutil.bind_sockets(port, "127.0.0.1")
    httpserver.HTTPServer(application, max_body_size=200_000_000).add_sockets(sockets)
    return f"http://127.0.0.1:{sockets[0].getsockname()[1]}/v1"


@contextlib.contextmanager
def in_thread(**faults):
    """Serve in a thread and give the address; answers are whole."""
    loop = asyncio.new_event_loop()

    async def begin():
        return listen(service=Service(rate={"cut": 0.0}), faults=Faults(**faults))

    threading.Thread(target=loop.run_forever, daemon=True).start()
    yield asyncio.run_coroutine_threadsafe(begin(), loop).result()
    loop.call_soon_threadsafe(loop.stop)


async def serve(port: int, **parts: Any) -> None:
    """Print the address and serve until interrupted."""
    print(listen(port, **parts), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve with the faults of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    for name in ("latency", "errors", "limited", "drops"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    parser.add_argument("--rate", action="append", default=[], metavar="NAME=SHARE")
    options = vars(parser.parse_args())
    rate = {name: float(value) for name, value in (text.split("=") for text in options.pop("rate"))}
    port = options.pop("port")
    asyncio.run(serve(port, service=Service(rate=rate), faults=Faults(**options)))


if __name__ == "__main__":
    main()
