"""The stand-in over a socket, with the troubles of a real service: latency, rate limits, server errors, dropped connections."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

from tornado import iostream, web

from medinstruct.offline.server import EVENT, PACE, Service, paced


class Troubles:
    """How the server behaves besides answering: latency and pace in seconds, shares of errors, requests a minute, most at once."""

    def __init__(
        self,
        *,
        latency: float = 0.0,
        errors: float = 0.0,
        drops: float = 0.0,
        limited: float = 0.0,
        rpm: int = 0,
        seed: int = 0,
        pace: float = PACE,
    ) -> None:
        self.latency, self.errors, self.drops, self.limited, self.rpm, self.pace = (
            latency,
            errors,
            drops,
            limited,
            rpm,
            pace,
        )
        self.chance = random.Random(seed)
        self.recent: list[float] = []
        self.seen = {"requests": 0, "answered": 0, "at_once": 0, "most_at_once": 0}

    def fault(self) -> int:
        """The status to answer with instead, 0 for none, -1 to drop the connection."""
        if self.rpm:
            now = time.monotonic()
            self.recent = [at for at in self.recent if now - at < 60]
            if len(self.recent) >= self.rpm:
                return 429
            self.recent.append(now)
        roll = self.chance.random()
        for share, status in ((self.errors, 500), (self.drops, -1), (self.limited, 429)):
            if roll < share:
                return status
            roll -= share
        return 0


class Handler(web.RequestHandler):
    """Every address of the API, answered by the same service as in the process."""

    def initialize(self, service: Service, troubles: Troubles) -> None:
        """Called by tornado for each request."""
        self.service, self.troubles = service, troubles

    async def handle(self) -> None:
        """Answer, and count how many are under way."""
        seen = self.troubles.seen
        seen["requests"] += 1
        seen["at_once"] += 1
        seen["most_at_once"] = max(seen["most_at_once"], seen["at_once"])
        try:
            await self._answer()
        finally:
            seen["at_once"] -= 1

    async def _answer(self) -> None:
        if self.troubles.latency:
            await asyncio.sleep(self.troubles.latency)
        fault = self.troubles.fault() if self.request.path.endswith("completions") else 0
        if fault == -1:
            self.request.connection.stream.close()  # type: ignore[union-attr]
            return
        if fault:
            self.set_status(fault)
            self.set_header("Retry-After", "60" if self.troubles.rpm and fault == 429 else "0")
            self.finish({"error": {"message": f"injected {fault}", "type": "server_error"}})
            return
        status, content = self.service.handle(
            self.request.method or "", self.request.path, self.request.headers, self.request.body
        )
        self.troubles.seen["answered"] += status == 200
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        if self.troubles.rpm:
            self.set_header("x-ratelimit-limit-requests", str(self.troubles.rpm))
        await self._streamed(content) if content.startswith(EVENT) else self.finish(content)

    async def _streamed(self, content: bytes) -> None:
        """Event by event; whoever hangs up gets no more."""
        self.set_header("Content-Type", "text/event-stream")
        try:
            async for event in paced(content, self.troubles.pace):
                self.write(event)
                await self.flush()
                self.troubles.seen["events"] = self.troubles.seen.get("events", 0) + 1
        except iostream.StreamClosedError:
            return
        self.finish()

    get = post = handle


def application(
    *, service: Service | None = None, troubles: Troubles | None = None
) -> web.Application:
    """The web application; pass the same `troubles` to read afterwards what it has seen."""
    parts = {"service": service or Service(), "troubles": troubles or Troubles()}
    return web.Application([(r"/.*", Handler, parts)], log_function=lambda handler: None)


def listen(port: int, *, host: str = "127.0.0.1", **parts: Any) -> int:
    """Start listening inside a running event loop; the port, which is chosen where 0 is asked for."""
    server = application(**parts).listen(port, address=host, max_body_size=200_000_000)
    return next(iter(server._sockets.values())).getsockname()[1]


async def serve(
    port: int, *, host: str = "127.0.0.1", ready: Callable[[str, int], None], **parts: Any
) -> None:
    """Serve until interrupted; `ready` is called with host and port once it listens."""
    ready(host, listen(port, host=host, **parts))
    await asyncio.Event().wait()


__all__ = ["Troubles", "application", "listen", "serve"]
