"""The notebooks themselves, end to end, on the clinicians' seeds and test questions with four real reference models."""

import json

import pytest

from medinstruct import paths, pipeline


@pytest.fixture
def real_run(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    data = real_data / "alpacare"
    sets = [
        f"seeds={data / 'med_seed.json'}",
        f"test_set={data / 'MedInstruct-test.jsonl'}",
        "run=real",
        "requests=20",
        "student_epochs=1",
        "epochs=1",
        "train_share=0.3",
        "gate_prompts=4",
        "answer_max_tokens=20",
        "benchmark_limit=10",
        "generation_limit=2",
    ]
    profile = str(paths.root() / "params" / "demo.yaml")
    return tmp_path / "real", lambda: [done.line for done in pipeline.run(profile, sets=sets)]


def test_the_whole_pipeline_runs_on_the_published_seeds_and_test_set(real_run):
    out, run = real_run
    assert all("done" in line for line in run())
    rates = json.loads((out / "freeform.json").read_text())
    assert rates["items"] == 216
    assert {row["reference"] for row in rates["rates"]} == {
        "gpt-4",
        "claude-2",
        "gpt-3.5-turbo",
        "text-davinci-003",
        "base",
    }
    assert len((out / "seeds.jsonl").read_text().splitlines()) == 167
    assert (out / "focus.json").is_file() and rates["minimal_difference"] == 0.0953
    assert (out / "report.html").stat().st_size > 10_000
    training = json.loads((out / "training.json").read_text())["lora"]
    assert training["eval_after"] < training["eval_before"]
    assert all("up to date" in line for line in run())
