"""The profiles at the end of 2026: models that exist, honest pairs, and a walk by the doctor."""

import asyncio
import json
import logging
import threading
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from medinstruct import evaluation, models, network, params, paths, pipeline, records
from medinstruct.errors import UserError
from medinstruct.pipeline import doctor

PROFILES = {path.stem: params.merged(path) for path in params.profiles()}
HEADS = {path.stem: path.read_text().splitlines()[0] for path in params.profiles()}
OF_THE_STAND_IN = ("demo", "korean", "paper")
OF_THE_MACHINE = (
    "does not answer",
    "is not set",
    "too large for a processor",
    "cannot be read: http",
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A doctor that has asked no server yet."""
    doctor.served.cache_clear()
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def server(*rows, status=200):
    """The address of a server that lists models; and what it was asked: paths and keys."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            body = {"object": "list", "data": rows} if status == 200 else {"error": "no"}
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/v1", seen
        http.shutdown()


def with_models(tmp_path, monkeypatch, text):
    """Replace params/models.yaml by this text, beside the real notebooks and profiles."""
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "models.yaml").write_text(text)
    monkeypatch.setattr(models.paths, "root", lambda: tmp_path)


@pytest.mark.parametrize("name", PROFILES)
def test_nothing_but_keys_servers_and_hardware_keeps_a_profile_from_running(name, monkeypatch):
    def gone(url, **form):
        raise UserError(f"{url} does not answer.", do="Check the network.")

    monkeypatch.setattr(network, "fetch", gone)
    monkeypatch.setattr(
        doctor, "served", lambda url, key: ({}, UserError(f"{url} does not answer"))
    )
    lines, would_run = doctor.diagnose(name)
    rows = lines[lines.index("What would run here:") + 1 :]
    assert would_run == (name in ("demo", "korean"))
    assert rows[0].startswith("  yes" if would_run else "  no ")
    assert f"base_model {PROFILES[name]['base_model']}" in rows[0]
    assert all(any(words in row for words in OF_THE_MACHINE) for row in rows[1:]), rows


@pytest.mark.parametrize("name", PROFILES)
def test_no_model_of_a_profile_has_ended_or_is_about_to(name):
    today = date(2026, 11, 29)
    assert not [n for _, n in models.asked(PROFILES[name]) if models.ending(n, today=today)]


@pytest.mark.parametrize("name", ["openai", "local", "gpu"])
def test_the_judge_is_of_another_family_than_the_writer(name):
    values = PROFILES[name]
    writers = {models.load(values[role]).url for role in ("teacher", "responder")}
    assert models.load(values["judge"]).url not in writers


def test_the_paper_profile_says_first_that_its_models_no_longer_exist():
    assert "ended on 2026-10-23" in HEADS["paper"] and "successors" in HEADS["paper"]
    text = (paths.root() / "params" / "paper.yaml").read_text()
    for deviation in ("1,000 tokens (300)", "presence penalty", "1.5"):
        assert deviation in text


@pytest.mark.parametrize("name", [name for name in PROFILES if name not in OF_THE_STAND_IN])
def test_a_base_model_has_alpacas_template_and_a_chat_model_its_own(name):
    values = PROFILES[name]
    is_base = values["base_model"].endswith("-Base")
    assert values["template"] == ("alpaca" if is_base else "chat")
    released = {"chat": values["base_model"].removesuffix("-Base")}  # asked in its own template
    assert values["answer_models"] == (released if is_base else {})


@pytest.mark.parametrize("name", [name for name in PROFILES if name not in OF_THE_STAND_IN])
def test_what_was_trained_can_be_read_and_judged_at_length(name):
    values = PROFILES[name]
    assert values["training_options"]["max_length"] == 2048 and values["answer_max_tokens"] == 1024


def test_the_doctor_asks_a_server_for_its_models_as_the_client_would(monkeypatch):
    row = {"id": "qwen", "object": "model", "created": 0, "owned_by": "vllm", "max_model_len": 8192}
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-123")
    with server(row, row | {"id": "tuned"}) as (url, seen):
        values = PROFILES["demo"] | {"teacher": f"qwen@{url}", "judge": f"qwen@{url}"}
        assert doctor.obstacles(values) == []
        assert doctor.remarks(values) == []
    assert seen == [("/v1/models", "Bearer sk-secret-123")]


def test_a_name_that_a_server_lacks_is_shown_with_the_near_ones():
    row = {"object": "model", "created": 0, "owned_by": "us"}
    rows = [row | {"id": name} for name in ("Qwen/Qwen3.8-27B-FP8", "gemma-4", "other")]
    with server(*rows) as (url, _):
        (obstacle,) = doctor.obstacles(PROFILES["demo"] | {"teacher": f"Qwen/Qwen3.8-27B@{url}"})
    assert obstacle[0] == f"{url} has no model Qwen/Qwen3.8-27B"
    assert "it has Qwen/Qwen3.8-27B-FP8;" in obstacle[1]


