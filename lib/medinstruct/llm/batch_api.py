"""Batch API: requests of a `Client` in files, answers within a day at half the price."""

import asyncio
import contextlib
import json
import re
from itertools import accumulate, islice
from typing import Any

import openai

from medinstruct.errors import UserError
from medinstruct.llm.messages import AGAIN, NoAnswer, Reply, Request, answer_of, read_json
from medinstruct.llm.retry import room_left

MAX_ROWS = 10_000  # of one file: the API takes 50,000 rows and 200 MB
ROUNDS = 4  # in a row that bring no answer
POLL = 30.0  # seconds between two polls of the status
WAIT, DAY = 300.0, 86_400.0  # seconds until a full queue is tried again, and altogether
ENDED = ("completed", "failed", "expired", "cancelled")
PATH = "/v1/chat/completions"
LIMIT = re.compile(r"limit(?: of|:) ([\d,]+)(K?)", re.IGNORECASE)  # as OpenAI and Azure state it


async def ask_all(client: Any, requests: list[Request]) -> list[Reply]:
    """Return the replies in the order of the requests.

    Batches of an interrupted run are fetched first; failed and expired rows are sent again. At most
    `batch_tokens` wait in the server's queue; where it is full, this waits.
    """
    client.declined, client.failed = {}, {}
    replies = client.check_refused(await _ask_once(client, requests))
    pairs = enumerate(zip(requests, replies, strict=True))
    again = {n: asked.repeated(r) for n, (asked, r) in pairs if r.incomplete_reason in AGAIN}
    with contextlib.suppress(UserError):  # then the first answer stays
        await _ask_once(client, [*again.values()])
    better = {n: client.cache.get(client.key(request)) for n, request in again.items()}
    return [better.get(n) or reply for n, reply in enumerate(replies)]


async def _ask_once(client: Any, requests: list[Request]) -> list[Reply]:
    keys, left = [client.key(request) for request in requests], float(ROUNDS)
    missing = _unsaved(client, dict(zip(keys, requests, strict=True)))
    try:
        async with client.connection.open(max_retries=2) as api:
            is_full = await _fetch(client, api, missing)
            while left > 0 and (missing := _unsaved(client, missing)):
                await asyncio.sleep(WAIT * is_full)
                learned = len(client.connection.notes)  # as good as an answer
                sums = accumulate(row.prompt_tokens() for row in missing.values())
                count = sum(not client.batch_tokens or n <= client.batch_tokens for n in sums)
                await send(client, api, dict(islice(missing.items(), max(count, 1))))
                is_full = await _fetch(client, api, missing)
                count = len(_unsaved(client, missing)) + learned
                is_better = count < len(missing) + len(client.connection.notes)
                left = ROUNDS if is_better else left - (ROUNDS * WAIT / DAY if is_full else 1)
    except openai.OpenAIError as error:
        raise client.connection.problem(client.connection.read(error)) from None
    missing = _unsaved(client, missing)
    client.declined |= {key: client.failed[key] for key in missing.keys() & client.failed}
    if missing := missing.keys() - client.failed:
        do, got = "Start again: only these are asked for.", f"after {ROUNDS} rounds"
        raise UserError(f"{len(missing)} requests got no answer.", got=got, do=do)
    return [client.declined.get(key) or client.cache.get(key) for key in keys]


async def send(client: Any, api: openai.AsyncOpenAI, requests: dict[str, Request]) -> None:
    """Upload the requests in files, start their batches, and note them in the cache."""
    worst = sum(client.highest_cost(row, batch=True) for row in requests.values())
    client.check_budget(worst, f"a batch of {len(requests)} requests")
    keys, body = list(requests), client.connection.body
    for start in range(0, len(keys), MAX_ROWS):
        part, form = keys[start : start + MAX_ROWS], {"method": "POST", "url": PATH}
        rows = (form | {"custom_id": key, "body": body(requests[key])} for key in part)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        file = await api.files.create(file=("requests.jsonl", lines.encode()), purpose="batch")
        form = {"endpoint": PATH, "completion_window": "24h"}
        batch = await api.batches.create(input_file_id=file.id, **form)
        client.cache.note_batch(batch.id, client.url, part, status="open")


def _unsaved(client: Any, requests: dict[str, Request]) -> dict[str, Request]:
    known = {key for key in requests if key in client.declined or client.cache.get(key)}
    return {key: request for key, request in requests.items() if key not in known}


async def _fetch(client: Any, api: openai.AsyncOpenAI, missing: dict[str, Request]) -> bool:
    """Save the answers of open batches that hold missing requests; return if a queue was full."""
    is_full = False
    for name, keys in client.cache.open_batches(client.url).items():
        if missing.keys().isdisjoint(keys):
            continue
        problem, batch = None, None
        with contextlib.suppress(openai.NotFoundError):  # lost: its requests are sent again
            while (batch := await api.batches.retrieve(name)).status not in ENDED:
                await asyncio.sleep(POLL)
            problem = await _save(client, api, batch, missing)
        client.cache.note_batch(name, client.url, keys, status="done")
        if batch and "token_limit_exceeded" in str(batch.errors):
            is_full, stated = True, LIMIT.search(str(batch.errors))
            tokens = sum(missing[key].prompt_tokens() for key in keys if key in missing) // 2
            if stated:
                tokens = int(stated[1].replace(",", "")) * (1000 if stated[2] else 1)
            client.batch_tokens = min(client.batch_tokens or tokens, max(tokens, 1))
        elif problem:
            raise problem  # after the note, or each later run would meet it again
    return is_full


async def _save(
    client: Any, api: openai.AsyncOpenAI, batch: Any, missing: dict[str, Request]
) -> UserError | None:
    """Save the answers of a batch; return the problem that sending again does not solve."""
    problem, connection = None, client.connection
    sent = {key: connection.body(request) for key, request in missing.items()}
    for file in filter(None, (batch.output_file_id, batch.error_file_id)):
        lines = (await api.files.content(file)).content.split(b"\n")
        for row in filter(lambda row: isinstance(row, dict), map(read_json, lines)):
            if not (request := missing.get(key := str(row.get("custom_id")))):
                continue
            response = row.get("response") if isinstance(row.get("response"), dict) else {}
            status, body = response.get("status_code"), response.get("body")
            try:
                if status == 200:
                    client.save(key, request, answer_of(body, request), batch=True)
            except NoAnswer as error:
                body, status = str(error), error.status_code
            if not isinstance(status, int) or status == 200:  # expired rows are sent again
                continue
            fault = connection.read(body, sent[key], status)
            room = request.max_tokens(0)
            left = room_left(fault.text, room, room)
            if left or connection.learn(fault, sent[key]):
                missing[key] = request.with_room(left, min)
                continue
            error = connection.problem(fault)
            problem = problem if fault.passes or fault.reason else error
            replies = client.failed if fault.passes else client.declined
            replies[key] = client.decline(key, error, fault.reason or "refused_by_server")
    if batch.status == "failed" and not problem:
        got, do = str(getattr(batch, "errors", ""))[:300], "Check the model and the limits."
        return UserError("The server refused a batch.", got=got, do=do)
    return problem
