"""How many requests are under way at once: as many as the server takes, and no more a minute than it allows."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager


class Gate:
    """Adaptive concurrency: halved when most of the recent answers are "too many", grown by one after each full round that went well.

    A few scattered 429 answers or server errors do not shrink it; a Retry-After holds everybody back until then.
    """

    def __init__(self, most: int, *, rpm: float = 0, tpm: float = 0) -> None:
        self.most, self.limit, self.busy = most, float(most), 0
        self.requests, self.tokens = Pace(rpm), Pace(tpm)
        self._given = {"requests": bool(rpm), "tokens": bool(tpm)}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed_until = 0.0
        self._recent: list[bool] = []
        self.answered = 0
        self._lately: deque[bool] = deque(maxlen=20)

    @property
    def is_healthy(self) -> bool:
        """Whether at least a third of the last answers were good: then errors are scattered, and short pauses do."""
        return bool(self._lately) and sum(self._lately) >= len(self._lately) / 3

    @asynccontextmanager
    async def place(self, tokens: int) -> AsyncIterator[None]:
        """A place for one request that may use so many tokens."""
        await self.requests.wait(1)
        await self.tokens.wait(tokens)
        while self.busy >= int(self.limit) or time.monotonic() < self._closed_until:
            rest = self._closed_until - time.monotonic()
            await (asyncio.sleep(rest) if rest > 0 else self._turn())
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1
            self._next()

    def report(self, *, good: bool, too_many: bool = False, after: float = 0.0) -> None:
        """Tell how an answer went; `after` seconds nobody asks again."""
        self.answered += good
        self._lately.append(good)
        self._closed_until = max(self._closed_until, time.monotonic() + after)
        self._recent.append(too_many)
        if len(self._recent) >= max(4, int(self.limit)):
            share = sum(self._recent) / len(self._recent)
            self.limit = (
                max(1.0, self.limit / 2)
                if share > 0.5
                else min(self.most, self.limit + (share < 0.2))
            )
            self._recent.clear()
            self._next()

    async def _turn(self) -> None:
        """Wait until somebody leaves; whoever gives up waiting passes the turn on."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._next()
            raise

    def _next(self) -> None:
        """Wake one that waits for each free place."""
        free = int(self.limit) - self.busy
        while self._waiting and free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1

    def learn(self, headers: Mapping[str, str]) -> None:
        """Keep to the limits that the server's headers name, unless others were given."""
        for name, pace in (("requests", self.requests), ("tokens", self.tokens)):
            text = headers.get(f"x-ratelimit-limit-{name}", "")
            if text.isdigit() and int(text) and not self._given[name]:
                pace.a_minute = float(text)


class Pace:
    """So many a minute, evenly, with a second's worth at once; 0 for no limit."""

    def __init__(self, a_minute: float) -> None:
        self.a_minute = a_minute
        self._free_at = 0.0

    async def wait(self, amount: float) -> None:
        """Wait until this amount fits into the minute."""
        if not self.a_minute:
            return
        now = time.monotonic()
        start = max(self._free_at, now - 1.0)
        self._free_at = start + amount * 60 / self.a_minute
        if start > now:
            await asyncio.sleep(start - now)
