"""A server that misbehaves in all ways at once: what is asked, answered, kept and listed."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from queue import Queue
from threading import Event, Thread

import pytest
from support import in_process, stand_in_server
from support.troubled_server import ITEMS, REFUSED, SHAPES, TROUBLES, WORDS, Troubled

from medinstruct import evaluation, llm, pipeline

SYSTEM = {"role": "system", "content": "Answer briefly."}
QUESTIONS = [
    f"Type: chat\nView: nurse\nInstruction: Explain asthma to group {n}." for n in range(40)
]


@contextmanager
def serving():
    """Give a function that serves a service in a thread and returns its address."""
    ended, threads = Event(), []

    def start(service):
        async def until_the_end():
            places.put(stand_in_server.listen(service=service))
            while not ended.is_set():
                await asyncio.sleep(0.05)

        places = Queue()
        threads.append(Thread(target=lambda: asyncio.run(until_the_end())))
        threads[-1].start()
        return places.get(timeout=20)

    yield start
    ended.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def serve():
    with serving() as start:
        yield start


def ask(url, **fields):
    """Ask the questions with every parameter that may be refused."""
    client = llm.Client(url=url, model="m", concurrency=16, **fields)
    form = {"max_tokens": 400, "temperature": 0.0, "presence_penalty": 1.5}
    turns = [[SYSTEM, {"role": "user", "content": text}] for text in QUESTIONS]
    asked = [llm.Request(messages=turn, parameters=form, sample=1) for turn in turns]
    return asyncio.run(client.ask_all(asked))


def plain(text):
    """A text without the mark that stands for half an emoji."""
    return text.replace("\ufffd", "").strip()


def texts(replies):
    return [plain(reply.text) for reply in replies]


def kept(path):
    """The answers in a cache."""
    rows = sqlite3.connect(path).execute("SELECT answer FROM answers").fetchall()
    return [json.loads(row[0]) for row in rows]


@pytest.fixture(scope="module")
def clean():
    """The answers of a server without trouble."""
    with serving() as start:
        return texts(ask(start(Troubled())))


@pytest.mark.parametrize("kind", [*TROUBLES, "shape"])
def test_trouble_of_a_kind_changes_no_answer_and_nothing_else_is_kept(kind, serve, tmp_path, clean):
    names = [*TROUBLES.get(kind, SHAPES)]
    service = Troubled(0.3, only=names, seed=kind, refused=REFUSED)
    replies = ask(serve(service), cache=tmp_path / "c.sqlite")
    assert all(service.met[name] for name in names) and set(service.paid.values()) == {1}
    assert texts(replies) == clean
    assert {reply.incomplete_reason for reply in replies} == {""}
    answers = kept(tmp_path / "c.sqlite")
    assert len(answers) == 40 and all(answer["text"].strip() for answer in answers)
    assert WORDS not in json.dumps(answers)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Notebooks 01 to 04 with a good server and with one that has all trouble at 20% each."""
    folder = tmp_path_factory.mktemp("outputs")
    services = {"clean": Troubled(), "troubled": Troubled(0.2, items=0.2, refused=REFUSED)}
    with pytest.MonkeyPatch.context() as patch, serving() as start:
        patch.setenv("MEDINSTRUCT_OUTPUTS", str(folder))
        in_process.instead_of_kernels(patch)
        pipeline.run("demo", only=["01"], sets=["run=seeds"])

        for name, service in services.items():
            model = f"m@{start(service)}"
            sets = [f"run={name}", "read_from=seeds", "steer=none", "requests=12"]
            sets += [f"teacher={model}", f"responder={model}"]
            assert len(pipeline.run("demo", only=["02", "03", "04"], sets=sets)) == 3
    return [folder / name for name in services], services["troubled"]


def rows(folder, name):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def request_of(row):
    """The seeds in a prompt, which no other request of the run has."""
    return tuple(row["provenance"]["parents"])


