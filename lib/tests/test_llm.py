"""The client: order, cache, keys and budget, against the offline stand-in."""

import asyncio

import pytest

from medinstruct import llm
from medinstruct.errors import Problem
from medinstruct.llm import client as module

ASK = [llm.Request(messages=[{"role": "user", "content": f"Type: chat\nView: nurse\nInstruction: {text}"}]) for text in "abc"]


def test_a_second_run_is_answered_from_the_cache_in_the_same_order(tmp_path):
    first = llm.Client(url="offline", model="m", cache=tmp_path / "c.sqlite")
    replies = asyncio.run(first.ask_all(ASK))
    again = llm.Client(url="offline", model="m", cache=tmp_path / "c.sqlite")
    assert [r.key for r in asyncio.run(again.ask_all(ASK))] == [r.key for r in replies] == [first.key(r) for r in ASK]
    assert (first.usage["asked"], again.usage["asked"], again.usage["cached"]) == (3, 0, 3)


def test_a_paid_address_without_a_key_is_refused(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(Problem, match="OPENAI_API_KEY"):
        llm.Client(url="", model="gpt-4")


def test_an_unreachable_address_is_one_message_without_the_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setattr(module, "TRIES", 1)
    with pytest.raises(Problem, match="Check the address") as caught:
        asyncio.run(llm.Client(url="http://127.0.0.1:9/v1", model="m").ask_all(ASK))
    assert "sk-secret" not in str(caught.value)


def test_a_used_up_budget_stops_and_keeps_what_was_paid(tmp_path):
    client = llm.Client(
        url="offline", model="m", cache=tmp_path / "c.sqlite", concurrency=1, budget_usd=1e-9, usd_per_mtok=(1, 1)
    )
    with pytest.raises(Problem, match="budget"):
        asyncio.run(client.ask_all(ASK))
    assert client.usage["asked"] == 1
