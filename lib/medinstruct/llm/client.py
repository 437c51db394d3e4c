"""One client for every server that speaks the OpenAI API, and for the offline stand-in."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
from tqdm import tqdm

from medinstruct import offline
from medinstruct.errors import UserError
from medinstruct.llm import trouble
from medinstruct.llm.cache import Cache
from medinstruct.llm.gate import Gate
from medinstruct.llm.messages import Reply, Request, Stream, is_refusal
from medinstruct.llm.prices import FREE, Price, price

TRIES = 12
FIRST_TRIES = 5  # before the server has answered anything at all
STREAM_TRIES = 3  # before the first piece of a streamed answer
INTERRUPTED = "interrupted"  # finish reason of a stream without a last chunk
GIVE_UP_AFTER = 20  # requests in a row that got no answer at all
LOG = logging.getLogger("medinstruct")


class Client:
    """Asks one model at one address, keeps every answer, and counts what was used.

    `url` is "offline" for the stand-in ("offline?refusal=0.2" changes how often it goes wrong), "" for OpenAI itself, or any
    OpenAI-compatible address. The key comes from the environment variable `key_env` and from nowhere else. `budget_usd`
    is never passed; it needs a price: `usd_per_mtok`, (prompt, completion) in US dollars a million tokens, else the price table.
    `rpm` and `tpm` are requests and tokens a minute (0: what the server's headers say). Truncated and empty answers are
    asked for again `again` times, with twice the room.
    """

    def __init__(
        self,
        *,
        url: str,
        model: str,
        cache: str | Path = "",
        concurrency: int = 8,
        budget_usd: float = 0.0,
        usd_per_mtok: tuple[float, float] = (0.0, 0.0),
        prices: str = "",
        rpm: int = 0,
        tpm: int = 0,
        again: int = 1,
        mode: str = "online",
        key_env: str = "OPENAI_API_KEY",
    ) -> None:
        if concurrency < 1:
            raise UserError(
                "`concurrency` must be at least 1.", got=concurrency, do="8 is a good start."
            )
        if mode not in ("online", "batch"):
            raise UserError(
                "`mode` must be online or batch.",
                got=mode,
                do="batch is the OpenAI Batch API: later, at half the price.",
            )
        self.url, self.model, self.concurrency, self.again, self.mode = (
            url,
            model,
            concurrency,
            again,
            mode,
        )
        self.budget_usd, self.price = (
            budget_usd,
            _price(url, model, prices, usd_per_mtok, budget_usd),
        )
        self.usage = {
            "asked": 0,
            "cached": 0,
            "retried": 0,
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "usd": 0.0,
        }
        self.notes: list[str] = []
        self._rpm, self._tpm = rpm, tpm
        self._refused: set[str] = set()
        self._reserved = 0.0
        self._key_env = key_env
        self._key = _key(url, key_env)
        self.cache = Cache(cache)

    async def ask_all(self, requests: Iterable[Request], *, label: str = "") -> list[Reply]:
        """The replies in the order of the requests."""
        requests = list(requests)
        if self.mode == "batch":
            from medinstruct.llm import batch

            return await batch.ask_all(self, requests, label=label)
        found: list[Reply | None] = [None] * len(requests)
        async for number, reply in self.ask_each(requests, label=label):
            found[number] = reply
        return [reply for reply in found if reply is not None]

    async def ask_each(
        self, requests: Iterable[Request], *, label: str = "", total: int | None = None
    ) -> AsyncIterator[tuple[int, Reply]]:
        """(number of the request, reply) as the replies arrive; `requests` may be a stream, and memory stays flat.

        A request that got no answer after several tries is left out; when all others are done, one message says how many.
        """
        total = len(requests) if isinstance(requests, list) else total
        gate, waiting = Gate(self.concurrency, rpm=self._rpm, tpm=self._tpm), enumerate(requests)
        running: set[asyncio.Task[tuple[int, Reply]]] = set()
        ended: asyncio.Queue[asyncio.Task[tuple[int, Reply]]] = asyncio.Queue()
        failed, in_a_row, last = 0, 0, None
        api = self.connected()
        bar = tqdm(total=total, desc=label, unit="reply", leave=False)
        try:
            while True:
                while len(running) < 2 * self.concurrency and (one := next(waiting, None)):
                    task = asyncio.ensure_future(self._numbered(api, gate, *one))
                    task.add_done_callback(ended.put_nowait)
                    running.add(task)
                if not running:
                    break
                task = await ended.get()
                running.discard(task)
                error = task.exception()
                if isinstance(error, openai.OpenAIError):
                    failed, in_a_row, last = failed + 1, in_a_row + 1, error
                elif error:
                    raise error
                else:
                    in_a_row = 0
                    yield task.result()
                    bar.update()
                self._show(bar, failed, total)
                if in_a_row >= GIVE_UP_AFTER or (
                    last and failed and failed == in_a_row and not running
                ):
                    raise self.problem(last)
            if failed and last:
                first = self.problem(last)
                raise UserError(
                    f"{failed} requests got no answer.",
                    got=first.got,
                    do="Start again: only these are asked for.",
                )
        finally:
            bar.close()
            await self._ended(running, api)

    def stream(self, request: Request, *, keep: bool = True) -> Stream:
        """Stream one answer within the budget; without `keep` the cache is not used."""
        items = self._items(request, keep=keep)
        return Stream(items, key=self.key(request), model=self.model)

    def key(self, request: Request) -> str:
        """Return the hash of everything that determines the answer."""
        return request.key(self.url, self.model)

    def kept(self, request: Request) -> Reply | None:
        """The reply that is already there, or None."""
        found = self.cache.get(self.key(request))
        return Reply(**found, key=self.key(request), cached=True) if found else None

    def keep(
        self, request: Request, completion: Any, *, seconds: float = 0.0, batch: bool = False
    ) -> Reply:
        """Store what the API sent for a request, and count it."""
        return self.keep_answer(request, _read(completion), seconds=seconds, batch=batch)

    def keep_answer(
        self,
        request: Request,
        answer: dict[str, Any],
        *,
        seconds: float = 0.0,
        batch: bool = False,
        keep: bool = True,
    ) -> Reply:
        """Count an answer, and store it unless told not to."""
        usd = self.count(answer["prompt_tokens"], answer["completion_tokens"], batch=batch)
        if keep:
            answer = self.cache.put(
                self.key(request), request.model_dump(), answer, seconds=seconds, usd=usd
            )
        return Reply(**answer, key=self.key(request))

    def count(self, prompt_tokens: int, completion_tokens: int, *, batch: bool = False) -> float:
        """Note one more answer; what it cost in US dollars."""
        usd = self.price.of(prompt_tokens, completion_tokens, batch=batch)
        self.usage["asked"] += 1
        self.usage["prompt_tokens"] += prompt_tokens
        self.usage["completion_tokens"] += completion_tokens
        self.usage["usd"] += usd
        return usd

    def sent(self, request: Request, **more: Any) -> dict[str, Any]:
        """The body of a request: its parameters without those that this server refuses; further samples by their seed."""
        parameters = request.parameters | more
        if request.sample:
            parameters["seed"] = parameters.get("seed", 0) + request.sample
        return {
            "model": self.model,
            "messages": request.messages,
            **trouble.adapted(parameters, self._refused),
        }

    def learn(self, error: openai.OpenAIError, body: dict[str, Any]) -> bool:
        """Remember a parameter that the server refuses, say so once; False where the error is about something else."""
        if any(
            name not in body for name in self._refused & set(trouble.INSTEAD)
        ) and not trouble.rejected_parameter(error, body):
            return False
        name = trouble.rejected_parameter(error, body)
        if name in (None, "model", "messages"):
            return False
        if name not in self._refused:
            self._refused.add(str(name))
            other = trouble.INSTEAD.get(str(name))
            how = f"sent as `{other}`" if other and other not in self._refused else "left out"
            self.notes.append(f"`{self.model}` does not take `{name}`: it is {how} from now on.")
            LOG.warning(self.notes[-1])
        return True

    def connected(self) -> openai.AsyncOpenAI:
        """The SDK's client; the stand-in answers without a socket."""
        is_offline = _is_offline(self.url)
        transport = {"http_client": offline.http_client(self.url)} if is_offline else {}
        base = "http://offline.invalid/v1" if is_offline else self.url or None
        return openai.AsyncOpenAI(
            api_key=self._key, base_url=base, max_retries=0, timeout=600, **transport
        )

    def problem(self, error: openai.OpenAIError) -> UserError:
        """One message for an error that ends the run."""
        return trouble.problem(
            error, where=self.url, model=self.model, key=self._key, key_env=self._key_env
        )

    async def _items(self, request: Request, *, keep: bool) -> AsyncGenerator[str | Reply, None]:
        """Yield the pieces of a streamed answer and its reply; an unfinished one is paid for."""
        if keep and (reply := self.kept(request)):
            self.usage["cached"] += 1
            yield reply.text
            yield reply
            return
        draft, start = Draft(self.model), time.monotonic()
        async with self.afforded(request), self.connected() as api:
            try:
                async for piece in self._pieces(api, request, draft):
                    yield piece
            except BaseException:
                if draft.text:
                    self.count(*draft.tokens(request))
                raise
        answer, seconds = draft.answer(request), time.monotonic() - start
        keep = keep and answer["finish_reason"] != INTERRUPTED
        yield self.keep_answer(request, answer, seconds=seconds, keep=keep)

    async def _pieces(
        self, api: openai.AsyncOpenAI, request: Request, draft: "Draft"
    ) -> AsyncGenerator[str, None]:
        """Yield the pieces; send again only while none has arrived."""
        attempt = 0
        while True:
            body = self.sent(request, stream=True, stream_options={"include_usage": True})
            try:
                async for chunk in await api.chat.completions.create(**body):
                    if piece := draft.add(chunk):
                        yield piece
                return
            except (openai.OpenAIError, httpx2.HTTPError) as error:
                if draft.text:
                    got, do = str(error)[:200], "Send the question again."
                    raise UserError("The answer broke off.", got=got, do=do) from None
                if isinstance(error, httpx2.HTTPError):
                    error = openai.APIConnectionError(request=error.request)
                if self.learn(error, body):
                    continue
                attempt += 1
                if not trouble.is_passing(error) or attempt >= STREAM_TRIES:
                    raise self.problem(error) from None
                await asyncio.sleep(trouble.pause(error, attempt)[0])

    async def _numbered(
        self, api: openai.AsyncOpenAI, gate: Gate, number: int, request: Request
    ) -> tuple[int, Reply]:
        """One reply, asked for again where it is no complete answer."""
        reply = await self._one(api, gate, request)
        for _ in range(self.again):
            if reply.incomplete_reason not in ("length", "empty", "refused"):
                break
            request = (
                _with_more_room(request)
                if reply.incomplete_reason == "length"
                else request.model_copy(update={"sample": request.sample + 1000})
            )
            self.usage["retried"] += 1
            reply = await self._one(api, gate, request)
        return number, reply

    async def _one(self, api: openai.AsyncOpenAI, gate: Gate, request: Request) -> Reply:
        if reply := self.kept(request):
            self.usage["cached"] += 1
            return reply
        async with self.afforded(request):
            return await self._tried(api, gate, request)

    async def _tried(self, api: openai.AsyncOpenAI, gate: Gate, request: Request) -> Reply:
        """Ask, and ask again after growing, jittered pauses where another try can help; a pause holds no place."""
        attempt = 0
        while True:
            body = self.sent(request)
            try:
                async with gate.place(_tokens(body)):
                    start = time.monotonic()
                    raw = await api.chat.completions.with_raw_response.create(**body)
                    gate.report(good=True)
                    gate.learn(raw.headers)
                    return self.keep(request, raw.parse(), seconds=time.monotonic() - start)
            except openai.OpenAIError as error:
                if self.learn(error, body):
                    continue
                if not trouble.is_passing(error):
                    raise self.problem(error) from None
                attempt += 1
                if attempt >= (TRIES if gate.answered else FIRST_TRIES):
                    raise
                rest, after = trouble.pause(
                    error, attempt, longest=0.4 if gate.is_healthy else 60.0
                )
                gate.report(
                    good=False, too_many=isinstance(error, openai.RateLimitError), after=after
                )
                await asyncio.sleep(rest)

    @asynccontextmanager
    async def afforded(self, request: Request) -> AsyncIterator[None]:
        """While a request is under way, the most that it can cost is set aside."""
        worst = await self._afford(request)
        try:
            yield
        finally:
            self._reserved -= worst

    async def _afford(self, request: Request) -> float:
        """Set aside the most that a request can cost; wait for others to come back cheaper, and stop where it cannot be had."""
        body = self.sent(request)
        room = body.get("max_completion_tokens") or body.get("max_tokens") or 4096
        worst = self.price.of(_prompt_tokens(body), room)
        while self.budget_usd and self.usage["usd"] + self._reserved + worst > self.budget_usd:
            if self._reserved <= 1e-12:
                mean = self.usage["usd"] / max(self.usage["asked"], 1)
                do = "Raise budget_usd and start again: every answer so far is kept and is not asked for twice."
                got = f"{self.usage['usd']:.4f} of {self.budget_usd:.4f} USD after {self.usage['asked']} answers (about {mean:.6f} USD each)"
                raise UserError(
                    "The budget is used up: the next request could pass it.", got=got, do=do
                )
            await asyncio.sleep(0.01)
        self._reserved += worst
        return worst

    def _show(self, bar: tqdm, failed: int, total: int | None) -> None:
        """Cost so far and projected, and what failed, beside the bar."""
        usd, share = self.usage["usd"], bar.n / total if total else 0
        cost = {"usd": f"{usd:.3f}", "in all": f"~{usd / share:.2f}"} if usd and share else {}
        bar.set_postfix(cost | ({"failed": failed} if failed else {}), refresh=False)

    async def _ended(self, running: set, api: openai.AsyncOpenAI) -> None:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)  # their exceptions are seen here
        await api.close()


