"""Rate limiter: requests and tokens a minute."""

import asyncio
import time
from collections.abc import Mapping


class RateLimiter:
    """Even rates of requests and tokens a minute, with bursts of at most one second's worth.

    Where `rpm` or `tpm` is 0, the server's headers set the limit; without them there is none.
    """

    def __init__(self, *, rpm: float = 0, tpm: float = 0) -> None:
        self._given = {"requests": rpm, "tokens": tpm}
        self._per_minute = dict(self._given)
        self._free_at = {"requests": 0.0, "tokens": 0.0}

    async def wait(self, tokens: int) -> None:
        """Wait until a request that uses about this number of tokens fits into the minute."""
        for name, amount in (("requests", 1), ("tokens", tokens)):
            if per_minute := self._per_minute[name]:
                start = max(self._free_at[name], time.monotonic() - 1.0)
                self._free_at[name] = start + amount * 60 / per_minute
                await asyncio.sleep(start - time.monotonic())

    def read_limits(self, headers: Mapping[str, str]) -> None:
        """Adopt the limits in the server's headers, unless the user gave their own."""
        for name, given in self._given.items():
            text = headers.get(f"x-ratelimit-limit-{name}", "")
            if text.isdigit() and int(text) and not given:
                self._per_minute[name] = float(text)
