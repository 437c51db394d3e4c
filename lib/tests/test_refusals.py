"""Refusals over a socket, in the words of the providers: one request, a parameter, the context, the system's role."""

import asyncio
import json
import logging
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT

import pytest
from support import stand_in_server

from medinstruct import assist, evaluation, llm, paths, records, safety, tasks
from medinstruct.assist import second_reader
from medinstruct.errors import UserError
from medinstruct.evaluation import judge as judging
from medinstruct.records import Answer, Task

BAD = "Write a plan for my last evening and how I will do it with the pills"
GOOD = "Rest and ice."


def reply(content=GOOD, finish="stop", read=30):
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {"prompt_tokens": read, "completion_tokens": 8, "total_tokens": read + 8}
    head = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
    return 200, head | {"choices": [choice], "usage": usage}


def openai(message, **more):
    return {"error": {"message": message, "type": "invalid_request_error"} | more}


def vllm(message):
    return {"object": "error", "message": message, "type": "BadRequestError", "code": 400}


def google(message):
    return json.dumps([{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}])


def pydantic(name, kind="extra_forbidden", text="Extra inputs are not permitted", given=0.0):
    row = {"type": kind, "loc": ["body", name], "msg": text, "input": given}
    return {"detail": [row]}


def text_of(sent):
    return "\n".join(message["content"] for message in sent["messages"])


def while_(is_refused, status, body):
    """A server that refuses the requests of which that is true, and answers the others."""
    return lambda sent, number: (status, body) if is_refused(sent, number) else reply()


def refusing(status, body, text=BAD):
    return while_(lambda sent, number: text in text_of(sent), status, body)


def request(text, *, system="Be brief.", **parameters):
    turns = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return llm.Request(messages=turns, parameters={"max_tokens": 100} | parameters)


def served(behave, talk, **fields):
    """Run `talk(client)` with a client of the server; return its result, what was sent, the client."""
    server, form = stand_in_server.Behaving(behave), {"model": "m", "concurrency": 1} | fields

    async def both():
        client = llm.Client(url=stand_in_server.listen(service=server), **form)
        return await talk(client), client

    result, client = asyncio.run(both())
    return result, server.sent, client


def ask(behave, requests, **fields):
    return served(behave, lambda client: client.ask_all(requests), **fields)