class Draft:
    """The parts of a streamed answer that have arrived."""

    def __init__(self, model: str) -> None:
        self.text, self.model, self.finish_reason = "", model, INTERRUPTED
        self.usage: Any = None
        self.is_refused = False

    def add(self, chunk: Any) -> str:
        """Add a chunk and return its text."""
        self.usage, self.model = (
            getattr(chunk, "usage", None) or self.usage,
            chunk.model or self.model,
        )
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        refusal = getattr(choice.delta, "refusal", None) or ""
        self.is_refused |= bool(refusal)
        self.finish_reason = choice.finish_reason or self.finish_reason
        piece = choice.delta.content or refusal
        self.text += piece
        return piece

    def tokens(self, request: Request) -> tuple[int, int]:
        """Return prompt and completion tokens, an upper estimate where the server gives none."""
        if self.usage:
            return self.usage.prompt_tokens, self.usage.completion_tokens
        return request.prompt_tokens(), 1 + len(self.text.encode()) // 3

    def answer(self, request: Request) -> dict[str, Any]:
        """Return the fields of the answer."""
        prompt_tokens, completion_tokens = self.tokens(request)
        return {
            "text": self.text,
            "finish_reason": self.finish_reason,
            "model": self.model,
            "refused": self.is_refused or is_refusal(self.text),
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
        }


