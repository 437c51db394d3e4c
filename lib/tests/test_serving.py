"""Real servers: SmolLM2 behind `transformers serve`, our own prompt text, prompts that are cut silently."""

import asyncio
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import parity_script as parity
from support import write_gguf

from medinstruct import evaluation, llm, paths, records, tasks, training
from medinstruct.errors import UserError
from medinstruct.evaluation import judge
from medinstruct.pipeline import export
from medinstruct.records import Answer, Task

QUESTION = ("Name three causes of cough.", "")
WAIT = 120  # seconds until the server must have loaded the model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """SmolLM2 as the demo tuned it, exported: the merged folder."""
    pytest.importorskip("torch", reason="no torch")
    try:
        llm.model_folder("smollm2")
    except (UserError, OSError, ImportError) as error:
        pytest.skip(f"SmolLM2 is not here: {error}")
    outputs = tmp_path_factory.mktemp("outputs")
    files = shutil.ignore_patterns("*.ipynb", "*.sqlite*", "export", "pages", "figures")
    shutil.copytree(paths.root() / "outputs" / "demo", outputs / "demo", ignore=files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDINSTRUCT_OUTPUTS", str(outputs))
        lines = export.export("demo", model="tuned", to=str(outputs / "to" / "tuned"))
        assert "Exported tuned" in lines[0] and lines[1].startswith("vllm serve HuggingFaceTB")
        yield str(outputs / "to" / "tuned" / "merged")


@pytest.fixture(scope="module")
def tokenizer(folder):
    """The tokenizer of SmolLM2."""
    return pytest.importorskip("transformers").AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    """The address of SmolLM2, really served; its name is its folder."""
    if not all(map(importlib.util.find_spec, ("transformers", "fastapi", "uvicorn"))):
        pytest.skip("`transformers serve` is not installed: pip install 'medinstruct[serving]'")
    call = [sys.executable, "-m", "transformers.cli.transformers", "serve", folder]
    call += ["--host", "127.0.0.1", "--dtype", "float32", "--port"]
    with started(call, tmp_path_factory.mktemp("server") / "log") as url:
        yield url


@contextmanager
def started(call, log):
    """The address of a server that `call` starts on the port it is given last."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    call, env = [*call, port], os.environ | {"HF_HUB_OFFLINE": "1"}
    with log.open("w") as lines:
        process = subprocess.Popen(call, stdout=lines, stderr=lines, env=env)
    try:
        for _ in range(4 * WAIT):
            if process.poll() is not None:
                pytest.fail(f"The server ended: {log.read_text()[-2000:]}")
            with suppress(httpx2.HTTPError):
                if httpx2.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                    break
            time.sleep(0.25)  # also where it answers that it loads
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def test_a_gguf_file_of_the_export_gives_the_same_answers_in_llama_cpp(folder, tmp_path):
    """Its own HTTP server; the file holds the weights and the template of the merged folder."""
    pytest.importorskip("xllamacpp", reason="no llama.cpp: pip install 'medinstruct[llama]'")
    write_gguf.write(folder, tmp_path / "tuned.gguf")
    program = Path(__file__).parent / "support" / "llama_server.py"
    with started([sys.executable, program, tmp_path / "tuned.gguf"], tmp_path / "log") as url:
        form = {"folder": Path(folder).parent, "prompts": 2, "tokens": 6, "run": "demo"}
        row = parity.parity(servers={"llama.cpp": f"tuned@{url}"}, **form).loc["llama.cpp"]
    assert row["prompts"] == 2 and not row["gap"] > parity.ROUNDING
    assert row["equal"] or row["token"]  # none differs at its first token


def test_the_run_its_export_and_a_server_of_it_give_the_same_answers(server, folder):
    """Token by token; another prompt around the same weights is noticed."""
    place = Path(folder).parent
    form = {"folder": place, "prompts": 3, "tokens": 6, "run": "demo"}
    table = parity.parity(servers={"served": f"{folder}@{server}"}, **form)
    assert [*table.index] == [parity.ADAPTER, parity.MERGED, "served"]
    shift = table.loc[parity.MERGED, "shift"]
    assert 0 < shift < parity.ROUNDING and table.loc[parity.ADAPTER, "shift"] == 0
    assert table["equal"].iloc[0] == 3 and not (table["gap"] > parity.ROUNDING).any()
    template = place / "merged" / "chat_template.jinja"
    right = template.read_text()
    try:
        template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
        with pytest.raises(UserError, match=r"more than rounding(.|\n)*transformers, merged"):
            list(parity.lines("demo", folder=str(place), prompts=2))
        [row] = [r for r in paths.read_json(place / "parity.json") if r["route"] == parity.MERGED]
        assert row["equal"] < 2 and row["shift"] > parity.ROUNDING
    finally:
        template.write_text(right)
    (Path(os.environ["MEDINSTRUCT_OUTPUTS"]) / "demo/adapter/adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="no export of this run's model"):
        parity.parity(servers={}, **form)


def asked(messages, **parameters):
    return llm.Request(messages=messages, parameters={"temperature": 0.0, **parameters})


def user(text):
    return [{"role": "user", "content": text}]


def test_a_served_model_that_writes_no_task_is_named_and_its_answers_are_accounted_for(
    server, folder
):
    client = llm.Client(url=server, model=folder, concurrency=1)
    seeds = [seed for seed in records.read(paths.data("seeds.jsonl"), Task) if not seed.input]
    form = {"requests": 1, "seeds_per_request": 1, "tasks_per_request": 1}
    with pytest.raises(UserError, match="no usable task in 1 round(.|\n)*no field in it"):
        asyncio.run(
            tasks.generate(client, seeds, sampling={"temperature": 0.0, "max_tokens": 60}, **form)
        )
    requests = tasks.response_requests(seeds[:1], temperature=0.0, max_tokens=20)
    replies = asyncio.run(client.ask_all(requests))
    whole, cut = tasks.responses_from(seeds[:1], replies)
    assert len(whole) + len(cut) == 1 and replies[0].text.strip()
    assert client.usage["prompt_tokens"] > 200 and 0 < client.usage["completion_tokens"] < 250


def test_a_served_judge_is_asked_in_both_orders_and_its_replies_are_kept(server, folder):
    client = llm.Client(url=server, model=folder, concurrency=1, judge_max_tokens=8)
    [item] = evaluation.load_items("own", limit=1)
    texts = {"tuned": "Rest and drink enough.", "base": "I do not know."}
    one, other = (Answer(item=item.id, model=name, text=text) for name, text in texts.items())
    pairs = judge.build_pairs([item], [one], references=[other])
    verdicts = asyncio.run(judge.ask(client, pairs))
    assert [verdict.order for verdict in verdicts] == [pair.order for pair in pairs]
    replies = [client.cache.get(client.key(judge.judge_request(pair, client))) for pair in pairs]
    assert all(reply and reply.prompt_tokens > 50 for reply in replies)


def test_a_served_answer_streams_ends_at_a_stop_string_and_can_be_broken_off(server, folder):
    client = llm.Client(url=server, model=folder, concurrency=1)
    [whole] = asyncio.run(client.ask_all([asked(user(QUESTION[0]), max_tokens=12, stop=["zzz"])]))
    stop = whole.text.split()[3]

    async def talk(**parameters):
        stream = client.stream(asked(user(QUESTION[0]), **parameters))
        return [piece async for piece in stream]

    *pieces, reply = asyncio.run(talk(max_tokens=24, stop=[f" {stop}"]))
    assert len(pieces) > 1 and "".join(pieces) == reply.text and reply.finish_reason == "stop"
    assert whole.text.startswith(reply.text) and stop not in reply.text.split()

    async def break_off():
        stream = client.stream(asked(user(QUESTION[0]), max_tokens=500))
        first = [await anext(stream) for _ in range(2)]
        await stream.aclose()
        return first

    begin = time.monotonic()
    assert whole.text.startswith("".join(asyncio.run(break_off())))
    assert time.monotonic() - begin < 60  # 500 tokens would take longer
    assert 0 < client.usage["completion_tokens"] < 100


def test_a_served_adapter_gets_the_training_prompt_word_for_word(server, folder):
    """With template alpaca the server must apply no template of its own."""
    who = evaluation.answerers(f"{folder}@{server}", base=folder, template="alpaca")
    who.pop("base")  # the server has one model
    replies = asyncio.run(evaluation.answers.ask_models(who, [QUESTION], max_tokens=10))
    local = llm.LocalModel(folder, chat=False)
    text = training.prompt(*QUESTION)
    assert replies["tuned"][0].prompt_tokens == len(local.tokenizer(text)["input_ids"])
    here = asyncio.run(evaluation.answers.ask_models({"here": local}, [QUESTION], max_tokens=10))
    assert replies["tuned"][0].text[:20] == here["here"][0].text[:20]  # greedy, the same weights


@contextmanager
def small_server(answer):
    """A server on loopback: `answer(path, body)` returns the JSON reply, or chunks to stream."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = answer(self.path, body)
            chunks = [f"data: {json.dumps(row)}\n\n" for row in reply if isinstance(reply, list)]
            text = "".join([*chunks, "data: [DONE]\n\n"]) if chunks else json.dumps(reply)
            self.send_response(200)
            kind = "text/event-stream" if chunks else "application/json"
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *form):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/v1"
    finally:
        http.shutdown()
        http.server_close()


