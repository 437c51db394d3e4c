"""Servers of reasoning models as they behave, over a socket: what is sent, what arrives, what it costs."""

import asyncio
import json

import pytest
from support import stand_in_server

from medinstruct import llm
from medinstruct.errors import UserError

THOUGHT = "The joint is hot. Is it septic? Output (a) seems safer."
NONE = {"prompt_tokens": 30, "completion_tokens": 8, "total_tokens": 38}


def refuses(message, **more):
    return 400, {"error": {"message": message, "type": "invalid_request_error"} | more}


def reply(content, finish="stop", usage=NONE, **more):
    message = {"role": "assistant", "content": content} | more
    choice = {"index": 0, "message": message, "finish_reason": finish}
    head = {"id": "x", "object": "chat.completion", "created": 1, "model": "m-2026"}
    return 200, head | {"choices": [choice], "usage": usage}


def answer(sent):
    """The answer to the question at the end, which names its number."""
    return f"Rest and ice, {sent['messages'][-1]['content'].split()[-1]}"


def gpt_5(sent, number):
    if "max_tokens" in sent:
        text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        return refuses(text, param="max_tokens", code="unsupported_parameter")
    if sent.get("temperature", 1) != 1:
        text = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported."
        return refuses(text, param="temperature", code="unsupported_value")
    if "presence_penalty" in sent:
        return refuses("Unsupported parameter: 'presence_penalty' is not supported.")
    if (effort := sent.get("reasoning_effort")) == "none":
        text = "Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: 'minimal', 'low', 'medium', and 'high'."
        return refuses(text, param="reasoning_effort", code="unsupported_value")
    thought = 0 if effort == "minimal" else 320
    room = sent["max_completion_tokens"]
    used = {"prompt_tokens": 30, "completion_tokens": min(room, thought + 8)}
    used["total_tokens"] = 30 + used["completion_tokens"]
    used["completion_tokens_details"] = {"reasoning_tokens": min(room, thought)}
    return reply("", "length", used) if room < thought + 8 else reply(answer(sent), usage=used)


def qwen_3(sent, number):
    if sent.get("chat_template_kwargs", {}).get("enable_thinking") is False:
        return reply(answer(sent))
    return reply(f"<think>\n{THOUGHT}\n</think>\n\n{answer(sent)}")


def deepseek(sent, number):
    if sent.get("thinking") == {"type": "disabled"}:
        return reply(answer(sent))
    used = NONE | {"completion_tokens_details": {"reasoning_tokens": 5}}
    return reply(answer(sent), usage=used, reasoning_content=THOUGHT)


def gemini(sent, number):
    if "presence_penalty" in sent:
        text = "Penalty is not enabled for models/gemini-3-pro"
        return 400, json.dumps([refuses(text, code=400, status="INVALID_ARGUMENT")[1]])
    if sent.get("reasoning_effort") in ("none", "minimal"):
        text = "Budget 0 is invalid. This model only works in thinking mode."
        return 400, json.dumps([refuses(text, code=400, status="INVALID_ARGUMENT")[1]])
    return reply(answer(sent), usage=NONE | {"total_tokens": 138})  # a hundred of thought


def kimi(sent, number):
    if sent.get("temperature", 1) != 1:
        return refuses("invalid temperature: only 1 is allowed for this model")
    if "presence_penalty" in sent:
        return refuses("invalid presence_penalty: only 0 is allowed for this model")
    if sent.get("thinking") == {"type": "disabled"}:
        return refuses("thinking cannot be disabled for this model")
    return reply(answer(sent), reasoning_content=THOUGHT)


def grok(sent, number):
    for name, theirs in (("presence_penalty", "presencePenalty"), ("reasoning_effort",) * 2):
        if name in sent:
            text = f"Argument not supported on this model: {theirs}"
            return 400, {"code": "Client specified an invalid argument", "error": text}
    return reply(answer(sent), usage=NONE | {"total_tokens": 138})


