"""The client: order, cache, keys and budget, against the offline stand-in."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support import stand_in_server

from medinstruct import llm, models
from medinstruct.errors import UserError

ASK = [
    llm.Request(
        messages=[{"role": "user", "content": f"Type: chat\nView: nurse\nInstruction: {text}"}]
    )
    for text in "abc"
]


def test_a_second_run_is_answered_from_the_cache_in_the_same_order(tmp_path):
    first = llm.Client(url="offline", model="m", cache=tmp_path / "c.sqlite")
    replies = asyncio.run(first.ask_all(ASK))
    again = llm.Client(url="offline", model="m", cache=tmp_path / "c.sqlite")
    assert (
        [r.key for r in asyncio.run(again.ask_all(ASK))]
        == [r.key for r in replies]
        == [first.key(r) for r in ASK]
    )
    assert (first.usage["asked"], again.usage["asked"], again.usage["cached"]) == (3, 0, 3)


def test_a_paid_address_without_a_key_is_refused(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        llm.Client(url="", model="gpt-4")


def test_an_unreachable_address_is_one_message_without_the_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setattr("medinstruct.llm.retry.FIRST_RETRIES", 0)
    with pytest.raises(UserError, match="Check the address") as caught:
        asyncio.run(llm.Client(url="http://127.0.0.1:9/v1", model="m").ask_all(ASK))
    assert "sk-secret" not in str(caught.value)


def test_a_budget_is_never_passed_and_what_was_paid_is_kept(tmp_path):
    client = llm.Client(
        url="offline",
        model="m",
        cache=tmp_path / "c.sqlite",
        budget_usd=1.5e-3,
        usd_per_mtok=(1, 1),
    )
    asks = [
        ask.model_copy(update={"sample": n, "parameters": {"max_tokens": 900}})
        for n in range(9)
        for ask in ASK
    ]
    with pytest.raises(UserError, match="budget") as caught:
        asyncio.run(client.ask_all(asks))
    assert 0 < client.usage["usd"] <= 1.5e-3 and "already" not in str(caught.value)
    again = llm.Client(url="offline", model="m", cache=tmp_path / "c.sqlite")
    asyncio.run(again.ask_all(asks))
    assert again.usage["cached"] >= client.usage["asked"] > 0


def served(talk, **troubles):
    """Run `talk(url, seen)` against the stand-in over a socket."""
    rate = troubles.pop("rate", {"cut": 0.0})
    service = stand_in_server.Service(refused=troubles.pop("refused", ()), rate=rate)
    faults = stand_in_server.Faults(**troubles)

    async def both():
        return await talk(stand_in_server.listen(service=service, faults=faults), faults.seen)

    return asyncio.run(both())


MANY = [
    llm.Request(
        messages=[{"role": "user", "content": f"Type: chat\nView: nurse\nInstruction: asthma {n}"}]
    )
    for n in range(120)
]


def test_errors_limits_and_dropped_connections_lose_nothing_and_nothing_is_asked_twice_after_success(
    tmp_path,
):
    async def talk(url, seen):
        client = llm.Client(url=url, model="m", cache=tmp_path / "c.sqlite", concurrency=16)
        return await client.ask_all(MANY), seen, client

    replies, seen, client = served(talk, errors=0.1, limited=0.1, drops=0.1)
    assert [reply.key for reply in replies] == [client.key(request) for request in MANY]
    assert seen["answered"] == len(MANY) < seen["requests"]


def test_a_wrong_request_stops_at_once():
    async def talk(url, seen):
        with pytest.raises(UserError, match="refuses this request"):
            await llm.Client(url=url, model="m").ask_all([llm.Request(messages=[])])
        return seen["requests"]

    assert served(talk) == 1


def test_a_parameter_that_a_newer_model_refuses_is_replaced_or_left_out_and_said_once(caplog):
    async def talk(url, seen):
        client = llm.Client(url=url, model="m", concurrency=4)
        asks = [
            r.model_copy(update={"parameters": {"max_tokens": 900, "temperature": 1.0}})
            for r in MANY[:20]
        ]
        await client.ask_all(asks)
        return client.connection.body(asks[0])

    body = served(talk, refused=("max_tokens", "temperature"))
    assert (
        len(notes(caplog)) == 2
        and body["max_completion_tokens"] == 900
        and not {"temperature", "max_tokens"} & set(body)
    )


def notes(caplog):
    return [row.getMessage() for row in caplog.records if row.name == "medinstruct"]


def test_no_more_than_the_given_number_is_under_way():
    async def talk(url, seen):
        await llm.Client(url=url, model="m", concurrency=5).ask_all(MANY)
        return seen["most_at_once"]

    assert served(talk, latency=0.01) <= 5


class Failing(stand_in_server.Service):
    """A server whose first `times` answers are an error of this status and code."""

    def __init__(self, status, code, times):
        super().__init__()
        self.status, self.code, self.left, self.asked = status, code, times, 0

    def complete(self, content):
        self.asked, self.left = self.asked + 1, self.left - 1
        if self.left < 0:
            return super().complete(content)
        return self.status, {"error": {"message": "No.", "code": self.code}}


@pytest.mark.parametrize(
    ("status", "code", "asked", "is_answered"),
    [
        (500, None, 4, True),
        (429, "rate_limit_exceeded", 4, True),
        (429, "insufficient_quota", 1, False),
        (401, None, 1, False),
    ],
)
def test_what_may_pass_is_asked_again_and_a_used_up_quota_ends_at_once(
    status, code, asked, is_answered
):
    async def talk():
        client = llm.Client(url=stand_in_server.listen(service=service), model="m", concurrency=1)
        return await client.ask_all(ASK[:1])

    service = Failing(status, code, times=3)
    if is_answered:
        assert asyncio.run(talk())[0].text
    else:
        with pytest.raises(UserError, match="gave no answer"):
            asyncio.run(talk())
    assert service.asked == asked


@pytest.mark.parametrize("repeats, trouble", [(0, "length"), (3, "")])
def test_a_cut_answer_is_asked_for_again_with_twice_the_room(repeats, trouble, monkeypatch):
    monkeypatch.setattr("medinstruct.llm.client.REPEATS", repeats)
    cut = llm.Request(messages=MANY[0].messages, parameters={"max_tokens": 60})
    replies = asyncio.run(llm.Client(url="offline?cut=0", model="m").ask_all([cut]))
    assert replies[0].incomplete_reason == trouble


@pytest.mark.parametrize("rate, trouble", [("answer_refusal=1", "refused"), ("cut=1", "length")])
def test_what_never_becomes_whole_says_why(rate, trouble):
    assert (
        asyncio.run(llm.Client(url=f"offline?{rate}", model="m").ask_all(MANY[:1]))[
            0
        ].incomplete_reason
        == trouble
    )


@pytest.fixture
def own_models(tmp_path, monkeypatch):
    """A folder whose models.yaml a test writes."""
    from medinstruct import paths

    (tmp_path / "params").mkdir()
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    return tmp_path / "params" / "models.yaml"


def test_a_price_is_that_of_the_undated_name():
    assert (
        models.price("gpt-4o-2024-08-06").prompt == 2.5
        and models.price("gpt-4o-mini").prompt == 0.15
    )
    assert models.price("no-such-model") is None


def test_a_model_is_named_once_with_address_key_price_limits_room_and_extra_fields(
    own_models, monkeypatch
):
    own_models.write_text(
        "mine: {url: 'https://example.org/v1', model: m-1, key: MY_KEY, usd_per_mtok: [1, 2],"
        " room: 5000, extra: {reasoning_effort: low}}"
    )
    monkeypatch.setenv("MY_KEY", "sk-mine")
    client = llm.connect("mine", budget_usd=1.0)
    assert (client.url, client.model, client.price.completion) == (
        "https://example.org/v1",
        "m-1",
        2,
    )
    assert client.connection.extra == {"reasoning_effort": "low"}
    plain = llm.Client(url=client.url, model=client.model, key="MY_KEY")
    assert client.key(ASK[0]) != plain.key(ASK[0])  # another request has another answer
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(UserError, match="no MY_KEY"):
        llm.connect("mine")


def test_a_model_that_thinks_gets_its_room_and_extra_fields_reach_the_server():
    seen = []

    async def talk(url, _):
        client = llm.Client(url=url, model="m", room=5000, extra={"top_k": 7})
        send = client.connection.send

        async def watch(api, request, **more):
            seen.append(request.parameters)
            return await send(api, request, **more)

        client.connection.send = watch
        request = llm.Request(messages=ASK[0].messages, parameters={"max_tokens": 100})
        return await client.ask_all([request])

    assert served(talk)[0].text and seen == [{"max_tokens": 5000}]


@pytest.mark.parametrize("fields", [{"concurrency": 0}, {"room": -1}, {"modl": "m"}])
def test_a_wrong_field_of_a_client_is_one_clear_error(fields):
    with pytest.raises(UserError, match=f"field `{next(iter(fields))}`"):
        llm.Client(**{"url": "offline", "model": "m"} | fields)


def test_an_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="Did you mean gpt-4.1-mini"):
        llm.connect("gpt-4.1-mni")
    assert llm.connect("some-model@http://localhost:8000/v1").model == "some-model"
    assert llm.connect("offline?refusal=0.2").url == "offline?refusal=0.2"


def test_a_forecast_keeps_the_answers_of_its_pilot_and_covers_the_cost():
    client = llm.Client(url="offline?cut=0", model="m", usd_per_mtok=(1.0, 2.0))
    cost = asyncio.run(llm.forecast(client, MANY, pilot=20))
    asked = client.usage["asked"]
    asyncio.run(client.ask_all(MANY))
    assert asked >= 20 and client.usage["asked"] == len(MANY)
    assert cost.low - 1e-9 <= client.usage["usd"] <= cost.high + 1e-9


@pytest.mark.parametrize(("pilot", "spread"), [(10, 0.5), (10, 1.0), (30, 0.5), (30, 1.0)])
def test_a_forecast_holds_the_cost_of_95_of_100_stages_with_log_normal_answers(pilot, spread):
    price, held, spared = models.Price(2.0, 8.0), 0, 0
    for stage in range(300):
        chance = np.random.default_rng(stage)
        tokens = np.column_stack(
            [chance.normal(700, 150, 3000), chance.lognormal(5.5, spread, 3000)]
        )
        cost = llm.client.extrapolate(tokens[:pilot], len(tokens), price=price)
        held += cost.low <= price.of(*tokens.sum(axis=0)) <= cost.high
        spared += cost.high < 3 * cost.usd
    assert held / 300 >= 0.92 and spared > 270, held  # Student's t held 0.86 of the widest ones


def test_a_forecast_from_a_few_answers_has_no_interval_and_one_of_all_is_the_cost():
    price = models.Price(1.0, 1.0)
    few = llm.client.extrapolate([(100, 10)] * 9, 100, price=price)
    assert np.isnan(few.low) and "interval" not in str(few)
    every = llm.client.extrapolate([(100, 10)] * 9, 9, price=price)
    assert every.low == every.usd == every.high == pytest.approx(9 * 110 / 1e6)
    odd = llm.client.extrapolate([(100, 1)] * 5 + [(100, 900)] * 5, 10_000, price=price)
    assert odd.high < 3 * odd.usd, "no mean is above the longest answer"


def test_a_forecast_counts_answers_that_were_asked_for_again():
    client = llm.Client(url="offline?cut=1", model="m", usd_per_mtok=(1.0, 2.0))
    cost = asyncio.run(llm.forecast(client, MANY[:12], pilot=12))
    assert client.usage["asked"] > 12, "cut answers are asked for again"
    assert cost.usd == pytest.approx(client.usage["usd"])


def test_the_client_works_where_a_loop_is_already_running():
    async def inside():
        return await llm.Client(url="offline", model="m").ask_all(ASK)

    assert len(asyncio.run(inside())) == 3


def test_two_runs_on_one_cache_agree(tmp_path):
    async def both():
        clients = [
            llm.Client(url="offline", model="m", cache=tmp_path / "c.sqlite") for _ in range(2)
        ]
        return await asyncio.gather(*(client.ask_all(MANY) for client in clients))

    one, two = asyncio.run(both())
    assert [reply.text for reply in one] == [reply.text for reply in two]


def test_a_killed_run_goes_on_where_it_was_and_its_file_is_the_same(tmp_path):
    code = (
        "import asyncio, sys; from medinstruct import llm\n"
        "asks = [llm.Request(messages=[{'role': 'user', 'content': f'Type: chat\\nView: nurse\\nInstruction: asthma {n}'}]) for n in range(400)]\n"
        "client = llm.Client(url=sys.argv[1], model='m', cache=sys.argv[2], concurrency=8)\n"
        "print(*(reply.text for reply in asyncio.run(client.ask_all(asks))), sep='\\n')"
    )

    def start(name):
        call = [sys.executable, "-c", code, url, str(tmp_path / name)]
        return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def saved():
        return len(llm.Cache(tmp_path / "killed").keys()) if (tmp_path / "killed").exists() else 0

    with stand_in_server.in_thread(latency=0.02) as url:
        whole, killed = start("whole"), start("killed")
        while saved() < 40:
            time.sleep(0.05)
        killed.kill()
        killed.communicate()
        kept = saved()
        again = start("killed").communicate()[0]
        assert 40 <= kept < 400 and again == whole.communicate()[0]
    assert again.count(b"\n") >= 400


@pytest.mark.parametrize(
    "text", ["- a", "a: [1]", "a: {url: x, prize: 3}", "a: {room: -1}", "a: ["]
)
def test_a_models_file_that_cannot_be_read_is_one_clear_error(own_models, text):
    own_models.write_text(text)
    with pytest.raises(UserError, match="models.yaml"):
        llm.connect("a")


def test_a_url_that_is_neither_address_nor_transport_is_refused():
    with pytest.raises(UserError, match="install the package again"):
        llm.Client(url="ofline", model="m")
    assert "not by a clinician" in llm.Client(url="offline?cut=0", model="m").source


def test_only_the_transport_knows_the_stand_in():
    for path in Path(llm.__file__).parents[1].rglob("*.py"):
        is_inside = "offline" in path.parts
        assert is_inside or "medinstruct.offline" not in path.read_text(encoding="utf-8"), path


def test_a_refusal_declines_the_task_and_sympathy_does_not():
    assert llm.is_refusal("I'm sorry, but I can't help with that.")
    assert not llm.is_refusal("Sorry to hear it. Rest.")