def completion(model, text="", **fields):
    """A body of /v1/completions as vLLM's."""
    choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None} | fields
    return {"id": "c", "object": "text_completion", "created": 1, "model": model} | {
        "choices": [choice],
        "usage": {"prompt_tokens": 40, "completion_tokens": 5, "total_tokens": 45},
    }


def test_a_served_adapter_is_asked_by_its_name_with_the_prompt_as_text_and_cached(tmp_path):
    seen = []

    def answer(path, body):
        seen.append((path, body))
        return completion(body["model"], f" Rest, says {body['model']}.\n### Instruction: more")

    with small_server(answer) as url:
        form = {"base": "mine", "template": "alpaca", "cache": tmp_path / "c.sqlite"}
        for _ in range(2):
            who = evaluation.answerers(f"tuned@{url}", **form)
            replies = asyncio.run(evaluation.answers.ask_models(who, [QUESTION]))
    assert {path for path, _ in seen} == {"/v1/completions"}
    assert sorted(body["model"] for _, body in seen) == ["mine", "tuned"]  # the second is cached
    assert all(body["prompt"] == training.prompt(*QUESTION) for _, body in seen)
    assert all("messages" not in body and len(body["stop"]) == 3 for _, body in seen)
    assert [row[0].text.strip() for row in replies.values()] == [
        "Rest, says mine.",
        "Rest, says tuned.",
    ]
    chat = evaluation.answerers(f"tuned@{url}", **form | {"template": "chat"})["tuned"]
    request = asked(user("?"))
    assert chat.key(request) != who["tuned"].key(request)