def gemma_2(sent, number):
    if any(message["role"] == "system" for message in sent["messages"]):
        text = "System role not supported"
        return 400, {"object": "error", "message": text, "type": "BadRequestError", "code": 400}
    return reply(f"{answer(sent)}")


def openrouter(sent, number):
    if number % 2:
        return 200, {"error": {"message": "Provider returned error", "code": 429}, "user_id": "u"}
    return reply(answer(sent), reasoning=THOUGHT)


def ask(behave, *, name="localhost", count=5, room=100, **fields):
    """Ask a server that many questions through the client, which takes it for the one named."""

    async def talk():
        url = stand_in_server.listen(service=server).replace("/v1", f"/{name}/v1")
        client = llm.Client(url=url, model="m", usd_per_mtok=(1, 10), concurrency=1, **fields)
        parameters = {"max_tokens": room, "temperature": 0.0, "presence_penalty": 1.0}
        turns = [[{"role": "system", "content": "Be brief."}] for _ in range(count)]
        for number, turn in enumerate(turns):
            turn.append({"role": "user", "content": f"What helps a hot joint, number {number}"})
        asked = [llm.Request(messages=turn, parameters=parameters) for turn in turns]
        return await client.ask_all(asked), client

    server = stand_in_server.Behaving(behave)
    replies, client = asyncio.run(talk())
    return replies, server.sent, client


SERVERS = {
    # behavior, url, thinking: requests beyond the five, fields of the last one, thought tokens
    "gpt-5": (gpt_5, "openai.com", None, 3 + 5, {"max_completion_tokens": 800}, 5 * (100 + 320)),
    "gpt-5 off": (gpt_5, "openai.com", False, 3 + 1, {"reasoning_effort": "minimal"}, 0),
    "qwen3": (qwen_3, "vllm", None, 0, {"temperature": 0.0, "presence_penalty": 1.0}, 5 * 6),
    "qwen3 off": (qwen_3, "vllm", False, 0, {"max_tokens": 100}, 0),
    "deepseek": (deepseek, "deepseek.com", None, 0, {"max_tokens": 100}, 25),
    "deepseek off": (deepseek, "deepseek.com", False, 0, {"thinking": {"type": "disabled"}}, 0),
    "gemini": (gemini, "googleapis.com", None, 1, {"temperature": 0.0}, 500),
    "gemini off": (gemini, "googleapis.com", False, 3, {"reasoning_effort": "low"}, 500),
    "kimi": (kimi, "api.kimi.ai", None, 2, {"max_tokens": 100}, 5 * 6),
    "kimi off": (kimi, "api.kimi.ai", False, 3, {"reasoning_effort": "low"}, 5 * 6),
    "grok": (grok, "api.x.ai", None, 1, {"temperature": 0.0}, 500),
    "grok off": (grok, "api.x.ai", False, 3, {"temperature": 0.0}, 500),
    "gemma 2": (gemma_2, "vllm", None, 1, {"presence_penalty": 1.0}, 0),
    "openrouter": (openrouter, "openrouter.ai", None, 5, {"max_tokens": 100}, 5 * 6),
}


@pytest.mark.parametrize(
    "behave, name, thinking, more, fields, thought", SERVERS.values(), ids=SERVERS
)
def test_five_replies_arrive_without_thoughts_and_are_counted(
    behave, name, thinking, more, fields, thought
):
    replies, sent, client = ask(behave, name=name, thinking=thinking)
    numbers = [reply.text.removeprefix("Rest and ice, ") for reply in replies]
    assert numbers == list("01234") and {reply.incomplete_reason for reply in replies} == {""}
    assert len(sent) == 5 + more and fields.items() <= sent[-1].items()
    used = client.usage
    assert used["reasoning_tokens"] == pytest.approx(thought, abs=5)
    usd = (used["prompt_tokens"] + 10 * used["completion_tokens"]) / 1e6
    assert used["usd"] == pytest.approx(usd) and used["completion_tokens"] >= thought
    assert all("Be brief." in json.dumps(body["messages"]) for body in sent)