@pytest.mark.parametrize(
    "row", [{"id": "m:latest"}, {"id": "models/m"}, {"id": "x.gguf", "owned_by": "llamacpp"}]
)
def test_a_name_that_ollama_gemini_or_llama_cpp_takes_is_no_obstacle(row):
    with server({"object": "model", "created": 0, "owned_by": "us"} | row) as (url, _):
        assert doctor.obstacles(PROFILES["demo"] | {"teacher": f"m@{url}"}) == []


def test_the_days_on_which_models_end_come_from_models_yaml_and_from_the_server(
    tmp_path, monkeypatch
):
    row = {"object": "model", "created": 0, "owned_by": "openai"}
    soon = date.fromordinal(date.today().toordinal() + 30)
    rows = [row | {"id": "going", "shutdown_date": str(soon)}, row | {"id": "gone"}]
    rows += [row | {"id": "staying", "shutdown_date": None}]
    with server(*rows) as (url, _):
        names = {"going": "", "gone": ", ends: 2026-10-23", "staying": ""}
        lines = [f'{name}: {{url: "{url}"{more}}}' for name, more in names.items()]
        with_models(tmp_path, monkeypatch, "\n".join(lines))
        values = PROFILES["demo"] | {"teacher": "going", "responder": "gone", "judge": "staying"}
        values |= {"judges": [], "budget_usd": 5.0}
        rows = [what for what, _ in doctor.obstacles(values)]
    assert rows[0] == "budget_usd needs a price of going"
    assert "gone ended on 2026-10-23" in rows and len(rows) == 4
    assert not any("going end" in what for what in rows), "it still answers"


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_server_that_lists_nothing_is_no_obstacle_and_shows_no_key(status, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-123")
    with server(status=status) as (url, _):
        values = PROFILES["demo"] | {"teacher": f"m@{url}"}
        assert doctor.obstacles(values) == []
        (told,) = doctor.remarks(values)
    assert told.startswith(f"{url} does not list its models: ") and "secret" not in told


def test_a_training_option_that_fits_nowhere_is_seen_before_the_run():
    values = PROFILES["demo"] | {"training_options": {"batch_size": 30, "micro_batch_size": 4}}
    assert any("do not fit" in what for what, _ in doctor.obstacles(values))


def test_a_run_warns_where_a_model_has_ended(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(pipeline.runner, "selected", lambda available, only: [])
    with caplog.at_level(logging.WARNING, logger="medinstruct"):
        pipeline.run("demo", sets=["teacher=gpt-4"])
    assert "gpt-4 ended on 2026-10-23" in caplog.text


def judged(sets, tmp_path, monkeypatch, profile="paper"):
    """Run notebook 10 alone, without a model of this process; return freeform.json."""
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    pipeline.run(profile, only=["10"], sets=["answerer=", *sets])
    return json.loads((tmp_path / profile / "freeform.json").read_text(encoding="utf-8"))


def test_published_verdicts_are_replayed_without_a_model_or_a_key(
    real_data, tmp_path, monkeypatch, no_kernels
):
    """The win rates that the authors of these verdicts published."""
    name = "Alpaca-Llama-2-7b-chat"
    stored = real_data / "judge_verdicts" / name
    sets = [f"answer_models={{{name}: {stored}.answers.json}}", f"judge=replay:{stored}.jsonl"]
    sets.append(f"test_set={real_data / 'alpacare/MedInstruct-test.jsonl'}")
    rates = judged(sets, tmp_path, monkeypatch)["rates"]
    columns = ("reference", "win_rate", "win_rate_non_tied", "consistency")
    ours = {row["reference"]: [100 * row[column] for column in columns[1:]] for row in rates}
    published = records.load_table(f"{stored}.published.csv")
    assert ours.keys() == {row["reference"] for row in published}
    for row in published:
        theirs = [float(row[column]) for column in columns[1:]]
        assert ours[row["reference"]] == pytest.approx(theirs, abs=0.06)  # one decimal


def test_three_contestants_are_judged_and_a_stand_in_gives_no_p_value(
    tmp_path, monkeypatch, no_kernels
):
    items = evaluation.load_items("own", limit=10)
    written = {item.id: item.references["written"] for item in items}
    for name, words in {"base": 5, "tuned": 60, "chat": 40}.items():
        rows = [{"item": id, "output": " ".join(t.split()[:words])} for id, t in written.items()]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    places = ", ".join(f"{name}: {tmp_path}/{name}.jsonl" for name in ("base", "tuned", "chat"))
    sets = [f"answer_models={{{places}}}", "test_items=10"]
    numbers = judged(sets, tmp_path, monkeypatch, profile="demo")
    pairs = {(row["model"], row["reference"]) for row in numbers["rates"]}
    against = {
        "base": ["written"],
        "tuned": ["written", "base", "chat"],
        "chat": ["written", "base"],
    }
    assert pairs == {(model, other) for model, others in against.items() for other in others}
    assert {(r["model"], r["other"]) for r in numbers["compare"]} == {
        ("base", "tuned"),
        ("base", "chat"),
        ("tuned", "chat"),
    }
    assert numbers["stand_in"] and not {"p", "p_holm"} & set(numbers["compare"][0])


def test_a_run_that_a_focus_steered_is_scored_on_the_other_questions(
    tmp_path, monkeypatch, no_kernels
):
    """One round: judge, write tasks for what was lost, judge again; through the notebooks."""
    items = evaluation.load_items("own", limit=24)
    rows = [{"item": one.id, "output": one.references["written"][:150]} for one in items]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sets = [f"answer_models={{mine: {tmp_path}/mine.jsonl}}", "test_items=24"]
    assert judged(sets, tmp_path, monkeypatch, profile="demo")["items"] == 24
    focus = tmp_path / "demo" / "focus.json"
    used = json.loads(focus.read_text())["items"]
    assert used == [item.id for item in evaluation.answers.focus_half(items)]
    steered = ["run=next", f"focus={focus}", "requests=4", "answerer=", *sets]
    pipeline.run("demo", only=["01", "02", "10"], sets=steered)
    folder = tmp_path / "next"
    assert json.loads((folder / "generation.json").read_text())["focus_items"] == used
    numbers = json.loads((folder / "freeform.json").read_text())
    assert numbers["items"] == 24 - len(used) == numbers["rates"][0]["n"] and used
    verdicts = records.read(folder / "verdicts.jsonl", records.Verdict)
    assert {v.id for v in verdicts} == {item.id for item in items}
    assert json.loads((folder / "focus.json").read_text())["items"] == used  # the same half again
    scored = evaluation.win_rates(v for v in verdicts if v.id not in used).iloc[0]
    assert scored["score"] == pytest.approx(numbers["rates"][0]["score"], abs=1e-4)


class AlwaysFirst(BaseHTTPRequestHandler):
    """A served judge that prefers the first answer whatever it is asked."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "The first one reads better.\n\n[[A]]"}
        body = {"id": "1", "object": "chat.completion", "created": 0, "model": "first"}
        body["choices"] = [{"index": 0, "finish_reason": "stop", "message": message}]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


def test_a_judge_that_fails_its_entrance_test_gives_no_p_value_and_no_winner(tmp_path, monkeypatch):
    """Through notebooks 10 and 11, with a judge that is no stand-in."""
    items = evaluation.load_items("own", limit=20)
    for name, words in {"base": 20, "tuned": 60}.items():
        texts = {i.id: " ".join(i.references["written"].split()[:words]) for i in items}
        rows = [{"item": id, "output": text} for id, text in texts.items()]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    places = ", ".join(f"{name}: {tmp_path}/{name}.jsonl" for name in ("base", "tuned"))
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with ThreadingHTTPServer(("127.0.0.1", 0), AlwaysFirst) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        judge = f"judge=first@http://127.0.0.1:{http.server_port}/v1"
        sets = ["answerer=", f"answer_models={{{places}}}", "test_items=20", "judges=[]", judge]
        pipeline.run("demo", only=["10", "11"], sets=sets)
        http.shutdown()
    numbers = json.loads((tmp_path / "demo" / "freeform.json").read_text())
    assert numbers["judge_passed"] is False and not numbers["stand_in"]
    assert numbers["compare"] and not {"p", "p_holm"} & set(numbers["compare"][0])
    text = "".join(
        str(output.get("data") or output.get("text"))
        for number in ("10_judge_answers", "11_check_judge")
        for cell in json.loads((tmp_path / "demo" / f"{number}.ipynb").read_text())["cells"]
        for output in cell.get("outputs", [])
    )
    assert "clearly above parity" not in text and "p_holm" not in text
    assert "failed its entrance test" in text and "Do not rank models with this judge" in text
    checks = json.loads((tmp_path / "demo" / "judge.json").read_text())["checks"]
    alarms = {row["check"] for row in checks if row["finding"] == "alarm"}
    assert alarms == {"entrance test", "consistency", "position bias"}


def test_a_contestant_is_a_file_or_a_model_that_is_asked(tmp_path):
    items = evaluation.load_items("own", limit=2)
    rows = [json.dumps({"item": item.id, "output": "Rest."}) for item in items]
    (tmp_path / "mine.jsonl").write_text("\n".join(rows))
    places = {"mine": str(tmp_path / "mine.jsonl"), "served": "m@offline"}
    answers = asyncio.run(evaluation.answers.of_others(places, items, max_tokens=50))
    assert [(a.model, a.item) for a in answers] == [(m, i.id) for m in places for i in items]
    assert answers[0].text == "Rest." and answers[-1].provenance.model == models.STAND_IN


def test_a_model_that_has_ended_is_reported_and_one_far_from_its_end_is_not():
    days = [date(2026, 11, 29), date(2026, 7, 1)]
    assert [models.ending("gpt-4", today=day) for day in days] == ["gpt-4 ended on 2026-10-23", ""]
