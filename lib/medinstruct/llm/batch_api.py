"""Batch API: requests in files, answers within a day at half the price.

`client` is the `Client` that asks: its connection, cache and prices.
"""

import asyncio
import contextlib
import json
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from medinstruct.errors import UserError
from medinstruct.llm.messages import LIMITS, Reply, Request, answer_of

MAX_ROWS = 10_000  # of one file: the API takes 50,000 rows and 200 MB
ROUNDS = 4
POLL = 30.0  # seconds between two polls of the status
ENDED = ("completed", "failed", "expired", "cancelled")
PATH = "/v1/chat/completions"


async def ask_all(client: Any, requests: list[Request]) -> list[Reply]:
    """Return the replies in the order of the requests.

    Batches of an interrupted run are fetched first; failed and expired rows are sent again.
    """
    missing = _unsaved(client, {client.key(request): request for request in requests})
    try:
        async with client.connection.open() as api:
            for left in range(ROUNDS, -1, -1):
                await _fetch(client, api, missing)
                missing = _unsaved(client, missing)
                if missing and left:
                    await send(client, api, missing)
    except openai.OpenAIError as error:
        raise client.connection.problem(error) from None
    if missing:
        do, got = "Start again: only these are asked for.", f"after {ROUNDS} rounds"
        raise UserError(f"{len(missing)} requests got no answer.", got=got, do=do)
    return [client.cache.get(client.key(request)) for request in requests]


async def send(client: Any, api: openai.AsyncOpenAI, requests: dict[str, Request]) -> None:
    """Upload the requests in files, start their batches, and note them in the cache."""
    worst = sum(client.highest_cost(row, batch=True) for row in requests.values())
    client.check_budget(worst, f"a batch of {len(requests)} requests")
    keys, head, connection = list(requests), {"method": "POST", "url": PATH}, client.connection
    for start in range(0, len(keys), MAX_ROWS):
        part = keys[start : start + MAX_ROWS]
        bodies = [connection.body(requests[key]) | connection.extra for key in part]
        pairs = zip(part, bodies, strict=True)
        rows = ({"custom_id": key, "body": body} | head for key, body in pairs)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        file = await api.files.create(file=("requests.jsonl", lines.encode()), purpose="batch")
        form = {"endpoint": PATH, "completion_window": "24h"}
        batch = await api.batches.create(input_file_id=file.id, **form)
        client.cache.note_batch(batch.id, client.url, part, status="open")


def _unsaved(client: Any, requests: dict[str, Request]) -> dict[str, Request]:
    return {key: request for key, request in requests.items() if not client.cache.get(key)}


async def _fetch(client: Any, api: openai.AsyncOpenAI, missing: dict[str, Request]) -> None:
    """Wait for the open batches that hold missing requests, and save their answers.

    Other batches of this address belong to other stages and stay open.
    """
    for name, keys in client.cache.open_batches(client.url).items():
        if missing.keys().isdisjoint(keys):
            continue
        problem = None
        with contextlib.suppress(openai.NotFoundError):  # lost: its requests are sent again
            while (batch := await api.batches.retrieve(name)).status not in ENDED:
                await asyncio.sleep(POLL)
            problem = await _save(client, api, batch, missing)
        client.cache.note_batch(name, client.url, keys, status="done")
        if problem:
            raise problem  # after the note, or each later run would meet it again


async def _save(
    client: Any, api: openai.AsyncOpenAI, batch: Any, missing: dict[str, Request]
) -> UserError | None:
    """Save the answers of a batch; return the problem that sending again does not solve."""
    problem = None
    for file in filter(None, (batch.output_file_id, batch.error_file_id)):
        text = (await api.files.content(file)).text
        for row in map(json.loads, filter(None, text.split("\n"))):
            request, response = missing.get(row["custom_id"]), row.get("response") or {}
            status, body = response.get("status_code"), response.get("body")
            if request and status == 200 and body.get("choices"):
                client.save(request, answer_of(ChatCompletion.construct(**body)), batch=True)
            elif request and status in (400, 401, 403, 404, 422):
                is_learned = client.connection.learn(body, status, [*request.parameters, *LIMITS])
                problem = problem if is_learned else client.connection.problem(body, status)
    if batch.status == "failed" and not problem:
        got, do = str(getattr(batch, "errors", ""))[:300], "Check the model and the limits."
        return UserError("The server refused a batch.", got=got, do=do)
    return problem