def test_the_dataset_is_that_of_a_clean_run_without_what_is_listed(runs):
    (clean, ours), service = runs
    assert service.met["slow"] and all(service.met[name] for name in (*ITEMS, *REFUSED, *SHAPES))
    old, new = ({row["task"]: row for row in rows(folder, "dataset")} for folder in (clean, ours))
    assert 8 < len(new) < len(old)
    assert all(
        plain(new[task]["output"]) == old[task]["output"] for task in new.keys() & old.keys()
    )
    requests = {row["id"]: request_of(row) for row in rows(clean, "raw_tasks")}
    listed = {request_of(row) for row in rows(ours, "rejects")}
    apart = {row["task"] for name in ("unfinished", "dropped") for row in rows(ours, name)}
    lost = old.keys() - new.keys() - apart
    assert lost and all(requests[task] in listed for task in lost)
    beside = {row["task"] for row in rows(clean, "dropped")}  # near a task that is lost
    assert new.keys() - old.keys() <= beside


def test_what_is_set_aside_has_its_reason_and_the_words_of_the_server(runs):
    (_, ours), service = runs
    unfinished = rows(ours, "unfinished")
    words = {row["finish_reason"]: row.get("error", "") for row in unfinished}
    assert {"length", "empty", "context", "content_filter"} <= words.keys()
    assert all(bool(words[reason]) == (reason not in ("length", "empty")) for reason in words)
    assert WORDS in words["context"] and WORDS in words["content_filter"]
    assert any(WORDS in json.dumps(row) for row in rows(ours, "rejects"))


def test_nothing_is_paid_twice_and_only_answers_are_kept(runs):
    (_, ours), service = runs
    assert set(service.paid.values()) == {1}
    assert WORDS not in json.dumps(kept(ours / "answers.sqlite"))


def test_a_judge_gives_the_same_verdicts_and_answers_are_the_same_without_what_is_listed(serve):
    async def answers_of(service):
        urls[service] = serve(service)
        return await evaluation.answers.of_others(
            {"m": f"m@{urls[service]}"}, items, max_tokens=300
        )

    async def verdicts_of(service):
        [judge] = evaluation.judge.jury([f"j@{urls[service]}"])
        return await evaluation.judge.ask(judge, pairs)

    urls, items = {}, evaluation.load_items("own", limit=25)
    services = [Troubled(), Troubled(0.2, items=0.1, refused=REFUSED)]
    old, new = (asyncio.run(answers_of(service)) for service in services)
    apart = [n for n in range(25) if new[n].finish_reason != "stop"]
    assert 0 < len(apart) < 20
    assert all(old[n].text == plain(new[n].text) for n in range(25) if n not in apart)
    references = evaluation.answers.reference_answers(items)
    references = [answer for answer in references if answer.model == references[0].model]
    pairs = evaluation.judge.build_pairs(items, old, references=references)
    assert len(pairs) == 50
    old, new = (asyncio.run(verdicts_of(service)) for service in services)
    apart = [n for n in range(50) if new[n].finish_reason != "stop" or not new[n].reply]
    assert 0 < len(apart) < 40 and all(new[n].winner is None for n in apart)
    assert all(verdict.winner for verdict in old)
    assert all(old[n].winner == new[n].winner for n in range(50) if n not in apart)


KERNEL = """
import asyncio, sys
from medinstruct import llm
url, path = sys.argv[1:]
client = llm.Client(url=url, model="m", cache=path)
asked = [llm.Request(messages=[{"role": "user", "content": f"Number {n}"}]) for n in range(40)]
replies = asyncio.run(client.ask_all(asked))
print(client.usage["asked"], client.usage["cached"], len({reply.key for reply in replies}))
"""


def test_two_kernels_that_ask_for_the_same_answers_pay_once_and_a_killed_one_blocks_no_other(
    serve, tmp_path
):
    service = Troubled(1.0, only=["slow"])
    program = [sys.executable, "-c", KERNEL, serve(service), str(tmp_path / "c.sqlite")]
    form = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    killed = subprocess.Popen(program, **form)
    while len(service.paid) < 10:
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    before = len(kept(tmp_path / "c.sqlite"))
    kernels = [subprocess.Popen(program, **form) for _ in range(2)]
    outputs = [kernel.communicate(timeout=60) for kernel in kernels]
    assert sorted(output for output, _ in outputs) == ["0 40 40\n", f"{40 - before} {before} 40\n"]
    assert "waits for them" in "".join(log for _, log in outputs)
