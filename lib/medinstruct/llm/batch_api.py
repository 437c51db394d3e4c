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


async def ask_all(
    connection: Connection,
    account: Account,
    requests: list[Request],
    *,
    label: str = "",
    poll: float = 30.0,
) -> list[Reply]:
    """Return the replies in the order of the requests.

    Batches sent by an interrupted run are fetched first; failed and expired rows are sent again, up
    to four rounds. `poll` is the pause in seconds between two status polls.
    """
    try:
        async with connection.open() as api:
            for _ in range(ROUNDS):
                missing = _missing(account, requests)
                if not missing:
                    break
                await _fetch(connection, account, api, missing, label=label, poll=poll)
                missing = _missing(account, requests)
                worst = sum(account.highest_cost(row, batch=True) for row in missing.values())
                if account.exceeds(worst):
                    raise account.problem(f"a batch of {len(missing)} requests")
                for part in parts(connection, missing):
                    await send(account, api, part)
                await _fetch(connection, account, api, missing, label=label, poll=poll)
    except openai.OpenAIError as error:
        raise connection.problem(error) from None
    if missing := _missing(account, requests):
        do, got = "Start again: only these are asked for.", f"after {ROUNDS} rounds"
        raise UserError(f"{len(missing)} requests got no answer.", got=got, do=do)
    return [reply for request in requests if (reply := account.saved(request))]


def parts(
    connection: Connection,
    requests: dict[str, Request],
    *,
    rows: int = MAX_ROWS,
    size: int = MAX_BYTES,
) -> Iterator[dict[str, bytes]]:
    """Yield the requests as key -> line, in files of at most `rows` rows and `size` bytes."""
    part: dict[str, bytes] = {}
    for key, request in requests.items():
        row = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions"}
        row["body"] = connection.body(request)
        line = (json.dumps(row, ensure_ascii=False) + "\n").encode()
        if part and (len(part) == rows or sum(map(len, part.values())) + len(line) > size):
            yield part
            part = {}
        part[key] = line
    if part:
        yield part


async def send(account: Account, api: openai.AsyncOpenAI, part: dict[str, bytes]) -> None:
    """Upload a file of requests, start its batch, and note it in the cache."""
    content = ("requests.jsonl", b"".join(part.values()))
    file = await api.files.create(file=content, purpose="batch")
    batch = await api.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    account.cache.note_batch(batch.id, account.url, list(part), status="open")


def _missing(account: Account, requests: list[Request]) -> dict[str, Request]:
    return {account.key(request): request for request in requests if not account.saved(request)}


async def _fetch(
    connection: Connection,
    account: Account,
    api: openai.AsyncOpenAI,
    missing: dict[str, Request],
    *,
    label: str,
    poll: float,
) -> None:
    """Wait for the open batches that hold missing requests, and save their answers.

    Other batches of this address belong to other stages and stay open.
    """
    batches = account.cache.open_batches(account.url).items()
    waiting = {name: keys for name, keys in batches if missing.keys() & set(keys)}
    total = sum(map(len, waiting.values()))
    with tqdm(total=total, desc=f"{label} (batch)", unit="reply", leave=False) as bar:
        while waiting:
            for name, keys in list(waiting.items()):
                try:
                    batch = await api.batches.retrieve(name)
                except openai.NotFoundError:
                    batch = None  # lost by the server: its requests are sent again
                if batch is None or batch.status in ENDED:
                    problem = await _save(connection, account, api, batch, missing)
                    account.cache.note_batch(name, account.url, keys, status="done")
                    bar.update(len(waiting.pop(name)))
                    if problem:
                        raise problem  # after the note, or each later run would meet it again
            if waiting:
                await asyncio.sleep(poll)


async def _save(
    connection: Connection,
    account: Account,
    api: openai.AsyncOpenAI,
    batch: Any,
    missing: dict[str, Request],
) -> UserError | None:
    """Save the answers of a batch; return the problem that sending again does not solve."""
    problem = None
    for file in filter(None, batch and (batch.output_file_id, batch.error_file_id) or ()):
        text = (await api.files.content(file)).text
        for row in map(json.loads, filter(None, text.split("\n"))):
            request, response = missing.get(row["custom_id"]), row.get("response") or {}
            status = response.get("status_code")
            if request and status == 200:
                answer = answer_of(ChatCompletion.model_validate(response["body"]))
                account.save(request, answer, batch=True)
            elif request and status in (400, 401, 403, 404, 422):
                problem = _refusal(connection, request, response) or problem
    if batch and batch.status == "failed" and not problem:
        got, do = str(getattr(batch, "errors", ""))[:300], "Check the model and the limits."
        return UserError("The server refused a batch.", got=got, do=do)
    return problem


def _refusal(
    connection: Connection, request: Request, response: dict[str, Any]
) -> UserError | None:
    """Learn a refused parameter from a row; return any other error as a problem."""
    detail = (response.get("body") or {}).get("error") or {}
    status = response["status_code"]
    answer = httpx2.Response(status, request=httpx2.Request("POST", "http://batch/"))
    kind = openai.BadRequestError if status in (400, 422) else openai.APIStatusError
    error = kind(str(detail.get("message", "refused")), response=answer, body=detail)
    if connection.learn(error, request.parameters | dict.fromkeys(LIMITS)):
        return None
    return connection.problem(error)
