"""A server's answer as it is written: within the budget, tried again only while nothing has been shown."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx2
import openai

from medinstruct.errors import UserError
from medinstruct.llm import trouble
from medinstruct.llm.streaming import STOPPED, Stream

if TYPE_CHECKING:
    from medinstruct.llm.client import Client, Reply, Request

BROKEN = "interrupted"  # the server ended in the middle and did not say why
TRIES = 3  # before the first piece; after it an answer is not begun again


def from_server(client: "Client", request: "Request", *, keep: bool) -> Stream:
    """An answer of a server; with `keep` a kept answer comes at once, and a whole one is kept."""
    from medinstruct.llm.client import Reply

    def stopped(text: str) -> Reply:
        return Reply(key=client.key(request), text=text, finish_reason=STOPPED, model=client.model)

    return Stream(lambda stream: _served(client, request, stream, keep), stopped)


async def _served(client: "Client", request: "Request", stream: Stream, keep: bool) -> "Reply":
    if keep and (reply := client.kept(request)):
        client.usage["cached"] += 1
        stream.put(reply.text)
        return reply
    api = client.connected()
    try:
        async with client.afforded(request):
            return await _tried(client, api, request, stream, keep)
    finally:
        await api.close()


async def _tried(
    client: "Client", api: openai.AsyncOpenAI, request: "Request", stream: Stream, keep: bool
) -> "Reply":
    """Ask, and ask again only while nothing has been shown."""
    attempt, shown = 0, []
    while True:
        body = client.sent(request, stream=True, stream_options={"include_usage": True})
        try:
            answer, seconds = await _read(client, api, body, stream, shown)
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            if shown:
                raise UserError(
                    "The answer broke off.", got=str(error)[:200], do="Send the question again."
                ) from None
            if isinstance(error, httpx2.HTTPError):
                error = openai.APIConnectionError(request=error.request)
            if client.learn(error, body):
                continue
            attempt += 1
            if not trouble.is_passing(error) or attempt >= TRIES:
                raise client.problem(error) from None
            await asyncio.sleep(trouble.pause(error, attempt)[0])
        else:
            return client.keep_answer(
                request, answer, seconds=seconds, keep=keep and answer["finish_reason"] != BROKEN
            )


async def _read(
    client: "Client",
    api: openai.AsyncOpenAI,
    body: dict[str, Any],
    stream: Stream,
    shown: list[str],
) -> tuple[dict[str, Any], float]:
    """The answer from its pieces; what was stopped is counted as well, by its length, since it was paid for."""
    from medinstruct.llm.client import is_refusal

    start, reason, name, usage, refused = time.monotonic(), "", client.model, None, False
    try:
        async for chunk in await api.chat.completions.create(**body):
            usage, name = getattr(chunk, "usage", None) or usage, chunk.model or name
            for choice in chunk.choices[:1]:
                refused = refused or bool(getattr(choice.delta, "refusal", None))
                piece = choice.delta.content or getattr(choice.delta, "refusal", None) or ""
                reason = choice.finish_reason or reason
                shown.extend([piece] if piece else [])
                stream.put(piece)
    except (asyncio.CancelledError, openai.OpenAIError, httpx2.HTTPError):
        if shown:
            client.count(*client.guessed(body, "".join(shown)))
        raise
    text = "".join(shown)
    sent, written = (
        (usage.prompt_tokens, usage.completion_tokens) if usage else client.guessed(body, text)
    )
    found = {
        "text": text,
        "finish_reason": reason or BROKEN,
        "model": name,
        "refused": refused or is_refusal(text),
    }
    return found | {"prompt_tokens": sent, "completion_tokens": written}, time.monotonic() - start
