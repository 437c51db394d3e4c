"""The notebooks themselves, end to end; every cell twice; every exercise; on the clinicians' seeds where they are at hand."""

import json
import re
import shutil
import uuid

import nbformat as nf
import papermill
import pytest

from medinstruct import manifest, params, paths, pipeline

SMALL = {
    "requests": 20,
    "epochs": 1,
    "train_share": 0.3,
    "answer_max_tokens": 20,
    "assist_max_tokens": 20,
    "judge_items": 6,
    "benchmark_limit": 10,
    "generation_limit": 2,
}
CHANGING = (".sqlite", ".sqlite-wal", ".sqlite-shm", ".ipynb", ".html")  # times, caches, pages


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """A small run of all notebooks, with the demo's student; and the outcome of each notebook."""
    folder = tmp_path_factory.mktemp("outputs")
    data = paths.root().parent / "shared" / "data" / "alpacare"
    values = {"run": "small"} | SMALL
    if data.is_dir():
        values["seeds"] = str(data / "med_seed.json")
        values["test_set"] = str(data / "MedInstruct-test.jsonl")
    sets = [f"{name}={value}" for name, value in values.items()]
    shutil.copytree(paths.root() / "outputs/demo/student", folder / "small/student")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDINSTRUCT_OUTPUTS", str(folder))
        outcomes = pipeline.run("demo", sets=sets)
        again = pipeline.run("demo", sets=sets)
    return folder / "small", sets, outcomes, again


def contents(folder):
    """The hash of each file of a run that must not change when a notebook runs again."""
    files = [f for f in folder.rglob("*") if f.is_file() and not f.name.endswith(CHANGING)]
    skipped = ("manifest.json", ".state.json", "training_speed.json")
    return {str(f.relative_to(folder)): manifest.of_path(f) for f in files if f.name not in skipped}


def test_the_whole_pipeline_runs_and_is_up_to_date_after_that(small_run):
    out, _, outcomes, again = small_run
    assert not any(outcome.is_current for outcome in outcomes)
    late = {outcome.notebook for outcome in again if not outcome.is_current}
    assert late == {"07_review_with_experts"}  # it compares answers, which notebook 10 wrote later
    training = json.loads((out / "training.json").read_text())["lora"]
    assert training["eval_after"] < training["eval_before"]
    assert (out / "focus.json").is_file() and (out / "report.html").stat().st_size > 10_000


def test_the_published_seeds_and_test_set_go_through_the_same_notebooks(small_run, real_data):
    out = small_run[0]
    rates = json.loads((out / "freeform.json").read_text())
    references = {"gpt-4", "claude-2", "gpt-3.5-turbo", "text-davinci-003", "base"}
    assert rates["items"] == 216 and {row["reference"] for row in rates["rates"]} == references
    assert len((out / "seeds.jsonl").read_text().splitlines()) == 167
    assert rates["minimal_difference"] == 0.0953


def doubled(notebook, values):
    """A notebook with every code cell twice, and the answers to its exercises as cells."""
    book = pipeline.runner.with_input(notebook, values)
    cells = []
    for cell in book.cells:
        cells.append(cell)
        if cell.cell_type == "code" and cell.id not in ("setup", "parameters"):
            again = cell.copy()
            again.id = uuid.uuid4().hex[:8]
            cells.append(again)
    text = next((cell.source for cell in book.cells if cell.id == "exercises"), "")
    answers = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(answers) == 2 and all("assert " in answer for answer in answers)
    book.cells = cells + [nf.v4.new_code_cell(answer) for answer in answers]
    return book


@pytest.mark.parametrize("notebook", paths.notebooks(), ids=lambda notebook: notebook.stem)
def test_every_cell_may_run_twice_and_every_exercise_has_a_right_answer(
    notebook, small_run, tmp_path, monkeypatch
):
    out, sets, _, _ = small_run
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(out.parent))
    values = params.merged("demo", sets)
    own = {name: values[name] for name in params.declared(notebook)}
    before = contents(out)
    nf.write(doubled(notebook, own), tmp_path / "twice.ipynb")
    quiet = {"kernel_name": "python3", "progress_bar": False}
    papermill.execute_notebook(tmp_path / "twice.ipynb", None, parameters=own, **quiet)
    assert contents(out) == before