def test_a_completion_streams_and_its_stop_string_is_never_shown():
    parts = ["Rest he", "lps.\n### In", "struction: more"]

    def answer(path, body):
        rows = [completion("m", part, finish_reason=None) | {"usage": None} for part in parts]
        return [*rows, completion("m")]

    async def talk(url):
        client = llm.Client(url=url, model="m", chat=False)
        return [piece async for piece in client.stream(asked(user("?"), stop=["\n### Instr"]))]

    with small_server(answer) as url:
        *pieces, reply = asyncio.run(talk(url))
    assert "".join(pieces) == reply.text == "Rest helps." and reply.completion_tokens == 5


def test_a_prompt_that_the_server_cuts_is_said_once_with_the_remedy(caplog):
    def answer(path, body):
        usage = {"prompt_tokens": min(256, len(body["messages"][0]["content"].split()) * 4 // 3)}
        message = {"role": "assistant", "content": "Rest."}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return completion("m") | {"choices": [choice], "usage": usage | {"completion_tokens": 2}}

    with small_server(answer) as url:
        for length, notes in ((150, 0), (800, 1)):
            caplog.clear()
            client = llm.Client(url=url, model="m")
            asks = [asked(user(f"{n} " + "cough at night " * (length // 3))) for n in range(4)]
            asyncio.run(client.ask_all(asks))
            texts = [row.getMessage() for row in caplog.records if "silently" in row.getMessage()]
            assert len(texts) == notes, length
    assert "256" in texts[0] and "num_ctx" in texts[0] and "--ctx-size" in texts[0]


TEXTS = [
    "糖尿病是一种代谢性疾病。",
    "โรคเบาหวานเป็นโรคที่เกิดจากฮอร์โมน",
    "मधुमेह एक बीमारी है।",
    "blood sugar",
    "=" * 90,
    " " * 90,
]


@settings(deadline=None)
@given(st.lists(st.one_of(st.text(), st.sampled_from(TEXTS)), max_size=30))
def test_no_text_has_fewer_tokens_than_the_lower_estimate(tokenizer, parts):
    """In bytes a token is longest in Thai, in words in English: both with room to spare."""
    text = " ".join(parts)
    request, count = asked(user(text)), len(tokenizer(text)["input_ids"])
    assert request.least_tokens() <= min(count, request.prompt_tokens())


def test_signs_alone_are_no_words_in_the_lower_estimate():
    assert asked(user("a -- b _ _ c_d ... (*)")).least_tokens() == 2, "of three words"