def test_a_refusal_is_learned_once_by_workers_that_meet_it_together(caplog):
    def behave(sent, number):
        return gemini(sent, number)

    async def talk():
        url = stand_in_server.listen(service=server).replace("/v1", "/googleapis.com/v1")
        client = llm.Client(url=url, model="m", concurrency=16, thinking="off")
        turns = [[{"role": "user", "content": f"Number {n}"}] for n in range(40)]
        return await client.ask_all([llm.Request(messages=turn) for turn in turns])

    server = stand_in_server.Behaving(behave)
    assert len(asyncio.run(talk())) == 40 and server.sent[-1]["reasoning_effort"] == "low"
    assert sum("does not take" in row.getMessage() for row in caplog.records) == 2


def test_a_server_that_takes_no_form_of_thinking_is_asked_without_it():
    def strict(sent, number):
        if extra := sorted(set(sent) - {"model", "messages", "max_tokens", "temperature"}):
            return refuses(f"Unrecognized request argument supplied: {extra[0]}")
        return reply(answer(sent))

    replies, sent, _ = ask(strict, thinking="on", reasoning_effort="high", count=2)
    assert sent[0]["chat_template_kwargs"]["enable_thinking"] and replies[1].text
    assert not {"chat_template_kwargs", "reasoning_effort"} & set(sent[-1])
    replies, sent, _ = ask(strict, extra={"top_k": 7}, count=2)
    assert sent[0]["top_k"] == 7 and "top_k" not in sent[-1] and replies[1].text


def in_context(limit, thought):
    """A server with so long a context, whose answers come after so much thought."""

    def behave(sent, number):
        room = sent["max_tokens"]
        if 30 + room > limit:
            text = f"This model's maximum context length is {limit} tokens. However, your request has 30 input tokens plus {room} 'max_tokens'. Please reduce one or the other."
            return refuses(text, code=400)
        return reply(answer(sent)) if room > thought else reply("<think>Is it", "length")

    return behave


@pytest.mark.parametrize(
    "limit, thought, rooms, reason",
    [
        (9000, 320, [100, 800], ""),
        (430, 320, [100, 800, 400], ""),  # the largest room that the error names
        (430, 500, [100, 800, 400], "length"),
        (130, 500, [100, 800], "length"),  # no more room than the first time
        (90, 50, [100, 60], ""),  # not even the first room fits
    ],
)
def test_a_reply_that_only_thinks_gets_eight_times_the_room_or_what_the_context_holds(
    limit, thought, rooms, reason
):
    replies, sent, client = ask(in_context(limit, thought), count=1)
    assert [body["max_tokens"] for body in sent] == rooms
    assert replies[0].incomplete_reason == reason
    assert (
        replies[0].text == ("" if reason else "Rest and ice, 0") and "joint" not in replies[0].text
    )


def test_a_prompt_that_does_not_fit_ends_with_the_servers_words():
    with pytest.raises(UserError, match="maximum context length is 20 tokens"):
        ask(in_context(20, 0), count=1)


@pytest.mark.parametrize(
    "body, words",
    [
        ({"error": {"message": "Insufficient credits", "code": 402}}, "Insufficient credits"),
        ({"choices": [], "model": None}, "gave no answer"),
        ([b"<!doctype html><title>Sign in</title>"], "ends in /v1"),
        (reply("", error={"code": 502})[1] | {"choices": []}, "gave no answer"),
    ],
)
def test_a_body_that_holds_no_answer_is_an_error_and_is_not_kept(
    body, words, monkeypatch, tmp_path
):
    monkeypatch.setattr("medinstruct.llm.retry.FIRST_RETRIES", 0)
    with pytest.raises(UserError, match=words):
        ask(lambda sent, number: (200, body), count=1, cache=tmp_path / "c.sqlite")
    assert not llm.Cache(tmp_path / "c.sqlite").keys()


