"""The OpenAI Batch API as a mode: requests go up in files, answers come back within a day at half the price, into the same cache."""

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import openai
from openai.types.chat import ChatCompletion
from tqdm import tqdm

from medinstruct.errors import UserError

if TYPE_CHECKING:
    from medinstruct.llm.client import Client
    from medinstruct.llm.messages import Reply, Request

MOST_ROWS = 50_000  # the limits of the API for one file
MOST_BYTES = 190_000_000
ROUNDS = 4
ENDED = ("completed", "failed", "expired", "cancelled")


async def ask_all(
    client: "Client", requests: list["Request"], *, label: str = "", poll: float | None = None
) -> list["Reply"]:
    """The replies in the order of the requests.

    Batches that an earlier, interrupted run has sent are fetched first; rows that failed or expired are sent again, up to
    four rounds. `poll` is the pause in seconds between two looks at the batches (30, or none with the stand-in).
    """
    pause = poll if poll is not None else 0.0 if client.url.startswith("offline") else 30.0
    api = client.connected()
    try:
        for _ in range(ROUNDS):
            missing = _missing(client, requests)
            if not missing:
                break
            await _fetch_open(client, api, missing, label=label, pause=pause)
            missing = _missing(client, requests)
            _check_budget(client, missing)
            for part in parts(client, list(missing.values())):
                await _send(client, api, part)
            await _fetch_open(client, api, missing, label=label, pause=pause)
    except openai.OpenAIError as error:
        raise client.problem(error) from None
    finally:
        await api.close()
    return _all(client, requests)


def parts(
    client: "Client", requests: list["Request"], *, rows: int = MOST_ROWS, size: int = MOST_BYTES
) -> Iterator[list[tuple[str, bytes]]]:
    """The requests as (key, line) in files of at most so many rows and bytes."""
    part: list[tuple[str, bytes]] = []
    filled = 0
    for request in requests:
        body = {
            "custom_id": client.key(request),
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": client.sent(request),
        }
        line = (json.dumps(body, ensure_ascii=False) + "\n").encode()
        if part and (len(part) == rows or filled + len(line) > size):
            yield part
            part, filled = [], 0
        part.append((client.key(request), line))
        filled += len(line)
    if part:
        yield part


def _missing(client: "Client", requests: list["Request"]) -> dict[str, "Request"]:
    """The requests that have no answer yet, each once."""
    return {client.key(request): request for request in requests if client.kept(request) is None}


async def _send(client: "Client", api: openai.AsyncOpenAI, part: list[tuple[str, bytes]]) -> None:
    file = await api.files.create(
        file=("requests.jsonl", b"".join(line for _, line in part)), purpose="batch"
    )
    batch = await api.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    client.cache.note_batch(batch.id, client.url, [key for key, _ in part], status="open")


async def _fetch_open(
    client: "Client",
    api: openai.AsyncOpenAI,
    wanted: dict[str, "Request"],
    *,
    label: str,
    pause: float,
) -> None:
    """Wait for the batches under way that hold wanted requests and keep their answers; one that the server has lost is forgotten.

    Other batches of this address are another stage's: they stay open until that stage asks for them.
    """
    waiting = {
        name: keys
        for name, keys in client.cache.open_batches(client.url).items()
        if wanted.keys() & set(keys)
    }
    with tqdm(
        total=sum(map(len, waiting.values())), desc=f"{label} (batch)", unit="reply", leave=False
    ) as bar:
        while waiting:
            for name, keys in list(waiting.items()):
                try:
                    batch = await api.batches.retrieve(name)
                except openai.NotFoundError:
                    batch = None
                if batch is None or batch.status in ENDED:
                    wrong = await _collect(client, api, batch, wanted) if batch else None
                    client.cache.note_batch(name, client.url, keys, status="done")
                    bar.update(len(waiting.pop(name)))
                    if wrong:
                        raise wrong  # only now, or every later start would meet this batch again
            if waiting:
                await asyncio.sleep(pause)


async def _collect(
    client: "Client", api: openai.AsyncOpenAI, batch: Any, wanted: dict[str, "Request"]
) -> UserError | None:
    """Keep the answers of a batch and learn from rows that the server refused; returns what no other try can mend."""
    wrong = None
    for file in filter(None, (batch.output_file_id, batch.error_file_id)):
        text = (await api.files.content(file)).text
        for row in map(json.loads, filter(None, text.split("\n"))):
            request, response = wanted.get(row["custom_id"]), row.get("response") or {}
            if request and response.get("status_code") == 200:
                client.keep(request, ChatCompletion.model_validate(response["body"]), batch=True)
            elif request and response.get("status_code") in (400, 401, 403, 404, 422):
                wrong = _learn(client, request, response) or wrong
    if batch.status == "failed" and not wrong:
        got = str(getattr(batch, "errors", ""))[:300]
        return UserError(
            "The server refused a batch.", got=got, do="Check the model and the limits."
        )
    return wrong


def _learn(client: "Client", request: "Request", response: dict[str, Any]) -> UserError | None:
    """As after an error online: a parameter is left out next time, anything else is a problem that ends the run."""
    import httpx2

    detail = (response.get("body") or {}).get("error") or {}
    answer = httpx2.Response(
        response["status_code"], request=httpx2.Request("POST", "http://batch/")
    )
    kind = (
        openai.BadRequestError if response["status_code"] in (400, 422) else openai.APIStatusError
    )
    error = kind(str(detail.get("message", "refused")), response=answer, body=detail)
    return None if client.learn(error, client.sent(request)) else client.problem(error)


def _check_budget(client: "Client", missing: dict[str, "Request"]) -> None:
    """A batch is paid as a whole, so that the most it can cost must fit."""
    worst = 0.0
    for request in missing.values():
        body = client.sent(request)
        prompt = sum(10 + len(message["content"].encode()) // 3 for message in body["messages"])
        worst += client.price.of(
            prompt, body.get("max_completion_tokens") or body.get("max_tokens") or 4096, batch=True
        )
    if client.budget_usd and client.usage["usd"] + worst > client.budget_usd:
        spent = f"{client.usage['usd']:.2f} of {client.budget_usd:.2f} USD spent"
        got = f"up to {worst:.2f} USD for {len(missing)} requests, {spent}"
        raise UserError(
            "The batch could pass the budget.",
            got=got,
            do="Raise budget_usd, or send fewer requests.",
        )


def _all(client: "Client", requests: list["Request"]) -> list["Reply"]:
    replies = [client.kept(request) for request in requests]
    if gone := sum(reply is None for reply in replies):
        do = "Start again: only these are asked for."
        raise UserError(f"{gone} requests got no answer.", got=f"after {ROUNDS} rounds", do=do)
    return [reply for reply in replies if reply]
