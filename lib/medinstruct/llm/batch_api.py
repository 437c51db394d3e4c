"""Batch API: requests in files, answers within a day at half the price."""

import asyncio
import contextlib
import json
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from medinstruct.errors import UserError
from medinstruct.llm.messages import LIMITS, Reply, Request, answer_of
from medinstruct.llm.pricing import Account
from medinstruct.llm.retry import Connection

MAX_ROWS = 10_000  # of one file: the API takes 50,000 rows and 200 MB
ROUNDS = 4
ENDED = ("completed", "failed", "expired", "cancelled")


class Batches:
    """The batches of one connection and account; `poll` is the pause in seconds between polls."""

    def __init__(self, connection: Connection, account: Account, *, poll: float) -> None:
        self.connection, self.account, self.poll = connection, account, poll

    async def ask_all(self, requests: list[Request]) -> list[Reply]:
        """Return the replies in the order of the requests.

        Batches of an interrupted run are fetched first; failed and expired rows are sent again.
        """
        key, saved = self.account.key, self.account.saved
        try:
            async with self.connection.open() as api:
                for left in range(ROUNDS, -1, -1):
                    missing = {key(request): request for request in requests if not saved(request)}
                    await self._fetch(api, missing)
                    missing = {k: request for k, request in missing.items() if not saved(request)}
                    if missing and left:
                        await self.send(api, missing)
        except openai.OpenAIError as error:
            raise self.connection.problem(error) from None
        if missing:
            do, got = "Start again: only these are asked for.", f"after {ROUNDS} rounds"
            raise UserError(f"{len(missing)} requests got no answer.", got=got, do=do)
        return [reply for request in requests if (reply := saved(request))]

    async def send(self, api: openai.AsyncOpenAI, requests: dict[str, Request]) -> None:
        """Upload the requests in files, start their batches, and note them in the cache."""
        worst = sum(self.account.highest_cost(row, batch=True) for row in requests.values())
        if self.account.exceeds(worst):
            raise self.account.problem(f"a batch of {len(requests)} requests")
        form = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
        keys = list(requests)
        for start in range(0, len(keys), MAX_ROWS):
            part = keys[start : start + MAX_ROWS]
            bodies = (self.connection.body(requests[key]) for key in part)
            rows = [{"custom_id": k, "body": body} for k, body in zip(part, bodies, strict=True)]
            head = {"method": "POST", "url": form["endpoint"]}
            lines = "".join(json.dumps(row | head, ensure_ascii=False) + "\n" for row in rows)
            content = ("requests.jsonl", lines.encode())
            file = await api.files.create(file=content, purpose="batch")
            batch = await api.batches.create(input_file_id=file.id, **form)
            self.account.cache.note_batch(batch.id, self.account.url, part, status="open")

    async def _fetch(self, api: openai.AsyncOpenAI, missing: dict[str, Request]) -> None:
        """Wait for the open batches that hold missing requests, and save their answers.

        Other batches of this address belong to other stages and stay open.
        """
        cache, url = self.account.cache, self.account.url
        waiting = cache.open_batches(url)
        waiting = {name: keys for name, keys in waiting.items() if missing.keys() & set(keys)}
        while waiting:
            for name, keys in list(waiting.items()):
                problem = None
                with contextlib.suppress(openai.NotFoundError):  # lost: its requests are sent again
                    batch = await api.batches.retrieve(name)
                    if batch.status not in ENDED:
                        continue
                    problem = await self._save(api, batch, missing)
                cache.note_batch(name, url, keys, status="done")
                del waiting[name]
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
                status, body = response.get("status_code"), response.get("body")
                if request and status == 200:
                    answer = answer_of(ChatCompletion.model_validate(body))
                    self.account.save(request, answer, batch=True)
                elif request and status in (400, 401, 403, 404, 422):
                    names = [*request.parameters, *LIMITS]
                    if not self.connection.learn(body, status, names):
                        problem = self.connection.problem(body, status)
        if batch.status == "failed" and not problem:
            got, do = str(getattr(batch, "errors", ""))[:300], "Check the model and the limits."
            return UserError("The server refused a batch.", got=got, do=do)
        return problem