def test_the_key_of_an_answer_knows_whether_the_model_was_to_think():
    request = llm.Request(messages=[{"role": "user", "content": "Why?"}])
    form = {"url": "http://localhost:8000/v1", "model": "m"}
    clients = [llm.Client(**form, **more) for more in ({}, {"thinking": "off"}, {"thinking": True})]
    clients.append(llm.Client(**form, reasoning_effort="low"))
    assert len({client.key(request) for client in clients}) == 4


def events(text, size, **usage):
    """A reply as server-sent events of so many characters."""
    pieces = [{"content": text[n : n + size]} for n in range(0, len(text), size)]
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m-2026"}
    rows = [{"choices": [{"index": 0, "delta": piece}]} for piece in pieces]
    rows += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    rows += [{"choices": [], "usage": NONE | usage}]
    return [f"data: {json.dumps(head | row)}\n\n".encode() for row in rows] + [b"data: [DONE]\n\n"]


@pytest.mark.parametrize("size", [1, 5, 400])
def test_a_streamed_thought_reaches_nothing_but_the_count(size, tmp_path):
    async def talk():
        url = stand_in_server.listen(service=server, faults=stand_in_server.Faults(pace=0))
        client = llm.Client(url=url, model="m", usd_per_mtok=(1, 10))
        request = llm.Request(messages=[{"role": "user", "content": "What helps?"}])
        items = [item async for item in client.stream(request)]
        return items, client.usage

    text = f"<think>\n{THOUGHT}\n</think>\n\nRest and ice. Then see a doctor."
    server = stand_in_server.Behaving(lambda sent, number: (200, events(text, size)))
    (*pieces, reply), usage = asyncio.run(talk())
    assert "".join(pieces) == reply.text == "Rest and ice. Then see a doctor."
    assert reply.thought == THOUGHT and 0 < usage["reasoning_tokens"] < usage["completion_tokens"]
    assert reply.completion_tokens == 8 and usage["usd"] == pytest.approx((30 + 80) / 1e6)


def test_a_thought_without_its_opening_mark_is_taken_back_and_hidden_from_then_on():
    async def talk():
        url = stand_in_server.listen(service=server, faults=stand_in_server.Faults(pace=0))
        clients = [llm.Client(url=url, model="m", thinking=thinking) for thinking in (None, "on")]
        request = llm.Request(messages=[{"role": "user", "content": "What helps?"}])
        return [[i async for i in clients[n].stream(request)] for n in (0, 0, 1)]

    server = stand_in_server.Behaving(
        lambda sent, number: (200, events(f"{THOUGHT}</think>Rest.", 9))
    )
    first, second, declared = asyncio.run(talk())
    assert "".join(first[:-1]) in THOUGHT and first[-1].text == "Rest."
    assert second[:-1] == declared[:-1] == ["Rest."]
    assert {items[-1].thought for items in (first, second, declared)} == {THOUGHT}


def test_a_cheaper_tier_is_waited_for_and_never_given_up_for_the_full_price():
    """What the flex tier of OpenAI sends while it has no room, and where a model has no such tier."""

    def busy(sent, number):
        return (429, {"error": {"message": "Resource Unavailable"}}) if number == 1 else reply("Ok")

    flex = {"service_tier": "flex"}
    replies, sent, _ = ask(busy, extra=flex, count=2)
    assert [row.text for row in replies] == ["Ok"] * 2 and len(sent) == 3
    assert {body["service_tier"] for body in sent} == {"flex"}
    with pytest.raises(UserError, match="Invalid service_tier"):
        ask(
            lambda sent, n: refuses("Invalid service_tier argument", param="service_tier"),
            extra=flex,
        )