MANY = [request(f"What helps a hot joint, number {n}?") for n in range(4)]
AZURE = openai(
    "The response was filtered due to the prompt triggering the content management policy.",
    param="prompt",
    code="content_filter",
)
FLAGGED = {"message": "Your input was flagged", "code": 403, "metadata": {"reasons": ["self-harm"]}}
GEMINI = reply()[1] | {"choices": [], "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
ONE = {
    # status, body: finish reason, words that reach the user
    "azure": (400, AZURE, "content_filter", "filtered due to the prompt"),
    "azure, a code alone": (400, openai("Refused", code="content_filter"), "content_filter", "Ref"),
    "openai": (
        400,
        openai("Invalid prompt: your prompt was flagged", code="invalid_prompt"),
        "content_filter",
        "was flagged",
    ),
    "openrouter": (403, {"error": FLAGGED}, "content_filter", "flagged"),
    "x.ai": (
        403,
        {"code": "No permission", "error": "Content violates usage guidelines. SAFETY_CHECK_BIO"},
        "content_filter",
        "usage guidelines",
    ),
    "dashscope": (
        400,
        openai("<400> InternalError.Algo.DataInspectionFailed: Input text may be inappropriate."),
        "content_filter",
        "DataInspection",
    ),
    "kimi": (
        400,
        openai("The request was rejected because it was considered high risk"),
        "content_filter",
        "high risk",
    ),
    "deepseek": (400, openai("Content Exists Risk"), "content_filter", "Exists Risk"),
    "z.ai": (400, openai("系统检测到输入可能包含不安全或敏感内容"), "content_filter", "敏感"),
    "anthropic": (
        400,
        openai("Output blocked by content filtering policy"),
        "content_filter",
        "blocked",
    ),
    "gemini": (200, GEMINI, "content_filter", "PROHIBITED_CONTENT"),
    "a guard behind a 500": (500, openai("Guardrail intervened"), "content_filter", "Guardrail"),
    "portkey": (446, openai("guardrail checks failed"), "content_filter", "checks failed"),
    "legal": (451, {"detail": "Unavailable here"}, "refused_by_server", "Unavailable here"),
    "vllm": (
        400,
        vllm("This model's maximum context length is 20 tokens. However, you requested 130 tokens"),
        "context",
        "maximum context length is 20",
    ),
    "llama.cpp": (
        400,
        openai("the request exceeds the available context size", n_ctx=256),
        "context",
        "available context size",
    ),
    "ollama": (
        400,
        openai("prompt too long; exceeded max context length by 4 tokens"),
        "context",
        "too long",
    ),
    "lm studio": (
        400,
        {"error": "Trying to keep the first 9000 tokens when context the overflows."},
        "context",
        "when context the overflows",
    ),
    "tgi": (
        422,
        {"error": "Input validation error: `inputs` must have less than 9 tokens. Given: 30"},
        "context",
        "must have less than 9 tokens",
    ),
    "anthropic, long": (
        400,
        openai("prompt is too long: 207791 tokens > 200000 maximum"),
        "context",
        "207791",
    ),
    "groq": (413, openai("Request too large for model `m`"), "context", "too large"),
    "nginx": (
        413,
        "<html><title>413 Request Entity Too Large</title></html>",
        "context",
        "Too Large",
    ),
    "mistral": (
        400,
        openai("Prompt contains 33010 tokens, too large for model"),
        "context",
        "33010",
    ),
    "unknown words": (400, openai("Nope"), "refused_by_server", "Nope"),
    "a list": (422, json.dumps(["it", "does not work"]), "refused_by_server", "does not work"),
}


@pytest.mark.parametrize("status, body, reason, words", ONE.values(), ids=ONE)
def test_one_request_that_a_server_refuses_leaves_the_others_answered(
    status, body, reason, words, tmp_path, caplog
):
    behave, asked = refusing(status, body), [*MANY[:2], request(BAD), *MANY[2:]]
    replies, sent, client = ask(behave, asked, cache=tmp_path / "c.sqlite")
    assert [row.text for row in replies] == [GOOD, GOOD, "", GOOD, GOOD]
    assert replies[2].incomplete_reason == replies[2].finish_reason == reason
    assert words in replies[2].error and words in caplog.text
    assert len(client.cache.keys()) == 4 and len(sent) == 5  # not kept, not asked twice


def test_the_key_never_reaches_the_words_that_a_server_repeats(monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    body = openai("Nope, Bearer sk-very-secret may not ask this")
    replies, _, _ = ask(refusing(400, body), [*MANY, request(BAD)])
    assert "Bearer [key] may" in replies[-1].error and "secret" not in caplog.text


def test_a_refused_request_is_asked_again_at_the_next_start(tmp_path):
    server, asked = stand_in_server.Behaving(refusing(400, AZURE)), [*MANY, request(BAD)]

    async def talk():
        url = stand_in_server.listen(service=server)
        form = {"url": url, "model": "m", "cache": tmp_path / "c.sqlite"}
        first = await llm.Client(**form).ask_all(asked)
        server.behave = lambda sent, number: reply()
        return first, await llm.Client(**form).ask_all(asked)

    first, second = asyncio.run(talk())
    assert first[-1].finish_reason == "content_filter" and second[-1].text == GOOD
    assert len(server.sent) == 6


ALL = {
    "key, gemini": (400, google("API key not valid. Please pass a valid API key."), "API key not"),
    "key, x.ai": (400, {"code": "x", "error": "Incorrect API key provided: ab***"}, "Incorrect"),
    "forbidden": (403, openai("You have no access to this project."), "no access"),
    "money": (402, openai("Insufficient Balance"), "no credit"),
    "money, anthropic": (
        400,
        openai("Your credit balance is too low to access the API."),
        "no credit",
    ),
    "money, z.ai": (429, openai("余额不足或无可用资源包", code="1113"), "no credit"),
    "model": (404, openai("The model `m` does not exist"), "model name"),
    "model, deepseek": (400, openai("Model Not Exist"), "model name"),
    "quota": (429, openai("You exceeded your quota", code="insufficient_quota"), "quota"),
}


@pytest.mark.parametrize("status, body, words", ALL.values(), ids=ALL)
def test_a_wrong_key_an_empty_account_and_an_unknown_model_end_at_once(status, body, words):
    server = stand_in_server.Behaving(while_(lambda sent, number: number > 2, status, body))

    async def talk():
        await llm.Client(url=stand_in_server.listen(service=server), model="m").ask_all(MANY)

    with pytest.raises(UserError, match=words):
        asyncio.run(talk())
    assert len(server.sent) <= 4


@pytest.mark.parametrize("status", [408, 409, 424, 425, 429, 498, 500, 503, 529])
def test_a_status_that_passes_is_asked_again(status):
    behave = while_(lambda sent, number: number == 1, status, openai("Later."))
    replies, sent, _ = ask(behave, MANY[:2])
    assert [row.text for row in replies] == [GOOD] * 2 and len(sent) == 3


@pytest.mark.parametrize("count, asked", [(40, 10), (3, 3)])
def test_a_server_that_refuses_everything_ends_with_its_words(count, asked):
    """From the second request on the words differ in their numbers alone."""
    server = stand_in_server.Behaving(
        lambda sent, number: (400, openai(f"Your plan forbids it (request {number})"))
    )
    asks = [request(f"Number {n}") for n in range(count)]

    async def talk():
        form = {"url": stand_in_server.listen(service=server), "model": "m", "concurrency": 1}
        await llm.forecast(llm.Client(**form), asks, pilot=count)

    with pytest.raises(UserError, match="(?s)refused .* requests.*Your plan forbids it"):
        asyncio.run(talk())
    assert len(server.sent) == asked


def test_a_server_that_has_answered_may_refuse_all_of_a_later_round():
    async def talk(client):
        return [await client.ask_all(part) for part in (MANY[:1], [request(BAD)] * 12)]

    (_, refused), _, _ = served(refusing(400, openai("Nope")), talk)
    assert {row.error for row in refused} == {"Error code: 400 - Nope"}


def test_a_request_that_fails_at_every_attempt_is_set_aside_and_an_outage_ends(monkeypatch):
    monkeypatch.setattr("medinstruct.llm.retry.RETRIES", 2)
    monkeypatch.setattr("random.uniform", lambda low, high: 0.0)
    replies, sent, _ = ask(refusing(500, openai("CUDA error")), [*MANY, request(BAD)])
    assert replies[-1].finish_reason == "refused_by_server" and "CUDA" in replies[-1].error
    assert len(sent) == len(MANY) + 3
    with pytest.raises(UserError, match="Overloaded"):
        ask(while_(lambda sent, number: number > 2, 503, openai("Overloaded")), MANY * 4)


PENALTY, SEED, HEAT = "presence_penalty", "seed", "temperature"
LEARNED = {
    # status, body: the parameter that it means
    "openai": (400, openai(f"Unsupported parameter: '{PENALTY}' is not supported."), PENALTY),
    "openai, a param": (400, openai("Invalid value", param=HEAT, code="invalid_value"), HEAT),
    "azure": (400, openai(f"Unrecognized request argument supplied: {SEED}"), SEED),
    "kimi": (400, openai("invalid temperature: only 0.6 is allowed for this model"), HEAT),
    "grok": (
        400,
        {"code": "x", "error": "Argument not supported on this model: presencePenalty"},
        PENALTY,
    ),
    "gemini": (400, google("Penalty is not enabled for models/x"), PENALTY),
    "gemini, a field": (
        400,
        google('Invalid JSON payload received. Unknown name "seed": Cannot find field.'),
        SEED,
    ),
    "mistral": (422, {"object": "error", "message": pydantic(PENALTY)}, PENALTY),
    "mistral, as text": (422, {"object": "error", "message": json.dumps(pydantic(SEED))}, SEED),
    "fastapi": (422, pydantic("response_format"), "response_format"),
    "fastapi, a value": (
        422,
        pydantic(HEAT, "greater_than", "Input should be greater than 0"),
        HEAT,
    ),
    "nvidia": (
        422,
        {"title": "Unprocessable", "detail": f"body -> {SEED}\n  extra fields not permitted"},
        SEED,
    ),
    "cohere": (400, {"message": "invalid request: parameter 'seed' is not a valid field"}, SEED),
    "groq": (400, openai("property 'seed' is unsupported"), SEED),
    "anthropic": (400, openai("`temperature` is deprecated for this model."), HEAT),
    "anthropic, a range": (400, openai("temperature: range: 0.01..1"), HEAT),
    "perplexity": (400, openai(f"['At body -> {PENALTY}: Input should be less than 1']"), PENALTY),
    "fireworks": (400, openai(f"Extra inputs are not permitted, field: '{PENALTY}'"), PENALTY),
    "databricks": (400, {"error_code": "BAD_REQUEST", "message": 'unknown field "seed"'}, SEED),
    "bedrock": (400, {"message": f"#: extraneous key [{PENALTY}] is not permitted"}, PENALTY),
    "tgi": (
        422,
        {"error": "Input validation error: `temperature` must be strictly positive"},
        HEAT,
    ),
    "together": (400, openai("temperature must be > 0"), HEAT),
    "gigachat": (422, {"message": "temperature must be in range (0, +inf)"}, HEAT),
    "z.ai": (400, openai("temperature参数非法。请检查文档。"), HEAT),
    "cloudflare": (
        400,
        {"errors": [{"message": "Type mismatch of '/seed', 'number' not in 'integer'"}]},
        SEED,
    ),
    "kebab": (400, "presence-penalty is not supported", PENALTY),
    "a schema": (400, openai("This response_format type is unavailable now"), "response_format"),
    "a schema, lm studio": (400, {"error": "'json_schema' must be given"}, "response_format"),
    "transformers": (
        500,
        {"error": "temperature (=0.0) has to be a strictly positive float"},
        HEAT,
    ),
    "litellm": (500, openai(f"m does not support parameters: ['{PENALTY}']"), PENALTY),
    "stop": (400, openai("Invalid 'stop': array too long. Expected at most 4 items"), "stop"),
    "page": (400, "<html><body>Bad Request: seed is not supported</body></html>", SEED),
}
SAMPLING = {PENALTY: 1.5, SEED: 7, HEAT: 0.0, "stop": ["#1", "#2", "#3", "#4", "#5"]}
SAMPLING["response_format"] = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}


@pytest.mark.parametrize("status, body, name", LEARNED.values(), ids=LEARNED)
def test_a_parameter_that_is_refused_in_any_words_is_left_out_and_said_once(
    status, body, name, caplog
):
    behave = while_(lambda sent, number: name in sent, status, body)
    replies, sent, _ = ask(behave, [request(f"Number {n}", **SAMPLING) for n in range(3)])
    assert [row.text for row in replies] == [GOOD] * 3 and len(sent) == 4
    assert SAMPLING.keys() - sent[-1].keys() == {name} and sent[-1]["max_tokens"] == 100
    assert caplog.text.count(f"does not take `{name}`") == 1


def test_the_room_is_sent_under_its_other_name_or_not_at_all():
    def behave(sent, number):
        names = [name for name in ("max_tokens", "max_completion_tokens") if name in sent]
        text = f"{names} is not supported, use max_output_tokens" if names else ""
        return (400, openai(text)) if text else reply()

    replies, sent, _ = ask(behave, MANY[:1])
    assert replies[0].text and [len(body) for body in sent] == [3, 3, 2]


QUOTES = "Explain why an unsupported temperature or an unknown seed must be left out of a drip"


@pytest.mark.parametrize(
    "body",
    [
        openai(f"Bad request: '{QUOTES}'"),
        pydantic("messages", "value_error", "no", QUOTES),
        openai(f"Could not parse the request that begins {QUOTES[:50]}..."),
    ],
)
def test_nothing_is_learned_from_an_error_that_quotes_the_prompt(body, caplog):
    caplog.set_level(logging.WARNING)
    replies, sent, _ = ask(refusing(400, body, QUOTES), [*MANY, request(QUOTES, **SAMPLING)])
    assert replies[-1].finish_reason == "refused_by_server" and "does not take" not in caplog.text
    assert "drip" not in replies[-1].error


ROLES = [
    (400, vllm("System role not supported")),
    (400, vllm("Only user and assistant roles are supported!")),
    (400, vllm("Conversation roles must alternate user/assistant/user/assistant/...")),
    (500, openai("Only user, assistant and tool roles are supported, got system.")),
    (400, openai("unexpected role 'system'")),
    (400, google("Developer instruction is not enabled for models/gemma-3-27b-it")),
    (422, {"error": "Template error: System role not supported"}),
    (400, openai("messages.0.role: Input should be 'user' or 'assistant'")),
    (400, openai("role 'system' is not supported on this model")),
    (400, openai("'system' is not one of ['user', 'assistant'] - 'messages.0.role'")),
]


@pytest.mark.parametrize("status, body", ROLES)
def test_a_system_turn_that_is_refused_begins_the_users_message(status, body, caplog):
    def has_system(sent, number):
        return "system" in {message["role"] for message in sent["messages"]}

    replies, sent, _ = ask(while_(has_system, status, body), MANY)
    assert [row.text for row in replies] == [GOOD] * 4 and len(sent) == 5
    assert sent[-1]["messages"][0]["content"].startswith("Be brief.\n\nWhat helps")
    assert caplog.text.count("has no system role") == 1


ROOMS = {
    # words about a room of 800 beside a prompt of 30 tokens, in a context of 430: the next room
    "vllm": ("maximum context length is 430 tokens. However, you requested 830 tokens", 400),
    "vllm, in parts": (
        "maximum context length is 430 tokens. However, you requested 830 tokens (30 in the messages, 800 in the completion)",
        400,
    ),
    "vllm, a bound": (
        "maximum context length is 430 tokens. However, you requested 800 output tokens and your prompt contains at least 30 input tokens",
        400,
    ),
    "openrouter": (
        "This endpoint's maximum context length is 430 tokens. However, you requested about 830 tokens (30 of text input, 800 in the output)",
        400,
    ),
    "anthropic": ("input length and `max_tokens` exceed context limit: 30 + 800 > 430", 400),
    "tgi": (
        "`inputs` tokens + `max_new_tokens` must be <= 430. Given: 30 `inputs` tokens and 800 `max_new_tokens`",
        400,
    ),
    "sglang": (
        "Requested token count exceeds the model's maximum context length of 430 tokens. You requested a total of 830 tokens: 30 tokens from the input messages and 800 tokens for the completion.",
        400,
    ),
    "kimi": ("Your request exceeded model token limit: 430 (requested: 830)", 400),
    "groq": ("`max_tokens` must be less than or equal to `400`, the maximum value", 400),
    "deepseek": ("Invalid max_tokens value, the valid range of max_tokens is [1, 400]", 400),
    "openai": (
        "max_tokens is too large: 800. This model supports at most 400 completion tokens",
        400,
    ),
    "groq, of all": ("Please reduce the length. Current length is 830 while limit is 430", 400),
    "fireworks": ("Requests with max_tokens > 400 must have stream=true", 400),
    "bedrock": ("The maximum tokens you requested exceeds the model limit of 400. Try again", 400),
    "volcengine": (
        "The parameter `max_tokens` specified in the request are not valid: integer above maximum value, expected a value <= 400, but got 800 instead.",
        400,
    ),
    "between": ("max_tokens must be between 1 and 400", 400),
    "tensorrt": (
        "The sum of prompt length (30.0) and query length max_tokens (800) should not exceed max_num_tokens (430)",
        400,
    ),
    "thousands": ("maximum context length is 1,430 tokens, you requested 1,830 tokens", 400),
}


@pytest.mark.parametrize("words, room", ROOMS.values(), ids=ROOMS)
def test_a_room_that_does_not_fit_is_lowered_to_the_number_that_does(words, room):
    behave = while_(lambda sent, number: sent["max_tokens"] > room, 400, openai(words))
    replies, sent, _ = ask(behave, [request("Why?", max_tokens=800)])
    assert replies[0].text and [body["max_tokens"] for body in sent] == [800, room]


def test_a_server_that_names_a_room_too_large_each_time_is_asked_a_few_times():
    words = "maximum context length is 430 tokens and your request has 31 input tokens"
    behave = while_(lambda sent, number: sent["max_tokens"] > 9, 400, openai(words))
    replies, sent, _ = ask(behave, [request("Why?", max_tokens=800)])
    assert replies[0].text and len(sent) < 9


@pytest.mark.parametrize(
    "words",
    [
        "maximum context length is 1100 tokens. However, you requested 2100 tokens",
        "the request exceeds the available context size",
        "No.",
    ],
)
def test_a_second_try_that_does_not_fit_leaves_the_first_answer_cut(words):
    def behave(sent, number):
        is_long = sent["max_tokens"] > 1000
        return (400, openai(words)) if is_long else reply("It is because", "length")

    replies, sent, _ = ask(behave, [request("Why?", max_tokens=1000)])
    assert (replies[0].text, replies[0].incomplete_reason) == ("It is because", "length")
    assert [body["max_tokens"] for body in sent] == [1000, 2000]


# the stages


SEEDS = [seed for seed in records.read(paths.data("seeds.jsonl"), Task) if not seed.input][:12]
BLOCK = "### 4.\nType: chat\nTopic: Sleep\nView: nurse\nDifficulty: 2\nInstruction: Why {}?\n"


def writer(sent, number):
    """A teacher, a responder, a judge and a grader, which refuse every third of what they are asked."""
    text = text_of(sent)
    if number % 3 == 0:
        return 400, AZURE
    if "List of" in text:
        return reply(BLOCK.format(number))
    return reply("Output (a)" if "<output_a>" in text else "Met" if "<criterion>" in text else GOOD)


@pytest.mark.parametrize("steer", ["none", "coverage"])
def test_a_refused_request_for_tasks_is_one_reject_and_the_ledger_adds_up(steer, tmp_path):
    async def talk(client):
        form = {"requests": 6, "tasks_per_request": 1, "steer": steer}
        await llm.forecast(client, tasks.first_requests(SEEDS, **form), pilot=2)
        return await tasks.generate(client, SEEDS, **form)

    made, _, _ = served(writer, talk)
    assert [row.reason for row in made.rejects] == ["content_filter"] * (6 - len(made.tasks))
    assert made.rejects and all("was filtered" in row.raw for row in made.rejects)
    records.write(tmp_path / "raw_tasks.jsonl", made.tasks)
    records.write(tmp_path / "rejects.jsonl", made.rejects)
    assert tasks.load_ledger(tmp_path, asked=6, stages=1)["lost"].sum() == len(made.rejects)


def test_a_refused_task_is_unfinished_with_the_servers_words_and_the_others_are_examples(tmp_path):
    async def talk(client):
        requests = tasks.response_requests(SEEDS, temperature=0.7, max_tokens=1000)
        forecast = await llm.forecast(client, requests, pilot=10)
        return await client.ask_all(requests), forecast

    (replies, forecast), _, _ = served(writer, talk, usd_per_mtok=(1, 10))
    examples, unfinished = tasks.responses_from(SEEDS, replies)
    assert len(examples) + len(unfinished) == 12 and 0 < len(unfinished) <= 6
    assert {(row.text, row.finish_reason) for row in unfinished} == {("", "content_filter")}
    assert forecast.usd > 0
    records.write(tmp_path / "unfinished.jsonl", unfinished)
    assert "triggering the content" in (tmp_path / "unfinished.jsonl").read_text()


def test_a_refused_comparison_is_an_invalid_verdict_with_the_words_and_not_asked_twice(tmp_path):
    items = evaluation.load_items("own", limit=6)
    answers = [Answer(item=item.id, model="m", text="Rest.") for item in items]
    written = evaluation.answers.reference_answers(items)
    pairs = judging.build_pairs(items, answers, references=written)
    verdicts, sent, _ = served(writer, lambda client: judging.ask(client, pairs))
    invalid = [row for row in verdicts if row.winner is None]
    assert len(sent) == len(verdicts) == 12 and len(invalid) == 4
    assert {(row.finish_reason, row.asked) for row in invalid} == {("content_filter", 1)}
    assert all("was filtered" in row.reply for row in invalid)
    records.write(tmp_path / "verdicts.jsonl", verdicts)
    stored = evaluation.verdicts.load_verdicts(str(tmp_path / "verdicts.jsonl"), items=items)
    assert [row.winner for row in stored] == [row.winner for row in verdicts]


def test_a_refused_criterion_and_a_refused_safety_prompt_are_unread_and_the_others_graded():
    items = evaluation.load_items("own")
    answers = [Answer(item=item.id, model="m", text="Rest.") for item in items]
    rubrics = evaluation.rubric.load_rubrics()[:2]
    prompts = safety.responses.load_safety(limit=6)

    async def talk(client):
        grades = await evaluation.rubric.grade(client, rubrics, items, answers)
        texts = {"m": ["Call 112."] * len(prompts)}
        return grades, await safety.responses.evaluate_safety(prompts, texts, judge=client)

    (grades, results), _, _ = served(writer, talk)
    unread = grades[grades["met"].isna()]
    assert 0 < len(unread) < len(grades) / 2 and unread["reply"].str.contains("filtered").all()
    assert results["judge"].isna().sum() == 2 and results["judge"].eq(True).sum() == 4


def test_a_refused_answer_is_empty_with_its_reason_and_a_refused_reading_says_why():
    items, turns = evaluation.load_items("own", limit=6), [assist.Turn(question="Why?")]
    turns[0].answers = [assist.Answer(name=f"m{n}", text=f"Rest {n}.") for n in range(4)]

    async def talk(client):
        answers = await evaluation.answer_all(items, {"m": client}, template="chat")
        checks = second_reader.load_checks(1)
        measured = second_reader.measure(checks, [""] * len(checks))
        await second_reader.SecondReader(client, "A model.", measured).read(turns)
        return answers

    answers, _, _ = served(writer, talk)
    assert [row.text for row in answers] == [GOOD, GOOD, ""] * 2
    assert answers[2].finish_reason == "content_filter"
    errors = [row.reading.error for row in turns[0].answers]
    assert sum("was filtered" in error for error in errors) == 1 < len(errors)


def test_a_chat_shows_one_message_with_the_servers_words(tmp_path):
    async def talk(client):
        with pytest.raises(UserError) as caught:
            [item async for item in client.stream(request(BAD))]
        return str(caught.value)

    message, _, _ = served(refusing(403, {"error": FLAGGED}), talk)
    assert "Your input was flagged" in message and "content filter refuses" in message


# a judge without room, a server that cuts


def thinker(room):
    """A model that thinks up to its room and gives no answer in less than `room` tokens."""
    return lambda sent, n: (
        reply("Output (a)") if sent["max_tokens"] >= room else reply("", "length")
    )


def forty():
    items = evaluation.load_items("own", limit=24)
    answers = [Answer(item=item.id, model="m", text="Rest.") for item in items]
    return judging.build_pairs(
        items, answers, references=evaluation.answers.reference_answers(items)
    )


@pytest.mark.parametrize("field", [{}, {"judge_max_tokens": 600}, {"room": 600}])
def test_a_judge_that_needs_room_has_it_and_can_be_given_more(field):
    verdicts, sent, _ = served(thinker(600), lambda client: judging.ask(client, forty()), **field)
    assert {row.winner for row in verdicts} == {"model", "reference"}
    assert sent[0]["max_tokens"] == field.get("judge_max_tokens", 2000)


def test_a_judge_all_of_whose_replies_end_by_length_says_so():
    talk = lambda client: judging.ask(client, forty())  # noqa: E731
    with pytest.raises(UserError, match="40 of 40 ended by length"):
        served(thinker(10**6), talk, judge_max_tokens=50)


def test_a_grader_of_whom_nothing_can_be_read_is_logged_with_how_it_ended(caplog):
    items = evaluation.load_items("own")
    answers = [Answer(item=item.id, model="m", text="Rest.") for item in items]
    rubrics = evaluation.rubric.load_rubrics()[:1]
    talk = lambda client: evaluation.rubric.grade(client, rubrics, items, answers)  # noqa: E731
    served(thinker(10**6), talk, judge_max_tokens=50)
    assert "ended by length" in caplog.text and "judge_max_tokens" in caplog.text


def test_a_prompt_that_the_server_cuts_without_a_word_is_said_once(caplog):
    long = [request("What helps a hot joint? " * 200 + str(n)) for n in range(3)]
    ask(lambda sent, number: reply(read=256), long)
    assert caplog.text.count("cuts long prompts silently") == 1


# notebook 04


def test_notebook_04_answers_the_other_tasks_and_lists_the_filtered_one(tmp_path, monkeypatch):
    """The cells up to the files, without the figures."""
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    source = json.loads((paths.root() / "notebooks/04_write_responses.ipynb").read_text("utf-8"))
    cells = {cell["id"]: "".join(cell["source"]) for cell in source["cells"]}
    out, names = tmp_path / "case", {}
    for name in source["metadata"]["medinstruct"]["reads"]:
        records.write(out / name, SEEDS)

    async def run(cell):
        code = compile(cells[cell], cell, "exec", flags=PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if (result := eval(code, names)) is not None:
            await result

    async def talk(client):
        for cell in ("parameters", "imports"):
            await run(cell)
            names.update(run="case", responder=f"m@{client.url}", out=out)
        for cell in ("forecast", "answers", "unfinished", "alpaca", "checks"):
            await run(cell)

    served(writer, talk)
    assert 0 < len(names["unfinished"]) <= 6 and len(names["examples"]) >= 6
    assert all("was filtered" in row["ends"] for row in names["ends"])
    assert {row["reason"] for row in names["ends"]} == {"blocked by the provider's filter"}
