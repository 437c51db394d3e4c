"""Batch API: requests in files, answers within a day at half the price."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
from openai.types.chat import ChatCompletion
from tqdm import tqdm

from medinstruct.errors import UserError
from medinstruct.llm.messages import LIMITS, Reply, Request, answer_of
from medinstruct.llm.pricing import Account
from medinstruct.llm.retry import Connection

MAX_ROWS = 50_000  # the limits of the API for one file
MAX_BYTES = 190_000_000
ROUNDS = 4
ENDED = ("completed", "failed", "expired", "cancelled")


class Batches:
    """The batches of one connection and account; `poll` is the pause in seconds between polls."""

    def __init__(self, connection: Connection, account: Account, *, poll: float) -> None:
        self.connection, self.account, self.poll = connection, account, poll

    async def ask_all(self, requests: list[Request], *, label: str = "") -> list[Reply]:
        """Return the replies in the order of the requests.

        Batches of an interrupted run are fetched first; failed and expired rows are sent again.
        """
        try:
            async with self.connection.open() as api:
                for _ in range(ROUNDS):
                    missing = self._missing(requests)
                    await self._fetch(api, missing, label=label)
                    missing = self._missing(requests)
                    await self.send(api, missing)
                    await self._fetch(api, missing, label=label)
        except openai.OpenAIError as error:
            raise self.connection.problem(error) from None
        if missing := self._missing(requests):
            do, got = "Start again: only these are asked for.", f"after {ROUNDS} rounds"
            raise UserError(f"{len(missing)} requests got no answer.", got=got, do=do)
        return [reply for request in requests if (reply := self.account.saved(request))]

    async def send(
        self, api: openai.AsyncOpenAI, requests: dict[str, Request], *, rows: int = MAX_ROWS
    ) -> None:
        """Upload the requests in files, start their batches, and note them in the cache."""
        worst = sum(self.account.highest_cost(row, batch=True) for row in requests.values())
        if self.account.exceeds(worst):
            raise self.account.problem(f"a batch of {len(requests)} requests")
        for part in self.parts(requests, rows=rows):
            content = ("requests.jsonl", b"".join(part.values()))
            file = await api.files.create(file=content, purpose="batch")
            form = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
            batch = await api.batches.create(input_file_id=file.id, **form)
            self.account.cache.note_batch(batch.id, self.account.url, list(part), status="open")

    def parts(
        self, requests: dict[str, Request], *, rows: int = MAX_ROWS, size: int = MAX_BYTES
    ) -> Iterator[dict[str, bytes]]:
        """Yield the requests as key -> line, in files of at most `rows` rows and `size` bytes."""
        part: dict[str, bytes] = {}
        filled = 0
        for key, request in requests.items():
            row = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions"}
            body = self.connection.body(request)
            line = (json.dumps(row | {"body": body}, ensure_ascii=False) + "\n").encode()
            if part and (len(part) == rows or filled + len(line) > size):
                yield part
                part, filled = {}, 0
            part[key] = line
            filled += len(line)
        if part:
            yield part

    def _missing(self, requests: list[Request]) -> dict[str, Request]:
        account = self.account
        return {account.key(request): request for request in requests if not account.saved(request)}

    async def _fetch(
        self, api: openai.AsyncOpenAI, missing: dict[str, Request], *, label: str
    ) -> None:
        """Wait for the open batches that hold missing requests, and save their answers.

        Other batches of this address belong to other stages and stay open.
        """
        cache, url = self.account.cache, self.account.url
        batches = cache.open_batches(url).items()
        waiting = {name: keys for name, keys in batches if missing.keys() & set(keys)}
        total = sum(map(len, waiting.values()))
        with tqdm(total=total, desc=f"{label} (batch)", unit="reply", leave=False) as bar:
            while waiting:
                for name, keys in list(waiting.items()):
                    problem = None
                    try:
                        batch = await api.batches.retrieve(name)
                        if batch.status not in ENDED:
                            continue
                        problem = await self._save(api, batch, missing)
                    except openai.NotFoundError:
                        pass  # the server has lost it: its requests are sent again
                    cache.note_batch(name, url, keys, status="done")
                    bar.update(len(waiting.pop(name)))
                    if problem:
                        raise problem  # after the note, or each later run would meet it again
                if waiting:
                    await asyncio.sleep(self.poll)

    async def _save(
        self, api: openai.AsyncOpenAI, batch: Any, missing: dict[str, Request]
    ) -> UserError | None:
        """Save the answers of a batch; return the problem that sending again does not solve."""
        problem = None
        for file in filter(None, (batch.output_file_id, batch.error_file_id)):
            text = (await api.files.content(file)).text
            for row in map(json.loads, filter(None, text.split("\n"))):
                request, response = missing.get(row["custom_id"]), row.get("response") or {}
                status = response.get("status_code")
                if request and status == 200:
                    answer = answer_of(ChatCompletion.model_validate(response["body"]))
                    self.account.save(request, answer, batch=True)
                elif request and status in (400, 401, 403, 404, 422):
                    problem = self._refusal(request, response) or problem
        if batch.status == "failed" and not problem:
            got, do = str(getattr(batch, "errors", ""))[:300], "Check the model and the limits."
            return UserError("The server refused a batch.", got=got, do=do)
        return problem

    def _refusal(self, request: Request, response: dict[str, Any]) -> UserError | None:
        """Learn a refused parameter from a row; return any other error as a problem."""
        detail = (response.get("body") or {}).get("error") or {}
        status = response["status_code"]
        answer = httpx2.Response(status, request=httpx2.Request("POST", "http://batch/"))
        text = str(detail.get("message", "refused"))
        error = openai.APIStatusError(text, response=answer, body=detail)
        if self.connection.learn(error, request.parameters | dict.fromkeys(LIMITS)):
            return None
        return self.connection.problem(error)
