"""Stand-in server: the offline transport over a socket, with a Batch API and injected faults.

python lib/tests/support/stand_in_server.py --port 8000 --latency 0.2 --rate cut=0 --errors 0.1
"""

import argparse
import asyncio
import json
import random
import re
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
    """Chat completions, models, files and batches; a batch completes on the second status poll."""

    def __init__(self, *, rate=None, refused=()):
        self.rate, self.refused = offline.writer.rates(rate or {}), refused
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.lost = 0  # rows of the next batch that expire
        self.fails = False  # whether batches end as failed
        self.queue = 0  # tokens of prompts that may wait at once, 0 for no limit

    def handle(self, method, place, headers, content) -> tuple[int, Any]:
        """Return status and body: an object, or the bytes of a file."""
        parts = place.strip("/").split("/")
        if parts == ["chat", "completions"]:
            return self.complete(content)
        if parts == ["models"]:
            model = {"id": offline.MODEL, "object": "model", "created": 0, "owned_by": "us"}
            return 200, {"object": "list", "data": [model]}
        if method == "POST" and parts in (["files"], ["batches"]):
            return 200, self._upload(headers, content) if parts == ["files"] else self._create(
                content
            )
        known = {"files": self.files, "batches": self.batches}.get(parts[0], {})
        if len(parts) < 2 or parts[1] not in known:
            return 404, offline.error_body(f"There is no {place} here.")
        if parts[0] == "batches":
            return 200, self._advance(parts[1])
        return 200, self.files[parts[1]] if parts[2:] == ["content"] else self._file(parts[1])

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

    def _upload(self, headers, content) -> dict[str, Any]:
        boundary = re.search(r"boundary=([^;]+)", headers["content-type"]).group(1).strip('"')
        parts = content.split(b"--" + boundary.encode())
        part = next(p for p in parts if b'name="file"' in p.partition(b"\r\n\r\n")[0])
        return self._file(self._keep(part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")))

    def _create(self, content) -> dict[str, Any]:
        body, name = json.loads(content), f"batch_{len(self.batches)}"
        files = {"output_file_id": None, "error_file_id": None}
        form = {"id": name, "object": "batch", "status": "validating", "created_at": 0}
        self.batches[name] = body | form | files
        waiting = sum(map(self._tokens, self.batches.values()))
        if waiting > self.queue > 0:
            text = f"Enqueued token limit reached for m. Limit: {self.queue:,} enqueued tokens."
            errors = {"data": [{"code": "token_limit_exceeded", "message": text}]}
            self.batches[name] |= {"status": "failed", "errors": errors | {"object": "list"}}
        return self.batches[name]

    def _tokens(self, batch) -> int:
        """Return the tokens of a batch that still waits, at four bytes each."""
        rows = self.files[batch["input_file_id"]].splitlines()
        texts = [m["content"] for row in rows for m in json.loads(row)["body"]["messages"]]
        is_open = batch["status"] in ("validating", "in_progress")
        return sum(len(text.encode()) // 4 for text in texts) if is_open else 0

    def _advance(self, name) -> dict[str, Any]:
        batch = self.batches[name]
        if batch["status"] == "validating":
            batch["status"] = "in_progress"
        elif batch["status"] == "in_progress" and self.fails:
            batch["status"] = "failed"
        elif batch["status"] == "in_progress":
            self._work(batch)
        return batch

    def _work(self, batch) -> None:
        rows = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        end, outputs, errors = len(rows) - self.lost, [], []
        batch["status"], self.lost = "expired" if self.lost else "completed", 0
        for row in rows[:end]:
            status, body = self.complete(json.dumps(row["body"]).encode())
            line = {"custom_id": row["custom_id"], "error": None}
            line["response"] = {"status_code": status, "body": body}
            (outputs if status == 200 else errors).append(line)
        expired = {"error": {"code": "batch_expired", "message": "expired"}, "response": None}
        errors += [{"custom_id": row["custom_id"]} | expired for row in rows[end:]]
        for field, lines in (("output_file_id", outputs), ("error_file_id", errors)):
            text = "".join(json.dumps(line) + "\n" for line in lines)
            batch[field] = self._keep(text.encode()) if lines else None

    def _keep(self, content: bytes) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return name

    def _file(self, name: str) -> dict[str, Any]:
        about = {"id": name, "object": "file", "bytes": len(self.files[name]), "created_at": 0}
        return about | {"filename": "requests.jsonl", "purpose": "batch", "status": "processed"}


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