def _is_offline(url: str) -> bool:
    return url.partition("?")[0] == "offline"


def _price(url: str, model: str, table: str, given: tuple[float, float], budget: float) -> Price:
    found = FREE if _is_offline(url) and not any(given) else price(model, table=table, given=given)
    if budget and not found:
        do = "Give usd_per_mtok_in and usd_per_mtok_out, or a table in `prices`."
        raise UserError(
            "A budget needs prices.",
            got=f"budget_usd={budget} for `{model}`, whose price is not known",
            do=do,
        )
    return found or FREE


def _key(url: str, key_env: str) -> str:
    key = os.environ.get(key_env, "")
    if _is_offline(url) or (not key and url.startswith(("http://localhost", "http://127.0.0.1"))):
        return "none-needed"
    if not key:
        do = f"Set the environment variable {key_env}; never write a key into a notebook or a profile."
        raise UserError(
            "There is no API key for a paid address.",
            got=f"{key_env} is not set ({url or 'OpenAI'})",
            do=do,
        )
    return key


def _with_more_room(request: Request) -> Request:
    """The same request with twice the room for its answer."""
    more = {
        name: 2 * value for name, value in request.parameters.items() if name in trouble.INSTEAD
    }
    return request.model_copy(
        update={"parameters": {**request.parameters, **(more or {"max_tokens": 8192})}}
    )


def _prompt_tokens(body: dict[str, Any]) -> int:
    """More tokens than the messages have: one for every three bytes, and ten a message."""
    return sum(10 + len(message["content"].encode()) // 3 for message in body["messages"])


def _tokens(body: dict[str, Any]) -> int:
    return (
        _prompt_tokens(body)
        + (body.get("max_completion_tokens") or body.get("max_tokens") or 500) // 2
    )


def _read(completion: Any) -> dict[str, Any]:
    if not completion.choices:
        return {
            "text": "",
            "finish_reason": "stop",
            "model": completion.model,
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "refused": False,
        }
    choice, usage = completion.choices[0], completion.usage
    return {
        "text": choice.message.content or getattr(choice.message, "refusal", None) or "",
        "finish_reason": choice.finish_reason or "stop",
        "model": completion.model,
        "prompt_tokens": usage.prompt_tokens if usage else 0,
        "completion_tokens": usage.completion_tokens if usage else 0,
        "refused": is_refusal(choice.message.content or "")
        or bool(getattr(choice.message, "refusal", None)),
    }
