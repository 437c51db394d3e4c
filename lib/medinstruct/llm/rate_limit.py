"""Rate limiter: adaptive concurrency, requests and tokens a minute, Retry-After."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager


class Pace:
    """An even rate a minute with bursts of at most one second's worth; 0 is no limit."""

    def __init__(self, per_minute: float) -> None:
        self.per_minute, self.is_fixed, self._free_at = per_minute, bool(per_minute), 0.0

    async def wait(self, amount: float) -> None:
        """Wait until this amount fits into the minute."""
        if self.per_minute:
            start = max(self._free_at, time.monotonic() - 1.0)
            self._free_at = start + amount * 60 / self.per_minute
            await asyncio.sleep(start - time.monotonic())


class RateLimiter:
    """A limit on concurrent requests that adapts to the server, and two limits a minute.

    The concurrency limit shrinks by 5 % with each "too many requests" and grows by 0.5 with each
    good answer. A Retry-After delays all requests.
    """

    def __init__(self, concurrency: int, *, rpm: float = 0, tpm: float = 0) -> None:
        self.concurrency, self.limit, self.active, self.answered = concurrency, concurrency, 0, 0
        self.paces = {"requests": Pace(rpm), "tokens": Pace(tpm)}
        self.health = 0.0  # moving share of good answers
        self._freed = asyncio.Condition()
        self._closed_until = 0.0

    @asynccontextmanager
    async def slot(self, tokens: int) -> AsyncIterator[None]:
        """Hold a slot for one request that uses about this number of tokens."""
        await self.paces["requests"].wait(1)
        await self.paces["tokens"].wait(tokens)
        async with self._freed:
            await self._freed.wait_for(lambda: self.active < self.limit)
            self.active += 1
        try:
            while (rest := self._closed_until - time.monotonic()) > 0:
                await asyncio.sleep(rest)
            yield
        finally:
            self.active -= 1
            async with self._freed:
                self._freed.notify_all()

    def record(self, *, good: bool, too_many: bool = False, after: float = 0.0) -> None:
        """Record an outcome; block new requests for `after` seconds."""
        self.answered += good
        self.health += 0.1 * (good - self.health)
        self._closed_until = max(self._closed_until, time.monotonic() + after)
        if good:
            self.limit = min(self.concurrency, self.limit + 0.5)
        elif too_many:
            self.limit = max(1, 0.95 * self.limit)

    def read_limits(self, headers: Mapping[str, str]) -> None:
        """Adopt the limits in the server's headers, unless the user gave their own."""
        for name, pace in self.paces.items():
            text = headers.get(f"x-ratelimit-limit-{name}", "")
            if text.isdigit() and int(text) and not pace.is_fixed:
                pace.per_minute = float(text)
