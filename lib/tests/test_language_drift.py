"""Drift: a server that answers half in English is measured, its texts are set aside, the run goes on."""

import asyncio
import json
import re

import pytest
from support import stand_in_server

from medinstruct import audits, llm, paths, records, tasks
from medinstruct.records import Task

REASON = "in English, asked for Korean"


class HalfEnglish(stand_in_server.Service):
    """The stand-in, which sees no Hangul in every second request and so answers it in English."""

    def complete(self, content):
        body = json.loads(content)
        number = self.numbers.setdefault(str(body["messages"]), len(self.numbers))
        if number % 2:
            for message in body["messages"]:
                message["content"] = re.sub("[가-힣]", "", message["content"])
        return super().complete(json.dumps(body).encode())


@pytest.fixture(scope="module")
def written():
    """Tasks of 40 requests in Korean, and the answers to 80 of them."""

    async def write():
        service = HalfEnglish()
        service.numbers = {}
        client = llm.Client(url=stand_in_server.listen(service=service), model="m", concurrency=1)
        seeds = records.load(paths.data("korean/seeds.jsonl"), Task)
        made = await tasks.generate(client, seeds, requests=40, steer="coverage", languages="ko")
        replies = await client.ask_all(tasks.response_requests(made.tasks[:80]))
        return made, *tasks.responses_from(made.tasks[:80], replies)

    return asyncio.run(write())


def test_what_is_in_another_language_is_set_aside_with_the_reason(written, tmp_path):
    made, examples, unfinished = written
    wrong = [row for row in made.rejects if row.reason == REASON]
    assert wrong and not any(re.search("[가-힣]", row.raw) for row in wrong)
    assert {row.language for row in [*made.tasks, *examples]} == {"ko"}
    assert {row.finish_reason for row in unfinished} == {REASON}
    assert len(examples) + len(unfinished) == 80 and len(made.rounds) == 10
    records.write(tmp_path / "raw_tasks.jsonl", made.tasks)
    records.write(tmp_path / "rejects.jsonl", made.rejects)
    ledger = tasks.load_ledger(tmp_path, asked=360, stages=1)
    assert ledger["reasons"].iloc[0][REASON] == len(wrong)
    assert records.read(tmp_path / "raw_tasks.jsonl", Task) == made.tasks


def test_a_server_that_answers_half_in_english_has_a_measured_drift_of_half(written):
    made, examples, unfinished = written
    aside = [*made.rejects, *unfinished]
    drift = audits.drift.language_drift(examples, tasks=made.tasks, set_aside=aside)
    assert list(drift.index) == [("tasks", "Korean"), ("answers", "Korean")]
    assert drift["share"].between(0.45, 0.55).all() and (drift["low"] < drift["high"]).all()
    assert drift["n"].iloc[0] > 300 and 70 < drift["n"].iloc[1] <= 80  # some are mixed
    assert [set(others) for others in drift["others"]] == [{"English"}] * 2


def test_a_mix_is_steered_to_its_shares():
    async def write(**form):
        client = llm.Client(url="offline", model="m")
        seeds = records.load(paths.data("korean/seeds.jsonl"), Task)
        return await tasks.generate(
            client, seeds, requests=24, languages="en 0.25, ko 0.75", **form
        )

    made = asyncio.run(write(steer="coverage"))
    korean = [task.language for task in made.tasks].count("ko") / len(made.tasks)
    assert {task.language for task in made.tasks} == {"en", "ko"} and abs(korean - 0.75) < 0.1
    assert not {"English", "Korean"} & {*made.given_up}


def test_a_language_that_is_never_delivered_is_given_up_and_the_rest_is_written():
    async def write():
        client = llm.Client(url="offline", model="m")  # knows no Swedish, and answers in English
        seeds = records.read(paths.data("seeds.jsonl"), Task)
        return await tasks.generate(
            client, seeds, requests=20, languages="en, sv", steer="coverage"
        )

    made = asyncio.run(write())
    assert "Swedish" in made.given_up and {task.language for task in made.tasks} == {"en"}
    assert 40 < sum(row.reason == "in English, asked for Swedish" for row in made.rejects) < 90


def test_the_card_names_languages_shares_drift_and_labels_in_the_language(written, tmp_path):
    made, examples, unfinished = written
    records.write(tmp_path / "dataset.jsonl", examples)
    aside = [*made.rejects, *unfinished]
    drift = audits.drift.language_drift(examples, tasks=made.tasks, set_aside=aside)
    halves = examples[::2], examples[1::2]
    findings = audits.dataset_findings(examples, seeds=[], versions=halves, language_drift=drift)
    findings = [row._asdict() for row in findings if row.audit.startswith("language drift")]
    assert [row["keeps"] for row in findings] == [False, False]
    records.write_json(tmp_path / "audits.json", {"findings": findings})
    card = audits.write_card(tmp_path, audits.dataset_facts(tmp_path), name="x").read_text()
    assert "language:\n- ko\n" in card and f"**language**: Korean {len(examples)}\n" in card
    rate = f"{drift.loc[('answers', 'Korean'), 'share']:.1%}"
    assert f"{rate} of the answers came in another language" in card
    assert f"언어로 쓰인 답의 비율은 {rate}" in card and "summarization (요약)" in card
